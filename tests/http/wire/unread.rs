//! An answer that leaves a part of its request unread says that the connection is closed, and can be read by its client.

use std::time::Duration;

use anyrt_http::{App, HttpError, Json, Limits, Path};
use axum_core::body::Body;
use futures_util::{AsyncReadExt, AsyncWriteExt, StreamExt};
use http::StatusCode;

use super::frames::{END_HEADERS, HEADERS, RST_STREAM, block, frame};
use super::speaks::Speaker;
use crate::client::{Client, Server, soon};

const LONG: Duration = Duration::from_secs(3600);

fn app(change: impl FnOnce(&mut Limits)) -> App {
    let mut limits = Limits::default();
    (limits.linger, limits.idle) = (LONG, LONG);
    change(&mut limits);
    App::new()
        .limits(limits)
        .get("/hello", async || "HELLO")
        .post("/at_once", async || "ok")
        .post("/refused", async || StatusCode::UNAUTHORIZED)
        .post("/error", async || Err::<(), _>(HttpError::from(StatusCode::CONFLICT)))
        .post("/plain", || "ok")
        .post("/later", async || {
            anyrt::checkpoint().await;
            "ok"
        })
        .post("/first", async |body: Body| {
            let first = body.into_data_stream().next().await.expect("a piece").expect("a piece");
            first.len().to_string()
        })
        .post("/number/{number}", async |Path(number): Path<u8>| number.to_string())
        .post("/json", async |Json(number): Json<u8>| number.to_string())
}

const PATHS: [&str; 9] =
    ["/at_once", "/refused", "/error", "/plain", "/later", "/number/x", "/json", "/not_there", "/hello"];

fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n")
}

#[anyrt::test]
async fn an_answer_before_the_body_says_that_it_is_the_last() {
    let server = Server::start(app(|_| {})).await;
    for path in PATHS {
        for expect in ["", "Expect: 100-continue\r\n"] {
            let mut client = server.connect().await;
            client.send(&post(path, 5).replace("\r\n\r\n", &format!("\r\n{expect}\r\n"))).await;
            let reply = client.reply().await;
            assert_ne!(reply.status, 100, "{path}");
            assert!(reply.head.contains("\r\nconnection: close\r\n"), "{path}: {}", reply.head);
            // It is taken all the same, so that the close is an end and no reset.
            client.send("hello").await;
            assert!(matches!(soon(client.0.read(&mut [0])).await, Ok(0)), "{path}");
        }
    }
    // A part of it was read.
    let mut client = server.connect().await;
    client.send(&format!("{}he", post("/first", 5))).await;
    let reply = client.reply().await;
    assert!(reply.body == "2" && reply.head.contains("\r\nconnection: close\r\n"), "{reply:?}");
    drop(client);
    // And a request that is refused before its route.
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 5\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 400);
    client.send("hello").await;
    assert!(matches!(soon(client.0.read(&mut [0])).await, Ok(0)));
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn a_body_that_is_here_already_keeps_its_connection() {
    let server = Server::start(app(|_| {})).await;
    let mut client = server.connect().await;
    for path in PATHS {
        client.send(&format!("{}hello", post(path, 5))).await;
        let reply = client.reply().await;
        assert!(!reply.head.contains("connection: close"), "{path}: {}", reply.head);
    }
    // 422 after the whole body.
    let wrong = "POST /json HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n\"one\"";
    client.send(wrong).await;
    assert_eq!(client.reply().await.status, 422);
    client.send("GET /hello HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(client.reply().await.body, "HELLO");
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn a_client_that_sends_all_before_it_reads_can_read_its_answer() {
    const LENGTH: usize = 3 << 20;
    let server = Server::start(app(|limits| limits.linger_size = LENGTH)).await;
    for _ in 0..10 {
        let mut client = server.connect().await;
        let head = format!(
            "POST /json HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {LENGTH}\r\n\r\n"
        );
        client.send(&head).await;
        soon(client.0.write_all(&vec![b' '; LENGTH])).await.expect("it is taken");
        let reply = client.reply().await;
        assert_eq!(reply.status, 413);
        assert!(reply.head.contains("\r\nconnection: close\r\n"), "{}", reply.head);
        assert!(matches!(soon(client.0.read(&mut [0])).await, Ok(0)));
    }
    server.stop().await;
}

/// Only one connection at a time: the next is served when this one is gone.
async fn makes_room(client: &mut Client) {
    client.send(&post("/refused", 1 << 20)).await;
    assert_eq!(client.reply().await.status, 401);
    assert!(matches!(soon(client.0.read(&mut [0])).await, Ok(0)), "our side is closed at once");
}

#[anyrt::test]
async fn a_connection_that_lingers_ends_with_its_time() {
    let short = |limits: &mut Limits| (limits.linger, limits.connections) = (Duration::from_millis(20), 1);
    let server = Server::start(app(short)).await;
    let mut client = server.connect().await;
    makes_room(&mut client).await;
    assert_eq!(server.get("/hello").await.body, "HELLO");
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn a_connection_that_lingers_ends_with_its_bytes() {
    let small = |limits: &mut Limits| (limits.linger_size, limits.connections) = (1000, 1);
    let server = Server::start(app(small)).await;
    let mut client = server.connect().await;
    makes_room(&mut client).await;
    let mut waits = server.connect().await;
    waits.send("GET /hello HTTP/1.1\r\nHost: test\r\n\r\n").await;
    client.send(&"x".repeat(1000)).await;
    assert_eq!(waits.reply().await.body, "HELLO");
    drop((client, waits));
    server.stop().await;
}

#[anyrt::test]
async fn a_stream_is_reset_without_an_error_after_its_answer() {
    let server = Server::start(app(|_| {})).await;
    let mut speaker = Speaker::connect(server.address, true).await;
    for (at, path) in PATHS.into_iter().enumerate() {
        let stream = 101 + 2 * u32::try_from(at).expect("few");
        speaker.send(&frame(HEADERS, END_HEADERS, stream, &block("POST", path))).await;
        let seen = speaker.answer("POST", stream).await;
        assert!(seen.is_whole() && seen.status >= 200, "{path}: {seen:?}");
        let reset = loop {
            let frame = speaker.frame().await.expect("a reset");
            if frame.stream == stream {
                break frame;
            }
        };
        assert_eq!((reset.kind, &*reset.payload), (RST_STREAM, &[0; 4][..]), "{path}");
    }
    let stream = 201;
    speaker.send(&frame(HEADERS, END_HEADERS | 1, stream, &block("GET", "/hello"))).await;
    assert_eq!(speaker.answer("GET", stream).await.body, "HELLO");
    drop(speaker);
    server.stop().await;
}
