//! The view: what runs, as JSON, while it runs. `tests/view/run` holds the page to it.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use anyrt::checkpoint;
use anyrt::sync::Event;
use anyrt_http::{App, Background, Configure, Dep, Dependency, HttpError, Path, Router, TooLate};
use axum_core::body::Body;
use futures_util::{FutureExt, StreamExt, stream};
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap};
use serde_json::Value;

use crate::client::{Client, Server};
use crate::layers::{Doubling, Tagging, Waiting};
use crate::log::{Log, serve};

async fn look(server: &Server) -> Value {
    let reply = server.get("/_view/state.json").await;
    assert_eq!(reply.status, 200);
    assert!(reply.head.contains("content-type: application/json"), "{}", reply.head);
    assert!(reply.head.contains("cache-control: no-store"), "{}", reply.head);
    serde_json::from_str(&reply.body).expect("JSON")
}

/// The only live request of this path.
fn only<'a>(state: &'a Value, path: &str) -> &'a Value {
    let requests = state["requests"].as_array().expect("a list");
    let mut found = requests.iter().filter(|request| request["path"] == path);
    let request = found.next().unwrap_or_else(|| panic!("no request of {path} in {requests:?}"));
    assert!(found.next().is_none(), "several requests of {path}");
    request
}

fn task<'a>(state: &'a Value, request: &Value) -> &'a str {
    let entries = state["tasks"]["entries"].as_array().expect("a list");
    let task =
        entries.iter().find(|entry| !entry["task"].is_null() && entry["task"]["id"] == request["task"]);
    task.expect("the task of the request is in the tree")["task"]["name"].as_str().expect("a name")
}

fn limiter<'a>(state: &'a Value, name: &str) -> &'a Value {
    let limiters = state["tasks"]["limiters"].as_array().expect("a list");
    limiters.iter().find(|limiter| limiter["name"] == name).expect("the limiter")
}

async fn asks(server: &Server, path: &str) -> Client {
    let mut client = server.connect().await;
    client.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
    client
}

/// What the handlers wait for.
#[derive(Clone, Default)]
struct Go {
    handler: Event,
    stream: Event,
    background: Event,
}

async fn waits(Path(id): Path<u64>, log: Dep<Log>, go: Dep<Go>) -> String {
    // A task that has waited is in the view; here, in the background, and in the clean-up below.
    checkpoint().await;
    log.say("waits");
    go.handler.wait().await;
    format!("waited for {id}")
}

async fn streams(log: Dep<Log>, go: Dep<Go>) -> Body {
    let go = go.clone();
    let last = async move {
        log.say("streams");
        go.stream.wait().await;
        Ok::<_, std::io::Error>("last")
    };
    Body::from_stream(stream::once(async { Ok("first") }).chain(last.into_stream()))
}

async fn leaves_work(background: Background, log: Dep<Log>, go: Dep<Go>) -> Result<&'static str, TooLate> {
    let go = go.clone();
    background.named("the work").add(async move {
        checkpoint().await;
        log.say("works");
        go.background.wait().await;
        log.say("worked");
    })?;
    Ok("left")
}

#[anyrt::test]
async fn live_requests_are_told_with_their_route_place_state_and_task() {
    for layered in [false, true] {
        let (go, log) = (Go::default(), Log::default());
        let (release, released) = channel::<()>();
        let (begun, released) = (log.clone(), Mutex::new(released));
        let blocks = move || {
            begun.say("blocks");
            // The channel ends with the test.
            let _ = released.lock().expect("one at a time").recv();
            "blocked"
        };
        let mut slow = Router::new().get("/waits/{id}", waits.deadline(Duration::from_secs(600)));
        if layered {
            slow = slow.layer(Tagging("x-router"));
        }
        let mut app = App::new()
            .nest("/slow", slow)
            .get("/blocks", blocks.named("a plain function"))
            .get("/streams", streams)
            .get("/leaves", leaves_work)
            .view("/_view")
            .provide_value(go.clone());
        if layered {
            app = app.layer(Doubling).layer(Tagging("x-app"));
        }
        let server = serve(&log, app).await;
        let before = look(&server).await;
        assert_eq!(before["requests"], serde_json::json!([]), "not even the one that asks");
        assert_eq!(limiter(&before, "blocking")["borrowed"], 0);

        let mut waiting = asks(&server, "/slow/waits/7?secret=1").await;
        log.said("waits").await;
        let mut blocking = asks(&server, "/blocks").await;
        log.said("blocks").await;
        let mut streaming = asks(&server, "/streams").await;
        streaming.reads_until("first").await;
        log.said("streams").await;
        let mut leaving = asks(&server, "/leaves").await;
        assert_eq!(leaving.reply().await.body, "left");
        log.said("works").await;

        let state = look(&server).await;
        assert_eq!(state["requests"].as_array().expect("a list").len(), 4);
        let seen = only(&state, "/slow/waits/7");
        assert_eq!(seen["method"], "GET");
        assert_eq!(seen["route"], "/slow/waits/{id}");
        assert!(seen["handler"].as_str().expect("a name").contains("waits"));
        assert_eq!(seen["place"], "event loop");
        assert_eq!(seen["state"], "handling");
        assert_eq!(seen["client_left"], false);
        assert_eq!(seen["peer"], waiting.0.local_addr().expect("an address").to_string());
        assert_eq!(task(&state, seen), "http connection");
        let (age, left) = (seen["age"].as_f64().expect("s"), seen["expires_in"].as_f64().expect("s"));
        assert!(age >= 0.0 && (age + left - 600.0).abs() < 0.001, "{age} + {left}");
        let seen = only(&state, "/blocks");
        assert_eq!((&seen["handler"], &seen["place"]), (&"a plain function".into(), &"thread pool".into()));
        assert_eq!((&seen["state"], &seen["expires_in"]), (&"handling".into(), &Value::Null));
        assert_eq!(only(&state, "/streams")["state"], "sending");
        let seen = only(&state, "/leaves");
        assert_eq!(seen["state"], "after");
        assert_eq!(task(&state, seen), "after a response");
        assert_eq!(limiter(&state, "blocking")["borrowed"], 1);
        assert!(state["tasks"]["blocking_threads"].as_u64().expect("a number") >= 1);
        let names: Vec<&Value> = state["tasks"]["entries"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|entry| &entry["task"]["name"])
            .collect();
        assert!(names.contains(&&"the work".into()), "{names:?}");
        assert_eq!(state["server"]["requests"], 6, "those, and the two that asked");
        assert_eq!(state["server"]["stopping"], false);

        go.handler.set();
        assert_eq!(waiting.reply().await.body, "waited for 7");
        drop(release);
        assert_eq!(blocking.reply().await.body, "blocked");
        go.stream.set();
        streaming.reads_until("last\r\n0\r\n\r\n").await;
        let state = look(&server).await;
        assert_eq!(state["requests"].as_array().expect("a list").len(), 1);
        assert_eq!(only(&state, "/leaves")["state"], "after");
        assert_eq!(limiter(&state, "blocking")["borrowed"], 0);
        go.background.set();
        log.said("worked").await;
        server.stop().await;
    }
}

#[anyrt::test]
async fn a_request_whose_client_left_is_told_while_it_holds() {
    for layered in [false, true] {
        let (log, go) = (Log::default(), Event::new());
        let holds = {
            let (log, go) = (log.clone(), go.clone());
            move || {
                let (log, go) = (log.clone(), go.clone());
                async move {
                    let _dropped = log.on_drop("dropped");
                    let work = async {
                        log.say("begun");
                        std::future::pending::<()>().await;
                    };
                    anyrt::finally(work, async |_| {
                        checkpoint().await;
                        log.say("cleans up");
                        go.wait().await;
                    })
                    .await;
                }
            }
        };
        let mut app = App::new().get("/holds", holds).view("/_view");
        if layered {
            app = app.layer(Doubling);
        }
        let server = serve(&log, app).await;
        let client = asks(&server, "/holds").await;
        log.said("begun").await;
        assert_eq!(only(&look(&server).await, "/holds")["client_left"], false);
        drop(client);
        log.said("cleans up").await;
        let state = look(&server).await;
        let seen = only(&state, "/holds");
        assert_eq!((&seen["client_left"], &seen["state"]), (&true.into(), &"handling".into()));
        assert_eq!(task(&state, seen), "a request whose client left");
        go.set();
        log.said("dropped").await;
        server.stop().await;
    }
}

#[anyrt::test]
async fn hostile_paths_and_names_stay_texts() {
    const NAME: &str = "</script><b onclick='x'>\u{7}\"";
    const PATH: &str = "/say/\"}],\"x\":[{'&%3Cscript%3Ealert(1)%3C/script%3E";
    let (log, go) = (Log::default(), Event::new());
    let says = async |log: Dep<Log>, go: Dep<Event>| {
        log.say("says");
        go.wait().await;
    };
    let app = App::new().get("/say/{*rest}", says.named(NAME)).view("/_view").provide_value(go.clone());
    let server = serve(&log, app).await;
    let mut client = asks(&server, PATH).await;
    log.said("says").await;
    let state = look(&server).await;
    let seen = only(&state, PATH);
    assert_eq!((&seen["route"], &seen["handler"]), (&"/say/{*rest}".into(), &NAME.into()));
    go.set();
    assert_eq!(client.reply().await.status, 200);
    server.stop().await;
}

#[anyrt::test]
async fn a_path_without_a_route_is_told_without_one() {
    let (log, go) = (Log::default(), Event::new());
    let waiting = Waiting { path: "/nowhere", log: log.clone(), go: go.clone() };
    let server = serve(&log, App::new().view("/_view").layer(waiting)).await;
    let mut client = asks(&server, "/nowhere").await;
    log.said("waiting").await;
    let state = look(&server).await;
    let seen = only(&state, "/nowhere");
    assert_eq!(
        (&seen["route"], &seen["handler"], &seen["place"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    go.set();
    assert_eq!(client.reply().await.status, 404);
    server.stop().await;
}

#[anyrt::test]
async fn there_is_no_view_unless_asked_for() {
    let log = Log::default();
    let server = serve(&log, App::new().get("/", async || "an app")).await;
    for path in ["/_view", "/_view/state.json", "/state.json"] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
    server.stop().await;
}

#[anyrt::test]
async fn a_view_is_protected_as_any_router_is() {
    struct Operator;
    impl Dependency for Operator {}
    async fn operator(headers: HeaderMap) -> Result<Operator, HttpError> {
        match headers.get(AUTHORIZATION) {
            Some(given) if given == "secret" => Ok(Operator),
            _ => Err(HttpError::from(StatusCode::UNAUTHORIZED)),
        }
    }
    let view = Router::new().view("/").require::<Operator>().provide(operator);
    let log = Log::default();
    let server = serve(&log, App::new().nest("/_view", view)).await;
    for path in ["/_view", "/_view/state.json"] {
        let refused = server.get(path).await;
        assert_eq!((refused.status, refused.body.as_str()), (401, "{\"detail\":\"Unauthorized\"}"));
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nAuthorization: secret\r\n\r\n");
        assert_eq!(server.send(&request).await.status, 200);
    }
    server.stop().await;
}

#[anyrt::test]
async fn the_page_is_one_file_that_may_do_nothing_but_ask_for_its_json() {
    let log = Log::default();
    let server = serve(&log, App::new().view("/_view/")).await;
    let page = server.get("/_view").await;
    assert_eq!(page.status, 200);
    let policy =
        page.head.lines().find(|line| line.starts_with("content-security-policy: ")).expect("a policy");
    assert!(policy.contains("default-src 'none'; connect-src 'self'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    for header in
        ["content-type: text/html; charset=utf-8", "cache-control: no-store", "referrer-policy: no-referrer"]
    {
        assert!(page.head.contains(header), "{}", page.head);
    }
    for outside in ["src=", "href=", "http:", "https:", "@import", "url(", "innerHTML", "document.write"] {
        assert!(!page.body.contains(outside), "{outside}");
    }
    server.stop().await;
}

#[anyrt::test]
async fn routes_are_told_as_at_the_start_each_dependency_once() {
    struct User;
    impl Dependency for User {}
    async fn user() -> User {
        User
    }
    async fn show(_user: Dep<User>, _log: Dep<Log>) {}
    let inner = Router::new().get("/", show.named("shows")).require::<User>();
    let app = App::new().nest("/users", inner).view("/_view").provide(user).provide_value(Log::default());
    let client = app.test().await;
    let state: Value = client.get("/_view/state.json").await.json();
    let user = std::any::type_name::<User>();
    assert_eq!(
        state["routes"][0],
        serde_json::json!({
            "method": "GET",
            "path": "/_view",
            "handler": "anyrt_http::view::page",
            "place": "event loop",
            "dependencies": [],
        })
    );
    assert_eq!(state["routes"][2]["path"], "/users");
    assert_eq!(state["routes"][2]["dependencies"], serde_json::json!([user, std::any::type_name::<Log>()]));
    assert_eq!(state["server"], Value::Null, "no server was started");
    client.close().await.expect("it ends well");
}
