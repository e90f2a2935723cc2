#!/usr/bin/env bash
# Connecting to a Unix listener whose queue is full: four runtimes, three answers, and only one of them waits.
#
# A blocking connect waits for a place in the queue. On Linux a non-blocking one gets EAGAIN there, not EINPROGRESS as TCP does, and the
# readiness of the socket tells nothing: there is no event to wait for. So what was written against a blocking socket and is
# moved to an async one fails under load, and how it fails depends on the runtime: tokio passes EAGAIN on, as WouldBlock; async-io (smol)
# and async-std take it for a connect under way, find the socket writable, and fail with ENOTCONN.
#
# Seen with tokio 1.54.1, async-io 2.6.0, async-std 1.13.2 on Linux:
#   std:       waits
#   tokio:     WouldBlock (os error Some(11))
#   async-io:  NotConnected (os error Some(107))
#   async-std: NotConnected (os error Some(107))
#
# Fails when that changes. Needs cargo and crates.io, and Linux.
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
tokio = { version = "=1.54.1", features = ["rt", "net", "time"] }
async-io = "=2.6.0"
async-std = "=1.13.2"
futures-lite = "=2.6.1"
socket2 = "=0.6.5"
TOML
cat >src/main.rs <<'RUST'
use std::os::unix::net::UnixStream;
use std::time::Duration;
use std::{io, thread};

/// A listener with room for nobody more, and the connections that fill it.
fn full(path: &std::path::Path) -> (socket2::Socket, Vec<UnixStream>) {
    let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    listener.bind(&socket2::SockAddr::unix(path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    (listener, vec![UnixStream::connect(path).unwrap()])
}

fn tell<T>(who: &str, result: Option<io::Result<T>>) {
    match result {
        None => println!("{who}: waits"),
        Some(Ok(_)) => println!("{who}: Ok"),
        Some(Err(error)) => println!("{who}: {:?} (os error {:?})", error.kind(), error.raw_os_error()),
    }
}

fn main() {
    let path = std::env::temp_dir().join(format!("probe-{}", std::process::id()));
    let _full = full(&path);
    let limit = Duration::from_millis(300);

    let (sender, receiver) = std::sync::mpsc::channel();
    let to = path.clone();
    thread::spawn(move || sender.send(UnixStream::connect(to)));
    tell("std", receiver.recv_timeout(limit).ok());

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tell("tokio", runtime.block_on(async { tokio::time::timeout(limit, tokio::net::UnixStream::connect(&path)).await.ok() }));

    let to = path.clone();
    tell("async-io", futures_lite::future::block_on(futures_lite::future::or(
        async { Some(async_io::Async::<UnixStream>::connect(to).await) },
        async { async_io::Timer::after(limit).await; None },
    )));

    let to = path.clone();
    tell("async-std", async_std::task::block_on(async move {
        async_std::future::timeout(limit, async_std::os::unix::net::UnixStream::connect(&to)).await.ok()
    }));
    std::fs::remove_file(&path).unwrap();
}
RUST
expected='std: waits
tokio: WouldBlock (os error Some(11))
async-io: NotConnected (os error Some(107))
async-std: NotConnected (os error Some(107))'
got=$(cargo run -q 2>/dev/null)
echo "$got"
[ "$got" = "$expected" ] || { echo "this has changed" >&2; exit 1; }
