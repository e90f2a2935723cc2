//! Dependencies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyrt_http::detection::Callable;
use anyrt_http::{
    App, Background, Configure, Dep, Dependency, Fresh, HttpError, Lifetime, Outcome, Path, Query,
    ResponseHeaders, Router, Teardown, TooLate,
};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::client::Server;
use crate::log::{Log, serve};

macro_rules! dependencies {
    ($($name:ident($inner:ty)),* $(,)?) => {$(
        #[derive(Debug)]
        #[allow(dead_code, reason = "some are only asked for")]
        struct $name($inner);
        impl Dependency for $name {}
    )*};
}
dependencies! {
    AsyncFunction(u8), PlainFunction(u8), AsyncTeardown(u8), PlainTeardown(u8), AsyncMethod(u8), PlainMethod(u8),
    AsyncObject(u8), PlainObject(u8), Top(String), Middle(String), Bottom(String), Other(String), Number(usize),
    Checked(()),
}

#[anyrt::test]
async fn wd_01_functions_teardowns_methods_and_objects_async_and_plain_are_dependencies() {
    async fn async_function() -> AsyncFunction {
        AsyncFunction(1)
    }
    fn plain_function() -> PlainFunction {
        PlainFunction(2)
    }
    async fn async_teardown(log: Dep<Log>) -> Teardown<AsyncTeardown> {
        Teardown::new(AsyncTeardown(3), async move |value: Dep<AsyncTeardown>, _| log.say(value.0))
    }
    fn plain_teardown(log: Dep<Log>) -> Teardown<PlainTeardown> {
        Teardown::new(PlainTeardown(4), move |value: Dep<PlainTeardown>, _| log.say(value.0))
    }
    struct Maker(u8);
    impl Maker {
        async fn make(self: Arc<Self>) -> AsyncMethod {
            AsyncMethod(self.0)
        }
        fn make_plain(&self) -> PlainMethod {
            PlainMethod(self.0 + 1)
        }
    }
    struct Object(u8);
    impl Callable<(Dep<PlainFunction>,)> for Object {
        type Output = PlainObject;
        fn invoke(&self, (_,): (Dep<PlainFunction>,)) -> PlainObject {
            PlainObject(self.0)
        }
    }
    struct AsyncCallable(u8);
    impl Callable<()> for AsyncCallable {
        type Output = std::future::Ready<AsyncObject>;
        fn invoke(&self, (): ()) -> Self::Output {
            std::future::ready(AsyncObject(self.0))
        }
    }
    #[expect(clippy::too_many_arguments, reason = "one of each kind")]
    async fn all(
        one: Dep<AsyncFunction>,
        two: Dep<PlainFunction>,
        three: Dep<AsyncTeardown>,
        four: Dep<PlainTeardown>,
        five: Dep<AsyncMethod>,
        six: Dep<PlainMethod>,
        seven: Dep<AsyncObject>,
        eight: Dep<PlainObject>,
    ) -> String {
        format!("{}{}{}{}{}{}{}{}", one.0, two.0, three.0, four.0, five.0, six.0, seven.0, eight.0)
    }
    let (log, maker) = (Log::default(), Arc::new(Maker(5)));
    let plain_maker = Arc::clone(&maker);
    let app = App::new()
        .get("/", all)
        .provide(async_function)
        .provide(plain_function)
        .provide(async_teardown)
        .provide(plain_teardown)
        .provide(move || Arc::clone(&maker).make())
        .provide(move || plain_maker.make_plain())
        .provide(AsyncCallable(7))
        .provide(Object(8));
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.body, "12345678");
    server.stop().await;
    assert_eq!(log.lines(), ["4", "3"]);
}

#[anyrt::test]
async fn wd_02_a_sub_dependency_runs_before_its_parent() {
    async fn bottom(log: Dep<Log>) -> Bottom {
        log.say("bottom");
        Bottom("b".into())
    }
    fn middle(bottom: Dep<Bottom>, log: Dep<Log>) -> Middle {
        log.say("middle");
        Middle(bottom.0.clone() + "m")
    }
    async fn top(middle: Dep<Middle>, log: Dep<Log>) -> Top {
        log.say("top");
        Top(middle.0.clone() + "t")
    }
    let log = Log::default();
    let app = App::new()
        .get("/", async |top: Dep<Top>, log: Dep<Log>| {
            log.say("handler");
            top.0.clone()
        })
        .provide(top)
        .provide(middle)
        .provide(bottom);
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.body, "bmt");
    assert_eq!(log.lines(), ["bottom", "middle", "top", "handler"]);
    server.stop().await;
}

#[anyrt::test]
async fn wd_03_siblings_run_one_after_the_other_in_their_order() {
    async fn slow(log: Dep<Log>) -> Top {
        log.say("first begins");
        for _ in 0..20 {
            anyrt::checkpoint().await;
        }
        log.say("first ends");
        Top(String::new())
    }
    fn quick(log: Dep<Log>) -> Other {
        log.say("second");
        Other(String::new())
    }
    let log = Log::default();
    let app = App::new().get("/", async |_: Dep<Top>, _: Dep<Other>| "").provide(quick).provide(slow);
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 200);
    assert_eq!(log.lines(), ["first begins", "first ends", "second"]);
    server.stop().await;
}

/// Numbers its values.
fn numbering() -> (Arc<AtomicUsize>, impl Fn() -> std::future::Ready<Number> + Send + Sync + 'static) {
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    (count, move || std::future::ready(Number(counting.fetch_add(1, Ordering::SeqCst))))
}

#[anyrt::test]
async fn wd_04_a_dependency_named_twice_runs_once() {
    async fn middle(number: Dep<Number>) -> Middle {
        Middle(number.0.to_string())
    }
    let (count, number) = numbering();
    let app = App::new()
        .get("/", async |a: Dep<Number>, middle: Dep<Middle>, b: Dep<Number>| {
            format!("{} {} {}", a.0, middle.0, b.0)
        })
        .get("/fresh", async |a: Dep<Number>, b: Fresh<Number>, c: Fresh<Number>, d: Dep<Number>| {
            format!("{} {} {} {}", a.0, b.0, c.0, d.0)
        })
        .provide(middle)
        .provide(number);
    let server = Server::start(app).await;
    assert_eq!(server.get("/").await.body, "0 0 0");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    // Unless a fresh one is asked for.
    assert_eq!(server.get("/fresh").await.body, "1 2 3 1");
    server.stop().await;
}

#[anyrt::test]
async fn wd_07_nothing_is_shared_between_two_requests() {
    let (_, number) = numbering();
    let app = App::new().get("/", async |number: Dep<Number>| number.0.to_string()).provide(number);
    let server = Server::start(app).await;
    let mut client = server.connect().await;
    for expected in ["0", "1"] {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
        assert_eq!(client.reply().await.body, expected, "on one connection");
    }
    assert_eq!(server.get("/").await.body, "2");
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn wd_08_a_cached_dependency_is_undone_once() {
    async fn number(log: Dep<Log>) -> Teardown<Number> {
        Teardown::new(Number(7), async move |_, _| log.say("undone"))
    }
    async fn middle(number: Dep<Number>) -> Middle {
        Middle(number.0.to_string())
    }
    let log = Log::default();
    let app = App::new()
        .get("/", async |_: Dep<Middle>, _: Dep<Number>| "")
        .get("/fresh", async |_: Dep<Number>, _: Fresh<Number>| "")
        .provide(middle)
        .provide(number);
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 200);
    log.said("undone").await;
    assert_eq!(server.get("/fresh").await.status, 200);
    server.stop().await;
    assert_eq!(log.lines(), ["undone"; 3], "and a fresh one each time");
}

#[anyrt::test]
async fn wd_09_what_routers_require_runs_before_what_the_handler_asks_for() {
    struct Outer;
    struct Inner;
    impl Dependency for Outer {}
    impl Dependency for Inner {}
    async fn outer(log: Dep<Log>) -> Outer {
        log.say("app");
        Outer
    }
    fn inner(headers: HeaderMap, log: Dep<Log>) -> Result<Inner, HttpError> {
        log.say("router");
        match headers.get("let-me-in") {
            Some(_) => Ok(Inner),
            None => Err(HttpError::new(StatusCode::FORBIDDEN, "ask for it")),
        }
    }
    async fn top(log: Dep<Log>) -> Top {
        log.say("handler's");
        Top(String::new())
    }
    let log = Log::default();
    let mounted = axum::Router::new().route("/", axum::routing::get(|| async { "mounted" }));
    let router = Router::new()
        .get("/in", async |_: Dep<Top>| "in")
        .nest_service("/mounted", mounted)
        .require::<Inner>();
    let app = App::new()
        .get("/out", async || "out")
        .nest("/deep", router)
        .require::<Outer>()
        .provide(outer)
        .provide(inner)
        .provide(top);
    let server = serve(&log, app).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: test\r\nLet-Me-In: please\r\n\r\n");
    assert_eq!(server.send(&get("/deep/in")).await.body, "in");
    assert_eq!(log.take(), ["app", "router", "handler's"]);
    assert_eq!(server.get("/out").await.body, "out");
    assert_eq!(log.take(), ["app"]);
    let refused = server.get("/deep/in").await;
    assert_eq!((refused.status, &*refused.body), (403, r#"{"detail":"ask for it"}"#));
    // Nested services are behind them, too.
    assert_eq!(server.get("/deep/mounted").await.status, 403);
    assert_eq!(server.send(&get("/deep/mounted")).await.body, "mounted");
    assert_eq!(server.get("/nowhere").await.status, 404);
    server.stop().await;
}

#[anyrt::test]
async fn wd_10_what_is_wrong_anywhere_is_told_in_one_422_and_the_rest_runs() {
    async fn wrong(Query(number): Query<Vec<(String, u8)>>) -> Top {
        Top(format!("{number:?}"))
    }
    async fn needs_it(_: Dep<Top>, log: Dep<Log>) -> Middle {
        log.say("needs what is not there");
        Middle(String::new())
    }
    async fn independent(log: Dep<Log>) -> Other {
        log.say("independent");
        Other(String::new())
    }
    let log = Log::default();
    let router = Router::new()
        .get("/{id}", async |_: Dep<Middle>, _: Dep<Other>, _: Path<u8>| "")
        .require::<Checked>();
    async fn checked(headers: HeaderMap) -> Result<Checked, anyrt_http::Invalid> {
        let _ = headers;
        Ok(Checked(()))
    }
    let app = App::new().merge(router).provide(wrong).provide(needs_it).provide(independent).provide(checked);
    let server = serve(&log, app).await;
    let reply = server.get("/x?a=b").await;
    assert_eq!(reply.status, 422);
    assert!(reply.body.contains(r#"["path","id"]"#) && reply.body.contains(r#""query""#), "{}", reply.body);
    assert_eq!(log.lines(), ["independent"]);
    server.stop().await;
}

#[anyrt::test]
async fn wd_11_what_was_entered_before_a_422_is_undone_and_told_of_it() {
    async fn top(log: Dep<Log>) -> Teardown<Top> {
        Teardown::new(Top(String::new()), async move |_, outcome: Outcome| {
            let source = outcome.source().map(ToString::to_string).unwrap_or_default();
            log.say(format!("{:?}: {source}", outcome.status().map(|status| status.as_u16())));
        })
    }
    let log = Log::default();
    let app = App::new().get("/{id}", async |_: Dep<Top>, _: Path<u8>| "").provide(top);
    let server = serve(&log, app).await;
    assert_eq!(server.get("/x").await.status, 422);
    server.stop().await;
    let [line] = &log.lines()[..] else { panic!("one teardown") };
    assert!(line.starts_with("Some(422): the request does not fit; path.id: "), "{line}");
}

#[anyrt::test]
async fn wd_13_a_dependency_may_take_the_request_the_response_and_background_tasks() {
    async fn top(
        method: Method,
        uri: Uri,
        headers: ResponseHeaders,
        background: Background,
        log: Dep<Log>,
    ) -> Result<Top, TooLate> {
        headers.insert(HeaderName::from_static("x-top"), HeaderValue::from_static("yes"));
        let log = log.clone();
        background.add(async move { log.say("in the background") })?;
        Ok(Top(format!("{method} {uri}")))
    }
    let log = Log::default();
    let app = App::new().get("/here", async |top: Dep<Top>| top.0.clone()).provide(top);
    let server = serve(&log, app).await;
    let reply = server.get("/here").await;
    assert_eq!(reply.body, "GET /here");
    assert!(reply.head.contains("x-top: yes\r\n"), "{}", reply.head);
    server.stop().await;
    assert_eq!(log.lines(), ["in the background"]);
}

anyrt::task_local! {
    static USER: &'static str;
}

#[anyrt::test]
async fn wd_14_a_task_local_that_an_async_dependency_sets_is_visible_in_the_handler() {
    async fn top() -> Teardown<Top> {
        USER.set("Ada");
        Teardown::new(Top(String::new()), async |_, _| ())
    }
    async fn middle() -> Middle {
        USER.set("Grace");
        Middle(String::new())
    }
    async fn seen(log: Dep<Log>, background: Background) -> Result<String, TooLate> {
        anyrt::checkpoint().await;
        background.add(async move { log.say(USER.try_with(|user| *user).unwrap_or("nobody")) })?;
        let in_a_job = anyrt::run_blocking(|| USER.get()).await;
        Ok(format!("{} {in_a_job}", USER.get()))
    }
    let log = Log::default();
    let app = App::new()
        .get("/top", async |_: Dep<Top>, log: Dep<Log>, background: Background| seen(log, background).await)
        .get("/middle", async |_: Dep<Middle>, log: Dep<Log>, background: Background| {
            seen(log, background).await
        })
        .get("/none", async || USER.try_with(|user| *user).unwrap_or("nobody"))
        .provide(top)
        .provide(middle);
    let server = serve(&log, app).await;
    let mut client = server.connect().await;
    for (path, expected) in
        [("/top", "Ada Ada"), ("/none", "nobody"), ("/middle", "Grace Grace"), ("/none", "nobody")]
    {
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        assert_eq!(client.reply().await.body, expected, "{path}");
    }
    drop(client);
    server.stop().await;
    let mut lines = log.lines();
    lines.sort();
    assert_eq!(lines, ["Ada", "Grace"]);
}

#[anyrt::test]
async fn wd_15_a_task_local_that_a_plain_dependency_sets_is_not() {
    fn top(log: Dep<Log>) -> Teardown<Top> {
        USER.set("Ada");
        Teardown::new(Top(String::new()), move |_, _| {
            log.say(USER.try_with(|user| *user).unwrap_or("nobody"))
        })
    }
    let log = Log::default();
    let app =
        App::new().get("/", async |_: Dep<Top>| USER.try_with(|user| *user).unwrap_or("nobody")).provide(top);
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.body, "nobody");
    server.stop().await;
    assert_eq!(log.lines(), ["nobody"]);
}

#[anyrt::test]
async fn wd_16_making_and_undoing_a_plain_dependency_may_be_in_different_threads() {
    // Held to nothing but that neither is on the event loop: the value goes from thread to thread.
    fn top(log: Dep<Log>) -> Teardown<Top> {
        assert!(anyrt::from_thread::check_cancelled().is_ok(), "made in the pool");
        Teardown::new(Top(String::new()), move |_, _| {
            assert!(anyrt::from_thread::check_cancelled().is_ok(), "undone in the pool");
            log.say("undone in the pool");
        })
    }
    let log = Log::default();
    let app = App::new().get("/", async |_: Dep<Top>| "").provide(top);
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.status, 200);
    server.stop().await;
    assert_eq!(log.lines(), ["undone in the pool"]);
}

#[anyrt::test]
async fn settings_that_mean_nothing_where_they_are_are_mistakes() {
    async fn number() -> Number {
        Number(1)
    }
    let text = |app: App| app.into_service().expect_err("a mistake").to_string();
    let said = text(App::new().get("/", (async || "").lifetime(Lifetime::Function)));
    assert!(said.contains("`GET /`") && said.contains("for providers"), "{said}");
    let said = text(App::new().provide(number.detach()));
    assert!(said.contains("Number`") && said.contains("for path operations"), "{said}");
    let said = text(App::new().provide(number.deadline(Duration::from_secs(1))));
    assert!(said.contains("fail_after"), "{said}");
}
