//! SIGTERM ends a server gracefully.
#![allow(clippy::await_holding_lock, reason = "the lock is between tests, not between tasks")]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::process::Command;
use std::task::Poll;
use std::time::Duration;

use crate::alone;
use crate::client::{Client, soon};
use anyrt::net::TcpListener;
use anyrt::sync::Event;
use anyrt_http::App;

fn terminate() {
    let sent = Command::new("kill").arg("-TERM").arg(std::process::id().to_string()).status();
    assert!(sent.expect("`kill` is there").success());
}

#[anyrt::test]
async fn sigterm_finishes_what_was_begun() {
    let _alone = alone();
    // From here on the signal does not kill the process.
    let mut heard = pin!(anyrt::signal::terminate());
    let polled = poll_fn(|cx| Poll::Ready(heard.as_mut().poll(cx).is_pending()));
    assert!(polled.await);

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
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let service = app.into_service().expect("no mistakes");
    let server =
        anyrt::spawn(async move { anyrt_http::serve(listener, service).await.expect("it ends well") });
    let mut busy = Client::connect(address).await;
    let mut idle = Client::connect(address).await;
    busy.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    soon(begun.wait()).await;

    // Repeated, since the server may not have listened for the first.
    let closed = async {
        while anyrt::move_on_after(Duration::from_millis(50), idle.closed()).await.is_none() {
            terminate();
        }
    };
    soon(closed).await;
    assert!(!server.is_finished());
    go.set();
    assert_eq!(busy.reply().await.body, "finished");
    soon(server).await.expect("no panic");
}

#[anyrt::test]
async fn sigterm_is_heard_in_handlers_and_streams() {
    let _alone = alone();
    // From here on the signal does not kill the process.
    let mut heard = pin!(anyrt::signal::terminate());
    assert!(poll_fn(|cx| Poll::Ready(heard.as_mut().poll(cx).is_pending())).await);

    let waits = |begun: &Event| {
        let begun = begun.clone();
        move || {
            let begun = begun.clone();
            async move {
                begun.set();
                anyrt::stopping().await;
                "farewell"
            }
        }
    };
    let (handles, streams) = (Event::new(), Event::new());
    let piece = waits(&streams);
    let app = App::new().get("/handler", waits(&handles)).get("/stream", move || {
        let pieces = futures_util::stream::once(piece());
        async move { ([("content-length", "8")], anyrt_http::Streaming::new(pieces)) }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let server =
        anyrt::spawn(async move { app.server().listener(listener).serve().await.expect("it ends well") });
    let mut clients = Vec::new();
    for (path, begun) in [("/handler", handles), ("/stream", streams)] {
        let mut client = Client::connect(address).await;
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        soon(begun.wait()).await;
        clients.push(client);
    }
    // Repeated, since the server may not have listened for the first.
    let ended = async {
        while !server.is_finished() {
            terminate();
            anyrt::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(ended).await;
    for mut client in clients {
        assert_eq!(client.reply().await.body, "farewell");
    }
    let served = server.await.expect("no panic");
    assert_eq!((served.answered, served.cancelled), (2, 0), "{served:?}");
}
