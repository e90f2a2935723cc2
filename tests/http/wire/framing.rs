//! A response is made to fit before it is sent: no content where there is none, and the length that was declared.

use anyrt::sync::Event;
use anyrt_http::{App, HttpError, Json, Served, Streaming};
use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use futures_util::stream;
use http::StatusCode;
use http::header::CONTENT_LENGTH;

use super::speaks::{End, Speaker};
use crate::client::soon;

struct Serving {
    address: std::net::SocketAddr,
    stop: Event,
    serving: anyrt::TaskHandle<Served>,
}

impl Serving {
    async fn start(app: App) -> Serving {
        let listener = anyrt::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = Event::new();
        let server = app.server().listener(listener).until(stop.wait());
        let serving = anyrt::spawn(async move { server.serve().await.expect("it ends well") });
        Serving { address, stop, serving }
    }

    async fn stop(self) -> Served {
        self.stop.set();
        soon(self.serving).await.expect("no panic")
    }
}

fn pieces() -> Streaming {
    Streaming::new(stream::iter(["one", "two"]))
}

/// What says that it has content, and must not.
fn without_content() -> App {
    let router = axum::Router::new()
        .route("/text", axum::routing::get(|| async { (StatusCode::NO_CONTENT, "gone") }))
        .route(
            "/length",
            axum::routing::get(|| async { (StatusCode::NOT_MODIFIED, [(CONTENT_LENGTH, "7")]) }),
        );
    App::new()
        .get("/alive", async || "alive")
        .get("/204", async || StatusCode::NO_CONTENT)
        .get("/204/text", async || (StatusCode::NO_CONTENT, "gone"))
        .get("/204/empty", async || (StatusCode::NO_CONTENT, ""))
        .get("/204/json", async || (StatusCode::NO_CONTENT, Json(())))
        .get("/204/plain", || (StatusCode::NO_CONTENT, Json(())))
        .get("/204/stream", async || (StatusCode::NO_CONTENT, pieces()))
        .get("/204/error", async || Err::<(), _>(HttpError::from(StatusCode::NO_CONTENT)))
        .get("/204/chunked", async || (StatusCode::NO_CONTENT, [("transfer-encoding", "chunked")], pieces()))
        .get("/304", async || StatusCode::NOT_MODIFIED)
        .get("/304/text", async || (StatusCode::NOT_MODIFIED, "same"))
        .get("/304/length", async || (StatusCode::NOT_MODIFIED, [(CONTENT_LENGTH, "7133")]))
        .get("/304/error", async || Err::<(), _>(HttpError::from(StatusCode::NOT_MODIFIED)))
        .get("/205/text", async || (StatusCode::RESET_CONTENT, "reset"))
        .nest_service("/hosted", router)
}

#[anyrt::test]
async fn a_status_without_content_is_sent_without() {
    let server = Serving::start(without_content()).await;
    for http2 in [false, true] {
        let mut speaker = Speaker::connect(server.address, http2).await;
        for method in ["GET", "HEAD"] {
            for (status, paths) in [
                (204, &["", "/text", "/empty", "/json", "/plain", "/stream", "/error", "/chunked"][..]),
                (304, &["", "/text", "/length", "/error"]),
                (205, &["/text"]),
            ] {
                for path in paths {
                    let seen = speaker.ask(method, &format!("/{status}{path}")).await;
                    let what = format!("{method} {status}{path}, HTTP/2 {http2}: {seen:?}");
                    assert_eq!((seen.status, &*seen.body, seen.end), (status, "", End::Whole), "{what}");
                    assert!(
                        seen.length.as_deref().is_none_or(|length| status == 205 && length == "0"),
                        "{what}"
                    );
                    assert!(!seen.head.contains("transfer-encoding"), "{what}");
                    // Nothing of it is where the next answer begins.
                    assert_eq!(speaker.get("/alive").await.body, "alive", "after {what}");
                }
            }
            for (path, status) in [("/hosted/text", 204), ("/hosted/length", 304)] {
                let seen = speaker.ask(method, path).await;
                assert_eq!((seen.status, &seen.length, &*seen.body), (status, &None, ""), "{seen:?}");
            }
        }
        drop(speaker);
    }
    let served = server.stop().await;
    assert_eq!(served.answered, served.requests, "{served:?}");
}

#[anyrt::test]
async fn the_test_client_sees_no_content_either() {
    let client = without_content().test().await;
    for path in ["/204/text", "/204/stream", "/304/text", "/304/length", "/205/text", "/hosted/text"] {
        let response = client.get(path).await;
        assert_eq!((response.text(), response.header("content-length")), ("", ""), "{path}");
        assert_eq!(response.status().as_str(), if path.contains("/hosted") { "204" } else { &path[1..4] });
    }
    client.close().await.expect("it ends well");
}

#[anyrt::test]
async fn a_status_that_is_no_answer_is_a_500_that_says_so() {
    let app = || {
        App::new()
            .get("/continue", async || StatusCode::CONTINUE)
            .get("/switching", || StatusCode::SWITCHING_PROTOCOLS)
            .get("/hints", async || (StatusCode::EARLY_HINTS, pieces()))
            .get("/alive", async || "alive")
    };
    let server = Serving::start(app()).await;
    let told = |status: u16| format!("{{\"detail\":\"{status} is not the status of an answer\"}}");
    for http2 in [false, true] {
        let mut speaker = Speaker::connect(server.address, http2).await;
        for (path, status) in [("/continue", 100), ("/switching", 101), ("/hints", 103)] {
            let seen = speaker.get(path).await;
            assert_eq!((seen.status, seen.body), (500, told(status)), "HTTP/2 {http2}");
            assert_eq!(speaker.get("/alive").await.body, "alive");
        }
    }
    let served = server.stop().await;
    assert_eq!(served.answered, 12, "{served:?}");
    let client = app().test().await;
    let response = client.get("/hints").await;
    assert_eq!((response.status().as_u16(), response.text()), (500, &*told(103)));
    client.close().await.expect("it ends well");
}

fn with(length: &'static str, body: impl IntoResponse) -> Response {
    ([(CONTENT_LENGTH, length)], body).into_response()
}

fn with_lengths() -> App {
    App::new()
        .get("/alive", async || "alive")
        .get("/short", async || with("3", "longer body"))
        .get("/long", async || with("300", "short body"))
        .get("/json", async || with("1", Json([1, 2, 3])))
        .get("/plain", || with("3", "longer body".to_owned()))
        .get("/empty", async || with("3", ""))
        .get("/nonsense", async || with("three", "one"))
        .get("/signed", async || with("+3", "one"))
        .get("/two", async || {
            let mut response = with("3", "one");
            response.headers_mut().append(CONTENT_LENGTH, http::HeaderValue::from_static("4"));
            response
        })
        .get("/same", async || {
            let mut response = with("3", "one");
            response.headers_mut().append(CONTENT_LENGTH, http::HeaderValue::from_static("3"));
            response
        })
        .get("/right", async || with("3", "one"))
        .get("/coded", async || ([("transfer-encoding", "chunked"), ("content-length", "6")], pieces()))
        .get("/streamed", async || with("6", pieces()))
        .get("/streamed/long", async || with("4", pieces()))
        .get("/streamed/short", async || with("7", pieces()))
        .get("/head", async || "12345")
        .head("/own", async || with("77", ()))
}

#[anyrt::test]
async fn a_length_that_does_not_fit_the_body_is_a_500() {
    let server = Serving::start(with_lengths()).await;
    for http2 in [false, true] {
        let mut speaker = Speaker::connect(server.address, http2).await;
        for path in ["/short", "/long", "/json", "/plain", "/empty", "/nonsense", "/signed", "/two"] {
            let seen = speaker.get(path).await;
            assert_eq!((seen.status, seen.end), (500, End::Whole), "{path}, HTTP/2 {http2}: {seen:?}");
            let next = speaker.get("/alive").await;
            assert_eq!((next.status, &*next.body), (200, "alive"), "after {path}, HTTP/2 {http2}");
        }
        for (path, body) in
            [("/same", "one"), ("/right", "one"), ("/coded", "onetwo"), ("/streamed", "onetwo")]
        {
            let seen = speaker.get(path).await;
            assert_eq!((seen.status, &*seen.body, seen.end), (200, body, End::Whole), "{path}: {seen:?}");
            assert_eq!(seen.length, Some(body.len().to_string()), "{path}: {seen:?}");
        }
        for (path, length) in [("/head", "5"), ("/own", "77"), ("/right", "3"), ("/streamed", "6")] {
            let seen = speaker.ask("HEAD", path).await;
            assert_eq!((seen.length.as_deref(), &*seen.body), (Some(length), ""), "{path}: {seen:?}");
        }
    }
    server.stop().await;
}

#[anyrt::test]
async fn a_stream_is_cut_at_the_declared_length_or_breaks_off_before() {
    let server = Serving::start(with_lengths()).await;
    for http2 in [false, true] {
        let mut speaker = Speaker::connect(server.address, http2).await;
        let seen = speaker.get("/streamed/long").await;
        assert_eq!((&*seen.body, seen.end), ("onet", End::Whole), "HTTP/2 {http2}");
        assert_eq!(speaker.get("/alive").await.body, "alive");
        let seen = speaker.get("/streamed/short").await;
        // What was made before the fault was seen may not be on its way yet.
        assert!("onetwo".starts_with(&*seen.body) && !seen.is_whole(), "{seen:?}");
        if http2 {
            assert_eq!((seen.end, speaker.get("/alive").await.status), (End::Reset(2), 200));
        }
    }
    let served = server.stop().await;
    assert_eq!((served.requests, served.answered, served.broken), (7, 5, 2), "{served:?}");
}

#[anyrt::test]
async fn the_content_of_head_is_let_go_unread() {
    struct Unread(Event);
    impl http_body::Body for Unread {
        type Data = bytes::Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
            self.0.set();
            std::task::Poll::Ready(None)
        }
    }
    let read = Event::new();
    let asked = read.clone();
    #[derive(Clone)]
    struct Answers(Event);
    impl tower_service::Service<axum_core::extract::Request> for Answers {
        type Response = Response;
        type Error = std::convert::Infallible;
        type Future = std::future::Ready<Result<Response, Self::Error>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: axum_core::extract::Request) -> Self::Future {
            std::future::ready(Ok(Response::new(Body::new(Unread(self.0.clone())))))
        }
    }
    let server = Serving::start(App::new().nest_service("/hosted", Answers(asked))).await;
    for http2 in [false, true] {
        let seen = Speaker::connect(server.address, http2).await.ask("HEAD", "/hosted").await;
        assert_eq!((seen.status, seen.end), (200, End::Whole), "{seen:?}");
    }
    server.stop().await;
    assert!(!read.is_set());
}
