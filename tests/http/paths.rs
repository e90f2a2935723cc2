//! Paths: which a route can have, and which requests find it.

use anyrt_http::{App, Error, Path, Router};
use http::Uri;

use crate::client::Server;

fn hosted() -> axum::Router {
    axum::Router::new().fallback(|uri: Uri| async move { format!("hosted {uri}") })
}

#[anyrt::test]
async fn a_hosted_service_is_reached_at_its_prefix_with_and_without_a_slash() {
    let nested = |path: &str| Router::new().nest_service(path, hosted());
    let apps = [
        ("/p", App::new().nest_service("/p", hosted())),
        ("/p", App::new().nest_service("/p/", hosted())),
        ("/p", App::new().nest("/p", nested("/"))),
        ("/p", App::new().nest("/p", nested(""))),
        ("/o/p", App::new().nest("/o", Router::new().nest("/p", nested("/")))),
        ("/p", App::new().nest("/{id}", nested("/"))),
        ("/p/q", App::new().nest("/p", nested("/q"))),
        ("", App::new().nest_service("/", hosted())),
        ("", App::new().merge(nested(""))),
    ];
    for (root, app) in apps {
        let server = Server::start(app).await;
        for (rest, sees) in [("", "/"), ("/", "/"), ("/x", "/x"), ("/x/", "/x/"), ("//", "/")] {
            if root.is_empty() && rest.is_empty() {
                continue;
            }
            let reply = server.get(&format!("{root}{rest}")).await;
            assert_eq!((reply.status, reply.body), (200, format!("hosted {sees}")), "{root} {rest}");
        }
        server.stop().await;
    }
}

#[anyrt::test]
async fn a_route_is_found_by_every_form_of_its_path() {
    let app = App::new()
        .get("/caf%C3%A9", async || "cafe")
        .get("/two%20words", async || "two")
        .get("/users/me", async || "me")
        .get("/users/{id}", async |Path(id): Path<String>| format!("user {id}"));
    let server = Server::start(app).await;
    for (path, answer) in [
        ("/caf%C3%A9", "cafe"),
        ("/caf%c3%a9", "cafe"),
        ("/two%20words", "two"),
        ("/users/me", "me"),
        ("/users/m%65", "me"),
        ("/user%73/%6D%65", "me"),
        ("/users/m%65%2F", "user me/"),
        ("/users/%c3%a9", "user é"),
    ] {
        assert_eq!(server.get(path).await.body, answer, "{path}");
    }
    server.stop().await;
}

fn refused(app: App) -> String {
    let error = app.into_service().expect_err("a mistake");
    assert!(matches!(error, Error::Route { .. }), "{error}");
    error.to_string()
}

#[test]
fn a_route_that_no_request_finds_is_a_mistake_that_says_what_to_write() {
    for (path, wanted) in [
        ("/café", "`/caf%C3%A9`"),
        ("/two words", "`/two%20words`"),
        ("/x/:id", "`/x/{id}`"),
        ("/{a}.json", "`{a}`"),
    ] {
        let text = refused(App::new().get(path, async || ""));
        assert!(text.contains(path) && text.contains(wanted), "{text}");
    }
    assert!(refused(App::new().nest("/ü", Router::new().get("/x", async || ""))).contains("/%C3%BC/x"));
    assert!(refused(App::new().nest_service("/a b", hosted())).contains("/a%20b"));
    // The prefix and the path of a route do not grow together.
    let joined = App::new().nest("/api", Router::new().get("items", async || ""));
    assert!(refused(joined).contains("a path starts with `/`"));
}
