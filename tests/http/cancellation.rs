//! A client that leaves.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyrt::sync::Event;
use anyrt_http::{
    App, Background, Client, ClientDisconnect, Configure, Dep, HttpError, KeepAlive, Lifespan, Outcome, Sse,
    SseEvent, Streaming, Teardown,
};
use axum_core::body::Body;
use futures_util::StreamExt;
use http::StatusCode;

use crate::client::{Server, soon};
use crate::layers::{Doubling, Tagging};
use crate::log::{Log, serve};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// Says how far it comes.
async fn waits(log: Dep<Log>, go: Dep<Event>) -> &'static str {
    let _dropped = log.on_drop("dropped");
    log.say("begun");
    go.wait().await;
    anyrt::checkpoint().await;
    log.say("to its end");
    "answer"
}

#[anyrt::test]
async fn wc_01_a_route_is_cancelled_detached_or_notified() {
    async fn notified(log: Dep<Log>, client: Client) {
        log.say("begun");
        client.disconnected().await;
        log.say(format!("told: {}", client.is_disconnected()));
    }
    for layered in [false, true] {
        let go = Event::new();
        let log = Log::default();
        let mut app = App::new()
            .get("/cancel", waits)
            .get("/detach", waits.detach())
            .get("/notify", notified.notify())
            .provide_value(go.clone());
        if layered {
            app = app.layer(Doubling).layer(Tagging("x-tag"));
        }
        let server = serve(&log, app).await;
        let leave = async |path: &str| {
            let mut client = server.connect().await;
            client.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
            log.said("begun").await;
        };
        leave("/cancel").await;
        log.said("dropped").await;
        assert_eq!(log.take(), ["begun", "dropped"]);
        leave("/notify").await;
        log.said("told: true").await;
        log.take();
        leave("/detach").await;
        // What becomes of the client that left is known when a later one was answered.
        assert_eq!(server.get("/nowhere").await.status, 404);
        go.set();
        log.said("dropped").await;
        assert_eq!(log.take(), ["begun", "to its end", "dropped"]);
        server.stop().await;
    }
}

#[anyrt::test]
async fn wc_01_a_client_that_leaves_while_its_response_streams_is_told_of() {
    async fn streams(
        client: Client,
        background: Background,
        log: Dep<Log>,
    ) -> Result<Streaming, anyrt_http::TooLate> {
        let (watching, waiting) = (client.clone(), client.clone());
        let told = log.clone();
        drop(anyrt::spawn(async move {
            watching.disconnected().await;
            told.say("told");
        }));
        background.add(async move { log.say(format!("left: {}", client.is_disconnected())) })?;
        let pieces =
            futures_util::stream::once(async { "first" }).chain(futures_util::stream::once(async move {
                waiting.disconnected().await;
                "last"
            }));
        Ok(Streaming::new(pieces))
    }
    async fn whole(
        client: Client,
        background: Background,
        log: Dep<Log>,
    ) -> Result<String, anyrt_http::TooLate> {
        background.add(async move { log.say(format!("left: {}", client.is_disconnected())) })?;
        Ok("whole".into())
    }
    for layered in [false, true] {
        let log = Log::default();
        let mut app = App::new()
            .get("/cancel", streams)
            .get("/detach", streams.detach())
            .get("/notify", streams.notify())
            .get("/whole", whole)
            .get("/whole/pieces", async |client: Client, background: Background, log: Dep<Log>| {
                let whole = whole(client, background, log).await?;
                Ok::<_, anyrt_http::TooLate>(Streaming::new(futures_util::stream::once(async { whole })))
            });
        if layered {
            app = app.layer(Doubling);
        }
        let server = serve(&log, app).await;
        for path in ["/cancel", "/detach", "/notify"] {
            for reset in [false, true] {
                let mut client = server.connect().await;
                client.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
                client.reads_until("first").await;
                if reset {
                    client.0.socket().set_linger(Some(std::time::Duration::ZERO)).expect("a reset");
                }
                drop(client);
                log.said("told").await;
                log.said("left: true").await;
                log.take();
            }
        }
        for path in ["/whole", "/whole/pieces"] {
            let mut client = server.connect().await;
            client.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")).await;
            assert!(client.closed_after_all().await);
            log.said("left: false").await;
            log.take();
        }
        server.stop().await;
    }
}

#[anyrt::test]
async fn wc_02_asking_whether_the_client_is_there_waits_for_nothing() {
    async fn asks(log: Dep<Log>, client: Client) {
        log.say(format!("before: {}", client.is_disconnected()));
        // Not even a checkpoint: it is asked in a loop that knows nothing else to wait for.
        while !client.is_disconnected() {
            anyrt::yield_shielded().await;
        }
        log.say("after: true");
    }
    let log = Log::default();
    let server = serve(&log, App::new().get("/", asks.notify())).await;
    let mut client = server.connect().await;
    client.send(GET).await;
    log.said("before: false").await;
    drop(client);
    log.said("after: true").await;
    server.stop().await;
}

#[anyrt::test]
async fn wc_03_reading_the_body_of_a_client_that_left_is_an_error_with_a_name() {
    async fn upload(body: Body, log: Dep<Log>) -> Result<(), HttpError> {
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => log.say(format!("{} bytes", piece.len())),
                Err(error) => log.say(format!("left: {}", ClientDisconnect::is_cause_of(&error))),
            }
        }
        Ok(())
    }
    // The body is the last argument.
    async fn first(log: Dep<Log>, body: Body) -> Result<(), HttpError> {
        upload(body, log).await
    }
    for layered in [false, true] {
        let log = Log::default();
        let mut app = App::new().post("/", first.detach());
        if layered {
            app = app.layer(Doubling);
        }
        let server = serve(&log, app).await;
        let mut client = server.connect().await;
        client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nbeginning").await;
        log.said("9 bytes").await;
        drop(client);
        log.said("left: true").await;
        server.stop().await;
    }
}

/// Counts what is pulled, and says when it is dropped.
fn numbers(log: &Log, pulled: &Arc<AtomicUsize>) -> impl Iterator<Item = String> + Send + use<> {
    let (pulled, dropped) = (Arc::clone(pulled), log.on_drop("iterator dropped"));
    std::iter::from_fn(move || {
        let _ = &dropped;
        let number = pulled.fetch_add(1, Ordering::SeqCst);
        Some(format!("line {number} of a long, long file\n").repeat(100))
    })
}

#[anyrt::test]
async fn wc_06_a_file_is_read_no_further_when_its_client_left() {
    fn lines(log: Dep<Log>) -> Result<Streaming, HttpError> {
        static TURN: AtomicUsize = AtomicUsize::new(0);
        let name = format!("anyrt-wc-06-{}-{}", std::process::id(), TURN.fetch_add(1, Ordering::SeqCst));
        let path = std::env::temp_dir().join(name);
        let mut file =
            File::create(&path).map_err(|error| HttpError::from(StatusCode::NOT_FOUND).source(error))?;
        for _ in 0..100_000 {
            writeln!(file, "a line of a file that is longer than any buffer between server and client")
                .expect("written");
        }
        let lines = BufReader::new(File::open(&path).expect("written before")).lines();
        std::fs::remove_file(path).expect("written before");
        let dropped = log.on_drop("file closed");
        let lines = lines.map(move |line| {
            let _ = &dropped;
            line.map(|line| line + "\n")
        });
        Ok(Streaming::blocking(lines))
    }
    let log = Log::default();
    let server = serve(&log, App::new().get("/", lines)).await;
    let mut client = server.connect().await;
    client.send(GET).await;
    assert_eq!(client.reply().await.status, 200);
    drop(client);
    log.said("file closed").await;
    server.stop().await;
}

#[anyrt::test]
async fn wc_08_an_iterator_is_pulled_in_threads_and_ends_between_items() {
    let (log, pulled) = (Log::default(), Arc::new(AtomicUsize::new(0)));
    let app = App::new()
        .get("/three", || {
            Streaming::blocking((0..3).map(|number| {
                assert!(anyrt::from_thread::check_cancelled().is_ok(), "in the pool");
                number.to_string()
            }))
        })
        .get("/", {
            let (log, pulled) = (log.clone(), Arc::clone(&pulled));
            move || Streaming::blocking(numbers(&log, &pulled))
        });
    let server = serve(&log, app).await;
    let mut client = server.connect().await;
    client.send("GET /three HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await;
    for number in ["0", "1", "2"] {
        client.reads_until(&format!("\r\n{number}\r\n")).await;
    }
    let mut client = server.connect().await;
    client.send(GET).await;
    assert_eq!(client.reply().await.status, 200);
    drop(client);
    log.said("iterator dropped").await;
    let count = pulled.load(Ordering::SeqCst);
    server.stop().await;
    assert_eq!(pulled.load(Ordering::SeqCst), count, "nothing is pulled after the end");
}

#[anyrt::test]
async fn wc_09_what_makes_events_runs_in_a_group_that_outlives_the_stream() {
    struct Producers(anyrt::TaskGroup);
    async fn lifespan(app: Lifespan<Producers>) -> Result<(), anyrt_http::BoxError> {
        Ok(anyrt::task_group(async |group| app.serve(Producers(group)).await).await?)
    }
    async fn events(producers: Dep<Producers>, log: Dep<Log>) -> Sse {
        let (send, receive) = futures::channel::mpsc::unbounded();
        producers.0.named("producer").spawn(async move {
            let mut number = 0;
            // An error when the stream was dropped: the client left.
            while send.unbounded_send(SseEvent::data(number)).is_ok() {
                number += 1;
                anyrt::checkpoint().await;
            }
            log.say("producer ended");
        });
        Sse::new(receive)
    }
    let log = Log::default();
    let server = serve(&log, App::new().get("/", events).lifespan(lifespan)).await;
    let mut client = server.connect().await;
    client.send(GET).await;
    let reply = client.reply().await;
    assert!(reply.head.contains("content-type: text/event-stream\r\n"), "{}", reply.head);
    drop(client);
    log.said("producer ended").await;
    server.stop().await;
}

#[anyrt::test]
async fn an_idle_stream_of_events_is_kept_alive() {
    let app = App::new().get("/", async || {
        Sse::new(futures_util::stream::pending::<SseEvent>())
            .keep_alive(KeepAlive::Every(std::time::Duration::from_millis(1)))
    });
    let server = Server::start(app).await;
    let mut client = server.connect().await;
    client.send(GET).await;
    assert_eq!(client.reply().await.status, 200);
    // Two comments, each a chunk of its own.
    client.reads_until(": keep-alive\n\n").await;
    client.reads_until(": keep-alive\n\n").await;
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn wc_11_layers_change_nothing_of_this() {
    struct Watched;
    async fn watched(log: Dep<Log>) -> Teardown<Watched> {
        Teardown::new(Watched, async move |_, outcome: Outcome| {
            log.say(format!("cancelled: {}", matches!(outcome, Outcome::Cancelled(_))));
        })
    }
    async fn stream(_: Dep<Watched>, log: Dep<Log>) -> Streaming {
        let dropped = log.on_drop("stream dropped");
        let pieces =
            futures_util::stream::once(async { "first" }).chain(futures_util::stream::once(async move {
                let _dropped = dropped;
                log.say("waits");
                std::future::pending::<&'static str>().await
            }));
        Streaming::new(pieces)
    }
    let log = Log::default();
    let app = App::new()
        .get("/", async |_: Dep<Watched>, log: Dep<Log>| {
            log.say("begun");
            std::future::pending::<()>().await;
        })
        .get("/stream", stream)
        .provide(watched)
        .layer(Doubling)
        .layer(Tagging("x-tag"));
    let server = serve(&log, app).await;
    let mut client = server.connect().await;
    client.send(GET).await;
    log.said("begun").await;
    drop(client);
    log.said("cancelled: true").await;
    log.take();
    let mut client = server.connect().await;
    client.send("GET /stream HTTP/1.1\r\nHost: test\r\n\r\n").await;
    log.said("waits").await;
    drop(client);
    log.said("cancelled: true").await;
    assert_eq!(log.take(), ["waits", "stream dropped", "cancelled: true"]);
    server.stop().await;
}

anyrt::task_local! {
    static SET_BELOW: &'static str;
}

#[anyrt::test]
async fn wc_12_what_is_set_below_a_layer_is_visible_above_it() {
    use axum_core::extract::Request;
    use axum_core::response::Response;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    #[derive(Clone)]
    struct Looking;
    impl<S> tower_layer::Layer<S> for Looking {
        type Service = Looks<S>;
        fn layer(&self, inner: S) -> Looks<S> {
            Looks(inner)
        }
    }
    #[derive(Clone)]
    struct Looks<S>(S);
    impl<S> tower_service::Service<Request> for Looks<S>
    where
        S: tower_service::Service<Request, Response = Response>,
        S::Future: Send + 'static,
        S::Error: 'static,
    {
        type Response = Response;
        type Error = S::Error;
        type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
            self.0.poll_ready(cx)
        }

        fn call(&mut self, request: Request) -> Self::Future {
            let answer = self.0.call(request);
            Box::pin(async move {
                let before = SET_BELOW.try_with(|_| ()).is_ok();
                let mut response = answer.await?;
                let seen = SET_BELOW.try_with(|seen| *seen).unwrap_or("nothing");
                let seen = format!("{seen}, before: {before}");
                response.headers_mut().insert("x-seen", seen.parse().expect("a text"));
                Ok(response)
            })
        }
    }
    let app = App::new()
        .get("/", async || {
            anyrt::checkpoint().await;
            SET_BELOW.set("below");
        })
        .layer(Looking);
    let server = Server::start(app).await;
    let mut client = server.connect().await;
    // Nor is it there for the next request on the same connection.
    for _ in 0..2 {
        client.send(GET).await;
        let reply = client.reply().await;
        assert!(reply.head.contains("x-seen: below, before: false\r\n"), "{}", reply.head);
    }
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn wc_13_errors_cross_layers_as_they_are() {
    struct Told;
    async fn told(log: Dep<Log>) -> Teardown<Told> {
        Teardown::new(Told, async move |_, outcome: Outcome| log.say(outcome))
    }
    let log = Log::default();
    let app = App::new()
        .get("/", async |_: Dep<Told>| {
            Err::<(), _>(HttpError::new(StatusCode::CONFLICT, "taken").source("by somebody else"))
        })
        .get("/panic", async || -> &'static str { panic!("below two layers") })
        .provide(told)
        .layer(Doubling)
        .layer(Tagging("x-tag"));
    let server = serve(&log, app).await;
    let reply = server.get("/").await;
    assert_eq!((reply.status, &*reply.body), (409, r#"{"detail":"taken"}"#));
    assert!(reply.head.contains("x-tag: yes\r\n"), "{}", reply.head);
    log.said("failed with 409: by somebody else").await;
    let reply = server.get("/panic").await;
    assert_eq!(reply.status, 500);
    assert!(reply.head.contains("x-tag: yes\r\n"), "the layers see a response: {}", reply.head);
    server.stop().await;
}

#[anyrt::test]
async fn a_route_has_a_deadline() {
    struct Watched;
    async fn watched(log: Dep<Log>) -> Teardown<Watched> {
        Teardown::new(Watched, async move |_, outcome: Outcome| log.say(outcome))
    }
    let log = Log::default();
    let app = App::new()
        .get(
            "/",
            (async |_: Dep<Watched>| std::future::pending::<()>().await).deadline(std::time::Duration::ZERO),
        )
        .provide(watched);
    let server = serve(&log, app).await;
    let reply = soon(server.get("/")).await;
    assert_eq!((reply.status, &*reply.body), (503, r#"{"detail":"The request took too long"}"#));
    server.stop().await;
    assert_eq!(log.lines(), ["the deadline of the route passed"]);
}
