//! Dependencies: found by type, made once a request, checked when the app is built.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::client::Server;
use anyrt_http::{App, Dep, Dependency, Error, Path, Query};
use http::{HeaderMap, StatusCode};

macro_rules! dependencies {
    ($($name:ident($inner:ty)),*) => {$(
        #[derive(Debug)]
        #[allow(dead_code)]
        struct $name($inner);
        impl Dependency for $name {}
    )*};
}
dependencies!(Connection(usize), User(String), Audit(String), Chicken(()), Egg(()));

#[derive(Clone, Default)]
struct Calls(Arc<AtomicUsize>);

#[anyrt::test]
async fn values_and_providers_of_both_kinds_mix() {
    let calls = Calls::default();
    // Plain: in the pool.
    fn connect(calls: Dep<Calls>) -> Connection {
        assert!(anyrt::from_thread::check_cancelled().is_ok());
        Connection(calls.0.fetch_add(1, Ordering::SeqCst))
    }
    async fn user(headers: HeaderMap, connection: Dep<Connection>) -> Result<User, StatusCode> {
        let name = headers.get("user").and_then(|name| name.to_str().ok());
        Ok(User(format!("{} on {}", name.ok_or(StatusCode::UNAUTHORIZED)?, connection.0)))
    }
    fn audit(user: Dep<User>, connection: Dep<Connection>) -> Result<Audit, StatusCode> {
        Ok(Audit(format!("{} via {}", user.0, connection.0)))
    }
    let app = App::new()
        .get("/async", async |audit: Dep<Audit>, connection: Dep<Connection>| {
            format!("{}, {}", audit.0, connection.0)
        })
        .get("/plain", |user: Dep<User>| user.0.clone())
        .provide(audit)
        .provide(user)
        .provide(connect)
        .provide_value(calls.clone());
    let server = Server::start(app).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: test\r\nUser: Ada\r\n\r\n");
    // One connection a request, whoever asks and however often.
    assert_eq!(server.send(&get("/async")).await.body, "Ada on 0 via 0, 0");
    assert_eq!(server.send(&get("/plain")).await.body, "Ada on 1");
    // What a provider refuses, the request is answered with.
    assert_eq!(server.get("/plain").await.status, 401);
    assert_eq!(calls.0.load(Ordering::SeqCst), 3);
    server.stop().await;
}

#[anyrt::test]
async fn what_is_not_asked_for_is_not_made() {
    let calls = Calls::default();
    let counting = calls.clone();
    let app = App::new()
        .get("/", async || "nothing")
        .provide(move || Connection(counting.0.fetch_add(1, Ordering::SeqCst)));
    let server = Server::start(app).await;
    assert_eq!(server.get("/").await.body, "nothing");
    assert_eq!(calls.0.load(Ordering::SeqCst), 0);
    server.stop().await;
}

#[anyrt::test]
async fn what_is_wrong_in_a_dependency_is_told_with_the_rest() {
    async fn user(Query(name): Query<u8>) -> User {
        User(name.to_string())
    }
    let app = App::new().get("/{id}", async |_: Path<u8>, user: Dep<User>| user.0.clone()).provide(user);
    let server = Server::start(app).await;
    let reply = server.get("/x").await;
    assert_eq!(reply.status, 422);
    assert!(reply.body.contains(r#"["path","id"]"#) && reply.body.contains(r#"["query"]"#), "{}", reply.body);
    server.stop().await;
}

#[anyrt::test]
async fn a_panic_of_a_provider_is_500() {
    let app = App::new()
        .get("/plain", async |_: Dep<Connection>| "never")
        .get("/async", async |_: Dep<User>| "never")
        .provide(|| -> Connection { panic!("in the pool") })
        .provide(async || -> User { panic!("on the loop") });
    let server = Server::start(app).await;
    assert_eq!(server.get("/plain").await.status, 500);
    assert_eq!(server.get("/async").await.status, 500);
    server.stop().await;
}

fn mistake(app: App) -> (Error, String) {
    let error = app.into_service().expect_err("a mistake");
    let text = error.to_string();
    (error, text)
}

#[test]
fn a_missing_provider_is_found_when_the_app_is_built() {
    let (error, text) = mistake(App::new().get("/x", async |_: Dep<User>| ""));
    assert!(matches!(error, Error::MissingProvider { .. }));
    assert!(text.starts_with("`GET /x`") && text.contains("User>`, and nothing provides one"), "{text}");

    fn user(_: Dep<Connection>) -> User {
        User(String::new())
    }
    let (error, text) = mistake(App::new().get("/x", async |_: Dep<User>| "").provide(user));
    assert!(matches!(error, Error::MissingProvider { .. }));
    assert!(text.contains("User`") && text.contains("Connection>`"), "both ends: {text}");
}

#[test]
fn a_circle_is_found_when_the_app_is_built() {
    fn lay(_: Dep<Chicken>) -> Egg {
        Egg(())
    }
    async fn hatch(_: Dep<Egg>) -> Chicken {
        Chicken(())
    }
    for app in [App::new(), App::new().get("/", async |_: Dep<Egg>| "")] {
        let (error, text) = mistake(app.provide(lay).provide(hatch));
        let Error::Cycle { circle } = error else { panic!("{text}") };
        assert_eq!(circle.len(), 2);
        assert!(text.contains("Chicken") && text.contains("Egg"), "{text}");
    }
}

#[test]
fn a_type_is_provided_once() {
    let (error, text) = mistake(App::new().provide_value(1_u8).provide_value(2_u8));
    assert!(matches!(error, Error::ProvidedTwice(_)), "{text}");
}

#[test]
fn routes_that_cannot_be_are_found_when_the_app_is_built() {
    let twice = App::new().get("/x", async || "").get("/x", || "");
    let ambiguous = App::new().get("/{a}", async || "").get("/{b}", async || "");
    let relative = App::new().get("x", async || "");
    let many = App::new().get("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", async || "");
    for app in [twice, ambiguous, relative, many] {
        let (error, text) = mistake(app);
        assert!(matches!(error, Error::Route { .. }), "{text}");
    }
}

#[test]
fn arguments_that_only_axum_can_fill_are_refused_with_ours() {
    let (_, text) = mistake(App::new().get("/{id}", async |_: axum::extract::Path<u8>| ""));
    assert!(text.contains("`GET /{id}`") && text.contains("take `anyrt_http::Path`"), "{text}");
    let (_, text) = mistake(App::new().get("/", async |_: axum::Extension<u8>| ""));
    assert!(text.contains("take `anyrt_http::Dep`"), "{text}");
}
