//! Where the values of dependencies are dropped: what a plain function made may block, and is dropped where it may.

use std::sync::{Arc, Condvar, Mutex};

use anyrt::sync::Event;
use anyrt_http::{
    App, Background, Configure, Dep, Dependency, Error, Fresh, Lifetime, Outcome, Streaming, Teardown,
    TooLate,
};

use crate::client::{Server, soon};
use crate::log::{Log, serve};

/// Threads of the pool are known by their names: a job that nobody waits for counts as cancelled.
fn place() -> &'static str {
    let in_pool = std::thread::current().name().is_some_and(|name| name.starts_with("anyrt-blocking"));
    if in_pool { "in a thread" } else { "on the loop" }
}

/// Types that say where they are dropped.
macro_rules! telling {
    ($($name:ident),*) => {$(
        struct $name(Log);
        impl Dependency for $name {}
        impl Drop for $name {
            fn drop(&mut self) {
                self.0.say(format!("{} {}", stringify!($name), place()));
            }
        }
    )*};
}
telling!(Plain, Undone, Function, Whole, Given, Async, Outer, Slow);

fn plain(log: Dep<Log>) -> Plain {
    Plain(Log::clone(&log))
}

fn undone(log: Dep<Log>) -> Teardown<Undone> {
    Teardown::new(Undone(Log::clone(&log)), async |_, _: Outcome| {})
}

fn function(log: Dep<Log>) -> Function {
    Function(Log::clone(&log))
}

fn whole(log: Dep<Log>) -> Whole {
    Whole(Log::clone(&log))
}

async fn outer(_: Dep<Plain>, log: Dep<Log>) -> Outer {
    Outer(Log::clone(&log))
}

async fn asynchronous(log: Dep<Log>) -> Async {
    Async(Log::clone(&log))
}

fn app(log: &Log) -> App {
    App::new()
        .provide(plain)
        .provide(undone)
        .provide(function.lifetime(Lifetime::Function))
        .provide(whole.lifetime(Lifetime::App))
        .provide(outer)
        .provide(asynchronous)
        .provide_value(Given(log.clone()))
}

#[anyrt::test]
async fn what_a_plain_function_made_is_dropped_in_a_thread_last_made_first() {
    let log = Log::default();
    let app = app(&log)
        .get(
            "/async",
            async |_: Dep<Plain>, _: Dep<Undone>, _: Dep<Function>, _: Dep<Outer>, _: Dep<Whole>| "",
        )
        .get("/plain", |_: Dep<Plain>, _: Fresh<Plain>, _: Dep<Given>| "");
    let server = serve(&log, app).await;
    assert_eq!(server.get("/async").await.status, 200);
    log.said("Plain in a thread").await;
    let of_one = ["Outer", "Function", "Undone", "Plain"].map(|name| format!("{name} in a thread"));
    assert_eq!(log.take(), of_one);
    assert_eq!(server.get("/plain").await.status, 200);
    server.stop().await;
    log.said("Whole in a thread").await;
    log.said("Given in a thread").await;
    // Those of the app when the last request's are.
    let lines = log.take();
    assert_eq!(lines[..2], ["Plain in a thread"; 2]);
    assert_eq!(lines.len(), 4, "{lines:?}");
}

#[anyrt::test]
async fn what_an_async_function_made_of_nothing_plain_is_dropped_on_the_loop() {
    let log = Log::default();
    let server = serve(&log, app(&log).get("/", async |_: Dep<Async>| "")).await;
    assert_eq!(server.get("/").await.status, 200);
    log.said("Async on the loop").await;
    server.stop().await;
}

/// Drops wait here until they are let go.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn wait(&self) {
        let open = self.0.0.lock().expect("no panic");
        drop(self.0.1.wait_while(open, |open| !*open).expect("no panic"));
    }

    fn open(&self) {
        *self.0.0.lock().expect("no panic") = true;
        self.0.1.notify_all();
    }
}

/// Its drop blocks.
struct Blocking(Gate, Log);
impl Dependency for Blocking {}
impl Drop for Blocking {
    fn drop(&mut self) {
        self.1.say("dropping");
        self.0.wait();
        self.1.say("dropped");
    }
}

#[anyrt::test]
async fn neither_the_answer_nor_anybody_else_waits_for_a_drop_that_blocks() {
    let (log, gate) = (Log::default(), Gate::default());
    let app = App::new()
        .get("/async", async |_: Dep<Blocking>| "async")
        .get("/plain", |_: Dep<Blocking>| "plain")
        .get("/other", async || "other")
        .provide({
            let gate = gate.clone();
            move |log: Dep<Log>| Blocking(gate.clone(), Log::clone(&log))
        });
    // The drops take none of them.
    anyrt::current_handle().limiter().set_total(1);
    let server = serve(&log, app).await;
    for path in ["/async", "/plain", "/async"] {
        assert_eq!(server.get(path).await.body, &path[1..]);
        log.said("dropping").await;
        log.take();
        assert_eq!(server.get("/other").await.body, "other");
    }
    // The end of the server waits for them.
    let Server { stop, .. } = &server;
    stop.set();
    anyrt::checkpoint().await;
    assert!(!log.has("dropped"));
    gate.open();
    server.stop().await;
    assert_eq!(log.lines(), ["dropped"; 3]);
}

#[anyrt::test]
async fn a_place_is_free_when_the_value_is_dropped() {
    let (log, gate) = (Log::default(), Gate::default());
    let made = {
        let gate = gate.clone();
        move |log: Dep<Log>| {
            log.say("made");
            Blocking(gate.clone(), Log::clone(&log))
        }
    };
    let app = App::new().get("/", async |_: Dep<Blocking>| "").provide(made.max_concurrency(1));
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 200);
    log.said("dropping").await;
    let mut second = server.connect().await;
    second.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(server.get("/nowhere").await.status, 404);
    gate.open();
    assert_eq!(second.reply().await.status, 200);
    server.stop().await;
    assert_eq!(log.lines(), ["made", "dropping", "dropped", "made", "dropping", "dropped"]);
}

#[anyrt::test]
async fn values_are_dropped_in_a_thread_whatever_became_of_the_request() {
    let log = Log::default();
    let app = app(&log)
        .get("/refused", async |_: Dep<Plain>, _: anyrt_http::Path<u8>| "")
        .get("/panics", async |_: Dep<Plain>| -> &'static str { panic!("as it should") })
        .get(
            "/late",
            (async |_: Dep<Plain>| std::future::pending::<()>().await)
                .deadline(std::time::Duration::from_millis(300)),
        )
        .get("/left", async |_: Dep<Plain>, log: Dep<Log>| {
            log.say("begun");
            std::future::pending::<()>().await;
        })
        .get("/stream", async |plain: Dep<Plain>| {
            Streaming::new(futures_util::stream::once(async move {
                let _held = plain;
                "a piece"
            }))
        })
        .get("/background", async |_: Dep<Plain>, background: Background, log: Dep<Log>| {
            let log = Log::clone(&log);
            background.add(async move { log.say("background") })?;
            Ok::<_, TooLate>("")
        });
    let server = serve(&log, app).await;
    for (path, status) in [("/refused", 422), ("/panics", 500), ("/late", 503), ("/background", 200)] {
        assert_eq!(server.get(path).await.status, status, "{path}");
        log.said("Plain in a thread").await;
        let lines = log.take();
        assert_eq!(lines.last().map(String::as_str), Some("Plain in a thread"), "{path}: {lines:?}");
    }
    let mut client = server.connect().await;
    client.send("GET /stream HTTP/1.1\r\nHost: test\r\n\r\n").await;
    client.reads_until("a piece\r\n0\r\n\r\n").await;
    log.said("Plain in a thread").await;
    log.take();
    client.send("GET /left HTTP/1.1\r\nHost: test\r\n\r\n").await;
    log.said("begun").await;
    drop(client);
    log.said("Plain in a thread").await;
    assert_eq!(log.take(), ["begun", "Plain in a thread"]);
    server.stop().await;
}

#[anyrt::test]
async fn a_panic_in_a_drop_keeps_no_other_value() {
    struct Panicking;
    impl Dependency for Panicking {}
    impl Drop for Panicking {
        fn drop(&mut self) {
            panic!("as it should");
        }
    }
    let log = Log::default();
    let app = app(&log).get("/", async |_: Dep<Plain>, _: Dep<Panicking>| "").provide(|| Panicking);
    let client = app.provide_value(log.clone()).test().await;
    for _ in 0..2 {
        assert_eq!(client.get("/").await.status(), 200);
        log.said("Plain in a thread").await;
        log.take();
    }
    client.close().await.expect("it ends well");
}

#[anyrt::test]
async fn a_type_or_a_provider_may_say_that_its_drop_is_quick() {
    struct Quick(Log);
    impl Dependency for Quick {
        const DROPS_ANYWHERE: bool = true;
    }
    impl Drop for Quick {
        fn drop(&mut self) {
            self.0.say(format!("Quick {}", place()));
        }
    }
    fn quick(log: Dep<Log>) -> Quick {
        Quick(Log::clone(&log))
    }
    fn here(log: Dep<Log>) -> Slow {
        Slow(Log::clone(&log))
    }
    let log = Log::default();
    let app =
        App::new().get("/", async |_: Dep<Quick>, _: Dep<Slow>| "").provide(quick).provide(here.drop_here());
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 200);
    log.said("Slow on the loop").await;
    log.said("Quick on the loop").await;
    server.stop().await;
    let refused = App::new().get("/", (async || "").drop_here()).into_service().expect_err("no provider");
    assert!(matches!(refused, Error::Setting { .. }), "{refused}");
}

/// A value that owns a tokio runtime, as blocking clients of databases do. Such a one must not be dropped where futures
/// are polled.
#[cfg(feature = "tokio")]
struct Owner(#[allow(dead_code, reason = "it is dropped")] tokio::runtime::Runtime);

#[cfg(feature = "tokio")]
impl Dependency for Owner {}

#[cfg(feature = "tokio")]
fn owner() -> Owner {
    Owner(tokio::runtime::Builder::new_current_thread().build().expect("a runtime"))
}

#[cfg(feature = "tokio")]
#[anyrt::test]
async fn what_owns_a_runtime_is_a_dependency_in_every_scope() {
    fn torn_down() -> Teardown<Owner> {
        Teardown::new(owner(), |_, _: Outcome| ())
    }
    let asking = || App::new().get("/async", async |_: Dep<Owner>| "").get("/plain", |_: Dep<Owner>| "");
    let apps = [
        asking().provide(owner),
        asking().provide(owner.lifetime(Lifetime::Function)),
        asking().provide(owner.lifetime(Lifetime::App)),
        asking().provide(torn_down),
        asking().provide(torn_down.lifetime(Lifetime::Function)),
        asking().provide(torn_down.lifetime(Lifetime::App)),
        asking().provide_value(anyrt::run_blocking(owner).await),
    ];
    for app in apps {
        let server = Server::start(app).await;
        for path in ["/async", "/plain", "/async"] {
            assert_eq!(server.get(path).await.status, 200);
        }
        server.stop().await;
    }
    let client = asking().provide(owner).test().await;
    client.override_with(owner).expect("there is one");
    assert_eq!(client.get("/async").await.status(), 200);
    client.close().await.expect("it ends well");
}

#[anyrt::test]
async fn a_request_that_waits_in_line_keeps_its_values_until_it_is_over() {
    let (log, go) = (Log::default(), Event::new());
    let app = app(&log).get("/", {
        let go = go.clone();
        move |_: Dep<Plain>| {
            let go = go.clone();
            async move { go.wait().await }
        }
    });
    let server = serve(&log, app).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    while go.waiting() == 0 {
        anyrt::checkpoint().await;
    }
    assert_eq!(log.lines(), [""; 0]);
    go.set();
    assert_eq!(soon(client.reply()).await.status, 200);
    server.stop().await;
    assert_eq!(log.lines()[0], "Plain in a thread");
}
