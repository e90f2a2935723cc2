//! Code of others may panic wherever it runs: one request is answered with 500, or breaks off; the connection of HTTP/2 and
//! the server live, and count right.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::panic_any;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyrt::net::TcpListener;
use anyrt::sync::Event;
use anyrt_http::{
    App, Background, Configure, Dep, Dependency, HttpError, Outcome, Served, Sse, SseEvent, Streaming,
    Teardown, TooLate,
};
use axum_core::body::Body;
use axum_core::extract::Request;
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::speaks::{Link, Speaker};
use super::tls;
use crate::client::soon;

/// Panics when it is dropped, once.
#[derive(Clone)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("when dropped");
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum In {
    First,
    Later,
    End,
    LaterEnd,
    Hint,
    Drop,
    Trailers,
    Fails,
}

/// A body of two pieces that panics in one of its functions.
struct Panics {
    place: In,
    given: u8,
    bomb: Option<Bomb>,
}

/// An error that cannot even be shown.
#[derive(Debug)]
struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("in the text of an error")
    }
}

impl std::error::Error for Unspeakable {}

impl http_body::Body for Panics {
    type Data = Bytes;
    type Error = Unspeakable;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unspeakable>>> {
        self.given += 1;
        match (self.place, self.given) {
            (In::First, 1) | (In::Later, 2) => panic!("in poll_frame"),
            (In::Fails, 2) => Poll::Ready(Some(Err(Unspeakable))),
            (In::Trailers, 2) => Poll::Ready(Some(Ok(Frame::trailers(HeaderMap::new())))),
            (In::Trailers, 3) => panic!("after trailers"),
            (_, 3) => Poll::Ready(None),
            _ => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"piece"))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match (self.place, self.given) {
            (In::End, _) | (In::LaterEnd, 1) => panic!("in is_end_stream"),
            _ => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.place == In::Hint {
            panic!("in size_hint");
        }
        SizeHint::default()
    }
}

async fn body(place: In) -> Response {
    let bomb = (place == In::Drop).then(|| Bomb);
    Response::new(Body::new(Panics { place, given: 0, bomb }))
}

impl Drop for Panics {
    fn drop(&mut self) {
        drop(self.bomb.take());
    }
}

struct Owner;

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        b"owned"
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        panic!("the owner of bytes, dropped");
    }
}

/// A service that panics where it says.
struct Service(&'static str);

impl Clone for Service {
    fn clone(&self) -> Self {
        if self.0 == "clone" {
            panic!("in clone");
        }
        Service(self.0)
    }
}

impl tower_service::Service<Request> for Service {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.0 == "ready" {
            panic!("in poll_ready");
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        if self.0 == "call" {
            panic!("in call");
        }
        Box::pin(async { panic!("in the future of a service") })
    }
}

struct Unsendable;

impl IntoResponse for Unsendable {
    fn into_response(self) -> Response {
        panic!("in into_response")
    }
}

macro_rules! dependencies {
    ($($name:ident),*) => {$(
        struct $name;
        impl Dependency for $name {}
    )*};
}
dependencies!(Provided, PlainProvided);
struct Undone;
struct PlainUndone;
struct FunctionUndone;
struct Kept(#[allow(dead_code, reason = "it acts when it is dropped")] Bomb);
impl Dependency for Kept {}

fn always<T>(what: &str) -> T {
    panic!("{what}")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Ok,
    Error,
    Breaks,
}

/// Each place, and what a client sees of it.
const PLACES: [(&str, Answer); 36] = [
    ("handler", Answer::Error),
    ("plain", Answer::Error),
    ("payload", Answer::Error),
    ("local", Answer::Error),
    ("provider", Answer::Error),
    ("plain_provider", Answer::Error),
    ("kept", Answer::Error),
    ("teardown", Answer::Ok),
    ("plain_teardown", Answer::Ok),
    ("function_teardown", Answer::Error),
    ("into_response", Answer::Error),
    ("plain_into_response", Answer::Error),
    ("deadline", Answer::Error),
    ("first", Answer::Breaks),
    ("later", Answer::Breaks),
    ("end", Answer::Error),
    ("later_end", Answer::Breaks),
    ("hint", Answer::Error),
    ("drop", Answer::Ok),
    ("trailers", Answer::Ok),
    ("fails", Answer::Breaks),
    ("owner", Answer::Ok),
    ("extension", Answer::Ok),
    ("no_content", Answer::Ok),
    ("stream", Answer::Breaks),
    ("stream_drop", Answer::Ok),
    ("iterator", Answer::Breaks),
    ("iterator_drop", Answer::Breaks),
    ("sse", Answer::Breaks),
    ("background", Answer::Ok),
    ("plain_background", Answer::Ok),
    ("background_given_up", Answer::Ok),
    ("hosted/clone", Answer::Error),
    ("hosted/ready", Answer::Error),
    ("hosted/call", Answer::Error),
    ("hosted/future", Answer::Error),
];

fn app() -> App {
    let app = App::new()
        .get("/alive", async || "alive")
        .provide(async || -> Provided { panic!("a provider") })
        .provide(|| -> PlainProvided { panic!("a plain provider") })
        .provide(async || Kept(Bomb))
        .provide(async || Teardown::new(Undone, async |_, _: Outcome| always::<()>("a teardown")))
        .provide(async || Teardown::new(PlainUndone, |_, _: Outcome| always::<()>("a plain teardown")))
        .provide(
            (async || Teardown::new(FunctionUndone, async |_, _: Outcome| always::<()>("a function's")))
                .lifetime(anyrt_http::Lifetime::Function),
        );
    let app = app
        .get("/handler", async || always::<&str>("a handler"))
        .get("/plain", || always::<&str>("a plain handler"))
        .get("/payload", async || -> &'static str { panic_any(Bomb) })
        .get("/local", async || {
            let _bomb = Bomb;
            "never sent"
        })
        .get("/provider", async |_: Dep<Provided>| "never")
        .get("/plain_provider", async |_: Dep<PlainProvided>| "never")
        .get("/kept", async |_: Dep<Kept>| "never")
        .get("/teardown", async |_: Dep<Undone>| "sent")
        .get("/plain_teardown", async |_: Dep<PlainUndone>| "sent")
        .get("/function_teardown", async |_: Dep<FunctionUndone>| "never")
        .get("/into_response", async || Unsendable)
        .get("/plain_into_response", || Unsendable)
        .get(
            "/deadline",
            (async || {
                let _bomb = Bomb;
                std::future::pending::<&str>().await
            })
            .deadline(Duration::from_millis(1)),
        );
    let app = app
        .get("/first", async || body(In::First).await)
        .get("/later", async || body(In::Later).await)
        .get("/end", async || body(In::End).await)
        .get("/later_end", async || body(In::LaterEnd).await)
        .get("/hint", async || body(In::Hint).await)
        .get("/drop", async || body(In::Drop).await)
        .get("/trailers", async || body(In::Trailers).await)
        .get("/fails", async || body(In::Fails).await)
        .get("/owner", async || Bytes::from_owner(Owner))
        .get("/extension", async || {
            let mut response = "sent".into_response();
            response.extensions_mut().insert(Bomb);
            response
        })
        .get("/no_content", async || (http::StatusCode::NO_CONTENT, body(In::Drop).await));
    let app = app
        .get("/stream", async || {
            Streaming::new(stream::iter(0..3).map(|at| if at == 2 { always("in a stream") } else { "piece" }))
        })
        .get("/stream_drop", async || {
            let bomb = Bomb;
            Streaming::new(stream::iter(0..3).map(move |at| {
                let _ = &bomb;
                format!("{at}")
            }))
        })
        .get("/iterator", || {
            Streaming::blocking((0..3).map(|at| if at == 2 { always("in an iterator") } else { "piece" }))
        })
        .get("/iterator_drop", || {
            let bomb = Bomb;
            Streaming::blocking((0..3).map(move |at| {
                let _ = &bomb;
                format!("{at}")
            }))
        })
        .get("/sse", async || {
            Sse::new(stream::iter(0..3).map(|at| if at == 2 { always("in sse") } else { SseEvent::data(at) }))
        });
    app.get("/background", async |background: Background| {
        background.add(async { always::<()>("in the background") })?;
        Ok::<_, TooLate>("sent")
    })
    .get("/plain_background", async |background: Background| {
        background.add(|| always::<()>("in the background"))?;
        Ok::<_, TooLate>("sent")
    })
    .get("/background_given_up", async |background: Background| {
        background.add(async { Err::<(), _>(HttpError::new(http::StatusCode::CONFLICT, "fails")) })?;
        let bomb = Bomb;
        background.add(async move { drop(bomb) })?;
        Ok::<_, TooLate>("sent")
    })
    .nest_service("/hosted/clone", Service("clone"))
    .nest_service("/hosted/ready", Service("ready"))
    .nest_service("/hosted/call", Service("call"))
    .nest_service("/hosted/future", Service("future"))
}

/// Asks for each place and then for what works: over HTTP/2 on the same connection.
async fn ask_all(http2: bool, prefix: &str, connect: impl AsyncFn() -> Box<dyn Link>) -> u64 {
    let mut speaker = Speaker::over(connect().await, http2).await;
    let mut broken = 0;
    for (place, expected) in PLACES {
        let seen = speaker.get(&format!("{prefix}/{place}")).await;
        let answer = match (seen.is_whole(), seen.status) {
            (true, 200 | 204) => Answer::Ok,
            (true, 500 | 503) => Answer::Error,
            (false, _) => Answer::Breaks,
            _ => panic!("{place}: {seen:?}"),
        };
        assert_eq!(answer, expected, "{place}, HTTP/2 {http2}: {seen:?}");
        if answer == Answer::Breaks {
            broken += 1;
            if !http2 {
                speaker = Speaker::over(connect().await, http2).await;
            }
        }
        let alive = speaker.get(&format!("{prefix}/alive")).await;
        assert_eq!((alive.status, &*alive.body), (200, "alive"), "after {place}, HTTP/2 {http2}");
    }
    broken
}

fn check(served: &Served, broken: u64) {
    let requests = 2 * (PLACES.len() as u64) * 2;
    assert_eq!((served.requests, served.broken), (requests, broken), "{served:?}");
    assert_eq!(served.answered, requests - broken, "{served:?}");
    assert_eq!((served.left, served.cancelled, served.cut), (0, 0, 0), "{served:?}");
}

async fn tcp(address: SocketAddr) -> Box<dyn Link> {
    let connected = async {
        loop {
            match anyrt::net::TcpStream::connect(address).await {
                Ok(stream) => return stream,
                Err(_) => anyrt::sleep(Duration::from_millis(1)).await,
            }
        }
    };
    Box::new(soon(connected).await)
}

/// Over both protocols, without TLS.
async fn ask_both(server: anyrt_http::Server, address: SocketAddr, per_core: bool, prefix: &str) {
    let stop = Event::new();
    let server = server.until(stop.wait());
    let serving = anyrt::spawn(async move {
        let served = if per_core { server.serve_per_core().await } else { server.serve().await };
        served.expect("it ends well")
    });
    let mut broken = 0;
    for http2 in [false, true] {
        broken += ask_all(http2, prefix, async || tcp(address).await).await;
    }
    stop.set();
    check(&soon(serving).await.expect("no panic"), broken);
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

#[anyrt::test]
async fn a_panic_in_any_place_harms_one_request_and_no_other() {
    let (listener, address) = listener().await;
    ask_both(app().server().listener(listener), address, false, "").await;
}

#[cfg(unix)]
#[anyrt::test]
async fn a_panic_in_any_place_does_not_end_a_core() {
    // A port that was free a moment ago.
    let (listener, address) = listener().await;
    drop(listener);
    ask_both(app().server().bind(&address.to_string()), address, true, "").await;
}

#[anyrt::test]
async fn a_panic_in_any_place_of_an_embedded_app_harms_one_request() {
    let (listener, address) = listener().await;
    let router = axum::Router::new().nest_service("/in", app().into_service().expect("no mistakes"));
    ask_both(anyrt_http::Server::new(router).listener(listener), address, false, "/in").await;
}

#[anyrt::test]
async fn a_panic_in_any_place_harms_one_request_over_tls() {
    let (listener, address) = listener().await;
    let (tls, certificate) = tls::pair();
    let stop = Event::new();
    let server = app().server().listener(listener).tls(tls).until(stop.wait());
    let serving = anyrt::spawn(async move { server.serve().await.expect("it ends well") });
    let mut broken = 0;
    for (http2, protocol) in [(false, "http/1.1"), (true, "h2")] {
        let connect = async || {
            let link: Box<dyn Link> = Box::new(tls::connect(address, &certificate, &[protocol]).await);
            link
        };
        broken += ask_all(http2, "", connect).await;
    }
    stop.set();
    check(&soon(serving).await.expect("no panic"), broken);
}

#[anyrt::test]
async fn a_panic_in_any_place_is_the_same_to_the_test_client() {
    use http_body_util::BodyExt;

    let client = app().test().await;
    // These two are in the hands of whoever asks.
    for (place, expected) in PLACES.into_iter().filter(|(place, _)| !matches!(*place, "owner" | "extension"))
    {
        let response = client.get(&format!("/{place}")).open().await;
        let status = response.status().as_u16();
        let answer = match (response.into_body().collect().await.is_ok(), status) {
            (true, 200 | 204) => Answer::Ok,
            (true, 500 | 503) => Answer::Error,
            (false, _) => Answer::Breaks,
            other => panic!("{place}: {other:?}"),
        };
        // It reads to the end, and asks nobody whether that has come.
        let expected = if place == "later_end" { Answer::Ok } else { expected };
        assert_eq!(answer, expected, "{place}");
        assert_eq!(client.get("/alive").await.text(), "alive");
    }
    client.close().await.expect("it ends well");
}

#[anyrt::test]
async fn teardowns_are_told_of_a_panic_in_the_body() {
    struct Session;
    let (tell, told) = anyrt::channel::unbounded();
    let provider = move || {
        let tell = tell.clone();
        async move {
            Teardown::new(Session, async move |_, outcome: Outcome| {
                tell.send(outcome).await.expect("the test waits");
            })
        }
    };
    let app = App::new()
        .provide(provider)
        .get("/later", async |_: Dep<Session>| body(In::Later).await)
        .get("/drop", async |_: Dep<Session>| body(In::Drop).await);
    let (listener, address) = listener().await;
    let stop = Event::new();
    let server = app.server().listener(listener).until(stop.wait());
    let serving = anyrt::spawn(async move { server.serve().await.expect("it ends well") });
    for http2 in [false, true] {
        for (path, whole) in [("/later", false), ("/drop", true)] {
            let mut speaker = Speaker::connect(address, http2).await;
            assert_eq!(speaker.get(path).await.is_whole(), whole);
            match soon(told.recv()).await.expect("it is told") {
                Outcome::Panicked(message) if !whole => assert_eq!(&*message, "in poll_frame"),
                Outcome::Ok(_) if whole => {}
                other => panic!("{path}, HTTP/2 {http2}: {other:?}"),
            }
        }
    }
    stop.set();
    let served = soon(serving).await.expect("no panic");
    assert_eq!((served.answered, served.broken), (2, 2), "{served:?}");
}
