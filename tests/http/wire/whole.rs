//! A response that the client has whole is whole to all who ask: the session's outcome, the client that is watched, the counts,
//! the background tasks. One that is not with the system when the client leaves is not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyrt::channel::{Receiver, Sender, unbounded};
use anyrt::sync::Event;
use anyrt_http::{App, Background, Client, Dep, Outcome, Served, Streaming, Teardown, TooLate};
use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};

use super::frames::{RST_STREAM, SETTINGS, frame};
use super::speaks::Speaker;
use crate::client::soon;

struct Session;

/// What was said of one request: by its teardown, which is the last, whether the client had left.
#[derive(Debug)]
struct Said {
    outcome: Outcome,
    left: bool,
    background: usize,
}

struct Serving {
    address: SocketAddr,
    stop: Event,
    told: Receiver<Said>,
    serving: anyrt::TaskHandle<Served>,
}

fn with_session(app: App, tell: Sender<Said>) -> App {
    let ran = Arc::new(AtomicUsize::new(0));
    let provider = move |client: Client, background: Background| {
        let (tell, ran) = (tell.clone(), Arc::clone(&ran));
        async move {
            let counts = Arc::clone(&ran);
            background.add(async move {
                let _ = counts.fetch_add(1, Ordering::SeqCst);
            })?;
            Ok::<_, TooLate>(Teardown::new(Session, async move |_, outcome: Outcome| {
                let said = Said {
                    outcome,
                    left: client.is_disconnected(),
                    background: ran.swap(0, Ordering::SeqCst),
                };
                tell.send(said).await.expect("the test waits");
            }))
        }
    };
    app.provide(provider)
}

impl Serving {
    async fn start(app: App) -> Serving {
        let (tell, told) = unbounded();
        let listener = anyrt::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = Event::new();
        let server = with_session(app, tell).server().listener(listener).until(stop.wait());
        let serving = anyrt::spawn(async move { server.serve().await.expect("it ends well") });
        Serving { address, stop, told, serving }
    }

    async fn said(&mut self) -> Said {
        soon(self.told.recv()).await.expect("it is told")
    }

    async fn stop(self) -> Served {
        self.stop.set();
        soon(self.serving).await.expect("no panic")
    }
}

fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().expect("a value"));
    trailers
}

fn framed(declared: bool) -> Response {
    let frames =
        [Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from("a"))), Ok(Frame::trailers(trailers()))];
    let mut response = Response::new(Body::new(StreamBody::new(stream::iter(frames))));
    if declared {
        response.headers_mut().insert("trailer", "x-sum".parse().expect("a value"));
    }
    response
}

fn two() -> Streaming {
    Streaming::new(stream::iter(["one", "two"]))
}

/// A stream that has more to say than was declared, and never says it.
fn and_more() -> Streaming {
    Streaming::new(stream::iter(["one", "two"]).chain(stream::pending()))
}

const PATHS: [&str; 16] = [
    "/text",
    "/empty",
    "/204",
    "/204/text",
    "/204/json",
    "/304/text",
    "/205/text",
    "/trailers",
    "/undeclared",
    "/full",
    "/none",
    "/stream",
    "/length",
    "/blocking",
    "/large",
    "/error",
];

fn app() -> App {
    App::new()
        .get("/text", async |_: Dep<Session>| "body")
        .get("/empty", async |_: Dep<Session>| ())
        .get("/204", async |_: Dep<Session>| StatusCode::NO_CONTENT)
        .get("/204/text", async |_: Dep<Session>| (StatusCode::NO_CONTENT, "gone"))
        .get("/204/json", |_: Dep<Session>| (StatusCode::NO_CONTENT, anyrt_http::Json(())))
        .get("/304/text", async |_: Dep<Session>| (StatusCode::NOT_MODIFIED, "same"))
        .get("/205/text", async |_: Dep<Session>| (StatusCode::RESET_CONTENT, "reset"))
        .get("/trailers", async |_: Dep<Session>| framed(true))
        .get("/undeclared", async |_: Dep<Session>| framed(false))
        .get("/full", async |_: Dep<Session>| {
            let body = Full::new(Bytes::from("a")).with_trailers(async { Some(Ok(trailers())) });
            ([("trailer", "x-sum")], Body::new(body)).into_response()
        })
        .get("/none", async |_: Dep<Session>| {
            Body::new(Full::new(Bytes::from("a")).with_trailers(async { None }))
        })
        .get("/stream", async |_: Dep<Session>| two())
        .get("/length", async |_: Dep<Session>| ([("content-length", "6")], two()))
        .get("/more", async |_: Dep<Session>| ([("content-length", "6")], and_more()))
        .get("/blocking", |_: Dep<Session>| ([("content-length", "6")], Streaming::blocking(["one", "two"])))
        .get("/large", async |_: Dep<Session>| "x".repeat(60_000))
        .get("/error", async |_: Dep<Session>| (StatusCode::CONFLICT, "error"))
        .get("/endless", async |_: Dep<Session>| {
            Streaming::new(stream::once(async { "one" }).chain(stream::pending()))
        })
}

#[anyrt::test]
async fn what_the_client_has_whole_is_whole_to_all_who_ask() {
    let mut server = Serving::start(app()).await;
    let mut requests = 0;
    for http2 in [false, true] {
        let mut speaker = Speaker::connect(server.address, http2).await;
        for method in ["GET", "HEAD"] {
            // Over HTTP/2 the client still waits for an end after the declared length.
            let more = (!http2 || method == "HEAD").then_some("/more");
            for path in PATHS.into_iter().chain(more) {
                let seen = speaker.ask(method, path).await;
                assert!(seen.is_whole(), "{method} {path}, HTTP/2 {http2}: {seen:?}");
                if path == "/trailers" {
                    assert_eq!(seen.trailers, method == "GET", "{seen:?}");
                }
                requests += 1;
                let said = server.said().await;
                let what = format!("{method} {path}, HTTP/2 {http2}: {said:?}");
                assert_eq!(said.outcome.status().map(|status| status.as_u16()), Some(seen.status), "{what}");
                assert_eq!(said.outcome.is_ok(), path != "/error", "{what}");
                assert!(!said.left && said.background == 1, "{what}");
            }
        }
    }
    let served = server.stop().await;
    assert_eq!((served.requests, served.answered, served.left), (requests, requests, 0), "{served:?}");
}

#[anyrt::test]
async fn the_test_client_has_the_same_word_for_it() {
    let (tell, told) = unbounded();
    let client = with_session(app(), tell).test().await;
    for method in [http::Method::GET, http::Method::HEAD] {
        for path in PATHS {
            let status = client.request(method.clone(), path).await.status();
            let said = soon(told.recv()).await.expect("it is told");
            assert_eq!((said.outcome.status(), said.left), (Some(status), false), "{method} {path}");
            assert_eq!((said.outcome.is_ok(), said.background), (path != "/error", 1), "{method} {path}");
        }
    }
    drop(client.get("/endless").open().await);
    let said = soon(told.recv()).await.expect("it is told");
    assert!(matches!(said.outcome, Outcome::Cancelled(_)) && said.left, "{said:?}");
    client.close().await.expect("it ends well");
}

#[anyrt::test]
async fn a_client_that_leaves_in_the_middle_has_left_to_all_who_ask() {
    let mut server = Serving::start(app()).await;
    for http2 in [false, true] {
        let mut speaker = Speaker::connect(server.address, http2).await;
        speaker.begin("GET", "/endless").await;
        let mut first = Vec::new();
        while !first.ends_with(b"one") {
            let mut byte = [0];
            assert_eq!(
                soon(futures_util::AsyncReadExt::read(&mut speaker.link, &mut byte)).await.ok(),
                Some(1)
            );
            first.push(byte[0]);
        }
        drop(speaker);
        let said = server.said().await;
        assert!(matches!(said.outcome, Outcome::Cancelled(_)) && said.left, "{said:?}");
        assert_eq!(said.background, 1);
    }
    let served = server.stop().await;
    assert_eq!((served.requests, served.left), (2, 2), "{served:?}");
}

/// Far more than the system takes for a client that does not read, in one piece: hyper has all of it at once.
const LARGE: usize = 64 << 20;

#[anyrt::test]
async fn a_response_that_was_taken_and_never_sent_was_left() {
    let app = App::new().get("/", async |_: Dep<Session>| Bytes::from(vec![b'x'; LARGE]));
    let mut server = Serving::start(app).await;
    let mut raw = crate::client::Client::connect(server.address).await;
    raw.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    raw.reads_until("\r\n\r\n").await;
    drop(raw);
    let said = server.said().await;
    assert!(matches!(said.outcome, Outcome::Cancelled(_)) && said.left, "{said:?}");
    let served = server.stop().await;
    assert_eq!((served.requests, served.answered, served.left), (1, 0, 1), "{served:?}");
}

#[anyrt::test]
async fn a_stream_that_is_reset_while_its_window_is_full_was_left() {
    // More than a window, in one piece.
    let app =
        App::new().get("/", async |_: Dep<Session>| "x".repeat(200_000)).get("/alive", async || "alive");
    let mut server = Serving::start(app).await;
    let mut speaker = Speaker::connect(server.address, true).await;
    let stream = speaker.begin("GET", "/").await;
    let mut had = 0;
    while had < 65_535 {
        let frame = speaker.frame().await.expect("a part of it");
        had += if frame.kind == super::frames::DATA { frame.payload.len() } else { 0 };
    }
    // Nothing of it is on its way as long as the window is full; others are answered.
    assert_eq!(speaker.get("/alive").await.body, "alive");
    assert!(server.told.try_recv().is_err(), "it waits for the client");
    speaker.send(&frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())).await;
    let said = server.said().await;
    assert!(matches!(said.outcome, Outcome::Cancelled(_)) && said.left, "{said:?}");
    // And with a window that is large enough, it is whole.
    speaker.send(&frame(SETTINGS, 0, 0, &[&[0, 4][..], &(1_u32 << 20).to_be_bytes()].concat())).await;
    assert_eq!(speaker.get("/").await.body.len(), 200_000);
    assert!(server.said().await.outcome.is_ok());
    drop(speaker);
    let served = server.stop().await;
    assert_eq!((served.requests, served.answered, served.left), (3, 2, 1), "{served:?}");
}
