//! Path operations of both kinds, their arguments, and the ends of a server.

use std::thread;

use crate::client::{Server, soon};
use anyrt::sync::Event;
use anyrt_http::{App, Form, Json, Path, Query};
use axum_core::extract::Request;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Item {
    id: u64,
    name: String,
}

#[derive(Deserialize)]
struct Page {
    number: u32,
    size: Option<u32>,
}

#[anyrt::test]
async fn async_and_plain_functions_answer() {
    async fn on_the_loop() -> &'static str {
        "loop"
    }
    fn in_the_pool() -> String {
        // A plain function may wait for async work from its thread; on the event loop that would panic.
        thread::sleep(std::time::Duration::from_millis(1));
        format!("pool {}", anyrt::from_thread::check_cancelled().is_ok())
    }
    let app = App::new()
        .get("/loop", on_the_loop)
        .get("/pool", in_the_pool)
        .get("/closure", async || "closure")
        .get("/plain-closure", || "plain closure");
    let server = Server::start(app).await;
    assert_eq!(server.get("/loop").await.body, "loop");
    assert_eq!(server.get("/pool").await.body, "pool true");
    assert_eq!(server.get("/closure").await.body, "closure");
    assert_eq!(server.get("/plain-closure").await.body, "plain closure");
    server.stop().await;
}

#[anyrt::test]
async fn a_plain_function_that_blocks_stops_nobody_else() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let begun = Event::new();
    let app = App::new().get("/quick", async || "quick").get("/slow", {
        let begun = begun.clone();
        move || {
            begun.set();
            released.lock().expect("one at a time").recv().expect("released");
            "slow"
        }
    });
    let server = Server::start(app).await;
    let mut slow = server.connect().await;
    slow.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n").await;
    soon(begun.wait()).await;
    assert_eq!(server.get("/quick").await.body, "quick");
    release.send(()).expect("the handler waits");
    assert_eq!(slow.reply().await.body, "slow");
    server.stop().await;
}

#[anyrt::test]
async fn arguments_come_from_path_query_and_body() {
    let app = App::new()
        .get("/items/{id}", async |Path(id): Path<u64>| format!("item {id}"))
        .get("/{a}/{b}/c", |Path((a, b)): Path<(String, i8)>| format!("{a} {b}"))
        .get("/pages", async |Query(page): Query<Page>| format!("{} {:?}", page.number, page.size))
        .post("/items", async |Json(item): Json<Item>| Json(Item { id: item.id + 1, ..item }))
        .put("/items/{id}", |Path(id): Path<u64>, Form(item): Form<Item>| format!("{id} {}", item.name))
        .patch("/bytes", async |headers: HeaderMap, uri: Uri, bytes: Bytes| {
            format!("{} {uri} {}", headers.len(), bytes.len())
        })
        .delete("/items/{id}", async |_: Path<u64>| StatusCode::NO_CONTENT);
    let server = Server::start(app).await;
    assert_eq!(server.get("/items/7").await.body, "item 7");
    assert_eq!(server.get("/x%20y/-3/c").await.body, "x y -3");
    assert_eq!(server.get("/pages?number=2").await.body, "2 None");
    assert_eq!(server.get("/pages?size=10&number=2").await.body, "2 Some(10)");

    let made = server.post("/items", "application/json; charset=utf-8", r#"{"id": 1, "name": "nut"}"#).await;
    assert_eq!(made.body, r#"{"id":2,"name":"nut"}"#);
    assert!(made.head.contains("content-type: application/json\r\n"), "{}", made.head);

    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 14\r\n\r\nid=1&name=a%26";
    assert_eq!(server.send(&format!("PUT /items/3 HTTP/1.1\r\nHost: test\r\n{form}")).await.body, "3 a&");

    let chunks = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let reply = server.send(&format!("PATCH /bytes HTTP/1.1\r\nHost: test\r\n{chunks}")).await;
    assert_eq!(reply.body, "2 /bytes 5");

    assert_eq!(server.send("DELETE /items/3 HTTP/1.1\r\nHost: test\r\n\r\n").await.status, 204);
    server.stop().await;
}

#[anyrt::test]
async fn sixteen_arguments_are_taken() {
    type A = Path<u8>;
    #[allow(clippy::too_many_arguments)]
    async fn many(
        a: A,
        b: A,
        c: A,
        d: A,
        e: A,
        f: A,
        g: A,
        h: A,
        i: A,
        j: A,
        k: A,
        l: A,
        m: A,
        n: A,
        o: A,
        body: String,
    ) -> String {
        let sum: u8 = [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o].iter().map(|Path(one)| one).sum();
        format!("{sum} {body}")
    }
    let server = Server::start(App::new().post("/{n}", many)).await;
    assert_eq!(server.post("/2", "text/plain", "body").await.body, "30 body");
    server.stop().await;
}

#[anyrt::test]
async fn requests_follow_each_other_on_a_connection() {
    let server = Server::start(App::new().get("/{n}", async |Path(n): Path<u8>| n.to_string())).await;
    let mut client = server.connect().await;
    for n in 0..3_u8 {
        client.send(&format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        assert_eq!(client.reply().await.body, n.to_string());
    }
    // Pipelined: both are sent before the first is answered, and the answers come in order.
    client.send("GET /4 HTTP/1.1\r\nHost: test\r\n\r\nGET /5 HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(client.reply().await.body, "4");
    assert_eq!(client.reply().await.body, "5");
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn what_is_sent_while_a_handler_waits_is_kept() {
    let (begun, go) = (Event::new(), Event::new());
    let app = App::new().post("/wait", {
        let (begun, go) = (begun.clone(), go.clone());
        move |request: Request| {
            let (begun, go) = (begun.clone(), go.clone());
            async move {
                begun.set();
                go.wait().await;
                request.into_body().collect().await.expect("the body").to_bytes()
            }
        }
    });
    let server = Server::start(app.get("/next", async || "next")).await;
    let mut client = server.connect().await;
    client.send("POST /wait HTTP/1.1\r\nHost: test\r\nContent-Length: 40000\r\n\r\n").await;
    soon(begun.wait()).await;
    // Beyond what is read ahead, and with the next request behind it.
    let body = "0123456789".repeat(4000);
    client.send(&format!("{body}GET /next HTTP/1.1\r\nHost: test\r\n\r\n")).await;
    // The server has looked: it answers another connection, and is not confused by what it keeps.
    assert_eq!(server.get("/next").await.body, "next");
    go.set();
    assert_eq!(client.reply().await.body, body);
    assert_eq!(client.reply().await.body, "next");
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn a_server_that_stops_finishes_what_was_begun() {
    let (begun, go) = (Event::new(), Event::new());
    let app = App::new().get("/", {
        let (begun, go) = (begun.clone(), go.clone());
        move || {
            let (begun, go) = (begun.clone(), go.clone());
            async move {
                begun.set();
                go.wait().await;
                "finished"
            }
        }
    });
    let server = Server::start(app.get("/idle", async || "idle")).await;
    let mut idle = server.connect().await;
    idle.send("GET /idle HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(idle.reply().await.body, "idle");
    let mut busy = server.connect().await;
    busy.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    soon(begun.wait()).await;

    server.stop.set();
    assert!(idle.closed().await, "an idle connection is closed at once");
    go.set();
    let reply = busy.reply().await;
    assert_eq!(reply.body, "finished");
    assert!(busy.closed().await, "the connection ends with its request");
    server.stop().await;
}

#[anyrt::test]
async fn what_still_runs_at_the_deadline_is_cancelled() {
    let (begun, ended) = (Event::new(), Event::new());
    let mut limits = anyrt_http::Limits::default();
    limits.shutdown = std::time::Duration::from_millis(20);
    let app = App::new().limits(limits).get("/", {
        let (begun, ended) = (begun.clone(), ended.clone());
        move || {
            let (begun, ended) = (begun.clone(), ended.clone());
            async move {
                let work = async move {
                    begun.set();
                    std::future::pending::<&'static str>().await
                };
                anyrt::finally(work, async move |_| ended.set()).await
            }
        }
    });
    let server = Server::start(app).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    soon(begun.wait()).await;
    server.stop().await;
    assert!(ended.is_set(), "the clean-up ran before the server ended");
    assert!(client.closed().await);
}
