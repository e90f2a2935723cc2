//! Requests that are wrong, or odd, each followed at once by a second one, `GET /smuggled`: it must
//! be answered in its turn, or not at all, and never be taken for something else.

use std::sync::Arc;
use std::sync::Mutex;

use anyrt_http::App;
use bytes::Bytes;
use http::{HeaderMap, Uri};

use crate::client::{Client, Server};

/// What becomes of the second request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    /// The connection is closed after the first answer.
    Closed,
    /// It is answered after the first.
    Answered,
}
use Then::{Answered, Closed};

/// Which requests came through to a handler.
type Seen = Arc<Mutex<Vec<String>>>;

fn app(seen: &Seen) -> App {
    let (get, post) = (Arc::clone(seen), Arc::clone(seen));
    App::new()
        .get("/{*path}", move |uri: Uri, headers: HeaderMap| {
            get.lock().expect("no panic").push(uri.path().to_owned());
            let host = headers.get("host").map_or("none", |host| host.to_str().expect("a text")).to_owned();
            async move { format!("host {host}") }
        })
        .post("/{*path}", move |uri: Uri, body: Bytes| {
            post.lock().expect("no panic").push(format!("{} {}", uri.path(), body.len()));
            async move { body }
        })
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: second\r\n\r\n";

/// Sends each vector with the second request behind it, on a connection of its own.
async fn check(vectors: &[(&str, u16, Then)]) {
    for (request, status, then) in vectors {
        let seen = Seen::default();
        let server = Server::start(app(&seen)).await;
        let mut client = server.connect().await;
        client.send(&format!("{request}{SMUGGLED}")).await;
        let name = &request[..request.len().min(200)];
        assert_eq!(client.reply().await.status, *status, "{name:?}");
        match then {
            Answered => assert_eq!(client.reply().await.body, "host second", "{name:?}"),
            Closed => assert_ended(&mut client, name).await,
        }
        drop(client);
        server.stop().await;
        let seen = seen.lock().expect("no panic").clone();
        assert!(seen.len() <= 2, "{name:?}: {seen:?}");
        let smuggled = seen.iter().any(|path| path == "/smuggled");
        assert_eq!(smuggled, *then == Answered, "{name:?}: {seen:?}");
    }
}

/// The server says nothing more, and ends the connection.
async fn assert_ended(client: &mut Client, name: &str) {
    assert!(client.closed().await, "{name:?}: the second request was answered");
}

fn post(headers: &str, body: &str) -> String {
    format!("POST /first HTTP/1.1\r\nHost: first\r\n{headers}\r\n\r\n{body}")
}

/// The same with chunks, whose framing is all that differs.
fn chunks(body: &str) -> String {
    post("Transfer-Encoding: chunked", body)
}

async fn check_all(vectors: Vec<(String, u16, Then)>) {
    let vectors: Vec<_> =
        vectors.iter().map(|(request, status, then)| (request.as_str(), *status, *then)).collect();
    check(&vectors).await;
}

#[anyrt::test]
async fn two_framings_are_answered_and_closed() {
    check_all(vec![
        (post("Content-Length: 3\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), 200, Closed),
        (post("Transfer-Encoding: chunked\r\nContent-Length: 3", "0\r\n\r\n"), 200, Closed),
        (post("Content-Length: 3\r\nContent-Length: 3", "abc"), 200, Answered),
    ])
    .await;
}

#[anyrt::test]
async fn a_content_length_that_is_none_is_400() {
    let mut vectors = vec![(post("Content-Length: 3\r\nContent-Length: 4", "abc"), 400, Closed)];
    for wrong in ["3, 3", "+3", "-1", "0x3", "99999999999999999999", "", "3 3"] {
        vectors.push((post(&format!("Content-Length: {wrong}"), "abc"), 400, Closed));
    }
    check_all(vectors).await;
}

#[anyrt::test]
async fn a_transfer_coding_that_is_not_chunked_is_refused() {
    let mut vectors = vec![
        (post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), 501, Closed),
        (
            "POST /first HTTP/1.0\r\nHost: first\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            400,
            Closed,
        ),
        (post("Transfer-Encoding : chunked", "0\r\n\r\n"), 400, Closed),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"), 400, Closed),
    ];
    for wrong in ["xchunked", "chunked, identity", "identity", "\x0bchunked"] {
        vectors.push((post(&format!("Transfer-Encoding: {wrong}"), "0\r\n\r\n"), 400, Closed));
    }
    check_all(vectors).await;
}

#[anyrt::test]
async fn a_chunk_that_is_none_is_400_and_closed() {
    let (extension, trailer) = ("e".repeat(20_000), "t".repeat(100_000));
    let vectors = [
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "11111111111111111\r\nabc\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        &format!("3;{extension}\r\nabc\r\n0\r\n\r\n"),
        &format!("3\r\nabc\r\n0\r\nX: {trailer}\r\n\r\n"),
    ];
    check_all(vectors.iter().map(|body| (chunks(body), 400, Closed)).collect()).await;
    check_all(vec![(chunks("3;name=value\r\nabc\r\n0\r\nX: y\r\n\r\n"), 200, Answered)]).await;
}

#[anyrt::test]
async fn a_request_has_one_host_and_the_target_goes_before_it() {
    let get = |head: &str| format!("GET /first HTTP/1.1\r\n{head}\r\n");
    check_all(vec![
        (get(""), 400, Closed),
        (get("Host: first\r\nHost: first\r\n"), 400, Closed),
        (get("Host: first\r\nHost: other\r\n"), 400, Closed),
        (get("Host: fi rst\r\n"), 400, Closed),
        ("GET /first HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned(), 200, Answered),
    ])
    .await;
    let server = Server::start(app(&Seen::default())).await;
    let reply = server.send("GET http://target:81/first HTTP/1.1\r\nHost: other\r\n\r\n").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "host target:81"));
    server.stop().await;
}

#[anyrt::test]
async fn what_is_no_request_is_400() {
    let vectors = [
        "GET /first HTTP/1.1\r\nHost: first\r\nX: folded\r\n more\r\n\r\n",
        "GET /first HTTP/1.1\r\nHost: first\r\nX: bare\rreturn\r\n\r\n",
        "GET /first HTTP/1.1\r\nHost: first\r\nX: n\0l\r\n\r\n",
        "G\x01T /first HTTP/1.1\r\nHost: first\r\n\r\n",
        "GET /fi rst HTTP/1.1\r\nHost: first\r\n\r\n",
        "GET /first HTTP/9.9\r\nHost: first\r\n\r\n",
        "GET /first\r\n\r\n",
        "GET /first HTTP/1.1\r\nHost: first\r\n: no name\r\n\r\n",
        "GET /first HTTP/1.1\r\nHost: first\r\nno colon\r\n\r\n",
    ];
    check_all(vectors.iter().map(|request| ((*request).to_owned(), 400, Closed)).collect()).await;
}

#[anyrt::test]
async fn lines_that_end_in_a_lone_lf_are_read_and_nothing_is_smuggled() {
    check(&[
        ("GET /first HTTP/1.1\nHost: first\n\n", 200, Answered),
        ("POST /first HTTP/1.1\nHost: first\nContent-Length: 3\n\nabc", 200, Answered),
    ])
    .await;
}

#[anyrt::test]
async fn an_expectation_that_is_not_known_is_417() {
    check_all(vec![
        (post("Expect: bogus\r\nContent-Length: 3", "abc"), 417, Closed),
        (post("Expect: bogus", ""), 417, Closed),
    ])
    .await;
    let server = Server::start(app(&Seen::default())).await;
    let mut client = server.connect().await;
    client.send(&post("Expect: 100-continue\r\nContent-Length: 3", "")).await;
    assert_eq!(client.reply().await.status, 100);
    client.send("abc").await;
    assert_eq!(client.reply().await.body, "abc");
    server.stop().await;
}

#[anyrt::test]
async fn a_path_comes_as_it_was_sent() {
    let seen = Seen::default();
    let server = Server::start(app(&seen)).await;
    assert_eq!(server.get("/../../etc/passwd").await.status, 200);
    assert_eq!(server.get("/%2e%2e%2fetc/passwd").await.status, 200);
    assert_eq!(*seen.lock().expect("no panic"), ["/../../etc/passwd", "/%2e%2e%2fetc/passwd"]);
    server.stop().await;
}

#[anyrt::test]
async fn a_panic_is_500_and_the_next_request_is_answered() {
    let app = app(&Seen::default()).get("/", async || -> String { panic!("in a handler") });
    let server = Server::start(app).await;
    let mut client = server.connect().await;
    client.send(&format!("GET / HTTP/1.1\r\nHost: first\r\n\r\n{SMUGGLED}")).await;
    assert_eq!(client.reply().await.status, 500);
    assert_eq!(client.reply().await.body, "host second");
    server.stop().await;
}

#[anyrt::test]
async fn h10_a_body_that_breaks_off_is_an_error_to_its_handler() {
    let (told, begun) = (anyrt::sync::Event::new(), anyrt::sync::Event::new());
    let app = App::new().post("/", {
        let (told, begun) = (told.clone(), begun.clone());
        move |request: axum_core::extract::Request| {
            let (told, begun) = (told.clone(), begun.clone());
            async move {
                begun.set();
                let body = http_body_util::BodyExt::collect(request.into_body()).await;
                assert!(body.is_err());
                told.set();
            }
        }
    });
    let server = Server::start(app).await;
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf").await;
    crate::client::soon(begun.wait()).await;
    futures_util::AsyncWriteExt::close(&mut client.0).await.expect("the sending side closes");
    crate::client::soon(told.wait()).await;
    assert!(client.closed_after_all().await);
    server.stop().await;
}
