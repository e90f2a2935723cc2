//! The code of the README compiles, with what its readers imagine around it.

use std::path::Path;

const README: &str = include_str!("../../README.md");

/// What stands around each block of Rust, in their order: before it, and behind it.
const AROUND: [(&str, &str); 5] = [
    (TASKS, ""),
    (TASKS, ""),
    (
        "use anyrt_http::{AnyError as Error, App, Dep, Dependency, Json, Path};
        use bytes::Bytes;
        use http::HeaderMap;
        struct Connection;
        impl Dependency for Connection {}
        struct User;
        impl Dependency for User {}
        struct Settings;
        impl Settings {
            fn from_env() -> anyrt_http::Result<Settings> { todo!() }
        }
        #[derive(serde::Serialize)]
        struct Item;",
        "",
    ),
    (
        "struct Connection;
        fn query(_: &Connection) -> u32 { 0 }
        fn digest(_: &[u8]) -> u32 { 0 }
        async fn fetch() -> u32 { 0 }
        async fn block(connection: Connection, bytes: Vec<u8>, reader: std::io::BufReader<std::fs::File>)
            -> Result<(), anyrt::BoxError> {
            use std::io::BufRead;",
        "Ok(()) }",
    ),
    (
        "use std::future::Future;
        use std::io;
        use std::time::Duration;
        use anyrt::channel::Receiver;
        use anyrt::scope::Exit;
        use anyrt::{Either, GroupError, TaskGroup, finally, is_stopping, race, sleep, stopping};
        const GRACE: Duration = Duration::from_secs(1);
        struct Order { number: u32 }
        async fn close_the_ledger() {}
        async fn watch_prices() -> io::Result<()> { Ok(()) }
        async fn work(_: Order) {}
        async fn put_back(_: u32) {}",
        "",
    ),
];

const TASKS: &str = "use std::io;
    use std::time::Duration;
    const SECOND: Duration = Duration::from_secs(1);
    struct Db;
    impl Db {
        async fn save(&self, _: u32, _: u32) -> io::Result<()> { Ok(()) }
    }
    async fn fetch_prices() -> io::Result<u32> { Ok(1) }
    async fn fetch_stock() -> io::Result<u32> { Ok(2) }";

#[test]
fn the_code_of_the_readme_compiles() {
    let mut blocks = Vec::new();
    let mut rest = README;
    while let Some((_, after)) = rest.split_once("```rust") {
        let (_, code) = after.split_once('\n').expect("the end of a line");
        let (code, after) = code.split_once("```").expect("the end of a block");
        blocks.push(code.replace("{ .. }", "{ todo!() }"));
        rest = after;
    }
    assert_eq!(blocks.len(), AROUND.len(), "each block of the README has its surroundings here");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    std::fs::create_dir_all(&folder).expect("a folder");
    let tests = trybuild::TestCases::new();
    for (number, (code, (before, behind))) in blocks.iter().zip(AROUND).enumerate() {
        let file = folder.join(format!("block_{}.rs", number + 1));
        let text = format!(
            "#![allow(unused, dead_code)]\nmod block {{\n{before}\n{code}\n{behind}\n}}\nfn main() {{}}\n"
        );
        std::fs::write(&file, text).expect("written");
        tests.pass(&file);
    }
}
