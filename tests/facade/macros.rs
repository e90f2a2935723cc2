//! `#[anyrt::main]` and `#[anyrt::test]`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::num::ParseIntError;
use std::process::Command;

use anyrt::Backend;
use anyrt::runtime::Handle;

fn runtime() -> &'static str {
    Handle::current().runtime().name()
}

/// The name of the test is the path of its backend.
fn backend_of_test() -> String {
    let thread = std::thread::current();
    thread.name().unwrap().rsplit("::").next().unwrap().replace('_', "-")
}

#[anyrt::test]
async fn runs_on_the_backend_it_is_named_after() {
    let named = backend_of_test();
    let backend: Backend = named.parse().unwrap();
    assert!(backend.is_enabled());
    assert_eq!(runtime(), if named == "tokio-current-thread" { "tokio" } else { &named });
}

/// The doc comment stays on the function.
#[anyrt::test]
async fn a_result_may_end_a_test() -> Result<(), ParseIntError> {
    let number: u32 = "42".parse()?;
    assert_eq!(anyrt::spawn(async move { number }).await.unwrap(), 42);
    Ok(())
}

#[anyrt::test]
#[should_panic(expected = "as it should")]
async fn a_panic_may_be_expected() {
    anyrt::checkpoint().await;
    panic!("as it should");
}

#[anyrt::test]
#[ignore = "it would fail"]
async fn is_ignored() {
    panic!("an ignored test was run");
}

#[anyrt::test]
#[cfg(any())]
async fn is_not_there() {
    this_does_not_compile();
}

#[anyrt::test(name = "named", threads = 2)]
async fn arguments_reach_the_run() {
    let name = anyrt::run_blocking(|| std::thread::current().name().map(str::to_owned)).await;
    assert!(name.unwrap().starts_with("named"), "the threads are named after the run");
}

#[anyrt::test(backend = "smol")]
async fn one_backend_may_be_named() {
    assert_eq!((backend_of_test().as_str(), runtime()), ("smol", "smol"));
}

#[anyrt::test(flavor = "current_thread")]
async fn one_flavor_may_be_named() {
    let test = std::thread::current().id();
    assert_eq!(backend_of_test(), "tokio-current-thread");
    anyrt::spawn(async move { assert_eq!(std::thread::current().id(), test) }).await.unwrap();
}

mod nested {
    pub(crate) const HERE: u32 = 7;

    #[anyrt::test]
    async fn paths_keep_their_meaning() {
        assert_eq!(self::HERE, super::nested::HERE);
    }
}

/// What the harness has to know of this file, whatever features are on.
#[test]
fn there_is_one_test_a_backend() {
    let output = Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let tests_of = |name: &str| -> Vec<String> {
        let of_name = list.lines().filter_map(|line| line.strip_prefix(name)?.strip_suffix(": test"));
        of_name.filter_map(|test| test.strip_prefix("::")).map(str::to_owned).collect()
    };
    let mut enabled: Vec<_> =
        Backend::enabled().iter().map(|backend| backend.name().replace('-', "_")).collect();
    enabled.sort();
    assert_eq!(tests_of("macros::a_result_may_end_a_test"), enabled);
    assert_eq!(tests_of("macros::is_ignored"), enabled);
    // They are there also when they cannot run.
    assert_eq!(tests_of("macros::one_backend_may_be_named"), ["smol"]);
    assert_eq!(tests_of("macros::one_flavor_may_be_named"), ["tokio_current_thread"]);
    assert_eq!(tests_of("macros::is_not_there"), [""; 0]);
}

#[test]
fn a_backend_that_is_not_compiled_in_is_ignored_with_the_reason() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["one_backend_may_be_named::smol"])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    if Backend::Smol.is_enabled() {
        assert!(told.contains("1 passed"), "{told}");
    } else {
        assert!(
            told.contains("ignored, backend `smol` is not compiled in: enable the feature `smol`"),
            "{told}"
        );
    }
}

mod entry {
    #[anyrt::main]
    pub(super) async fn plain() -> Result<u32, std::num::ParseIntError> {
        anyrt::spawn(async { "42".parse() }).await.unwrap()
    }

    #[cfg(feature = "smol")]
    #[anyrt::main(backend = "smol", threads = 2, name = "app")]
    pub(super) async fn named() -> (&'static str, Option<String>) {
        let thread = anyrt::run_blocking(|| std::thread::current().name().map(str::to_owned)).await;
        (super::runtime(), thread)
    }

    #[cfg(feature = "tokio")]
    #[anyrt::main(flavor = "current_thread")]
    pub(super) async fn flavored() -> bool {
        let here = std::thread::current().id();
        anyrt::spawn(async move { std::thread::current().id() == here }).await.unwrap()
    }
}

#[test]
fn main_runs_and_returns() {
    assert_eq!(entry::plain(), Ok(42));
    #[cfg(feature = "smol")]
    {
        let (runtime, thread) = entry::named();
        assert_eq!(runtime, "smol");
        assert!(thread.unwrap().starts_with("app"));
    }
    #[cfg(feature = "tokio")]
    assert!(entry::flavored());
}

/// The messages are the same whatever backends there are, so one build is enough.
#[test]
#[cfg(all(feature = "tokio", feature = "smol", feature = "async-std"))]
fn misuse_is_told_clearly() {
    trybuild::TestCases::new().compile_fail("facade/macros_ui/*.rs");
}
