//! Services that call tokio, on every runtime; and a runtime for each core.

use std::time::Duration;

use anyrt::sync::Event;
use anyrt_http::App;
#[cfg(feature = "tokio")]
use axum::{Router, routing::get};

#[cfg(feature = "tokio")]
use crate::client::Server;
use crate::client::{Client, soon};

#[cfg(feature = "tokio")]
#[anyrt::test]
async fn a_service_that_calls_tokio_is_hosted_on_every_runtime() {
    /// Drops, too, may need the runtime.
    struct AsksWhenDropped(Event);
    impl Drop for AsksWhenDropped {
        fn drop(&mut self) {
            if tokio::runtime::Handle::try_current().is_ok() {
                self.0.set();
            }
        }
    }
    let dropped = Event::new();
    let asked = dropped.clone();
    let router = Router::new().route(
        "/",
        get(move || {
            let asks = AsksWhenDropped(asked.clone());
            async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let spawned = tokio::spawn(async { "by a task of tokio" }).await.expect("no panic");
                drop(asks);
                spawned
            }
        }),
    );
    let waits = Router::new().route("/", {
        let asks = dropped.clone();
        get(move || {
            let asks = AsksWhenDropped(asks.clone());
            async move {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                drop(asks);
            }
        })
    });
    let app = App::new()
        .nest_service("/tokio", anyrt_http::tokio_compat(router))
        .nest_service("/waits", anyrt_http::tokio_compat(waits));
    let server = Server::start(app).await;
    assert_eq!(server.get("/tokio").await.body, "by a task of tokio");
    assert!(dropped.is_set());
    server.stop().await;
}

#[cfg(unix)]
#[anyrt::test]
async fn each_core_serves_with_a_runtime_of_its_own() {
    // A port that was free a moment ago.
    let free = anyrt::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let stop = Event::new();
    let app = App::new()
        .get("/", async || std::thread::current().name().unwrap_or_default().to_owned())
        .get("/plain", || "from the pool");
    let server = app.server().bind(&address.to_string()).until(stop.wait());
    let serving = anyrt::spawn(async move { server.serve_per_core().await.expect("it serves") });
    let mut client = soon(async {
        loop {
            match anyrt::net::TcpStream::connect(address).await {
                Ok(stream) => return Client(stream),
                Err(_) => anyrt::sleep(Duration::from_millis(1)).await,
            }
        }
    })
    .await;
    for path in ["/", "/plain", "/"] {
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        assert_eq!(client.reply().await.status, 200);
    }
    stop.set();
    assert!(client.closed().await);
    let served = soon(serving).await.expect("no panic");
    assert_eq!((served.requests, served.answered), (3, 3));
}

#[cfg(unix)]
#[anyrt::test]
async fn a_listener_that_cannot_be_shared_is_refused() {
    let listener = anyrt::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let refused = App::new().server().listener(listener).serve_per_core().await;
    assert!(matches!(refused, Err(anyrt_http::Error::Listen { .. })));
}

#[cfg(unix)]
#[anyrt::test]
async fn cores_end_when_their_server_is_cancelled() {
    let scope = anyrt::CancelScope::new();
    let handle = scope.handle();
    let server = App::new().server().bind("127.0.0.1:0").until(std::future::pending());
    let serving =
        anyrt::spawn(async move { scope.run(async move |_| server.serve_per_core().await).await.is_err() });
    anyrt::checkpoint().await;
    handle.cancel_with("the test");
    assert!(soon(serving).await.is_ok());
}
