//! HEAD, and what routers say by themselves, behind layers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use anyrt_http::{App, Client, Dep, Dependency, Outcome, Router, Streaming, Teardown};
use axum_core::body::Body;
use axum_core::extract::Request;
use axum_core::response::Response;
use futures_util::AsyncReadExt;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, StreamBody};
use tower_layer::Layer;
use tower_service::Service;

use crate::client::Server;
use crate::layers::Tagging;
use crate::log::{Log, serve};

type Changing = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Changes the responses of what it is around.
#[derive(Clone)]
struct Change(fn(Response) -> Changing);

#[derive(Clone)]
struct Changed<S>(S, Change);

impl<S> Layer<S> for Change {
    type Service = Changed<S>;

    fn layer(&self, inner: S) -> Changed<S> {
        Changed(inner, self.clone())
    }
}

impl<S> Service<Request> for Changed<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (answer, Change(change)) = (self.0.call(request), self.1.clone());
        Box::pin(async move { Ok(change(answer.await?).await) })
    }
}

/// Every body twice, with its length.
fn twice(response: Response) -> Changing {
    Box::pin(async {
        let (mut parts, body) = response.into_parts();
        let once = body.collect().await.expect("a body").to_bytes();
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(once.len() * 2));
        Response::from_parts(parts, Body::from([once.clone(), once].concat()))
    })
}

/// Every body in pieces, as a compression makes them: nobody knows how many, and who has none is left as he is.
fn pieces(mut response: Response) -> Changing {
    if !response.body().is_end_stream() {
        response.headers_mut().remove(CONTENT_LENGTH);
        response.headers_mut().insert("content-encoding", HeaderValue::from_static("pieces"));
        response = response.map(|mut body| {
            let frames = futures_util::stream::poll_fn(move |cx| Pin::new(&mut body).poll_frame(cx));
            Body::new(StreamBody::new(frames))
        });
    }
    Box::pin(std::future::ready(response))
}

/// The head of the answer, without what differs from one answer to the next.
async fn head(server: &Server, method: &str, path: &str) -> Vec<String> {
    let mut client = server.connect().await;
    client.send(&format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")).await;
    let mut all = String::new();
    client.0.read_to_string(&mut all).await.expect("a text");
    let (head, body) = all.split_once("\r\n\r\n").expect("a head");
    assert!(method != "HEAD" || body.is_empty(), "{all}");
    head.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned).collect()
}

#[anyrt::test]
async fn head_is_told_what_the_layers_make_of_the_answer() {
    async fn text() -> String {
        "Hello, World! ".repeat(50)
    }
    fn plain() -> String {
        "Hello, World! ".repeat(50)
    }
    let routes = || Router::new().get("/text", text).get("/plain", plain).get("/none", async || ());
    let nested = || {
        Router::new()
            .nest("/twice", routes().layer(Change(twice)))
            .nest("/pieces", routes().layer(Change(pieces)))
    };
    let plain = Server::start(App::new().merge(nested()).merge(routes())).await;
    let layered = Server::start(App::new().merge(nested()).merge(routes()).layer(Change(twice))).await;
    let in_pieces = Server::start(App::new().merge(nested()).merge(routes()).layer(Change(pieces))).await;
    for server in [&plain, &layered, &in_pieces] {
        for path in
            ["/text", "/plain", "/none", "/twice/text", "/pieces/text", "/pieces/plain", "/pieces/none"]
        {
            let (get, mut head) = (head(server, "GET", path).await, head(server, "HEAD", path).await);
            // Of a body in pieces HEAD need not say how it would come.
            if get.iter().any(|line| line == "transfer-encoding: chunked") && head.len() < get.len() {
                head.push("transfer-encoding: chunked".to_owned());
            }
            let sorted = |mut lines: Vec<String>| {
                lines.sort();
                lines
            };
            assert_eq!(sorted(head), sorted(get), "{path}");
        }
    }
    for server in [plain, layered, in_pieces] {
        server.stop().await;
    }
}

#[anyrt::test]
async fn head_begins_no_stream_and_is_a_whole_answer() {
    struct Session;
    async fn session(log: Dep<Log>) -> Teardown<Session> {
        Teardown::new(Session, async move |_, outcome: Outcome| log.say(outcome))
    }
    let begun = Arc::new(AtomicUsize::new(0));
    let app = App::new()
        .get("/stream", {
            let begun = Arc::clone(&begun);
            move |_: Dep<Session>, client: Client| {
                let begun = Arc::clone(&begun);
                async move {
                    Streaming::new(futures_util::stream::poll_fn(move |_| {
                        let _still_asked_for = &client;
                        begun.fetch_add(1, Ordering::SeqCst);
                        Poll::Ready(None::<String>)
                    }))
                }
            }
        })
        .get("/text", async |_: Dep<Session>| "text")
        .provide(session);
    let log = Log::default();
    let server = serve(&log, app).await;
    for path in ["/stream", "/text"] {
        assert_eq!(head(&server, "HEAD", path).await[0], "HTTP/1.1 200 OK");
        log.said("ok with 200").await;
        log.take();
    }
    assert_eq!(begun.load(Ordering::SeqCst), 0);
    server.stop().await;
}

#[anyrt::test]
async fn who_answers_head_by_himself_is_left_alone() {
    let service = axum::Router::new().route(
        "/",
        axum::routing::any(async |method: Method| {
            let headers = [("x-method", method.to_string()), ("content-length", "1234".to_owned())];
            (headers, Body::empty())
        }),
    );
    let app = App::new()
        .nest_service("/service", service)
        .head("/own", async || [("content-length", "4321")])
        .head("/unsaid", async || StatusCode::OK)
        .layer(Tagging("x-layer"));
    let server = Server::start(app).await;
    let service = head(&server, "HEAD", "/service").await;
    for line in ["x-method: HEAD", "content-length: 1234", "x-layer: yes"] {
        assert!(service.iter().any(|given| given == line), "{service:?}");
    }
    assert!(head(&server, "HEAD", "/own").await.contains(&"content-length: 4321".to_owned()));
    let unsaid = head(&server, "HEAD", "/unsaid").await;
    assert!(!unsaid.iter().any(|line| line.starts_with("content-length")), "{unsaid:?}");
    server.stop().await;
}

#[anyrt::test]
async fn the_layers_of_a_router_are_around_all_that_it_answers() {
    let items = Router::new().get("/items", async || "items").layer(Tagging("x-items"));
    let more = Router::new().post("/items", async || "more").layer(Tagging("x-more"));
    let inner = Router::new().nest("/deep", items).nest("/deep", more).layer(Tagging("x-inner"));
    let rest = Router::new()
        .get("/here", async || "here")
        .fallback(async || (StatusCode::NOT_FOUND, "not in here"))
        .layer(Tagging("x-rest"));
    let app =
        App::new().nest("/in", inner).nest("/rest", rest).get("/out", async || "out").layer(Tagging("x-app"));
    let server = Server::start(app).await;
    let ask = async |request: &str| {
        let reply = server.send(&format!("{request}Host: test\r\n\r\n")).await;
        let tags = ["x-app", "x-inner", "x-items", "x-more", "x-rest"];
        (reply.status, tags.into_iter().filter(|tag| reply.head.contains(*tag)).collect::<Vec<_>>())
    };
    let items = ["x-app", "x-inner", "x-items"];
    assert_eq!(ask("OPTIONS /in/deep/items HTTP/1.1\r\n").await, (204, items.to_vec()));
    assert_eq!(ask("DELETE /in/deep/items HTTP/1.1\r\n").await, (405, items.to_vec()));
    assert_eq!(ask("GET /in/deep/items HTTP/1.1\r\n").await, (200, items.to_vec()));
    // A preflight is about another path operation, and has its layers.
    let preflight = "OPTIONS /in/deep/items HTTP/1.1\r\nAccess-Control-Request-Method: POST\r\n";
    assert_eq!(ask(preflight).await, (204, ["x-app", "x-inner", "x-more"].to_vec()));
    assert_eq!(ask("OPTIONS /out HTTP/1.1\r\n").await, (204, ["x-app"].to_vec()));
    assert_eq!(ask("GET /in/nowhere HTTP/1.1\r\n").await, (404, ["x-app"].to_vec()));
    for path in ["/rest", "/rest/", "/rest/a/b"] {
        assert_eq!(
            ask(&format!("PUT {path} HTTP/1.1\r\n")).await,
            (404, ["x-app", "x-rest"].to_vec()),
            "{path}"
        );
    }
    assert_eq!(ask("PUT /rest/here HTTP/1.1\r\n").await, (405, ["x-app", "x-rest"].to_vec()));
    server.stop().await;
}

#[anyrt::test]
async fn the_layers_of_the_app_are_around_what_is_refused() {
    let app = App::new().get("/", async || "never").layer(Tagging("x-app"));
    let bare = App::new().get("/", async || "never");
    for (app, tagged) in [(app, true), (bare, false)] {
        let server = Server::start(app).await;
        let long = format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "x".repeat(9000));
        for (request, status) in [("GET / HTTP/1.1\r\n\r\n", 400), (&long, 414)] {
            let reply = server.send(request).await;
            assert_eq!((reply.status, reply.head.contains("x-app: yes")), (status, tagged), "{}", reply.head);
            assert!(reply.body.contains("detail"), "{}", reply.body);
        }
        server.stop().await;
    }
}

/// A request body that counts what is read of it, as layers that limit or decode put theirs around the request's.
struct Counted(Body, Arc<AtomicUsize>);

impl http_body::Body for Counted {
    type Data = bytes::Bytes;
    type Error = axum_core::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, axum_core::Error>>> {
        let poll = Pin::new(&mut self.0).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &poll {
            self.1.fetch_add(frame.data_ref().map_or(0, bytes::Bytes::len), Ordering::SeqCst);
        }
        poll
    }
}

#[derive(Clone)]
struct Counting<S = ()>(S, Arc<AtomicUsize>);

impl<S> Layer<S> for Counting {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting(inner, Arc::clone(&self.1))
    }
}

impl<S: Service<http::Request<Counted>>> Service<Request> for Counting<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> S::Future {
        self.0.call(request.map(|body| Counted(body, Arc::clone(&self.1))))
    }
}

#[anyrt::test]
async fn a_layer_may_change_the_type_of_the_request_body() {
    let (app, router) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let nested =
        Router::new().post("/in", async |text: String| text).layer(Counting((), Arc::clone(&router)));
    let app = App::new()
        .merge(nested)
        .post("/out", |text: String| text)
        .layer(Tagging("x-inner"))
        .layer(Counting((), Arc::clone(&app)));
    let counted = app;
    let server = Server::start(counted).await;
    assert_eq!(server.post("/out", "text/plain", "12345").await.body, "12345");
    assert_eq!(router.load(Ordering::SeqCst), 0);
    assert_eq!(server.post("/in", "text/plain", "123").await.body, "123");
    assert_eq!(router.load(Ordering::SeqCst), 3);
    server.stop().await;
}

#[anyrt::test]
async fn a_fallback_answers_what_nothing_else_does() {
    struct Allowed;
    impl Dependency for Allowed {}
    async fn allowed(headers: HeaderMap) -> Result<Allowed, StatusCode> {
        headers.get("let-me-in").map(|_| Allowed).ok_or(StatusCode::FORBIDDEN)
    }
    let users = Router::new()
        .get("/me", async || "me")
        .fallback(async |path: anyrt_http::Path<(String, String)>| format!("{:?}", path.0))
        .require::<Allowed>();
    let app = App::new()
        .nest("/users/{id}", users)
        .get("/", async || "root")
        .fallback(|method: Method, uri: http::Uri| (StatusCode::IM_A_TEAPOT, format!("{method} {uri}")))
        .provide(allowed);
    let server = Server::start(app).await;
    assert_eq!(server.get("/").await.body, "root");
    assert_eq!(server.get("/users/7/me").await.status, 403);
    assert_eq!(server.get("/users/7/you").await.status, 403);
    let within = "GET /users/7/you/too HTTP/1.1\r\nHost: test\r\nLet-Me-In: please\r\n\r\n";
    let within = server.send(within).await;
    assert_eq!((within.status, &*within.body), (200, r#"("7", "you/too")"#));
    for path in ["/nowhere", "/a/b?x=1"] {
        let reply = server.get(path).await;
        assert_eq!((reply.status, reply.body), (418, format!("GET {path}")));
    }
    assert_eq!(server.send("POST / HTTP/1.1\r\nHost: test\r\n\r\n").await.status, 405);
    server.stop().await;
    let two = App::new().fallback(async || "").fallback(async || "").into_service();
    assert!(two.is_err());
    let merged = Router::new().fallback(async || "");
    let two = App::new().merge(merged).fallback(async || "").into_service().expect_err("two");
    assert!(two.to_string().contains("two fallbacks"), "{two}");
}

#[anyrt::test]
async fn options_of_the_server_lists_all_methods() {
    let app = App::new().get("/a", async || "").patch("/b", async || "").layer(Tagging("x-app"));
    let server = Server::start(app).await;
    let reply = server.send("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(reply.status, 204);
    for line in ["allow: get, head, options, patch\r\n", "x-app: yes"] {
        assert!(reply.head.contains(line), "{}", reply.head);
    }
    server.stop().await;
}
