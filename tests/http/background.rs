//! Background tasks.

use std::io;
use std::sync::Mutex;
use std::sync::mpsc;

use anyrt::sync::Event;
use anyrt_http::{
    App, Background, BackgroundEnded, BackgroundHandle, Configure, Dep, Lifetime, Outcome, Teardown, TooLate,
};
use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use http::StatusCode;

use crate::client::{Server, soon};
use crate::layers::{Doubling, Tagging};
use crate::log::{Log, serve};

#[anyrt::test]
async fn wb_01_tasks_run_after_the_response_one_after_another_in_their_order() {
    let (log, go) = (Log::default(), Event::new());
    let app = App::new().get("/", {
        let go = go.clone();
        move |background: Background, log: Dep<Log>| {
            let go = go.clone();
            async move {
                let first = log.clone();
                background.add(async move {
                    first.say("first begins");
                    go.wait().await;
                    first.say("first ends");
                })?;
                let second = log.clone();
                background.add(move || second.say("second"))?;
                background.add(async move { log.say("third") })?;
                Ok::<_, TooLate>("answer")
            }
        }
    });
    let server = serve(&log, app.get("/next", async || "next")).await;
    // The response is whole although the first task waits; and so is the next one on the same connection.
    let mut client = server.connect().await;
    for (path, expected) in [("/", "answer"), ("/next", "next")] {
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        assert_eq!(client.reply().await.body, expected);
    }
    log.said("first begins").await;
    go.set();
    drop(client);
    server.stop().await;
    assert_eq!(log.lines(), ["first begins", "first ends", "second", "third"]);
}

#[anyrt::test]
async fn wb_02_plain_tasks_run_in_a_thread_and_async_ones_on_the_loop() {
    let log = Log::default();
    let app = App::new().get("/", async |background: Background, log: Dep<Log>| {
        let (first, second) = (log.clone(), log);
        background.add(move || {
            let in_a_thread = anyrt::from_thread::check_cancelled().is_ok();
            first.say(format!("plain in a thread: {in_a_thread}"));
        })?;
        background.add(async move {
            anyrt::checkpoint().await;
            second.say(format!("async in a task: {}", anyrt::current_task().is_some()));
        })?;
        Ok::<_, TooLate>("")
    });
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 200);
    server.stop().await;
    assert_eq!(log.lines(), ["plain in a thread: true", "async in a task: true"]);
}

#[anyrt::test]
async fn wb_03_handler_and_dependencies_share_one_list() {
    struct Dependency;
    impl anyrt_http::Dependency for Dependency {}
    fn dependency(background: Background, log: Dep<Log>) -> Result<Dependency, TooLate> {
        background.add(move || log.say("of the dependency"))?;
        Ok(Dependency)
    }
    let log = Log::default();
    let app = App::new()
        .get("/", async |_: Dep<Dependency>, background: Background, log: Dep<Log>| {
            background.add(async move { log.say("of the handler") }).map(drop)
        })
        .provide(dependency);
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 200);
    server.stop().await;
    assert_eq!(log.lines(), ["of the dependency", "of the handler"]);
}

#[anyrt::test]
async fn wb_04_the_first_that_fails_stops_the_rest() {
    type Handles = Mutex<Vec<BackgroundHandle<()>>>;
    let (log, handles) = (Log::default(), Handles::default());
    let app = App::new()
        .get(
            "/{how}",
            async |background: Background,
                   log: Dep<Log>,
                   how: anyrt_http::Path<String>,
                   kept: Dep<Handles>| {
                let fails = match how.as_str() {
                    "async" => background.add(async { Err::<(), _>(io::Error::other("failed")) })?,
                    "plain" => background.add(|| Err::<(), _>(io::Error::other("failed")))?,
                    _ => background.add(async {
                        if true {
                            panic!("failed")
                        }
                    })?,
                };
                let never = background.add(async move { log.say("never") })?;
                kept.lock().expect("no panic").extend([fails, never]);
                Ok::<_, TooLate>("")
            },
        )
        .provide_value(handles)
        .provide_value(log.clone());
    let client = app.get("/handles", async |kept: Dep<Handles>| {
        let kept = std::mem::take(&mut *kept.lock().expect("no panic"));
        let mut ends = Vec::new();
        for handle in kept {
            ends.push(format!("{:?}", handle.wait().await));
        }
        ends.join(", ")
    });
    let client = client.test().await;
    for (how, expected) in [
        ("async", r#"Err(Failed("failed")), Err(Dropped)"#),
        ("plain", r#"Err(Failed("failed")), Err(Dropped)"#),
        ("panic", r#"Err(Panicked("failed")), Err(Dropped)"#),
    ] {
        assert_eq!(client.get(&format!("/{how}")).await.status(), 200);
        assert_eq!(client.get("/handles").await.text(), expected);
    }
    client.close().await.expect("it ends well");
    assert!(log.lines().is_empty());
}

#[anyrt::test]
async fn wb_06_nothing_is_dropped_in_silence() {
    // A response of one's own cannot carry tasks: they go by the request, whatever is returned.
    let log = Log::default();
    let app = App::new()
        .get("/error", async |background: Background, log: Dep<Log>| {
            background.add(async move { log.say("ran") })?;
            Ok::<_, TooLate>(StatusCode::IM_A_TEAPOT)
        })
        .get("/late", async |background: Background, log: Dep<Log>| {
            let later = background.clone();
            background.add(async move {
                let again = log.clone();
                later.add(async move { again.say("added by a task") }).expect("while tasks run");
                log.say("adds");
                log.said("asked").await;
            })?;
            Ok::<_, TooLate>("")
        });
    struct Undo;
    async fn undo(background: Background, log: Dep<Log>) -> Teardown<Undo> {
        Teardown::new(Undo, async move |_, _| {
            let late = background.add(async {}).map(drop);
            log.say(format!("{late:?}"));
        })
    }
    let app = app.get("/too-late", async |_: Dep<Undo>| "").provide(undo);
    let server = serve(&log, app).await;
    assert_eq!(server.get("/error").await.status, 418);
    log.said("ran").await;
    assert_eq!(server.get("/late").await.status, 200);
    log.said("adds").await;
    log.say("asked");
    log.said("added by a task").await;
    assert_eq!(server.get("/too-late").await.status, 200);
    log.said("Err(TooLate)").await;
    server.stop().await;
}

#[anyrt::test]
async fn wb_06_tasks_of_a_request_that_is_cancelled_say_that_they_never_ran() {
    let (log, begun) = (Log::default(), Event::new());
    let (send, receive) = mpsc::channel();
    let send = Mutex::new(send);
    let app = App::new().get("/", {
        let begun = begun.clone();
        move |background: Background| {
            let handle = background.add(async {}).expect("not too late");
            send.lock().expect("no panic").send(handle).expect("somebody waits");
            begun.set();
            std::future::pending::<&'static str>()
        }
    });
    let server = serve(&log, app).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    soon(begun.wait()).await;
    drop(client);
    let handle = receive.try_recv().expect("sent before");
    assert_eq!(soon(handle.wait()).await, Err(BackgroundEnded::Dropped));
    server.stop().await;
}

#[anyrt::test]
async fn wb_07_a_handler_that_makes_its_own_response_has_its_tasks_run() {
    fn own(background: Background, log: Dep<Log>) -> Result<Response, TooLate> {
        background.add(async move { log.say("ran") })?;
        Ok((StatusCode::CREATED, [("x-own", "yes")], "own").into_response())
    }
    let log = Log::default();
    let server = serve(&log, App::new().get("/", own)).await;
    assert_eq!(server.get("/").await.status, 201);
    server.stop().await;
    assert_eq!(log.lines(), ["ran"]);
}

#[anyrt::test]
async fn wb_09_a_task_that_a_function_scope_teardown_adds_runs() {
    struct Late;
    async fn late(background: Background, log: Dep<Log>) -> Teardown<Late> {
        Teardown::new(Late, async move |_, _: Outcome| {
            background.add(async move { log.say("added by the teardown") }).map(drop)
        })
    }
    let log = Log::default();
    let app = App::new().get("/", async |_: Dep<Late>| "").provide(late.lifetime(Lifetime::Function));
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 200);
    server.stop().await;
    assert_eq!(log.lines(), ["added by the teardown"]);
}

#[anyrt::test]
async fn wb_10_a_client_that_leaves_cancels_no_tasks() {
    let (log, go) = (Log::default(), Event::new());
    let handler = {
        let go = go.clone();
        move |background: Background, log: Dep<Log>| {
            let go = go.clone();
            async move {
                background.add(async move {
                    log.say("begins");
                    go.wait().await;
                    anyrt::checkpoint().await;
                    log.say("ends");
                })?;
                Ok::<_, TooLate>("answer")
            }
        }
    };
    for app in [
        App::new().get("/", handler.clone()),
        App::new().get("/", handler.clone()).layer(Doubling).layer(Tagging("x-tag")),
    ] {
        let log_of = Log::default();
        let server = serve(&log_of, app).await;
        let mut client = server.connect().await;
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
        assert_eq!(client.reply().await.status, 200);
        log_of.said("begins").await;
        drop(client);
        // Whatever the server makes of the client that left, it has made of it when a later one was answered.
        assert_eq!(server.get("/nowhere").await.status, 404);
        go.set();
        log_of.said("ends").await;
        server.stop().await;
    }
    drop(log);
}

#[anyrt::test]
async fn wb_11_layers_do_not_delay_the_response_nor_hasten_the_tasks() {
    let (log, more, go) = (Log::default(), Event::new(), Event::new());
    let app = App::new()
        .get("/", {
            let (more, go) = (more.clone(), go.clone());
            move |background: Background, log: Dep<Log>| {
                let (more, go) = (more.clone(), go.clone());
                async move {
                    let saying = log.clone();
                    background.add(async move {
                        saying.say("task begins");
                        go.wait().await;
                    })?;
                    let pieces =
                        futures_util::stream::once(async { Ok::<_, io::Error>(Bytes::from_static(b"one ")) })
                            .chain(futures_util::stream::once(async move {
                                log.say("waits for more");
                                more.wait().await;
                                Ok(Bytes::from_static(b"two"))
                            }));
                    Ok::<_, TooLate>(Body::from_stream(pieces))
                }
            }
        })
        .layer(Doubling)
        .layer(Tagging("x-tag"));
    let server = serve(&log, app).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await;
    let reply = client.reply().await;
    assert!(reply.head.contains("x-tag: yes\r\n"), "{}", reply.head);
    log.said("waits for more").await;
    assert!(!log.has("task begins"), "before the last byte");
    more.set();
    assert!(client.closed_after_all().await, "the response ends although the task waits");
    log.said("task begins").await;
    go.set();
    server.stop().await;
}

#[anyrt::test]
async fn wb_12_errors_of_tasks_below_layers_are_told() {
    struct Watching;
    async fn watching(log: Dep<Log>) -> Teardown<Watching> {
        Teardown::new(Watching, async move |_, outcome: Outcome| log.say(outcome))
    }
    let log = Log::default();
    let app = App::new()
        .get("/", async |_: Dep<Watching>, background: Background| {
            background.add(async { Err::<(), _>("no mail") }).map(drop)
        })
        .provide(watching)
        .layer(Doubling);
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 200);
    server.stop().await;
    assert_eq!(log.lines(), ["failed: no mail"]);
}

#[anyrt::test]
async fn wb_13_the_tasks_of_a_stream_run_also_when_its_client_left() {
    struct Watching;
    async fn watching(log: Dep<Log>) -> Teardown<Watching> {
        Teardown::new(Watching, async move |_, outcome: Outcome| {
            log.say(format!("cancelled: {}", matches!(outcome, Outcome::Cancelled(_))));
        })
    }
    let log = Log::default();
    let app = App::new()
        .get("/", async |_: Dep<Watching>, background: Background, log: Dep<Log>| {
            let dropped = log.on_drop("body dropped");
            background.add(async move { log.say("task ran") })?;
            let endless = futures_util::stream::unfold(dropped, async |dropped| {
                anyrt::checkpoint().await;
                Some((Ok::<_, io::Error>(Bytes::from_static(b"more ")), dropped))
            });
            Ok::<_, TooLate>(Body::from_stream(endless))
        })
        .provide(watching);
    let server = serve(&log, app).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 200);
    drop(client);
    log.said("task ran").await;
    server.stop().await;
    assert_eq!(log.lines(), ["body dropped", "task ran", "cancelled: true"]);
}

#[anyrt::test]
async fn wb_14_tasks_have_handles_names_and_results() {
    let (send, receive) = mpsc::channel();
    let send = Mutex::new(send);
    let app = App::new().get("/", move |background: Background| {
        let sum = background
            .named("the sum")
            .add(async {
                let name = anyrt::current_task().map(|task| task.name().to_owned());
                Ok::<_, io::Error>((1 + 1, name))
            })
            .expect("not too late");
        assert!(!sum.is_finished());
        send.lock().expect("no panic").send(sum).expect("somebody waits");
        async { "" }
    });
    let server = Server::start(app).await;
    assert_eq!(server.get("/").await.status, 200);
    let sum = receive.try_recv().expect("sent before");
    assert_eq!(soon(sum.wait()).await, Ok((2, Some("the sum".to_owned()))));
    assert!(sum.is_finished());
    server.stop().await;
}
