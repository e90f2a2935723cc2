//! The Rust of the README compiles: each of its blocks stands here word by word, with what its reader imagines around it.

/// `{ .. }` in the README is a body that is left out.
fn blocks(readme: &str) -> Vec<String> {
    let behind = readme.split("```rust").skip(1);
    let code = behind.filter_map(|block| Some(block.split_once('\n')?.1.split_once("```")?.0));
    code.map(|code| code.replace("{ .. }", "{ todo!() }")).collect()
}

#[test]
fn each_block_of_the_readme_is_compiled_here_as_it_stands_there() {
    let blocks = blocks(include_str!("../../README.md"));
    assert_eq!(blocks.len(), 5);
    for block in blocks {
        assert!(include_str!("readme.rs").contains(&block), "the README has changed:\n{block}");
    }
}

#[rustfmt::skip]
#[allow(dead_code, unused, clippy::all, reason = "it is only compiled")]
mod problem {
use std::io;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

struct Db;

impl Db {
    async fn save(&self, _: u32, _: u32) -> io::Result<()> {
        Ok(())
    }
}

async fn fetch_prices() -> io::Result<u32> {
    Ok(1)
}

async fn fetch_stock() -> io::Result<u32> {
    Ok(2)
}

async fn refresh(db: Db) -> io::Result<()> {
    let prices = tokio::spawn(fetch_prices());
    let stock = tokio::spawn(fetch_stock());
    tokio::time::timeout(SECOND, async {
        db.save(prices.await??, stock.await??).await            // 1. fetch_prices fails: fetch_stock runs on, and nobody waits for it
    })
    .await??;                                                   // 2. time is up: both run on; `save` was cut off in the middle
    Ok(())                                                      // 3. the caller drops us: both run on, after the program believes we are gone
}
}

#[rustfmt::skip]
#[allow(dead_code, unused, clippy::all, reason = "it is only compiled")]
mod cure {
use std::io;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

struct Db;

impl Db {
    async fn save(&self, _: u32, _: u32) -> io::Result<()> {
        Ok(())
    }
}

async fn fetch_prices() -> io::Result<u32> {
    Ok(1)
}

async fn fetch_stock() -> io::Result<u32> {
    Ok(2)
}

async fn refresh(db: Db) -> io::Result<()> {
    anyrt::fail_after(SECOND, anyrt::try_task_group(async |tg| {
        let prices = tg.try_spawn(fetch_prices());
        let stock = tg.try_spawn(fetch_stock());
        anyrt::shield(db.save(prices.await?, stock.await?)).await?;  // not cut off once it has begun
        Ok(())
    }))
    .await??;
    Ok(())
}
}

#[rustfmt::skip]
#[allow(dead_code, unused, clippy::all, reason = "it is only compiled")]
mod dependencies {
use anyrt_http::{AnyError as Error, App, Dep, Dependency, Json, Path};
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
struct Item;

async fn current_user(headers: HeaderMap, db: Dep<Connection>) -> Result<User, Error> { todo!() }   // a dependency, async
fn connect(settings: Dep<Settings>) -> Result<Connection, Error> { todo!() }                        // one that blocks: in the pool

async fn read_item(Path(id): Path<u64>, user: Dep<User>) -> Result<Json<Item>, Error> { todo!() }   // on the event loop
fn thumbnail(image: Bytes) -> Result<Vec<u8>, Error> { todo!() }                                    // in the pool

#[anyrt::main]
async fn main() -> anyrt_http::Result<()> {
    App::new()
        .get("/items/{id}", read_item)
        .post("/thumbnail", thumbnail)
        .provide_value(Settings::from_env()?)
        .provide(connect)
        .provide(current_user)
        .serve("127.0.0.1:8000")
        .await
}
}

#[rustfmt::skip]
#[allow(dead_code, unused, clippy::all, reason = "it is only compiled")]
mod blocking_code {
use std::io::BufRead;

struct Connection;

fn query(_: &Connection) -> u32 { 0 }

fn digest(_: &[u8]) -> u32 { 0 }

async fn fetch() -> u32 { 0 }

type Lines = std::io::BufReader<std::fs::File>;

async fn block(connection: Connection, bytes: Vec<u8>, reader: Lines) -> Result<(), anyrt::BoxError> {

let rows = anyrt::run_blocking(move || query(&connection)).await;      // in a thread; a token of a limiter first, in strict order
let hash = anyrt::run_cpu(move || digest(&bytes)).await;               // the same, with as many tokens as the machine has cores
let mut lines = anyrt::iterate_blocking(reader.lines());               // a stream: one hop and one token a batch, each item at once
let answer = anyrt::from_thread::run(async { fetch().await })?;        // from inside such a thread, back into the run
let portal = anyrt::start_blocking_portal()?;                          // for threads that no runtime knows
Ok(())
}
}

#[rustfmt::skip]
#[allow(dead_code, unused, clippy::all, reason = "it is only compiled")]
mod supervisor {
use std::future::Future;
use std::io;
use std::time::Duration;

use anyrt::channel::Receiver;
use anyrt::scope::Exit;
use anyrt::{Either, GroupError, TaskGroup, finally, is_stopping, race, sleep, stopping};

const GRACE: Duration = Duration::from_secs(1);

struct Order {
    number: u32,
}

async fn close_the_ledger() {}

async fn watch_prices() -> io::Result<()> {
    Ok(())
}

async fn work(_: Order) {}

async fn put_back(_: u32) {}

async fn shop(orders: Receiver<Order>) -> Result<(), GroupError> {
    anyrt::task_group(async |tg| {
        tg.cancel_scope().on_exit(async |_| close_the_ledger().await);         // when all children have ended, whatever ended them
        tg.named("prices").spawn(supervise("prices", watch_prices));
        tg.named("counter").spawn(take_orders(tg.clone(), orders));

        anyrt::signal::shutdown().await.ok();
        tg.cancel_after_with(GRACE, "asked to end");                         // first everybody is told to stop, then cancelled
    })
    .await
}

async fn supervise<F: Future<Output = io::Result<()>>>(name: &str, child: impl Fn() -> F) {
    let mut pause = Duration::from_millis(10);
    while let Err(error) = child().await {
        println!("{name} failed: {error}; again in {pause:?}");
        if let Either::Right(()) = race(sleep(pause), stopping()).await {
            return;
        }
        pause = (pause * 2).min(Duration::from_secs(60));
    }
}

async fn take_orders(tg: TaskGroup, orders: Receiver<Order>) {
    while !is_stopping() {
        let Either::Left(Ok(order)) = race(orders.recv(), stopping()).await else { break };
        let number = order.number;
        tg.spawn(finally(work(order), async move |exit| match exit {
            Exit::Finished => println!("order {number}: done"),
            _ => put_back(number).await,                                // cut short when the grace was over: this still runs, and is awaited
        }));
    }
}
}
