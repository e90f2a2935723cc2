#!/usr/bin/env bash
# A busy task that yields still keeps sockets waiting: how long depends on how it yields, and on the executor.
#
# A socket becomes readable in the first turn of a task that yields after every turn. How many more turns does it get before the task
# that waits for the socket runs? On tokio's current-thread runtime one if it yields by `tokio::task::yield_now`, whose wake-up is put off
# until the I/O driver was asked; but 62 if it wakes itself and returns Pending, as hand-written loops, channels and combinators do: the driver is
# asked every 61 polls only. On async-executor, which smol runs, it is about 200, and `yield_now` of futures-lite is no help.
# So a loop that gives way every 64 items has made some 4,000 or 13,000 before a request in the same thread is read.
#
# Seen with tokio 1.54.1, async-executor 1.14.1, async-io 2.6.0, futures-lite 2.6.1 on Linux (the last row is a median of 21):
#   tokio, wake_by_ref:              62
#   tokio, tokio::task::yield_now:   1
#   async-executor, yield_now:       200
#
# Fails when that changes. Needs cargo and crates.io.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "probe"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt", "net", "io-util"] }
async-executor = "=1.14.1"
async-io = "=2.6.0"
futures-lite = "=2.6.1"
TOML
cat >src/main.rs <<'RUST'
use std::future::{Future, poll_fn};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;

/// Yields as many hand-written loops do.
async fn wake_by_ref() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// How many turns a busy task has, which yields after each, before a socket that became readable in its first one is read.
async fn turns<Y: Future<Output = ()>>(mut from: UnixStream, read: Arc<AtomicBool>, yields: impl Fn() -> Y) -> u32 {
    from.write_all(b"x").unwrap();
    let mut turns = 0;
    while !read.load(SeqCst) {
        turns += 1;
        yields().await;
    }
    turns
}

fn on_tokio<Y: Future<Output = ()> + Send + 'static>(yields: impl Fn() -> Y + Send + Sync + 'static) -> u32 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let (from, to) = UnixStream::pair().unwrap();
    to.set_nonblocking(true).unwrap();
    let read = Arc::new(AtomicBool::new(false));
    let says = read.clone();
    runtime.block_on(async move {
        let mut to = tokio::net::UnixStream::from_std(to).unwrap();
        let waiting = Arc::new(AtomicBool::new(false));
        let waits = waiting.clone();
        tokio::spawn(async move {
            waits.store(true, SeqCst);
            tokio::io::AsyncReadExt::read_u8(&mut to).await.unwrap();
            says.store(true, SeqCst);
        });
        while !waiting.load(SeqCst) {
            tokio::task::yield_now().await;
        }
        tokio::spawn(turns(from, read, yields)).await.unwrap()
    })
}

fn on_smol<Y: Future<Output = ()> + Send + 'static>(yields: impl Fn() -> Y + Send + Sync + 'static) -> u32 {
    let executor = async_executor::Executor::new();
    let (from, to) = UnixStream::pair().unwrap();
    let read = Arc::new(AtomicBool::new(false));
    let says = read.clone();
    async_io::block_on(executor.run(async {
        let mut to = async_io::Async::new(to).unwrap();
        let waiting = Arc::new(AtomicBool::new(false));
        let waits = waiting.clone();
        let reader = executor.spawn(async move {
            waits.store(true, SeqCst);
            futures_lite::AsyncReadExt::read_exact(&mut to, &mut [0]).await.unwrap();
            says.store(true, SeqCst);
        });
        while !waiting.load(SeqCst) {
            futures_lite::future::yield_now().await;
        }
        let turns = executor.spawn(turns(from, read, yields)).await;
        reader.await;
        turns
    }))
}

fn main() {
    println!("tokio, wake_by_ref:              {}", on_tokio(wake_by_ref));
    println!("tokio, tokio::task::yield_now:   {}", on_tokio(tokio::task::yield_now));
    // The reactor has a thread of its own, too, which may be there earlier: the median of many.
    let mut smol: Vec<u32> = (0..21).map(|_| on_smol(futures_lite::future::yield_now)).collect();
    smol.sort_unstable();
    println!("async-executor, yield_now:       {}", smol[10]);
}
RUST
got=$(cargo run -q 2>/dev/null)
echo "$got"
mapfile -t turns < <(sed 's/.*: *//' <<<"$got")
if [ "${turns[0]}" -lt 50 ] || [ "${turns[1]}" -gt 5 ] || [ "${turns[2]}" -lt 100 ]; then
    echo "this has changed" >&2
    exit 1
fi
