//! The limit of the thread pool, and limits of dependencies.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, mpsc};

use anyrt::sync::Event;
use anyrt::{Run, from_thread};
use anyrt_http::{
    App, Background, Configure, Dep, Dependency, Lifetime, Outcome, Streaming, Teardown, TooLate,
};

use crate::client::{Server, soon};
use crate::log::{Log, serve};

struct Slow;
impl Dependency for Slow {}
struct Sub;
impl Dependency for Sub {}

/// Plain functions wait here until they are let go.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn wait(&self) {
        let open = self.0.0.lock().expect("no panic");
        drop(self.0.1.wait_while(open, |open| !*open).expect("no panic"));
    }

    /// Opens it when it is dropped, so that a test that fails ends.
    fn opened_at_last(&self) -> Opened {
        Opened(self.clone())
    }

    fn open(&self) {
        *self.0.0.lock().expect("no panic") = true;
        self.0.1.notify_all();
    }
}

struct Opened(Gate);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// What the log of this thread is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<String>>);

impl tracing::Subscriber for Told {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("anyrt_http")
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text<'a>(&'a mut String);
        impl tracing::field::Visit for Text<'_> {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                *self.0 += &format!("{field}={value:?} ");
            }
        }
        event.record(&mut Text(&mut self.0.lock().expect("no panic")));
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::Id {
        tracing::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}
    fn enter(&self, _: &tracing::Id) {}
    fn exit(&self, _: &tracing::Id) {}
}

#[test]
fn wl_01_the_size_is_documented_set_by_the_builder_and_printed_at_start_up() {
    let total = |run: Run| {
        let total = run.run(async {
            let app = App::new().get("/", async || anyrt::current_handle().limiter().total().to_string());
            app.test().get("/").await.text().to_owned()
        });
        total.expect("the run ends well")
    };
    assert_eq!(total(anyrt::builder()), "40");
    assert_eq!(total(anyrt::builder().blocking_limit(7)), "7");
    let told = Told::default();
    // With one subscriber only, tracing takes the answer of the thread that comes to a place first for all.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    tracing::subscriber::with_default(told.clone(), || {
        anyrt::builder()
            .blocking_limit(7)
            .run(async {
                let app = App::new().get("/where", (async || "").named("here")).provide_value(1_u8);
                app.run_with(async |_| ()).await.expect("it starts and ends");
            })
            .expect("the run ends well");
    });
    let told = told.0.lock().expect("no panic").clone();
    assert!(told.contains("limit=7 "), "{told}");
    // And so are the routes.
    assert!(told.contains(r#"method="GET" path="/where" handler="here" place="event loop""#), "{told}");
}

#[anyrt::test]
async fn wl_02_teardown_and_the_loop_need_no_token_of_those_that_handlers_share() {
    struct Undone;
    async fn undone(log: Dep<Log>) -> Teardown<Undone> {
        Teardown::new(Undone, move |_, _| log.say("undone in the pool"))
    }
    fn slow() -> Slow {
        Slow
    }
    anyrt::current_handle().limiter().set_total(1);
    let (log, gate, begun) = (Log::default(), Gate::default(), Event::new());
    let _open = gate.opened_at_last();
    let app = App::new()
        .get("/plain", {
            let (gate, begun) = (gate.clone(), begun.clone());
            move || {
                begun.set();
                gate.wait();
                "plain"
            }
        })
        .get("/async", async |_: Dep<Undone>| "async")
        .get("/dependency", async |_: Dep<Slow>, log: Dep<Log>| log.say("had a token"))
        .provide(undone)
        .provide(slow);
    let server = serve(&log, app).await;
    let mut plain = server.connect().await;
    plain.send("GET /plain HTTP/1.1\r\nHost: test\r\n\r\n").await;
    soon(begun.wait()).await;
    // The one token is taken.
    assert_eq!(server.get("/async").await.body, "async");
    log.said("undone in the pool").await;
    // A plain dependency waits for it, as a plain handler does.
    let mut waits = server.connect().await;
    waits.send("GET /dependency HTTP/1.1\r\nHost: test\r\n\r\n").await;
    while anyrt::current_handle().limiter().waiting() == 0 {
        anyrt::checkpoint().await;
    }
    assert!(!log.has("had a token"));
    gate.open();
    assert_eq!(plain.reply().await.body, "plain");
    assert_eq!(waits.reply().await.status, 200);
    server.stop().await;
}

#[anyrt::test]
async fn wl_03_the_limit_is_changed_at_start_up_and_at_run_time() {
    let (gate, begun) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
    let app = App::new()
        .get("/", {
            let (gate, begun) = (gate.clone(), Arc::clone(&begun));
            move || {
                begun.fetch_add(1, Ordering::SeqCst);
                gate.wait();
            }
        })
        .post("/more", async || anyrt::current_handle().limiter().set_total(2))
        .lifespan(async |app: anyrt_http::Lifespan| {
            anyrt::current_handle().limiter().set_total(1);
            app.serve(()).await;
        });
    let server = Server::start(app).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect().await;
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
        clients.push(client);
    }
    let _open = gate.opened_at_last();
    while anyrt::current_handle().limiter().waiting() == 0 || begun.load(Ordering::SeqCst) == 0 {
        anyrt::checkpoint().await;
    }
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    assert_eq!(server.post("/more", "text/plain", "").await.status, 200);
    while begun.load(Ordering::SeqCst) < 2 {
        anyrt::checkpoint().await;
    }
    gate.open();
    for mut client in clients {
        assert_eq!(client.reply().await.status, 200);
    }
    server.stop().await;
}

/// Three connections to a database; who wants one more waits, with the thread it is in.
#[derive(Clone, Default)]
struct Connections(Arc<(Mutex<usize>, Condvar)>);

impl Connections {
    fn take(&self) {
        let taken = self.0.0.lock().expect("no panic");
        let mut taken = self.0.1.wait_while(taken, |taken| *taken == 3).expect("no panic");
        *taken += 1;
    }

    fn give_back(&self) {
        *self.0.0.lock().expect("no panic") -= 1;
        self.0.1.notify_one();
    }
}

struct Session(Connections, Mutex<bool>);

impl Session {
    fn connect(&self) {
        let mut connected = self.1.lock().expect("no panic");
        if !std::mem::replace(&mut *connected, true) {
            self.0.take();
        }
    }

    fn close(&self) {
        if *self.1.lock().expect("no panic") {
            self.0.give_back();
        }
    }
}

/// Twelve requests at once, three threads, three connections: all must be answered.
async fn twelve(app: App) {
    anyrt::current_handle().limiter().set_total(3);
    let server = Server::start(app.provide_value(Connections::default())).await;
    let mut clients = Vec::new();
    for _ in 0..12 {
        let mut client = server.connect().await;
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
        clients.push(client);
    }
    for mut client in clients {
        assert_eq!(client.reply().await.status, 200);
    }
    server.stop().await;
}

/// Lets the first three come only together, so that the connections are all taken at once.
fn together() -> impl Fn() + Clone + Send + Sync + 'static {
    let (turn, barrier) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(3)));
    move || {
        if turn.fetch_add(1, Ordering::SeqCst) < 3 {
            barrier.wait();
        }
    }
}

#[anyrt::test]
async fn wl_05_nothing_of_the_framework_waits_for_the_handlers_limiter() {
    fn session(connections: Dep<Connections>) -> Teardown<Session> {
        let session = Session(Connections::clone(&connections), Mutex::new(false));
        Teardown::new(session, |session, _| session.close())
    }
    let together = together();
    let app = App::new()
        // It connects when it first needs to, and keeps the connection until it is closed.
        .get("/", move |session: Dep<Session>| {
            session.connect();
            together();
            anyrt_http::Json(vec![1, 2, 3])
        })
        .provide(session);
    twelve(app).await;
}

fn connected(connections: Dep<Connections>) -> Teardown<Session> {
    let session = Session(Connections::clone(&connections), Mutex::new(false));
    session.connect();
    Teardown::new(session, |session, _| session.close())
}

#[anyrt::test]
async fn wl_06_with_max_concurrency_the_same_load_does_not_wait_in_threads() {
    let together = together();
    let app = App::new().get("/", move |_: Dep<Session>| together()).provide(connected.max_concurrency(3));
    twelve(app).await;
}

#[anyrt::test]
async fn wl_07_with_an_async_handler_the_same_load_is_answered() {
    let app = App::new().get("/", async |_: Dep<Session>| anyrt::checkpoint().await).provide(connected);
    twelve(app).await;
}

/// One at a time; says what becomes of it.
async fn limited(log: Dep<Log>) -> Teardown<Slow> {
    log.say("made");
    Teardown::new(Slow, async move |_, _| {
        log.say("undoing");
        for _ in 0..3 {
            anyrt::checkpoint().await;
        }
        log.say("undone");
    })
}

#[anyrt::test]
async fn wl_09_a_place_is_held_until_the_teardown_has_ended() {
    for lifetime in [Lifetime::Request, Lifetime::Function] {
        let log = Log::default();
        let app = App::new()
            .get("/", async |_: Dep<Slow>, background: Background, log: Dep<Log>| {
                let (task, body) = (log.clone(), log);
                background.add(async move { task.say("background") })?;
                let pieces = futures_util::stream::once(async move {
                    body.say("body");
                    "piece"
                });
                Ok::<_, TooLate>(Streaming::new(pieces))
            })
            .provide(limited.lifetime(lifetime).max_concurrency(1));
        let server = serve(&log, app).await;
        let (mut one, mut other) = (server.connect().await, server.connect().await);
        for client in [&mut one, &mut other] {
            client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await;
        }
        assert!(one.closed_after_all().await && other.closed_after_all().await);
        server.stop().await;
        let mut lines = log.lines();
        if lifetime == Lifetime::Function {
            lines.retain(|line| line != "body" && line != "background");
            assert_eq!(lines, [["made", "undoing", "undone"]; 2].concat());
        } else {
            assert_eq!(lines, [["made", "body", "background", "undoing", "undone"]; 2].concat());
        }
    }
}

#[anyrt::test]
async fn wl_09_a_value_without_a_teardown_holds_its_place_as_long() {
    async fn limited(log: Dep<Log>) -> Slow {
        log.say("made");
        Slow
    }
    let log = Log::default();
    let app = App::new()
        .get("/", async |_: Dep<Slow>, log: Dep<Log>| {
            for _ in 0..5 {
                anyrt::checkpoint().await;
            }
            log.say("handler ends");
        })
        .provide(limited.max_concurrency(1));
    let server = serve(&log, app).await;
    let (mut one, mut other) = (server.connect().await, server.connect().await);
    for client in [&mut one, &mut other] {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    }
    assert_eq!((one.reply().await.status, other.reply().await.status), (200, 200));
    assert_eq!(log.lines(), [["made", "handler ends"]; 2].concat());
    drop((one, other));
    server.stop().await;
}

#[anyrt::test]
async fn wl_10_a_value_from_the_cache_takes_no_second_place() {
    async fn sub(_: Dep<Slow>) -> Sub {
        Sub
    }
    let log = Log::default();
    let app = App::new()
        .get("/", async |_: Dep<Slow>, _: Dep<Sub>, _: Dep<Slow>| "")
        .provide(sub)
        .provide(limited.max_concurrency(1));
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 200);
    server.stop().await;
    assert_eq!(log.lines(), ["made", "undoing", "undone"]);
}

#[anyrt::test]
async fn wl_11_what_a_dependency_needs_is_there_before_it_waits_for_its_place() {
    async fn sub(log: Dep<Log>) -> Teardown<Sub> {
        log.say("sub made");
        Teardown::new(Sub, async move |_, outcome: Outcome| {
            log.say(format!("sub cancelled: {}", matches!(outcome, Outcome::Cancelled(_))));
        })
    }
    async fn needs(_: Dep<Sub>, log: Dep<Log>) -> Slow {
        log.say("made");
        Slow
    }
    let (log, go) = (Log::default(), Event::new());
    let app = App::new()
        .get("/", {
            let go = go.clone();
            move |_: Dep<Slow>| {
                let go = go.clone();
                async move { go.wait().await }
            }
        })
        .provide(sub)
        .provide(needs.max_concurrency(1));
    let server = serve(&log, app).await;
    let mut one = server.connect().await;
    one.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    log.said("made").await;
    assert_eq!(log.take(), ["sub made", "made"]);
    let mut other = server.connect().await;
    other.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    log.said("sub made").await;
    // Waiting for a place is cancelled with its client, and needs none.
    drop(other);
    log.said("sub cancelled: true").await;
    assert!(!log.has("made"));
    go.set();
    assert_eq!(one.reply().await.status, 200);
    drop(one);
    server.stop().await;
}

#[test]
fn wl_13_none_at_all_is_a_mistake() {
    let error = App::new().provide_value(Log::default()).provide(limited.max_concurrency(0));
    let text = error.into_service().expect_err("a mistake").to_string();
    assert!(text.contains("Slow`") && text.contains("max_concurrency(0)"), "{text}");
}

#[anyrt::test]
async fn wl_14_a_plain_function_that_calls_back_and_blocks_again_finishes() {
    anyrt::current_handle().limiter().set_total(1);
    let (send, receive) = mpsc::channel();
    let send = Mutex::new(send);
    let app = App::new().get("/", move || {
        let inner = from_thread::run(async { anyrt::run_blocking(|| 20 + 1).await }).expect("it ends");
        send.lock().expect("no panic").send(inner).expect("somebody waits");
        (inner * 2).to_string()
    });
    let server = Server::start(app).await;
    assert_eq!(server.get("/").await.body, "42");
    assert_eq!(receive.try_recv(), Ok(21));
    server.stop().await;
}
