//! Every limit is kept. Each test makes its own limit short, and leaves the others long.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyrt::sync::Event;
use anyrt_http::{App, Limits};
use axum_core::body::Body;
use axum_core::response::IntoResponse;
use bytes::Bytes;
use futures_util::{AsyncReadExt, AsyncWriteExt};
use http_body::Frame;

use crate::client::{Server, soon};

const SHORT: Duration = Duration::from_millis(40);

/// Limits that nothing of a test comes near to, but for what it changes.
fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    for long in [
        &mut limits.first_byte,
        &mut limits.head,
        &mut limits.idle,
        &mut limits.body_idle,
        &mut limits.body_grace,
        &mut limits.write_stall,
    ] {
        *long = Duration::from_secs(3600);
    }
    change(&mut limits);
    limits
}

fn app(change: impl FnOnce(&mut Limits)) -> App {
    App::new()
        .limits(limits(change))
        .get("/", async || "here")
        .post("/", async |body: Bytes| format!("{} bytes", body.len()))
        .post("/json", async |body: anyrt_http::Json<String>| body.0)
}

/// Other connections see the limit of a head pass twice, meanwhile.
async fn twice_too_slow(server: &Server) {
    for _ in 0..2 {
        let mut other = server.connect().await;
        other.send("G").await;
        assert!(other.closed().await);
    }
}

#[anyrt::test]
async fn h1_a_client_that_sends_nothing_is_closed() {
    let server = Server::start(app(|limits| limits.first_byte = SHORT)).await;
    assert!(server.connect().await.closed().await);
    server.stop().await;
}

#[anyrt::test]
async fn h1_the_first_byte_ends_the_wait_for_it() {
    let server = Server::start(app(|limits| limits.first_byte = SHORT)).await;
    let mut slow = server.connect().await;
    slow.send("G").await;
    // Meanwhile the limit has passed twice.
    assert!(server.connect().await.closed().await);
    assert!(server.connect().await.closed().await);
    slow.send("ET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(slow.reply().await.status, 200);
    server.stop().await;
}

#[anyrt::test]
async fn h2_a_head_that_drips_is_closed_by_one_clock() {
    let server = Server::start(app(|limits| limits.head = 2 * SHORT)).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\nX-Drips: ").await;
    let drips = async {
        // As fast as could be: a clock that each byte starts anew would never end it.
        while client.0.write_all(b"x").await.is_ok() {
            anyrt::sleep(SHORT / 8).await;
        }
    };
    soon(drips).await;
    server.stop().await;
}

#[anyrt::test]
async fn h2_the_clock_of_a_later_head_starts_with_its_first_byte() {
    let server = Server::start(app(|limits| limits.head = SHORT)).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 200);
    twice_too_slow(&server).await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 200);
    client.send("GET / HTTP/1.1\r\n").await;
    assert!(client.closed().await);
    server.stop().await;
}

#[anyrt::test]
async fn h3_a_body_that_stops_is_408_and_closed() {
    let server = Server::start(app(|limits| limits.body_idle = SHORT)).await;
    let mut client = server.connect().await;
    let head = "POST /json HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 9";
    client.send(&format!("{head}\r\n\r\n\"half")).await;
    assert_eq!(client.reply().await.status, 408);
    assert!(client.closed().await);
    server.stop().await;
}

#[anyrt::test]
async fn h3_a_body_that_drips_is_408_and_closed() {
    let slow = app(|limits| (limits.body_grace, limits.body_rate) = (SHORT, 10_000));
    let server = Server::start(slow).await;
    let mut client = server.connect().await;
    let head = "POST /json HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 9999";
    client.send(&format!("{head}\r\n\r\n")).await;
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    let drips = async {
        while !answer.starts_with(b"HTTP/1.1 408") {
            let sent = client.0.write_all(b"1").await;
            let read = anyrt::move_on_after(SHORT / 8, client.0.read(&mut buffer)).await;
            if let Some(count) = read {
                answer.extend_from_slice(&buffer[..count.expect("an answer")]);
            }
            assert!(sent.is_ok() || !answer.is_empty());
        }
    };
    soon(drips).await;
    assert!(client.closed_after_all().await);
    server.stop().await;
}

#[anyrt::test]
async fn h3_a_handler_that_does_not_read_its_body_is_not_hurried() {
    let (begun, go) = (Event::new(), Event::new());
    let app = app(|limits| (limits.body_idle, limits.first_byte) = (SHORT, SHORT)).post("/later", {
        let (begun, go) = (begun.clone(), go.clone());
        move |request: axum_core::extract::Request| {
            let (begun, go) = (begun.clone(), go.clone());
            async move {
                begun.set();
                go.wait().await;
                let body = http_body_util::BodyExt::collect(request.into_body()).await.expect("a body");
                body.to_bytes()
            }
        }
    });
    let server = Server::start(app).await;
    let mut client = server.connect().await;
    client.send("POST /later HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n").await;
    soon(begun.wait()).await;
    // Meanwhile the limit has passed twice.
    assert!(server.connect().await.closed().await);
    assert!(server.connect().await.closed().await);
    client.send("whole").await;
    go.set();
    assert_eq!(client.reply().await.body, "whole");
    server.stop().await;
}

#[anyrt::test]
async fn h2_a_head_that_begins_behind_a_request_is_no_idle_connection() {
    let (begun, go) = (Event::new(), Event::new());
    let app = app(|limits| limits.head = SHORT).get("/slow", {
        let (begun, go) = (begun.clone(), go.clone());
        move || {
            let (begun, go) = (begun.clone(), go.clone());
            async move {
                begun.set();
                go.wait().await;
            }
        }
    });
    let server = Server::start(app).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP/1.1\r\nHos").await;
    assert_eq!(client.reply().await.status, 200);
    assert!(client.closed().await);
    // Also when it came while the handler was waiting.
    let mut client = server.connect().await;
    client.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n").await;
    soon(begun.wait()).await;
    client.send("GET / HTTP/1.1\r\nHos").await;
    assert_eq!(server.get("/").await.status, 200);
    go.set();
    assert_eq!(client.reply().await.status, 200);
    assert!(client.closed().await);
    server.stop().await;
}

#[anyrt::test]
async fn h2_a_body_is_no_head_that_has_begun() {
    let server = Server::start(app(|limits| limits.head = SHORT)).await;
    let mut client = server.connect().await;
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody").await;
        assert_eq!(client.reply().await.body, "4 bytes");
        twice_too_slow(&server).await;
    }
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 200);
    server.stop().await;
}

#[anyrt::test]
async fn h4_an_idle_connection_is_closed_by_a_limit_of_its_own() {
    let server = Server::start(app(|limits| limits.idle = SHORT)).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 200);
    assert!(client.closed().await);
    server.stop().await;
}

#[anyrt::test]
async fn h4_the_limits_before_a_request_do_not_close_an_idle_connection() {
    let server = Server::start(app(|limits| (limits.first_byte, limits.head) = (SHORT, SHORT))).await;
    let mut idle = server.connect().await;
    idle.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(idle.reply().await.status, 200);
    assert!(server.connect().await.closed().await);
    assert!(server.connect().await.closed().await);
    idle.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(idle.reply().await.status, 200);
    server.stop().await;
}

/// A response without end.
struct Endless {
    dropped: Event,
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 16 * 1024])))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.dropped.set();
    }
}

#[anyrt::test]
async fn h6_a_client_that_reads_nothing_is_closed() {
    let dropped = Event::new();
    let app = app(|limits| limits.write_stall = SHORT).get("/endless", {
        let dropped = dropped.clone();
        move || {
            let body = Endless { dropped: dropped.clone() };
            async { Body::new(body).into_response() }
        }
    });
    let server = Server::start(app).await;
    let mut client = server.connect().await;
    client.send("GET /endless HTTP/1.1\r\nHost: test\r\n\r\n").await;
    soon(dropped.wait()).await;
    server.stop().await;
}

#[anyrt::test]
async fn h12_a_client_that_pipelines_and_reads_nothing_is_closed() {
    let server = Server::start(app(|limits| limits.write_stall = SHORT)).await;
    let mut client = server.connect().await;
    let many = "GET / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(1000);
    let pipelined = async { while client.0.write_all(many.as_bytes()).await.is_ok() {} };
    soon(pipelined).await;
    server.stop().await;
}

#[anyrt::test]
async fn heads_beyond_their_limits_are_431_and_414() {
    let server = Server::start(app(|_| {})).await;
    let lines = "X: y\r\n".repeat(100);
    let many = server.send(&format!("GET / HTTP/1.1\r\nHost: test\r\n{lines}\r\n")).await;
    assert_eq!(many.status, 431);
    let lines = "X: y\r\n".repeat(99);
    let most = server.send(&format!("GET / HTTP/1.1\r\nHost: test\r\n{lines}\r\n")).await;
    assert_eq!(most.status, 200);
    let long = "y".repeat(96 * 1024);
    let large = server.send(&format!("GET / HTTP/1.1\r\nHost: test\r\nX: {long}\r\n\r\n")).await;
    assert_eq!(large.status, 431);
    assert_eq!(server.get(&format!("/?{}", &long[..8 * 1024])).await.status, 414);
    assert_eq!(server.get(&format!("/?{}", &long[..70_000])).await.status, 414);
    assert_eq!(server.get(&format!("/?{}", &long[..8 * 1024 - 2])).await.status, 200);
    server.stop().await;
}

#[anyrt::test]
async fn h20_connections_beyond_the_limit_wait_for_their_turn() {
    let begun = Event::new();
    let app = app(|limits| limits.connections = 1).get("/second", {
        let begun = begun.clone();
        move || {
            begun.set();
            async { "second" }
        }
    });
    let server = Server::start(app).await;
    let mut first = server.connect().await;
    first.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(first.reply().await.status, 200);
    let mut second = server.connect().await;
    second.send("GET /second HTTP/1.1\r\nHost: test\r\n\r\n").await;
    for _ in 0..20 {
        first.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
        assert_eq!(first.reply().await.status, 200);
    }
    assert!(!begun.is_set());
    drop(first);
    assert_eq!(second.reply().await.body, "second");
    server.stop().await;
}

/// An app whose plain handler waits until it is released, in a pool of one token.
fn narrow(change: impl FnOnce(&mut Limits)) -> (App, Event, mpsc::Sender<()>) {
    anyrt::current_handle().limiter().set_total(1);
    let (begun, (release, released)) = (Event::new(), mpsc::channel::<()>());
    let released = Mutex::new(released);
    let app = App::new().limits(limits(change)).get("/", {
        let begun = begun.clone();
        move || {
            begun.set();
            released.lock().expect("one at a time").recv().expect("released");
            "done"
        }
    });
    (app, begun, release)
}

#[anyrt::test]
async fn more_plain_handlers_than_ten_times_the_tokens_are_503() {
    let (app, begun, release) = narrow(|_| {});
    let server = Server::start(app).await;
    let mut clients = Vec::new();
    for _ in 0..11 {
        let mut client = server.connect().await;
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
        clients.push(client);
        soon(begun.wait()).await;
    }
    let limiter = anyrt::current_handle().limiter().clone();
    let all_wait = async {
        while limiter.waiting() < 10 {
            anyrt::sleep(Duration::from_millis(1)).await;
        }
    };
    soon(all_wait).await;
    let refused = server.get("/").await;
    assert_eq!(refused.status, 503);
    assert!(refused.head.contains("retry-after: 5\r\n"), "{}", refused.head);
    // In whichever order they stood in the queue.
    for _ in &clients {
        release.send(()).expect("the handler waits");
    }
    for client in &mut clients {
        assert_eq!(client.reply().await.body, "done");
    }
    server.stop().await;
}

#[anyrt::test]
async fn a_plain_handler_that_waits_too_long_for_its_turn_is_503() {
    let (app, begun, release) = narrow(|limits| limits.queue_time = SHORT);
    let server = Server::start(app).await;
    let mut first = server.connect().await;
    first.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    soon(begun.wait()).await;
    assert_eq!(server.get("/").await.status, 503);
    release.send(()).expect("the handler waits");
    assert_eq!(first.reply().await.body, "done");
    server.stop().await;
}

/// A body of ten megabytes of zeros, made of few bytes.
struct Inflated(usize);

impl http_body::Body for Inflated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0 -= 1;
        Poll::Ready((self.0 > 0).then(|| Ok(Frame::data(Bytes::from_static(&[b'0'; 1024])))))
    }
}

/// A layer that decompresses, around an app.
#[derive(Clone)]
struct Decompresses<S>(S);

impl<S: tower_service::Service<axum_core::extract::Request>>
    tower_service::Service<axum_core::extract::Request> for Decompresses<S>
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: axum_core::extract::Request) -> S::Future {
        request.headers_mut().remove("content-length");
        self.0.call(request.map(|_| Body::new(Inflated(10 * 1024))))
    }
}

#[anyrt::test]
async fn h18_the_limit_of_a_body_counts_what_comes_out_of_a_decompression() {
    let service = app(|_| {}).into_service().expect("no mistakes");
    let server = Server::serving(async move |listener, stop| {
        anyrt_http::serve_until(listener, Decompresses(service), stop).await
    })
    .await;
    assert_eq!(server.post("/json", "application/json", "small").await.status, 413);
    assert_eq!(server.post("/", "text/plain", "small").await.status, 413);
    server.stop().await;
}
