//! What clients are told when something is wrong: JSON with one key, and a server that goes on.

use std::fmt::Debug;
use std::sync::{LazyLock, Mutex};

use crate::client::Server;
use anyrt_http::{App, Form, Json, Limits, Path, Query};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Order {
    #[allow(dead_code, reason = "read by serde")]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[allow(dead_code, reason = "read by serde")]
    count: u8,
}

#[derive(Deserialize)]
struct Page {
    #[allow(dead_code, reason = "read by serde")]
    number: u32,
}

fn app() -> App {
    App::new()
        .get("/items/{id}", async |Path(id): Path<u64>| id.to_string())
        .post("/orders", async |_: Json<Order>| "ordered")
        .post("/orders/{id}", async |_: Path<u8>, _: Query<Page>, _: Json<Order>| "changed")
        .post("/pages", async |_: Form<Page>| "paged")
        .post("/text", async |text: String| text)
}

fn detail(body: &str) -> Value {
    let value: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(value.as_object().expect("an object").len(), 1, "{body}");
    value["detail"].clone()
}

#[anyrt::test]
async fn an_unknown_path_is_404() {
    let server = Server::start(app()).await;
    let reply = server.get("/nowhere").await;
    assert_eq!((reply.status, detail(&reply.body)), (404, json!("Not Found")));
    assert!(reply.head.contains("content-type: application/json\r\n"));
    assert_eq!(server.get("/items/1/").await.status, 404);
    server.stop().await;
}

#[anyrt::test]
async fn a_wrong_method_is_405_and_says_which_are_right() {
    let app = app().delete("/items/{id}", async |_: Path<u64>| ());
    let server = Server::start(app).await;
    let reply = server.post("/items/1", "text/plain", "").await;
    assert_eq!((reply.status, detail(&reply.body)), (405, json!("Method Not Allowed")));
    assert!(reply.head.contains("allow: get, head, delete, options\r\n"), "{}", reply.head);
    server.stop().await;
}

#[anyrt::test]
async fn head_is_answered_by_get_without_a_body() {
    let server = Server::start(app()).await;
    let mut client = server.connect().await;
    client
        .send("HEAD /items/12345 HTTP/1.1\r\nHost: test\r\n\r\nGET /items/6 HTTP/1.1\r\nHost: test\r\n\r\n")
        .await;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let mut byte = [0];
        futures_util::AsyncReadExt::read_exact(&mut client.0, &mut byte).await.expect("a head");
        head.push(byte[0].into());
    }
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-length: 5\r\n"), "{head}");
    assert_eq!(client.reply().await.body, "6");
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn a_wrong_path_parameter_is_422_with_its_name() {
    let server = Server::start(app()).await;
    let reply = server.get("/items/seven").await;
    assert_eq!(reply.status, 422);
    let wrong = json!([{"loc": ["path", "id"], "msg": "invalid digit found in string"}]);
    assert_eq!(detail(&reply.body), wrong);
    assert_eq!(server.get("/items/%FF").await.status, 422);
    server.stop().await;
}

#[anyrt::test]
async fn bad_json_is_422_with_the_place() {
    let server = Server::start(app()).await;
    let reply =
        server.post("/orders", "application/json", "{\"items\": [{\"count\": 1},\n {\"count\": -1}]}").await;
    assert_eq!(reply.status, 422);
    let wrong = detail(&reply.body);
    assert_eq!(wrong[0]["loc"], json!(["body", "items", 1, "count"]));
    assert_eq!((&wrong[0]["line"], &wrong[0]["column"]), (&json!(2), &json!(13)));

    let reply = server.post("/orders", "application/json", "{\"items\": ]").await;
    assert_eq!((reply.status, &detail(&reply.body)[0]["column"]), (422, &json!(11)));
    let reply = server.post("/orders", "application/json", "{\"items\": []} and more").await;
    assert_eq!((reply.status, &detail(&reply.body)[0]["column"]), (422, &json!(15)));
    assert_eq!(server.post("/orders", "application/json", "").await.status, 422);
    server.stop().await;
}

#[anyrt::test]
async fn all_that_is_wrong_is_told_at_once() {
    let server = Server::start(app()).await;
    let reply = server.post("/orders/many?number=x", "application/json", "[1]").await;
    assert_eq!(reply.status, 422);
    let wrong = detail(&reply.body);
    let places: Vec<_> = wrong.as_array().expect("a list").iter().map(|one| one["loc"].clone()).collect();
    assert_eq!(places, [json!(["path", "id"]), json!(["query", "number"]), json!(["body", 0])], "{wrong}");
    server.stop().await;
}

#[anyrt::test]
async fn a_missing_or_other_content_type_is_415() {
    let server = Server::start(app()).await;
    assert_eq!(server.post("/orders", "text/plain", "{\"items\": []}").await.status, 415);
    let reply = server.send("POST /orders HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}").await;
    assert_eq!(reply.status, 415);
    assert_eq!(detail(&reply.body), json!("expected the content type `application/json`"));
    assert_eq!(server.post("/orders", "application/vnd.order+json", "{\"items\": []}").await.status, 200);
    assert_eq!(server.post("/pages", "application/json", "number=1").await.status, 415);
    server.stop().await;
}

#[anyrt::test]
async fn a_body_beyond_the_limit_is_413() {
    let mut limits = Limits::default();
    limits.body = 20;
    let server = Server::start(app().limits(limits)).await;
    let long = r#"{"items": [], "x": 1}"#;
    assert_eq!(long.len(), 21);
    let reply = server.post("/orders", "application/json", long).await;
    assert_eq!((reply.status, detail(&reply.body)), (413, json!("the body is larger than 20 bytes")));
    assert_eq!(server.post("/orders", "application/json", &long.replace(' ', "")).await.status, 200);
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n15\r\n{long}\r\n0\r\n\r\n");
    let head = "POST /orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json";
    assert_eq!(server.send(&format!("{head}\r\n{chunked}")).await.status, 413);
    assert_eq!(server.post("/text", "text/plain", long).await.status, 413);
    server.stop().await;
}

#[anyrt::test]
async fn the_default_limit_of_a_body_is_two_mebibytes() {
    let server = Server::start(app()).await;
    for (path, kind) in [("/orders", "application/json"), ("/text", "text/plain")] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: {kind}\r\n");
        let reply =
            server.send(&format!("{head}Content-Length: 2097153\r\nExpect: 100-continue\r\n\r\n")).await;
        assert_eq!(reply.status, 413, "refused before it is sent");
        assert_eq!(detail(&reply.body), json!("the body is larger than 2097152 bytes"));
    }
    server.stop().await;
}

#[anyrt::test]
async fn a_panic_is_500_and_the_server_goes_on() {
    let app = app()
        .get("/async", async || -> &'static str { panic!("on the loop") })
        .get("/plain", || -> &'static str { panic!("in the pool") })
        .get("/late", async || {
            struct Trap;
            impl Drop for Trap {
                fn drop(&mut self) {
                    panic!("when dropped");
                }
            }
            let _trap = Trap;
            "never sent"
        });
    let server = Server::start(app).await;
    let mut client = server.connect().await;
    for path in ["/async", "/plain", "/late"] {
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        let reply = client.reply().await;
        assert_eq!((reply.status, detail(&reply.body)), (500, json!("Internal Server Error")), "{path}");
    }
    client.send("GET /items/1 HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(client.reply().await.body, "1");
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn a_panic_is_logged_with_the_name_of_its_task() {
    let log = Log::installed();
    let message = format!("known by {:?}", std::thread::current().id());
    let app = App::new().get("/", {
        let message = message.clone();
        move || -> String { panic!("{message}") }
    });
    let server = Server::start(app).await;
    assert_eq!(server.get("/").await.status, 500);
    let line = log.line_with(&message).expect("the panic is logged");
    assert!(line.contains("ERROR") && line.contains("task=\"http connection\""), "{line}");
    server.stop().await;
}

/// What the layer logs, line by line.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Log {
    fn installed() -> &'static Log {
        static LOG: LazyLock<Log> = LazyLock::new(Log::default);
        // An error: it is installed already.
        let _ = tracing::subscriber::set_global_default(&*LOG);
        &LOG
    }

    fn line_with(&self, text: &str) -> Option<String> {
        let lines = self.0.lock().expect("no panic while locked");
        lines.iter().find(|line| line.contains(text)).cloned()
    }
}

impl tracing::Subscriber for &'static Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("anyrt_http")
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Line(String);
        impl tracing::field::Visit for Line {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
                self.0 += &format!(" {field}={value:?}");
            }
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().expect("no panic while locked").push(line.0);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::Id {
        tracing::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}
    fn enter(&self, _: &tracing::Id) {}
    fn exit(&self, _: &tracing::Id) {}
}

#[anyrt::test]
async fn a_connection_that_talks_nonsense_harms_no_other() {
    let server = Server::start(app()).await;
    let mut good = server.connect().await;
    assert_eq!(server.send("nonsense\r\n\r\n").await.status, 400);
    good.send("GET /items/1 HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(good.reply().await.status, 200);
    drop(good);
    assert_eq!(server.get("/items/1").await.status, 200);
    server.stop().await;
}

#[anyrt::test]
async fn a_head_that_takes_too_long_ends_the_connection() {
    let mut limits = Limits::default();
    limits.head = std::time::Duration::from_millis(20);
    let server = Server::start(app().limits(limits)).await;
    let mut slow = server.connect().await;
    slow.send("GET /items/1 HTTP/1.1\r\nHost:").await;
    assert!(slow.closed().await);
    server.stop().await;
}
