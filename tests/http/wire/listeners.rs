//! Where a server listens, how it ends, and what it tells of itself.

use std::future::pending;
use std::time::Duration;

use anyrt::net::{TcpListener, TcpStream};
use anyrt::sync::Event;
use anyrt_http::{App, Disconnect, Error, Limits, Served, Server};
use futures_util::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Client, soon};

const SHORT: Duration = Duration::from_millis(40);
const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

fn app() -> App {
    App::new().get("/", async || "here")
}

/// A server that runs, with one TCP listener among its places.
struct Running {
    address: std::net::SocketAddr,
    stop: Event,
    served: anyrt::TaskHandle<Served>,
}

impl Running {
    async fn start(server: Server) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = Event::new();
        let server = server.listener(listener).until(stop.wait());
        let served = anyrt::spawn(async move { server.serve().await.expect("it serves") });
        Running { address, stop, served }
    }

    async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    async fn stop(self) -> Served {
        self.stop.set();
        soon(self.served).await.expect("no panic")
    }
}

#[cfg(unix)]
#[anyrt::test]
async fn one_server_listens_at_several_places() {
    let task = anyrt::current_task().expect("a task").id();
    let file = std::env::temp_dir().join(format!("anyrt-http-{}-{task:?}.sock", std::process::id()));
    // What a server left behind that was killed.
    drop(std::os::unix::net::UnixListener::bind(&file).expect("a free path"));
    let second = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let other = second.local_addr().expect("an address");
    let running = Running::start(app().server().listener(second).unix(&file)).await;
    for address in [running.address, other] {
        let mut client = Client::connect(address).await;
        client.send(GET).await;
        assert_eq!(client.reply().await.body, "here");
    }
    let mut unix = anyrt::net::UnixStream::connect(&file).await.expect("it listens");
    unix.write_all(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes()).await.expect("sent");
    let mut answer = String::new();
    soon(unix.read_to_string(&mut answer)).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("here"), "{answer}");
    // A path where somebody listens is not taken over.
    match app().server().unix(&file).serve().await {
        Err(Error::Listen { address, .. }) => assert_eq!(address, file.display().to_string()),
        other => panic!("{other:?}"),
    }
    let served = running.stop().await;
    assert_eq!((served.requests, served.answered), (3, 3));
    assert!(!file.exists(), "the file is removed");
}

#[anyrt::test]
async fn a_place_that_is_taken_is_an_error_before_anything_is_served() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    match app().server().bind("127.0.0.1:0").bind(&address).serve().await {
        Err(Error::Listen { address: told, .. }) => assert_eq!(told, address),
        other => panic!("{other:?}"),
    }
}

/// A handler that waits, and cleans up for as long as it is told to.
fn waits(app: App, path: &str, go: &Event, clean: &Event) -> (App, Event) {
    let begun = Event::new();
    let (go, clean, tell) = (go.clone(), clean.clone(), begun.clone());
    let app = app.get(path, move || {
        let (go, clean, tell) = (go.clone(), clean.clone(), tell.clone());
        let work = async move {
            tell.set();
            go.wait().await;
            "went"
        };
        async move { anyrt::finally(work, async move |_| clean.wait().await).await }
    });
    (app, begun)
}

#[anyrt::test]
async fn the_report_tells_what_was_finished_cancelled_and_cut() {
    let (go, never, clean, at_once) = (Event::new(), Event::new(), Event::new(), Event::new());
    at_once.set();
    let (app, first) = waits(app(), "/finishes", &go, &at_once);
    let (app, second) = waits(app, "/is-cancelled", &never, &at_once);
    let (app, third) = waits(app, "/is-cut", &never, &clean);
    let (app, fourth) = waits(app, "/leaves", &never, &at_once);
    let mut limits = Limits::default();
    (limits.shutdown, limits.teardown) = (2 * SHORT, SHORT);
    let running = Running::start(app.limits(limits).server()).await;
    let mut clients = Vec::new();
    for (path, begun) in
        [("/finishes", first), ("/is-cancelled", second), ("/is-cut", third), ("/leaves", fourth)]
    {
        let mut client = running.connect().await;
        client.send(&GET.replace("/ ", &format!("{path} "))).await;
        soon(begun.wait()).await;
        clients.push(client);
    }
    drop(clients.pop());
    let mut idle = running.connect().await;
    idle.send(GET).await;
    assert_eq!(idle.reply().await.status, 200);
    running.stop.set();
    assert!(idle.closed().await);
    go.set();
    let reply = clients[0].reply().await;
    assert_eq!(reply.body, "went");
    assert!(reply.head.contains("connection: close\r\n"));
    let served = running.stop().await;
    let told = (served.requests, served.answered, served.left, served.finished, served.cancelled, served.cut);
    assert_eq!(told, (5, 2, 1, 1, 1, 1));
    // The end of the run waits for it.
    clean.set();
}

#[anyrt::test]
async fn h11_a_route_that_goes_on_answers_a_client_that_ended_its_sending() {
    let (go, at_once) = (Event::new(), Event::new());
    at_once.set();
    let (app, begun) = waits(app(), "/wait", &go, &at_once);
    let running = Running::start(app.server().on_disconnect(Disconnect::Detach)).await;
    let mut client = running.connect().await;
    client.send(&GET.replace("/ ", "/wait ")).await;
    soon(begun.wait()).await;
    client.0.close().await.expect("the sending side closes");
    // The server has looked: it answers another connection.
    let mut other = running.connect().await;
    other.send(GET).await;
    assert_eq!(other.reply().await.status, 200);
    drop(other);
    go.set();
    assert_eq!(client.reply().await.body, "went");
    assert!(client.closed().await);
    assert_eq!(running.stop().await.left, 0);
}

#[anyrt::test]
async fn h11_a_server_that_notifies_tells_its_handlers_and_answers_them() {
    let begun = Event::new();
    let told = {
        let begun = begun.clone();
        move |client: anyrt_http::Client| {
            let begun = begun.clone();
            async move {
                begun.set();
                client.disconnected().await;
                "told"
            }
        }
    };
    for server in [
        app().get("/told", told.clone()).server().on_disconnect(Disconnect::Notify),
        app().get("/told", anyrt_http::Configure::notify(told)).server(),
    ] {
        let running = Running::start(server).await;
        let mut client = running.connect().await;
        client.send(&GET.replace("/ ", "/told ")).await;
        soon(begun.wait()).await;
        client.0.close().await.expect("the sending side closes");
        assert_eq!(client.reply().await.body, "told");
        assert!(client.closed().await);
        let served = running.stop().await;
        assert_eq!((served.answered, served.left), (1, 0));
    }
}

#[anyrt::test]
async fn h11_a_route_that_goes_on_is_finished_although_its_client_is_gone() {
    let (go, finished) = (Event::new(), Event::new());
    let begun = Event::new();
    let app = app().get("/wait", {
        let (begun, go, finished) = (begun.clone(), go.clone(), finished.clone());
        move || {
            let (begun, go, finished) = (begun.clone(), go.clone(), finished.clone());
            async move {
                begun.set();
                go.wait().await;
                finished.set();
            }
        }
    });
    let running = Running::start(app.server().on_disconnect(Disconnect::Detach)).await;
    let client = running.connect().await;
    reset_after(client, &begun).await;
    go.set();
    soon(finished.wait()).await;
    running.stop().await;
}

/// Asks for `/wait`, and destroys the connection when the handler has begun.
async fn reset_after(mut client: Client, begun: &Event) {
    client.send(&GET.replace("/ ", "/wait ")).await;
    soon(begun.wait()).await;
    client.0.socket().set_linger(Some(Duration::ZERO)).expect("a reset in place of an end");
}

#[anyrt::test]
async fn h20_a_connection_that_fails_stops_nobody() {
    #[derive(Clone)]
    struct Panics;
    impl tower_service::Service<axum_core::extract::Request> for Panics {
        type Response = axum_core::response::Response;
        type Error = std::convert::Infallible;
        type Future = std::future::Pending<Result<Self::Response, Self::Error>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: axum_core::extract::Request) -> Self::Future {
            panic!("before there is a future")
        }
    }
    let running = Running::start(app().nest_service("/panics", Panics).server()).await;
    for request in [
        "GET /panics HTTP/1.1\r\nHost: test\r\n\r\n",
        "nonsense\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n12345678901234567890",
    ] {
        let mut bad = running.connect().await;
        bad.send(request).await;
        assert!(bad.0.read(&mut [0; 1024]).await.is_ok());
        let mut good = running.connect().await;
        good.send(GET).await;
        assert_eq!(good.reply().await.body, "here");
    }
    running.stop().await;
}

#[anyrt::test]
async fn h17_what_the_server_has_read_the_clients_have_got() {
    for _ in 0..3 {
        let running = Running::start(app().server()).await;
        let mut clients = Vec::new();
        let warm = Event::new();
        for _ in 0..20 {
            let address = running.address;
            clients.push(anyrt::spawn(hammer(address, warm.clone())));
        }
        soon(warm.wait()).await;
        let served = running.stop().await;
        let mut got = 0;
        for client in clients {
            got += soon(client).await.expect("no panic");
        }
        assert_eq!((served.requests, served.answered), (got, got));
        assert!(got > 20 && served.left == 0 && served.cancelled == 0, "{served}");
    }
}

/// Asks again and again until the server ends the connection; how many whole answers there were.
async fn hammer(address: std::net::SocketAddr, warm: Event) -> u64 {
    let Ok(mut stream) = TcpStream::connect(address).await else { return 0 };
    let (mut got, mut answer) = (0, vec![0; 4096]);
    loop {
        if stream.write_all(GET.as_bytes()).await.is_err() {
            return got;
        }
        let mut filled = 0;
        while !answer[..filled].ends_with(b"here") {
            match stream.read(&mut answer[filled..]).await {
                Ok(count) if count > 0 => filled += count,
                _ => {
                    assert_eq!(filled, 0, "a part of an answer");
                    return got;
                }
            }
        }
        got += 1;
        if got == 50 {
            warm.set();
        }
    }
}

#[anyrt::test]
async fn a_server_that_is_cancelled_cancels_its_requests() {
    let (never, at_once) = (Event::new(), Event::new());
    at_once.set();
    let (app, begun) = waits(app(), "/wait", &never, &at_once);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let scope = anyrt::CancelScope::new();
    let handle = scope.handle();
    let server = app.server().listener(listener).until(pending());
    let serving = anyrt::spawn(async move { scope.run(async move |_| server.serve().await).await.is_err() });
    let mut client = Client::connect(address).await;
    client.send(&GET.replace("/ ", "/wait ")).await;
    soon(begun.wait()).await;
    handle.cancel_with("the test");
    assert!(soon(serving).await.expect("no panic"));
    assert!(client.closed().await);
}
