//! Overrides, for tests.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyrt_http::{
    App, Configure, Dep, Dependency, Error, HttpError, Lifetime, Outcome, Query, Router, Teardown, TestClient,
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::log::Log;

struct Settings(&'static str);
impl Dependency for Settings {}
struct User(String);
impl Dependency for User {}
struct Guard;
impl Dependency for Guard {}

async fn settings(log: Dep<Log>) -> Settings {
    log.say("original settings");
    Settings("original")
}

async fn user(headers: HeaderMap, settings: Dep<Settings>) -> Result<User, HttpError> {
    let name = headers.get("user").ok_or(HttpError::from(StatusCode::UNAUTHORIZED))?;
    Ok(User(format!("{} with {}", name.to_str().unwrap_or_default(), settings.0)))
}

async fn guard(_: HeaderMap) -> Result<Guard, HttpError> {
    Err(HttpError::from(StatusCode::FORBIDDEN))
}

fn app(log: &Log) -> App {
    let router =
        Router::new().get("/settings", async |settings: Dep<Settings>| settings.0).require::<Guard>();
    App::new()
        .get("/user", async |user: Dep<User>| user.0.clone())
        .nest("/guarded", router)
        .provide(settings)
        .provide(user)
        .provide(guard)
        .provide_value(log.clone())
}

async fn text(client: &TestClient, path: &str) -> String {
    client.get(path).header("user", "Ada").await.text().to_owned()
}

#[anyrt::test]
async fn wo_01_the_table_is_looked_up_by_the_original_for_each_request() {
    let log = Log::default();
    let client = app(&log).test().await;
    assert_eq!(text(&client, "/user").await, "Ada with original");
    client.override_with(async || Settings("fake")).expect("there are settings");
    assert_eq!(text(&client, "/user").await, "Ada with fake");
    client.override_with(|| Settings("plain fake")).expect("there are settings");
    assert_eq!(text(&client, "/user").await, "Ada with plain fake");
    assert_eq!(log.lines(), ["original settings"], "asked once, before it was overridden");
    client.close().await.expect("it ends well");
}

#[anyrt::test]
async fn wo_02_it_applies_to_handlers_routers_and_sub_dependencies() {
    let client = app(&Log::default()).test().await;
    assert_eq!(client.get("/guarded/settings").await.status(), 403);
    client.override_with(async || Guard).expect("there is a guard");
    client.override_value(Settings("a value")).expect("there are settings");
    assert_eq!(text(&client, "/guarded/settings").await, "a value");
    assert_eq!(text(&client, "/user").await, "Ada with a value");
    client.close().await.expect("it ends well");

    // Given with the app, it holds from the start.
    let app = app(&Log::default()).override_with(async || Guard).override_value(Settings("at start"));
    assert_eq!(app.test().get("/guarded/settings").await.text(), "at start");
}

#[anyrt::test]
async fn wo_03_the_overrides_own_arguments_are_read_and_the_originals_are_not() {
    #[derive(Deserialize)]
    struct Page {
        page: u8,
    }
    let client = app(&Log::default()).test().await;
    assert_eq!(client.get("/user").await.status(), 401);
    client
        .override_with(async |Query(page): Query<Page>| User(page.page.to_string()))
        .expect("there is a user");
    assert_eq!(client.get("/user?page=7").await.text(), "7");
    assert_eq!(client.get("/user?page=x").await.status(), 422);
    client.close().await.expect("it ends well");
}

#[anyrt::test]
async fn wo_05_an_override_runs_once_a_request_too() {
    async fn both(_: Dep<Settings>, _: Dep<Settings>) -> &'static str {
        ""
    }
    let count = Arc::new(AtomicUsize::new(0));
    let client = app(&Log::default()).get("/both", both).test().await;
    let counting = Arc::clone(&count);
    client
        .override_with(move || {
            counting.fetch_add(1, Ordering::SeqCst);
            Settings("counted")
        })
        .expect("there are settings");
    assert_eq!(client.get("/both").await.status(), 200);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    client.close().await.expect("it ends well");
}

#[anyrt::test]
async fn wo_07_an_override_keeps_scope_and_limit_of_the_original() {
    struct Session;
    async fn session() -> Teardown<Session> {
        Teardown::new(Session, async |_, _| ())
    }
    async fn counts(log: Dep<Log>) -> Teardown<Session> {
        log.say("made");
        Teardown::new(Session, async move |_, _: Outcome| log.say("undone"))
    }
    let log = Log::default();
    let client = App::new()
        .get("/", async |_: Dep<Session>, log: Dep<Log>| {
            for _ in 0..5 {
                anyrt::checkpoint().await;
            }
            log.say("handler ends");
        })
        .provide(session.lifetime(Lifetime::Function).max_concurrency(1))
        .provide_value(log.clone())
        .test()
        .await;
    client.override_with(counts.lifetime(Lifetime::Request)).expect("there is a session");
    let (one, other) = (client.get("/").into_future(), client.get("/").into_future());
    let (one, other) = anyrt::join(one, other).await;
    assert!(one.status().is_success() && other.status().is_success());
    // One at a time, and undone before the response.
    let one = ["made", "handler ends", "undone"];
    assert_eq!(log.lines(), [one, one].concat());
    client.close().await.expect("it ends well");
}

#[anyrt::test]
async fn wo_08_clearing_the_table_restores_the_originals() {
    let client = app(&Log::default()).test().await;
    client.override_value(Settings("fake")).expect("there are settings");
    assert_eq!(text(&client, "/user").await, "Ada with fake");
    client.clear_overrides();
    assert_eq!(text(&client, "/user").await, "Ada with original");
    client.close().await.expect("it ends well");
}

#[anyrt::test]
async fn what_cannot_be_overridden_is_a_mistake() {
    struct Unknown;
    impl Dependency for Unknown {}
    let error = app(&Log::default()).override_value(Unknown).into_service().expect_err("a mistake");
    assert!(matches!(error, Error::NothingToOverride(_)), "{error}");
    let client = app(&Log::default()).test().await;
    let error = client.override_with(|| Unknown).expect_err("a mistake");
    assert!(matches!(error, Error::NothingToOverride(_)), "{error}");
    let error = client.override_with(async |_: Dep<Unknown>| Settings("")).expect_err("a mistake");
    assert!(matches!(error, Error::MissingProvider { .. }), "{error}");
    client.close().await.expect("it ends well");
}
