//! What extractors read of a request: lists, headers, cookies; and errors that handlers end in.

use std::collections::HashMap;
use std::io;

use anyrt_http::{
    AnyError, App, Background, Configure, Cookies, Dep, Dependency, Error, Form, Headers, HttpError,
    Lifespan, Lifetime, Outcome, Query, Router, Teardown, TooLate,
};
use http::StatusCode;
use serde::Deserialize;

use crate::client::Server;
use crate::log::{Log, serve};

#[derive(Deserialize, Debug)]
#[allow(dead_code, reason = "it is printed")]
struct Tags {
    #[serde(default)]
    tag: Vec<String>,
}

#[derive(Deserialize, Debug)]
#[allow(dead_code, reason = "it is printed")]
struct Numbers {
    id: Vec<u32>,
}

#[derive(Deserialize, Debug)]
#[allow(dead_code, reason = "it is printed")]
struct One {
    id: u32,
    more: Option<u32>,
}

#[derive(Deserialize, Debug)]
#[allow(dead_code, reason = "it is printed")]
struct Flat {
    #[serde(flatten)]
    page: Page,
    q: Option<String>,
}

#[derive(Deserialize, Debug)]
#[allow(dead_code, reason = "it is printed")]
struct Page {
    page: u32,
}

#[anyrt::test]
async fn a_key_that_comes_several_times_is_a_list() {
    let app = App::new()
        .get("/tags", async |Query(tags): Query<Tags>| format!("{:?}", tags.tag))
        .get("/ids", async |Query(ids): Query<Numbers>| format!("{:?}", ids.id))
        .get("/one", async |Query(one): Query<One>| format!("{} {:?}", one.id, one.more))
        .post("/tags", |Form(tags): Form<Tags>| format!("{:?}", tags.tag));
    let server = Server::start(app).await;
    for (path, answer) in [
        ("/tags?tag=a&tag=b%26c", r#"["a", "b&c"]"#),
        ("/tags?tag=a", r#"["a"]"#),
        ("/tags?other=1&other=2", "[]"),
        ("/tags", "[]"),
        ("/ids?id=1&id=2&x=3", "[1, 2]"),
        ("/ids?id=7", "[7]"),
        ("/one?id=7&more=8", "7 Some(8)"),
        ("/one?id=7&more=", "7 None"),
    ] {
        let reply = server.get(path).await;
        assert_eq!((reply.status, &*reply.body), (200, answer), "{path}");
    }
    let form = server.post("/tags", "application/x-www-form-urlencoded", "tag=a&tag=b").await;
    assert_eq!((form.status, &*form.body), (200, r#"["a", "b"]"#));
    for (path, says) in [
        ("/ids?id=1&id=x", r#"["query","id",1]"#),
        ("/one?id=1&id=2", "given several times, and is no list"),
        ("/one?id=x", "invalid digit"),
        ("/ids", "missing field"),
    ] {
        let reply = server.get(path).await;
        assert!(reply.status == 422 && reply.body.contains(says), "{path}: {}", reply.body);
    }
    server.stop().await;
}

#[anyrt::test]
async fn a_number_in_a_flattened_type_is_refused_with_the_cure() {
    let app = App::new().get("/flat", async |Query(flat): Query<Flat>| format!("{flat:?}")).get(
        "/cured",
        async |Query(page): Query<Page>, Query(rest): Query<HashMap<String, String>>| {
            format!("{} {:?}", page.page, rest.get("q"))
        },
    );
    let server = Server::start(app).await;
    let flat = server.get("/flat?page=3&q=x").await;
    assert!(flat.status == 422 && flat.body.contains("read it with an argument of its own"), "{}", flat.body);
    assert_eq!(server.get("/cured?page=3&q=x").await.body, r#"3 Some("x")"#);
    server.stop().await;
}

#[derive(Deserialize, Debug)]
#[allow(dead_code, reason = "it is printed")]
struct Asked {
    x_number: Option<u8>,
    #[serde(default)]
    x_hop: Vec<String>,
}

#[derive(Deserialize, Debug)]
#[allow(dead_code, reason = "it is printed")]
struct Visit {
    session: String,
    #[serde(default)]
    seen: Vec<u32>,
}

#[anyrt::test]
async fn headers_and_cookies_are_read_by_their_names() {
    let app = App::new()
        .get("/headers", |Headers(asked): Headers<Asked>| format!("{asked:?}"))
        .get("/cookies", async |Cookies(visit): Cookies<Visit>| format!("{visit:?}"));
    let server = Server::start(app).await;
    let get = async |path: &str, lines: &str| {
        let reply = server.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n")).await;
        (reply.status, reply.body)
    };
    let ok = |text: &str| (200, text.to_owned());
    assert_eq!(get("/headers", "").await, ok("Asked { x_number: None, x_hop: [] }"));
    let lines = "X-Hop: a, b\r\nX-Number: 7\r\nX-HOP: c&d=e\r\n";
    assert_eq!(get("/headers", lines).await, ok(r#"Asked { x_number: Some(7), x_hop: ["a, b", "c&d=e"] }"#));
    let (status, body) = get("/headers", "X-Number: many\r\n").await;
    assert!(status == 422 && body.contains(r#"["header","x_number"]"#), "{body}");
    let lines = "Cookie: session=\"a=b\"; seen=1; seen=2\r\n";
    assert_eq!(get("/cookies", lines).await, ok(r#"Visit { session: "a=b", seen: [1, 2] }"#));
    let lines = "Cookie: seen=1;nothing\r\nCookie: session=a%20b+c\r\n";
    assert_eq!(get("/cookies", lines).await, ok(r#"Visit { session: "a%20b+c", seen: [1] }"#));
    let (status, body) = get("/cookies", "Cookie: seen=1\r\n").await;
    assert!(status == 422 && body.contains("cookie"), "{body}");
    server.stop().await;
}

/// Says to the log how the request ended.
struct Watched;

async fn watched(log: Dep<Log>) -> Teardown<Watched> {
    Teardown::new(Watched, async move |_, outcome: Outcome| log.say(outcome))
}

#[anyrt::test]
async fn ordinary_errors_are_500_and_tell_the_client_nothing() {
    fn secret() -> io::Error {
        io::Error::other("the password is swordfish")
    }
    async fn any(_: Dep<Watched>) -> Result<String, AnyError> {
        Err(secret())?;
        Ok("unreached".parse::<u8>()?.to_string())
    }
    fn plain(_: Dep<Watched>) -> Result<String, AnyError> {
        Ok("seven".parse::<u8>()?.to_string())
    }
    async fn known(_: Dep<Watched>) -> Result<(), AnyError> {
        Err(HttpError::new(StatusCode::CONFLICT, "twice"))?;
        Ok(())
    }
    async fn http(_: Dep<Watched>) -> Result<(), HttpError> {
        Err(secret())?;
        Ok(())
    }
    async fn mapped(_: Dep<Watched>) -> Result<(), HttpError> {
        "a number".parse::<u8>().map(drop).map_err(HttpError::internal)
    }
    async fn late(background: Background, _: Dep<Watched>) -> Result<(), HttpError> {
        let later = background.clone();
        background.add(async move { later.add(async {}).map(drop) })?;
        Err(TooLate)?
    }
    let app = App::new()
        .get("/any", any)
        .get("/plain", plain)
        .get("/known", known)
        .get("/http", http)
        .get("/mapped", mapped)
        .get("/late", late)
        .provide(watched);
    let log = Log::default();
    let server = serve(&log, app).await;
    for (path, status, told) in [
        ("/any", 500, "failed with 500: the password is swordfish"),
        ("/plain", 500, "failed with 500: invalid digit found in string"),
        ("/known", 409, "failed with 409"),
        ("/http", 500, "failed with 500: the password is swordfish"),
        ("/mapped", 500, "failed with 500: invalid digit found in string"),
        ("/late", 500, "failed with 500"),
    ] {
        let reply = server.get(path).await;
        assert_eq!(reply.status, status, "{path}");
        let says = if status == 500 { "Internal Server Error" } else { "twice" };
        assert_eq!(reply.body, format!(r#"{{"detail":"{says}"}}"#));
        while log.lines().is_empty() {
            anyrt::checkpoint().await;
        }
        assert!(log.take()[0].starts_with(told), "{path}");
    }
    server.stop().await;
}

struct Settings(&'static str);
struct Pool(String, Log);
impl Dependency for Pool {}
struct Worker(String);
struct Inner(String);

#[anyrt::test]
async fn a_lifespan_asks_for_what_lives_as_long_as_the_app() {
    fn pool(settings: Dep<Settings>, log: Dep<Log>) -> Teardown<Pool> {
        log.say("pool made");
        let pool = Pool(format!("pool of {}", settings.0), Log::clone(&log));
        Teardown::new(pool, |pool: Dep<Pool>, _: Outcome| pool.1.say("pool undone"))
    }
    async fn outer(app: Lifespan<Worker>, pool: Dep<Pool>, log: Dep<Log>) {
        log.say("outer begins");
        app.serve(Worker(format!("worker with {}", pool.0))).await;
        log.say("outer ends");
    }
    let inner = Router::new().lifespan(async |app: Lifespan<Inner>, worker: Dep<Worker>| {
        app.serve(Inner(format!("inner of {}", worker.0))).await;
    });
    let log = Log::default();
    let app = App::new()
        .get("/", async |inner: Dep<Inner>| inner.0.clone())
        .merge(inner)
        .lifespan(outer)
        .provide(pool.lifetime(Lifetime::App))
        .provide_value(Settings("settings"));
    let server = serve(&log, app).await;
    assert_eq!(server.get("/").await.body, "inner of worker with pool of settings");
    server.stop().await;
    assert_eq!(log.lines(), ["pool made", "outer begins", "outer ends", "pool undone"]);
}

#[anyrt::test]
async fn a_lifespan_cannot_ask_for_what_is_not_there() {
    struct Brief;
    impl Dependency for Brief {}
    let nobody = App::new().lifespan(async |app: Lifespan, _: Dep<Settings>| app.serve(()).await);
    assert!(matches!(nobody.test().start().await, Err(Error::MissingProvider { .. })));
    let brief =
        App::new().provide(async || Brief).lifespan(async |app: Lifespan, _: Dep<Brief>| app.serve(()).await);
    assert!(matches!(brief.test().start().await, Err(Error::Lifetime { .. })));
    let itself = App::new().lifespan(async |app: Lifespan<Worker>, worker: Dep<Worker>| {
        app.serve(Worker(worker.0.clone())).await;
    });
    let error = itself.test().start().await.expect_err("nobody serves one");
    assert_eq!(error.to_string(), "the lifespan failed");
    let why = std::error::Error::source(&error).expect("it says why").to_string();
    assert!(why.contains("not there before it serves"), "{why}");
    let refused = App::new()
        .provide((async || Err::<Brief, _>(StatusCode::BAD_GATEWAY)).lifetime(Lifetime::App))
        .lifespan(async |app: Lifespan, _: Dep<Brief>| app.serve(()).await);
    assert!(matches!(refused.test().start().await, Err(Error::Start { .. })));
}
