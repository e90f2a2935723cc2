//! A server on a free port, and a client that says exactly what it is told to, both over the runtime
//! under test.
#![allow(dead_code, reason = "each test file takes what it needs")]

use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::time::Duration;

use anyrt::net::{TcpListener, TcpStream};
use anyrt::sync::Event;
use anyrt_http::App;
use futures_util::{AsyncReadExt, AsyncWriteExt};

/// What a test waits for comes soon: a test that fails says so, and does not hang.
pub(crate) async fn soon<F: IntoFuture>(future: F) -> F::Output {
    anyrt::fail_after(Duration::from_secs(20), future.into_future()).await.expect("soon")
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: Event,
    ended: anyrt::TaskHandle<()>,
}

impl Server {
    pub(crate) async fn start(app: App) -> Server {
        Server::serving(async move |listener, stop| app.serve_until(listener, stop).await).await
    }

    /// Starts whatever serves a listener until an event.
    pub(crate) async fn serving<F>(serve: impl FnOnce(TcpListener, anyrt::sync::WaitFuture) -> F) -> Server
    where
        F: Future<Output = anyrt_http::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = Event::new();
        let serving = serve(listener, stop.wait());
        let ended = anyrt::spawn(async move { serving.await.expect("the server ends well") });
        Server { address, stop, ended }
    }

    /// Ends the server gracefully, and waits for it.
    pub(crate) async fn stop(self) {
        self.stop.set();
        soon(self.ended).await.expect("the server ends without a panic");
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// GET on a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await
    }

    /// POST on a connection of its own.
    pub(crate) async fn post(&self, path: &str, content_type: &str, body: &str) -> Reply {
        let length = body.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    /// One request as it is written, on a connection of its own.
    pub(crate) async fn send(&self, request: &str) -> Reply {
        let mut client = self.connect().await;
        client.send(request).await;
        client.reply().await
    }
}

pub(crate) struct Client(pub(crate) TcpStream);

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Client {
        Client(TcpStream::connect(address).await.expect("the server accepts"))
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("the server reads");
        self.0.flush().await.expect("the server reads");
    }

    /// Reads one response.
    pub(crate) async fn reply(&mut self) -> Reply {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match soon(self.0.read(&mut byte)).await {
                Ok(1) => head.push(byte[0]),
                end => panic!("no response but {end:?} after {:?}", String::from_utf8_lossy(&head)),
            }
        }
        let head = String::from_utf8(head).expect("a head is text").to_lowercase();
        let status = head["http/1.1 ".len()..][..3].parse().expect("a status");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a length"))];
        soon(self.0.read_exact(&mut body)).await.expect("the whole body");
        Reply { status, head, body: String::from_utf8(body).expect("a text") }
    }

    /// Reads up to a text, which must come.
    pub(crate) async fn reads_until(&mut self, text: &str) {
        let mut read = Vec::new();
        while !read.ends_with(text.as_bytes()) {
            let mut byte = [0];
            match soon(self.0.read(&mut byte)).await {
                Ok(1) => read.push(byte[0]),
                end => panic!("no {text:?} but {end:?} after {:?}", String::from_utf8_lossy(&read)),
            }
        }
    }

    /// Whether the server closes the connection, whatever it says before.
    pub(crate) async fn closed_after_all(&mut self) -> bool {
        let mut buffer = [0; 1024];
        while soon(self.0.read(&mut buffer)).await.is_ok_and(|count| count > 0) {}
        true
    }

    /// Whether the server closed the connection, without another byte.
    pub(crate) async fn closed(&mut self) -> bool {
        matches!(soon(self.0.read(&mut [0])).await, Ok(0) | Err(_))
    }
}
