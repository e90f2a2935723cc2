//! Lifespans: start-up, shutdown, and what lives in between.

use std::io;

use anyrt::sync::Event;
use anyrt_http::{
    App, Background, BoxError, Configure, Dep, Dependency, Error, Lifespan, Lifetime, Outcome, Router,
    Teardown, TooLate,
};

use crate::client::{Client, Server, soon};
use crate::log::{Log, serve};

#[anyrt::test]
async fn ws_01_no_request_is_served_before_the_start() {
    let (log, begun, go) = (Log::default(), Event::new(), Event::new());
    let app = App::new().get("/", async |log: Dep<Log>| log.say("request")).lifespan({
        let (log, begun, go) = (log.clone(), begun.clone(), go.clone());
        async move |app: Lifespan| {
            begun.set();
            go.wait().await;
            log.say("started");
            app.serve(()).await;
        }
    });
    let server = serve(&log, app).await;
    soon(begun.wait()).await;
    // The system accepts it, and it waits.
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    go.set();
    assert_eq!(client.reply().await.status, 200);
    drop(client);
    server.stop().await;
    assert_eq!(log.lines(), ["started", "request"]);
}

#[anyrt::test]
async fn ws_03_the_shutdown_runs_after_the_last_connection_and_the_last_background_task() {
    let (log, go) = (Log::default(), Event::new());
    let app = App::new()
        .get("/", {
            let go = go.clone();
            move |background: Background, log: Dep<Log>| {
                let go = go.clone();
                async move {
                    background.add(async move {
                        log.say("task begins");
                        go.wait().await;
                        log.say("task ends");
                    })?;
                    Ok::<_, TooLate>("answer")
                }
            }
        })
        .lifespan({
            let log = log.clone();
            async move |app: Lifespan| {
                app.serve(()).await;
                log.say("shutdown");
            }
        });
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.body, "answer");
    log.said("task begins").await;
    server.stop.set();
    go.set();
    server.stop().await;
    assert_eq!(log.lines(), ["task begins", "task ends", "shutdown"]);
}

fn failed(ended: Result<(), Error>) -> String {
    match ended {
        Err(Error::Lifespan(error)) => error.to_string(),
        other => panic!("a lifespan that failed, not {other:?}"),
    }
}

#[anyrt::test]
async fn ws_04_errors_of_a_lifespan_come_back_from_the_server() {
    let serve = async |app: App| {
        let listener = anyrt::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = Event::new();
        let (ended, ()) = anyrt::join(app.serve_until(listener, stop.wait()), async {
            stop.set();
        })
        .await;
        let _ = address;
        ended
    };
    let app = App::new().lifespan(async |_: Lifespan| Err::<(), _>(io::Error::other("before")));
    assert_eq!(failed(serve(app).await), "before");
    let app = App::new().lifespan(async |app: Lifespan| {
        app.serve(()).await;
        Err::<(), _>(io::Error::other("after"))
    });
    assert_eq!(failed(serve(app).await), "after");
    let app = App::new().lifespan(async |_: Lifespan| ());
    assert_eq!(failed(serve(app).await), "it ended before it served");

    // One that fails while requests are served stops the server, gracefully.
    let fail = Event::new();
    let app = App::new().get("/", async || "answer").lifespan({
        let fail = fail.clone();
        async move |app: Lifespan| {
            let failing = async {
                fail.wait().await;
                io::Error::other("meanwhile")
            };
            match anyrt::race(app.serve(()), failing).await {
                anyrt::Either::Left(()) => Ok(()),
                anyrt::Either::Right(error) => Err(error),
            }
        }
    });
    let listener = anyrt::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let asking = async {
        let mut client = Client::connect(address).await;
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
        assert_eq!(client.reply().await.body, "answer");
        fail.set();
    };
    let (ended, ()) = soon(anyrt::join(app.serve_until(listener, std::future::pending()), asking)).await;
    assert_eq!(failed(ended), "meanwhile");
}

struct Outer(&'static str);
struct Inner(&'static str);
struct Both(&'static str);

#[anyrt::test]
async fn ws_07_the_lifespan_of_a_nested_router_runs_inside_its_parents() {
    let log = Log::default();
    let says = |name: &'static str| {
        let log = log.clone();
        async move |app: Lifespan<Inner>| {
            log.say(format!("{name} starts"));
            app.serve(Inner(name)).await;
            log.say(format!("{name} ends"));
        }
    };
    let outer = {
        let log = log.clone();
        async move |app: Lifespan<Outer>| {
            log.say("outer starts");
            app.serve(Outer("outer")).await;
            log.say("outer ends");
        }
    };
    let router = Router::new().get("/", async |inner: Dep<Inner>| inner.0).lifespan(says("inner"));
    let app = App::new()
        .get("/outer", async |outer: Dep<Outer>| outer.0)
        .nest("/nested", Router::new().nest("/deep", router))
        .lifespan(outer);
    let server = serve(&log, app).await;
    assert_eq!(server.get("/nested/deep").await.body, "inner");
    assert_eq!(server.get("/outer").await.body, "outer");
    server.stop().await;
    assert_eq!(log.lines(), ["outer starts", "inner starts", "inner ends", "outer ends"]);
}

#[anyrt::test]
async fn ws_08_states_are_merged_and_the_parents_goes_first() {
    let router = Router::new()
        .get("/", async |both: Dep<Both>, inner: Dep<Inner>| format!("{} {}", both.0, inner.0))
        .lifespan(async |app: Lifespan<Both>| app.serve(Both("of the router")).await)
        .lifespan(async |app: Lifespan<Inner>| app.serve(Inner("its own")).await);
    let app =
        App::new().merge(router).lifespan(async |app: Lifespan<Both>| app.serve(Both("of the app")).await);
    let server = Server::start(app).await;
    assert_eq!(server.get("/").await.body, "of the app its own");
    server.stop().await;
}

struct Workers(anyrt::TaskGroup);

#[anyrt::test]
async fn ws_10_a_task_group_may_be_opened_in_it_and_used_by_requests() {
    async fn lifespan(app: Lifespan<Workers>) -> Result<(), BoxError> {
        Ok(anyrt::task_group(async |group| app.serve(Workers(group)).await).await?)
    }
    let (log, go) = (Log::default(), Event::new());
    let app = App::new()
        .get("/", {
            let go = go.clone();
            move |workers: Dep<Workers>, log: Dep<Log>| {
                let go = go.clone();
                workers.0.spawn(async move {
                    go.wait().await;
                    log.say("the work of a request that is long answered");
                });
                async { "accepted" }
            }
        })
        .lifespan(lifespan);
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.body, "accepted");
    server.stop.set();
    go.set();
    server.stop().await;
    assert_eq!(log.lines(), ["the work of a request that is long answered"]);
}

struct Pool;
struct Cache;
impl Dependency for Cache {}

#[anyrt::test]
async fn ws_12_the_app_scope_is_made_at_start_up_and_undone_at_shutdown_in_reverse() {
    fn pool(log: Dep<Log>) -> Teardown<Pool> {
        log.say("pool made");
        Teardown::new(Pool, move |_, outcome: Outcome| log.say(format!("pool undone: {}", outcome.is_ok())))
    }
    async fn cache(_: Dep<Pool>, log: Dep<Log>) -> Teardown<Cache> {
        log.say("cache made");
        Teardown::new(Cache, async move |_, outcome: Outcome| {
            log.say(format!("cache undone: {}", outcome.is_ok()));
        })
    }
    let log = Log::default();
    let app = App::new()
        .get("/", async |_: Dep<Cache>, _: Dep<Pool>, log: Dep<Log>| log.say("request"))
        // In whatever order: what one needs is made before it.
        .provide(cache.lifetime(Lifetime::App))
        .provide(pool.lifetime(Lifetime::App));
    let server = serve(&log, app).await;
    for _ in 0..2 {
        assert_eq!(server.get("/").await.status, 200);
    }
    server.stop().await;
    let expected =
        ["pool made", "cache made", "request", "request", "cache undone: true", "pool undone: true"];
    assert_eq!(log.lines(), expected);
}

#[anyrt::test]
async fn ws_12_what_was_made_is_undone_when_the_rest_refuses() {
    async fn pool(log: Dep<Log>) -> Teardown<Pool> {
        Teardown::new(Pool, async move |_, outcome: Outcome| {
            log.say(format!("pool undone: {}", outcome.is_ok()))
        })
    }
    async fn cache(_: Dep<Pool>) -> Result<Cache, anyrt_http::HttpError> {
        Err(anyrt_http::HttpError::from(http::StatusCode::BAD_GATEWAY).source("no cache"))
    }
    let log = Log::default();
    let app = App::new()
        .provide(cache.lifetime(Lifetime::App))
        .provide(pool.lifetime(Lifetime::App))
        .provide_value(log.clone())
        .lifespan({
            let log = log.clone();
            async move |app: Lifespan| {
                log.say("lifespan begins");
                app.serve(()).await;
                log.say("lifespan ends");
            }
        });
    let error = app.test().start().await.expect_err("it does not start");
    let text = error.to_string();
    assert!(text.contains("Cache") && text.contains("502: no cache"), "{text}");
    assert_eq!(log.lines(), ["lifespan begins", "pool undone: false", "lifespan ends"]);
}

#[anyrt::test]
async fn an_app_that_has_to_be_started_is_no_service_by_itself() {
    let app = || App::new().get("/", async || "").lifespan(async |app: Lifespan| app.serve(()).await);
    assert!(matches!(app().into_service(), Err(Error::NeedsStart)));
    let listed = app().run_with(async |service| service.routes().len()).await.expect("it starts and ends");
    assert_eq!(listed, 1);
}

#[anyrt::test]
async fn a_server_that_is_cancelled_ends_its_lifespans_after_its_requests() {
    let (log, begun) = (Log::default(), Event::new());
    let app = App::new()
        .get("/", {
            let (log, begun) = (log.clone(), begun.clone());
            move || {
                let (log, begun) = (log.clone(), begun.clone());
                anyrt::finally(
                    async move {
                        begun.set();
                        std::future::pending::<()>().await;
                    },
                    async move |_| {
                        anyrt::checkpoint().await;
                        log.say("request cleaned up");
                    },
                )
                .owned()
            }
        })
        .lifespan({
            let log = log.clone();
            async move |app: Lifespan| {
                app.serve(()).await;
                log.say("shutdown");
            }
        });
    let listener = anyrt::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let asking = async {
        let mut client = Client::connect(address).await;
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
        soon(begun.wait()).await;
    };
    soon(anyrt::race(app.serve_until(listener, std::future::pending()), asking)).await;
    assert_eq!(log.lines(), ["request cleaned up", "shutdown"]);
}
