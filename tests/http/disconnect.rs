//! A client that leaves cancels its request; what holds in it is brought to its end.

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::thread;

use crate::client::{Server, soon};
use anyrt::sync::Event;
use anyrt_http::App;
use axum_core::body::Body;
use axum_core::response::IntoResponse;
use bytes::Bytes;
use futures_util::AsyncWriteExt;
use http_body::Frame;

#[derive(Clone, Default)]
struct Watched {
    begun: Event,
    go: Event,
    cleaned_up: Event,
    dropped: Event,
}

struct Dropped(Event);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// A handler that waits for ever, and says what becomes of it.
async fn for_ever(watched: Watched) -> &'static str {
    let _dropped = Dropped(watched.dropped.clone());
    let work = async {
        watched.begun.set();
        pending::<&'static str>().await
    };
    anyrt::finally(work, async |_| {
        // The clean-up is async, and runs although its request is cancelled.
        watched.go.wait().await;
        watched.cleaned_up.set();
    })
    .await
}

fn app(watched: &Watched) -> App {
    let (get, post) = (watched.clone(), watched.clone());
    App::new()
        .get("/", move || for_ever(get.clone()))
        .post("/", move |_: axum_core::extract::Request| for_ever(post.clone()))
        .get("/quick", async || "quick")
}

async fn cancelled(watched: &Watched) {
    assert!(!watched.cleaned_up.is_set());
    watched.go.set();
    soon(watched.cleaned_up.wait()).await;
    soon(watched.dropped.wait()).await;
}

#[anyrt::test]
async fn h9_a_client_that_closes_cancels_its_handler() {
    let watched = Watched::default();
    let server = Server::start(app(&watched)).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    soon(watched.begun.wait()).await;
    drop(client);
    cancelled(&watched).await;
    assert_eq!(server.get("/quick").await.body, "quick");
    server.stop().await;
}

#[anyrt::test]
async fn h11_a_client_that_ends_its_sending_has_left() {
    let watched = Watched::default();
    let server = Server::start(app(&watched)).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    soon(watched.begun.wait()).await;
    client.0.close().await.expect("the sending side closes");
    assert!(client.closed().await, "without an answer");
    cancelled(&watched).await;
    server.stop().await;
}

#[anyrt::test]
async fn a_client_that_pipelined_before_it_left_is_noticed() {
    let watched = Watched::default();
    let server = Server::start(app(&watched)).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\nGET /quick HTTP/1.1\r\n").await;
    soon(watched.begun.wait()).await;
    client.send("Host: test\r\n\r\n").await;
    drop(client);
    cancelled(&watched).await;
    server.stop().await;
}

#[anyrt::test]
async fn a_client_whose_body_nobody_reads_is_noticed() {
    let watched = Watched::default();
    let server = Server::start(app(&watched)).await;
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nthe beginning").await;
    soon(watched.begun.wait()).await;
    drop(client);
    cancelled(&watched).await;
    server.stop().await;
}

#[anyrt::test]
async fn the_server_waits_for_what_holds_in_a_request_whose_client_left() {
    let watched = Watched::default();
    let server = Server::start(app(&watched)).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    soon(watched.begun.wait()).await;
    drop(client);
    server.stop.set();
    watched.go.set();
    server.stop().await;
    assert!(watched.cleaned_up.is_set() && watched.dropped.is_set());
}

#[anyrt::test]
async fn a_plain_function_whose_client_left_is_told_and_waited_for() {
    let (begun, told, ended) = (Event::new(), Event::new(), Event::new());
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    let app = App::new().get("/", {
        let (begun, told, ended) = (begun.clone(), told.clone(), ended.clone());
        move || {
            begun.set();
            while anyrt::from_thread::check_cancelled().is_ok() {
                thread::yield_now();
            }
            told.set();
            released.lock().expect("one at a time").recv().expect("released");
            ended.set();
            "nobody reads this"
        }
    });
    let server = Server::start(app).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    soon(begun.wait()).await;
    drop(client);
    soon(told.wait()).await;
    server.stop.set();
    release.send(()).expect("the function waits");
    server.stop().await;
    assert!(ended.is_set());
}

#[anyrt::test]
async fn a_client_that_leaves_a_stream_ends_it() {
    /// Says `begun` after its first piece, and then nothing more.
    struct Endless {
        watched: Watched,
        _dropped: Dropped,
        said: bool,
    }
    impl http_body::Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if std::mem::replace(&mut self.said, true) {
                self.watched.begun.set();
                return Poll::Pending;
            }
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"first")))))
        }
    }
    let watched = Watched::default();
    let app = App::new().get("/", {
        let watched = watched.clone();
        move || {
            let _dropped = Dropped(watched.dropped.clone());
            let body = Endless { watched: watched.clone(), _dropped, said: false };
            async { Body::new(body).into_response() }
        }
    });
    let server = Server::start(app).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 200);
    soon(watched.begun.wait()).await;
    drop(client);
    soon(watched.dropped.wait()).await;
    server.stop().await;
}
