#!/usr/bin/env bash
# When is a response body that hyper serves at its end? Not when it says so.
#
# Whoever wraps a response body to learn how an answer ended (commit or roll back, count, log) waits for the end of the stream, and takes a
# drop before that for a client that left. hyper's server drops a body without asking for its end as soon as the declared length is written
# (HTTP/1), once there were trailers (both), and unpolled where the status has no content (HTTP/1). In each of these rows the
# client has the whole answer. The two protocols differ, so a test over one of them does not show it; and over HTTP/2 a 204 carries content.
#
# Seen with hyper 1.12.0, hyper-util 0.1.21, tokio 1.54.1:
#   HTTP/1 size unknown:           client has 8 bytes, server's body saw: data data end dropped
#   HTTP/1 size declared:          client has 8 bytes, server's body saw: data data dropped
#   HTTP/1 unknown, with trailers: client has 8 bytes, server's body saw: data data trailers dropped
#   HTTP/1 204:                    client has 0 bytes, server's body saw: dropped
#   HTTP/1 204, size declared:     client has 0 bytes, server's body saw: dropped
#   HTTP/2 size unknown:           client has 8 bytes, server's body saw: data data end dropped
#   HTTP/2 size declared:          client has 8 bytes, server's body saw: data data end dropped
#   HTTP/2 unknown, with trailers: client has 8 bytes, server's body saw: data data trailers dropped
#   HTTP/2 204:                    client has 8 bytes, server's body saw: data data end dropped
#   HTTP/2 204, size declared:     client has 8 bytes, server's body saw: data data end dropped
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
bytes = "=1.12.1"
http-body-util = "=0.1.5"
hyper = { version = "=1.12.0", features = ["server", "client", "http1", "http2"] }
hyper-util = { version = "=0.1.21", features = ["tokio"] }
tokio = { version = "=1.54.1", features = ["rt", "io-util", "macros"] }
TOML
cat >src/main.rs <<'RUST'
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Frame, SizeHint};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};

/// Two pieces, perhaps trailers, then the end; notes what is asked of it.
struct Counted {
    declared: Option<u64>,
    trailers: bool,
    step: u32,
    seen: Arc<Mutex<String>>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.step += 1;
        let (word, frame) = match self.step {
            1 | 2 => ("data", Some(Frame::data(Bytes::from_static(b"half")))),
            3 if self.trailers => ("trailers", Some(Frame::trailers(HeaderMap::new()))),
            _ => ("end", None),
        };
        let mut seen = self.seen.lock().unwrap();
        seen.push_str(word);
        seen.push(' ');
        drop(seen);
        Poll::Ready(frame.map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        self.declared.map(SizeHint::with_exact).unwrap_or_default()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.seen.lock().unwrap().push_str("dropped");
    }
}

async fn ask(two: bool, method: &str, status: u16, declared: Option<u64>, trailers: bool) -> String {
    let seen = Arc::new(Mutex::new(String::new()));
    let (client, server) = tokio::io::duplex(65536);
    let notes = seen.clone();
    let answer = service_fn(move |_: Request<hyper::body::Incoming>| {
        let body = Counted { declared, trailers, step: 0, seen: notes.clone() };
        let response = Response::builder().status(StatusCode::from_u16(status).unwrap()).body(body);
        async move { response }
    });
    let request = Request::builder().method(method).uri("http://a/").body(Empty::<Bytes>::new()).unwrap();
    let local = tokio::task::LocalSet::new();
    local.run_until(async {
        let got = if two {
            tokio::task::spawn_local(hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(server), answer));
            let (mut send, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client)).await.unwrap();
            tokio::task::spawn_local(connection);
            send.send_request(request).await.unwrap()
        } else {
            tokio::task::spawn_local(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), answer));
            let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(client)).await.unwrap();
            tokio::task::spawn_local(connection);
            send.send_request(request).await.unwrap()
        };
        let whole = got.into_body().collect().await.unwrap().to_bytes().len();
        for _ in 0..100 { tokio::task::yield_now().await; }
        format!("client has {} bytes, server's body saw: {}", whole, seen.lock().unwrap())
    }).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for (two, version) in [(false, "HTTP/1"), (true, "HTTP/2")] {
        println!("{version} size unknown:           {}", ask(two, "GET", 200, None, false).await);
        println!("{version} size declared:          {}", ask(two, "GET", 200, Some(8), false).await);
        println!("{version} unknown, with trailers: {}", ask(two, "GET", 200, None, true).await);
        println!("{version} 204:                    {}", ask(two, "GET", 204, None, false).await);
        println!("{version} 204, size declared:     {}", ask(two, "GET", 204, Some(8), false).await);
    }
}
RUST
expected=$(cat <<'TEXT'
HTTP/1 size unknown:           client has 8 bytes, server's body saw: data data end dropped
HTTP/1 size declared:          client has 8 bytes, server's body saw: data data dropped
HTTP/1 unknown, with trailers: client has 8 bytes, server's body saw: data data trailers dropped
HTTP/1 204:                    client has 0 bytes, server's body saw: dropped
HTTP/1 204, size declared:     client has 0 bytes, server's body saw: dropped
HTTP/2 size unknown:           client has 8 bytes, server's body saw: data data end dropped
HTTP/2 size declared:          client has 8 bytes, server's body saw: data data end dropped
HTTP/2 unknown, with trailers: client has 8 bytes, server's body saw: data data trailers dropped
HTTP/2 204:                    client has 8 bytes, server's body saw: data data end dropped
HTTP/2 204, size declared:     client has 8 bytes, server's body saw: data data end dropped
TEXT
)
got=$(cargo run -q 2>/dev/null)
echo "$got"
[ "$got" = "$expected" ] || { echo "this has changed" >&2; exit 1; }
