//! Teardown: its order, its errors.

use std::io;
use std::panic::panic_any;

use anyrt::sync::Event;
use anyrt_http::{
    App, Client, Configure, Dep, Dependency, Error, Give, HttpError, Lifetime, Outcome, Path, Refusal,
    Teardown,
};
use axum_core::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use http::StatusCode;

use crate::client::{Server, soon};
use crate::log::{Log, serve};

macro_rules! kinds {
    ($($name:ident),*) => {$(
        #[derive(Debug)]
        struct $name;
        impl Dependency for $name {}
    )*};
}
kinds!(A, B, C, D, Plain);

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok(status) => format!("ok {}", status.as_u16()),
        Outcome::Error(_) => {
            let status = outcome.status().map_or(0, |status| status.as_u16());
            format!("error {status} {}", outcome.source().map(ToString::to_string).unwrap_or_default())
        }
        // Of a panic in the pool the text goes on with the thread's name.
        Outcome::Panicked(message) => {
            format!("panicked {}", message.split_once(" (").map_or(&**message, |(text, _)| text))
        }
        Outcome::Cancelled(_) => "cancelled".to_owned(),
        _ => "something else".to_owned(),
    }
}

/// Says when it is undone, and what it was told.
fn says<T: Send + Sync + 'static>(log: &Dep<Log>, name: &'static str, value: T) -> Teardown<T> {
    let log = log.clone();
    log.say(format!("{name} made"));
    Teardown::new(value, async move |_, outcome: Outcome| log.say(format!("{name} {}", told(&outcome))))
}

fn says_plain<T: Send + Sync + 'static>(log: &Dep<Log>, name: &'static str, value: T) -> Teardown<T> {
    let log = log.clone();
    log.say(format!("{name} made"));
    Teardown::new(value, move |_, outcome: Outcome| log.say(format!("{name} {}", told(&outcome))))
}

async fn a(log: Dep<Log>) -> Teardown<A> {
    says(&log, "a", A)
}
fn b(log: Dep<Log>, _: Dep<A>) -> Teardown<B> {
    says_plain(&log, "b", B)
}
async fn c(log: Dep<Log>, _: Dep<B>) -> Teardown<C> {
    says(&log, "c", C)
}

#[anyrt::test]
async fn wy_01_teardown_is_last_in_first_out_async_and_plain_mixed() {
    fn d(log: Dep<Log>) -> Teardown<D> {
        says_plain(&log, "d", D)
    }
    let log = Log::default();
    let app =
        App::new().get("/", async |_: Dep<C>, _: Dep<D>| "").provide(a).provide(b).provide(c).provide(d);
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 200);
    server.stop().await;
    let expected = ["a made", "b made", "c made", "d made", "d ok 200", "c ok 200", "b ok 200", "a ok 200"];
    assert_eq!(log.lines(), expected);
}

/// Says when its first piece is asked for, and ends when it is told.
fn stream(log: &Log, go: Event) -> Body {
    let first = {
        let log = log.clone();
        async move {
            log.say("body begins");
            Ok::<_, io::Error>(Bytes::from_static(b"first "))
        }
    };
    let second = async move {
        go.wait().await;
        Ok(Bytes::from_static(b"second"))
    };
    Body::from_stream(futures_util::stream::once(first).chain(futures_util::stream::once(second)))
}

#[anyrt::test]
async fn wy_02_the_function_scope_is_undone_before_the_response_starts() {
    let (log, go) = (Log::default(), Event::new());
    let app = App::new()
        .get("/", {
            let (log, go) = (log.clone(), go.clone());
            move |_: Dep<A>| {
                log.say("handler");
                let body = stream(&log, go.clone());
                async { body }
            }
        })
        .provide(a.lifetime(Lifetime::Function));
    let server = serve(&log, app).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    log.said("body begins").await;
    assert_eq!(log.lines(), ["a made", "handler", "a ok 200", "body begins"]);
    go.set();
    drop(client);
    server.stop().await;
}

#[test]
fn wy_04_a_request_scope_dependency_that_needs_a_function_scope_one_is_refused() {
    fn needs(_: Dep<Plain>) -> Teardown<C> {
        Teardown::new(C, |_, _| ())
    }
    // Through a value that nobody undoes.
    async fn plain(_: Dep<A>) -> Plain {
        Plain
    }
    let app = App::new().provide_value(Log::default()).provide(needs).provide(plain);
    let error = app.provide(a.lifetime(Lifetime::Function)).into_service().expect_err("a mistake");
    let text = error.to_string();
    assert!(
        matches!(error, Error::Lifetime { lifetime: Lifetime::Request, until: Lifetime::Function, .. }),
        "{text}"
    );
    assert!(text.contains("::C`") && text.contains("::Plain>`"), "both ends: {text}");

    async fn at_start(_: Dep<A>) -> C {
        C
    }
    let app = App::new().provide_value(Log::default()).provide(at_start.lifetime(Lifetime::App)).provide(a);
    let error = app.into_service().expect_err("a mistake");
    assert!(
        matches!(error, Error::Lifetime { lifetime: Lifetime::App, until: Lifetime::Request, .. }),
        "{error}"
    );
    let app = App::new().provide((async |_: http::Method| C).lifetime(Lifetime::App));
    let error = app.into_service().expect_err("a mistake");
    assert!(matches!(error, Error::AtStart { argument: "http::method::Method", .. }), "{error}");
}

#[anyrt::test]
async fn wy_05_a_function_scope_dependency_may_need_a_request_scope_one() {
    let log = Log::default();
    let app = App::new().get("/", async |_: Dep<B>| "").provide(a).provide(b.lifetime(Lifetime::Function));
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 200);
    server.stop().await;
    assert_eq!(log.lines(), ["a made", "b made", "b ok 200", "a ok 200"]);
}

#[anyrt::test]
async fn wy_06_one_function_in_two_scopes_makes_two_values() {
    struct Of<const SCOPE: char>;
    async fn of<const SCOPE: char>(log: Dep<Log>) -> Teardown<Of<SCOPE>> {
        says(&log, if SCOPE == 'f' { "function" } else { "request" }, Of)
    }
    let log = Log::default();
    let app = App::new()
        .get("/", async |_: Dep<Of<'f'>>, _: Dep<Of<'r'>>| "")
        .provide(of::<'f'>.lifetime(Lifetime::Function))
        .provide(of::<'r'>.lifetime(Lifetime::Request));
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 200);
    server.stop().await;
    assert_eq!(log.lines(), ["function made", "request made", "function ok 200", "request ok 200"]);
}

#[anyrt::test]
async fn wy_08_while_a_body_is_streamed_request_scope_is_open_and_function_scope_closed() {
    let (log, go) = (Log::default(), Event::new());
    let app = App::new()
        .get("/", {
            let (log, go) = (log.clone(), go.clone());
            move |_: Dep<A>, _: Dep<B>| {
                let body = stream(&log, go.clone());
                async { body }
            }
        })
        .provide(a)
        .provide(b.lifetime(Lifetime::Function));
    let server = serve(&log, app).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await;
    log.said("body begins").await;
    assert_eq!(log.lines(), ["a made", "b made", "b ok 200", "body begins"]);
    go.set();
    log.said("a ok 200").await;
    assert!(client.closed_after_all().await);
    server.stop().await;
}

fn teapot() -> HttpError {
    HttpError::new(StatusCode::IM_A_TEAPOT, "short and stout").source(io::Error::other("no coffee"))
}

#[anyrt::test]
async fn wy_09_the_handlers_error_is_told_innermost_first() {
    let log = Log::default();
    let app = App::new()
        .get("/", async |_: Dep<C>| Err::<(), _>(teapot()))
        .get("/plain", |_: Dep<C>| Err::<(), _>(teapot()))
        .provide(a)
        .provide(b)
        .provide(c.lifetime(Lifetime::Function));
    let server = serve(&log, app).await;
    for path in ["/", "/plain"] {
        assert_eq!(server.get(path).await.status, 418);
        log.said("a error 418 no coffee").await;
        let expected = ["c error 418 no coffee", "b error 418 no coffee", "a error 418 no coffee"];
        assert_eq!(log.take()[3..], expected);
    }
    server.stop().await;
}

#[anyrt::test]
async fn wy_10_a_teardown_may_replace_the_error_and_those_further_out_see_the_new_one() {
    async fn replaces(_: Dep<A>) -> Teardown<B> {
        Teardown::new(B, async |_, outcome: Outcome| {
            let source = outcome.source().map(ToString::to_string).unwrap_or_default();
            Err::<(), _>(
                HttpError::new(StatusCode::BAD_GATEWAY, "replaced")
                    .source(io::Error::other(source + ", no tea")),
            )
        })
    }
    let log = Log::default();
    let app = App::new()
        .get("/", async |_: Dep<B>| Err::<(), _>(teapot()))
        .get("/fine", async |_: Dep<B>| "fine")
        .provide(a)
        .provide(replaces.lifetime(Lifetime::Function));
    let server = serve(&log, app).await;
    let reply = server.get("/").await;
    assert_eq!((reply.status, &*reply.body), (502, r#"{"detail":"replaced"}"#));
    log.said("a error 502 no coffee, no tea").await;
    // A commit that fails is an error of the request.
    assert_eq!(server.get("/fine").await.status, 502);
    server.stop().await;
}

#[anyrt::test]
async fn wy_11_a_teardown_that_says_nothing_swallows_nothing() {
    async fn quiet() -> Teardown<A> {
        Teardown::new(A, async |_, _| ())
    }
    let app = App::new()
        .get("/", async |_: Dep<A>| Err::<(), _>(teapot()))
        .provide(quiet.lifetime(Lifetime::Function));
    let server = Server::start(app).await;
    assert_eq!(server.get("/").await.status, 418);
    server.stop().await;
}

#[anyrt::test]
async fn wy_12_a_status_that_is_an_error_is_told_like_any_error() {
    let log = Log::default();
    let app = App::new()
        .get("/{status}", async |_: Dep<A>, Path(status): Path<u16>| {
            StatusCode::from_u16(status).expect("a status")
        })
        .provide(a);
    let server = serve(&log, app).await;
    for (status, expected) in [(204, "a ok 204"), (404, "a error 404 "), (503, "a error 503 ")] {
        assert_eq!(server.get(&format!("/{status}")).await.status, status);
        log.said(expected).await;
    }
    server.stop().await;
}

#[anyrt::test]
async fn wy_13_teardown_runs_whatever_happened() {
    async fn refuses(_: Dep<A>) -> Result<C, HttpError> {
        Err(teapot())
    }
    fn panics(_: Dep<A>) -> D {
        panic!("in a provider")
    }
    async fn never(_: Dep<A>, begun: Dep<Event>) -> Plain {
        begun.set();
        std::future::pending().await
    }
    let (log, begun) = (Log::default(), Event::new());
    let app = App::new()
        .get("/handler", async |_: Dep<A>| -> &'static str { panic!("in the handler") })
        .get("/setup", async |_: Dep<C>| "")
        .get("/panic", async |_: Dep<D>| "")
        .get("/validation/{id}", async |_: Dep<A>, _: Path<u8>| "")
        .get("/cancelled", async |_: Dep<Plain>| "")
        .get("/string", async |_: Dep<A>| -> &'static str { panic_any(7_u8) })
        .provide(a)
        .provide(refuses)
        .provide(panics)
        .provide(never)
        .provide_value(begun.clone());
    let server = serve(&log, app).await;
    for (path, status, expected) in [
        ("/handler", 500, "a panicked in the handler"),
        ("/setup", 418, "a error 418 no coffee"),
        ("/panic", 500, "a panicked in a provider"),
        ("/string", 500, "a panicked a panic without a message"),
    ] {
        assert_eq!(server.get(path).await.status, status);
        log.said(expected).await;
    }
    assert_eq!(server.get("/validation/x").await.status, 422);
    let mut client = server.connect().await;
    client.send("GET /cancelled HTTP/1.1\r\nHost: test\r\n\r\n").await;
    soon(begun.wait()).await;
    drop(client);
    log.said("a cancelled").await;
    server.stop().await;
    assert_eq!(log.lines().iter().filter(|line| *line == "a made").count(), 6);
    assert_eq!(log.lines().len(), 12);
}

#[anyrt::test]
async fn wy_13_a_teardown_that_panics_stops_none_of_the_others() {
    async fn panics(_: Dep<A>) -> Teardown<B> {
        Teardown::new(B, async |_, _| {
            if true {
                panic!("in a teardown")
            }
        })
    }
    let log = Log::default();
    let app = App::new().get("/request", async |_: Dep<B>| "fine").provide(a).provide(panics);
    let server = serve(&log, app).await;
    assert_eq!(server.get("/request").await.status, 200);
    log.said("a panicked in a teardown").await;
    server.stop().await;

    // Before the response has started it is a 500.
    let log = Log::default();
    let app =
        App::new().get("/", async |_: Dep<B>| "fine").provide(a).provide(panics.lifetime(Lifetime::Function));
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 500);
    log.said("a panicked in a teardown").await;
    server.stop().await;
}

#[anyrt::test]
async fn wy_16_an_error_after_the_response_started_changes_it_no_more() {
    async fn fails(_: Dep<A>) -> Teardown<B> {
        Teardown::new(B, async |_, _| Err::<(), _>(teapot()))
    }
    let log = Log::default();
    let app = App::new().get("/", async |_: Dep<B>| "fine").provide(a).provide(fails);
    let server = serve(&log, app).await;
    let reply = server.get("/").await;
    assert_eq!((reply.status, &*reply.body), (200, "fine"));
    log.said("a error 418 no coffee").await;
    server.stop().await;
}

#[anyrt::test]
async fn wy_17_an_error_of_a_background_task_is_told_to_the_request_scope() {
    let log = Log::default();
    let app = App::new()
        .get("/", async |_: Dep<A>, background: anyrt_http::Background| {
            background.add(async { Err::<(), _>(io::Error::other("the mail was not sent")) }).map(|_| "fine")
        })
        .provide(a);
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 200);
    log.said("a error 0 the mail was not sent").await;
    server.stop().await;
}

#[anyrt::test]
async fn wy_19_entering_a_dependency_can_be_cancelled() {
    async fn never(log: Dep<Log>) -> Teardown<A> {
        let _dropped = log.on_drop("dropped");
        log.say("begun");
        std::future::pending().await
    }
    let log = Log::default();
    let app = App::new().get("/", async |_: Dep<A>| "").provide(never);
    let server = serve(&log, app).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    log.said("begun").await;
    drop(client);
    log.said("dropped").await;
    server.stop().await;
    assert_eq!(log.lines(), ["begun", "dropped"]);
}

#[anyrt::test]
async fn wy_20_after_a_shielded_teardown_a_cancelled_request_does_no_more() {
    async fn waits(begun: Dep<Event>, log: Dep<Log>, client: Client, _: Dep<A>) -> Teardown<B> {
        Teardown::new(B, async move |_, _| {
            begun.set();
            client.disconnected().await;
            log.say("undone");
        })
    }
    let (log, begun) = (Log::default(), Event::new());
    let app = App::new()
        .get("/", {
            let log = log.clone();
            move |_: Dep<B>| {
                let body = stream(&log, Event::new());
                async { body }
            }
        })
        .provide(a)
        .provide(waits.lifetime(Lifetime::Function))
        .provide_value(begun.clone());
    let server = serve(&log, app).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    soon(begun.wait()).await;
    drop(client);
    log.said("undone").await;
    log.said("a cancelled").await;
    server.stop().await;
    assert!(!log.has("body begins"), "the body of a client that left is not begun");
}

#[anyrt::test]
async fn wy_22_a_teardown_can_have_a_limit_of_its_own() {
    async fn slow(log: Dep<Log>) -> Teardown<A> {
        Teardown::new(A, async move |_, _| {
            let late = anyrt::move_on_after(std::time::Duration::ZERO, std::future::pending::<()>()).await;
            assert!(late.is_none());
            log.say("gave up");
        })
    }
    let log = Log::default();
    let app = App::new().get("/", async |_: Dep<A>| "").provide(slow);
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 200);
    server.stop().await;
    assert_eq!(log.lines(), ["gave up"]);
}

#[anyrt::test]
async fn a_layer_that_drops_its_call_cancels_the_request_which_is_undone() {
    async fn never(_: Dep<A>, log: Dep<Log>) -> &'static str {
        let _dropped = log.on_drop("handler dropped");
        std::future::pending().await
    }
    let log = Log::default();
    let app = App::new().get("/", never).provide(a).layer(crate::layers::Dropping);
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 408);
    log.said("a cancelled").await;
    server.stop().await;
    assert_eq!(log.lines(), ["a made", "handler dropped", "a cancelled"]);
}

#[anyrt::test]
async fn wy_21_a_dependency_may_open_a_task_group_around_what_uses_it() {
    struct Tasks(anyrt::TaskGroup);
    async fn tasks(log: Dep<Log>) -> Result<Teardown<Tasks>, Refusal> {
        Teardown::around(async move |give: Give<Tasks>| {
            let saying = log.clone();
            let ended = anyrt::task_group(async |group| {
                let outcome = give.value(Tasks(group)).await;
                saying.say(format!("the group is told: {}", told(&outcome)));
            })
            .await;
            log.say(format!("the group has ended: {}", ended.is_ok()));
        })
        .await
    }
    async fn spawns(tasks: Dep<Tasks>, log: Dep<Log>, go: Dep<Event>) -> &'static str {
        let go = go.clone();
        tasks.0.spawn(async move {
            log.say("child begins");
            go.wait().await;
            log.say("child ends");
        });
        "answer"
    }
    let (log, go) = (Log::default(), Event::new());
    let app = App::new()
        .get("/", spawns)
        .get("/cancelled", async |_: Dep<Tasks>, log: Dep<Log>| {
            log.say("handler begins");
            std::future::pending::<()>().await;
        })
        .provide(tasks)
        .provide_value(go.clone());
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.body, "answer");
    log.said("child begins").await;
    log.said("the group is told: ok 200").await;
    assert!(!log.has("the group has ended: true"));
    go.set();
    log.said("the group has ended: true").await;
    log.take();
    // Also when the request is cancelled.
    let mut client = server.connect().await;
    client.send("GET /cancelled HTTP/1.1\r\nHost: test\r\n\r\n").await;
    log.said("handler begins").await;
    drop(client);
    log.said("the group has ended: true").await;
    assert!(log.has("the group is told: cancelled"));
    server.stop().await;
}

#[anyrt::test]
async fn code_around_a_request_that_gives_no_value_refuses_it() {
    async fn refuses() -> Result<Teardown<A>, Refusal> {
        Teardown::around(async |_: Give<A>| Err::<(), _>(teapot())).await
    }
    async fn forgets() -> Result<Teardown<B>, Refusal> {
        Teardown::around(async |_: Give<B>| ()).await
    }
    let app = App::new()
        .get("/refuses", async |_: Dep<A>| "")
        .get("/forgets", async |_: Dep<B>| "")
        .provide(refuses)
        .provide(forgets);
    let server = Server::start(app).await;
    assert_eq!(server.get("/refuses").await.status, 418);
    assert_eq!(server.get("/forgets").await.status, 500);
    server.stop().await;
}
