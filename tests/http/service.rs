//! Fit: an app as a tower service, and tower services served by us.

use crate::client::Server;
use anyrt_http::{App, Dep, Path};
use axum::Router;
use axum::routing::get;
use http::{Method, Request};
use http_body_util::BodyExt;
use tower_service::Service;

fn app() -> App {
    App::new()
        .get("/async/{id}", async |Path(id): Path<u8>, shared: Dep<String>| format!("{} {id}", *shared))
        .get("/plain", |shared: Dep<String>| format!("{} from the pool", *shared))
        .get("/panic", async || -> &'static str { panic!("in an embedded app") })
        .provide_value("shared".to_owned())
}

#[anyrt::test]
async fn an_app_is_a_tower_service() {
    let service = app().into_service().expect("no mistakes");
    let call = async |method: Method, path: &str| {
        let body = http_body_util::Full::new(bytes::Bytes::new());
        let request = Request::builder().method(method).uri(path).body(body).expect("a request");
        let Ok(response) = service.clone().call(request).await;
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.expect("a body").to_bytes())
    };
    assert_eq!(call(Method::GET, "/async/7").await, (200, "shared 7".into()));
    assert_eq!(call(Method::HEAD, "/async/7").await, (200, "".into()));
    assert_eq!(call(Method::GET, "/plain").await, (200, "shared from the pool".into()));
    assert_eq!(call(Method::GET, "/panic").await.0, 500);
    assert_eq!(call(Method::GET, "/nowhere").await.0, 404);
}

#[anyrt::test]
async fn an_axum_router_is_served_on_any_runtime() {
    async fn hello(axum::extract::Path(name): axum::extract::Path<String>, body: String) -> String {
        format!("hello {name} {body}")
    }
    let router = Router::new().route("/hello/{name}", get(hello).post(hello));
    let server =
        Server::serving(async move |listener, stop| anyrt_http::serve_until(listener, router, stop).await)
            .await;
    assert_eq!(server.get("/hello/axum").await.body, "hello axum ");
    assert_eq!(server.post("/hello/axum", "text/plain", "body").await.body, "hello axum body");
    assert_eq!(server.get("/nowhere").await.status, 404);
    server.stop().await;
}

#[anyrt::test]
async fn an_axum_router_is_nested_in_an_app() {
    let router = Router::new()
        .route("/", get(|| async { "root" }))
        .route("/page", get(|uri: http::Uri| async move { format!("page {uri}") }));
    let server = Server::start(app().nest_service("/old", router)).await;
    assert_eq!(server.get("/old").await.body, "root");
    assert_eq!(server.get("/old/").await.body, "root");
    assert_eq!(server.get("/old/page?x=1").await.body, "page /page?x=1");
    assert_eq!(server.get("/older").await.status, 404);
    assert_eq!(server.get("/async/7").await.body, "shared 7");
    server.stop().await;
}

#[anyrt::test]
async fn an_app_is_nested_in_an_axum_router() {
    let router = Router::new().nest_service("/new", app().into_service().expect("no mistakes"));
    let server =
        Server::serving(async move |listener, stop| anyrt_http::serve_until(listener, router, stop).await)
            .await;
    assert_eq!(server.get("/new/async/7").await.body, "shared 7");
    assert_eq!(server.get("/new/plain").await.body, "shared from the pool");
    server.stop().await;
}

#[anyrt::test]
async fn a_service_that_fails_is_500() {
    #[derive(Clone)]
    struct Broken;
    impl Service<axum_core::extract::Request> for Broken {
        type Response = axum_core::response::Response;
        type Error = std::io::Error;
        type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: axum_core::extract::Request) -> Self::Future {
            std::future::ready(Err(std::io::Error::other("broken")))
        }
    }
    let server = Server::start(App::new().nest_service("/", Broken)).await;
    assert_eq!(server.get("/").await.status, 500);
    assert_eq!(server.get("/x").await.status, 500);
    server.stop().await;
}

#[test]
fn the_future_of_a_server_is_small() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let size = anyrt::run(async move {
        let listener = anyrt::net::TcpListener::from_std(listener).expect("adopted");
        std::mem::size_of_val(&app().serve_until(listener, std::future::pending()))
    });
    assert!(size <= 2048, "{size} bytes");
}
