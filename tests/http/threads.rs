//! Which code goes to a thread, and which does not.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyrt_http::{
    App, Background, Configure, Dep, Dependency, HttpError, Outcome, Path, Streaming, Teardown, TooLate,
};
use http::StatusCode;

use crate::client::Server;
use crate::log::Log;

/// Where code runs: a job may ask whether its caller was cancelled, a task may not.
fn place() -> &'static str {
    if anyrt::from_thread::check_cancelled().is_ok() { "in a thread" } else { "on the loop" }
}

struct Plain(&'static str);
impl Dependency for Plain {}
struct Async(&'static str);
impl Dependency for Async {}

#[anyrt::test]
async fn wt_15_plain_code_goes_to_a_thread_and_async_code_stays_on_the_loop() {
    fn plain(log: Dep<Log>) -> Teardown<Plain> {
        Teardown::new(Plain(place()), move |_, _: Outcome| log.say(format!("teardown {}", place())))
    }
    async fn asynchronous(log: Dep<Log>) -> Teardown<Async> {
        Teardown::new(Async(place()), async move |_, _: Outcome| {
            log.say(format!("async teardown {}", place()));
        })
    }
    fn handler(dependency: Dep<Plain>, background: Background, log: Dep<Log>) -> Result<Streaming, TooLate> {
        let (handler, dependency) = (place(), dependency.0);
        background.add(move || log.say(format!("task {}", place())))?;
        Ok(Streaming::blocking(std::iter::once_with(move || {
            format!("handler {handler}, dependency {dependency}, iterator {}", place())
        })))
    }
    async fn async_handler(
        dependency: Dep<Async>,
        background: Background,
        log: Dep<Log>,
    ) -> Result<Streaming, TooLate> {
        let (handler, dependency) = (place(), dependency.0);
        background.add(async move { log.say(format!("async task {}", place())) })?;
        Ok(Streaming::new(futures_util::stream::once(async move {
            format!("handler {handler}, dependency {dependency}, stream {}", place())
        })))
    }
    let log = Log::default();
    let client = App::new()
        .get("/plain", handler)
        .get("/async", async_handler)
        .provide(plain)
        .provide(asynchronous)
        .provide_value(log.clone())
        .test()
        .await;
    let all = "handler in a thread, dependency in a thread, iterator in a thread";
    assert_eq!(client.get("/plain").await.text(), all);
    assert_eq!(log.take(), ["task in a thread", "teardown in a thread"]);
    let all = "handler on the loop, dependency on the loop, stream on the loop";
    assert_eq!(client.get("/async").await.text(), all);
    assert_eq!(log.take(), ["async task on the loop", "async teardown on the loop"]);
    client.close().await.expect("it ends well");
}

#[anyrt::test]
async fn wt_16_what_is_made_without_blocking_pays_no_hop() {
    fn made() -> Plain {
        Plain(place())
    }
    let app = App::new()
        .get("/", async |plain: Dep<Plain>, value: Dep<u8>| format!("{} {}", plain.0, *value))
        .get("/inline", (|plain: Dep<Plain>| format!("{} {}", plain.0, place())).inline())
        .provide(made.inline())
        .provide_value(7_u8);
    let server = Server::start(app).await;
    assert_eq!(server.get("/").await.body, "on the loop 7");
    assert_eq!(server.get("/inline").await.body, "on the loop on the loop");
    server.stop().await;
}

#[anyrt::test]
async fn wt_17_errors_are_answered_without_a_thread() {
    static PLAIN: AtomicUsize = AtomicUsize::new(0);
    fn plain() {
        PLAIN.fetch_add(1, Ordering::SeqCst);
    }
    let app = App::new()
        .get("/{id}", async |_: Path<u8>| Err::<(), _>(HttpError::from(StatusCode::CONFLICT)))
        .post("/plain", plain);
    // Not one token: whatever needs a thread waits for ever.
    anyrt::current_handle().limiter().set_total(0);
    let server = Server::start(app).await;
    assert_eq!(server.get("/7").await.status, 409);
    assert_eq!(server.get("/x").await.status, 422);
    assert_eq!(server.get("/no/where").await.status, 404);
    assert_eq!(server.send("DELETE /plain HTTP/1.1\r\nHost: test\r\n\r\n").await.status, 405);
    server.stop().await;
    assert_eq!(PLAIN.load(Ordering::SeqCst), 0);
}
