//! A pool of connections that is smaller than the thread pool, whose checkout blocks: requests that have begun go on.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use anyrt::sync::Event;
use anyrt_http::{App, Background, Dep, Dependency, Limits, Outcome, Teardown, TooLate};

use crate::client::{Server, soon};
use crate::log::{Log, serve};

/// Some connections; who wants one more waits, with the thread it is in.
#[derive(Clone)]
struct Connections(Arc<(Mutex<usize>, Condvar)>);

impl Connections {
    fn new(count: usize) -> Self {
        Connections(Arc::new((Mutex::new(count), Condvar::new())))
    }

    fn check_out(&self) -> Connection {
        let free = self.0.0.lock().expect("no panic");
        let mut free = self.0.1.wait_while(free, |free| *free == 0).expect("no panic");
        *free -= 1;
        Connection(self.clone())
    }
}

/// Goes back to the others when it is dropped.
struct Connection(Connections);
impl Dependency for Connection {}

impl Drop for Connection {
    fn drop(&mut self) {
        *self.0.0.0.lock().expect("no panic") += 1;
        self.0.0.1.notify_one();
    }
}

fn work(_: Dep<Connection>) -> &'static str {
    std::thread::sleep(Duration::from_millis(1));
    "worked"
}

fn dropped(connections: Dep<Connections>) -> Connection {
    connections.check_out()
}

fn torn_down(connections: Dep<Connections>) -> Teardown<Option<Connection>> {
    let connection = Mutex::new(Some(connections.check_out()));
    Teardown::new(None, move |_, _: Outcome| drop(connection.lock().expect("no panic").take()))
}

fn patient() -> Limits {
    let mut limits = Limits::default();
    (limits.queue_factor, limits.queue_time) = (usize::MAX, Duration::from_secs(600));
    limits
}

/// Makes so many requests at once, and counts those that are answered with 200 and with 503; what the lane had to do.
async fn storm(app: App, tokens: usize, requests: usize) -> (usize, usize) {
    let limiter = anyrt::current_handle().limiter().clone();
    limiter.set_total(tokens);
    let client = Arc::new(app.provide_value(Connections::new(3)).view("/view").test().await);
    let began = anyrt::now();
    let answers = anyrt::try_task_group(async |group| {
        let tasks: Vec<_> = (0..requests)
            .map(|_| {
                let client = Arc::clone(&client);
                group.spawn(async move { client.get("/").await.status().as_u16() })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await?);
        }
        Ok(answers)
    });
    let answers = soon(answers).await.expect("no request fails otherwise");
    let state: serde_json::Value = client.get("/view/state.json").await.json();
    println!("{requests} requests, {tokens} tokens: {:?}, {}", anyrt::now() - began, state["pool"]);
    assert_eq!(state["pool"]["beyond"], 0);
    // No more than have begun: those with a connection, and those that had a token.
    assert!(state["pool"]["most_beyond"].as_u64().is_some_and(|most| most <= tokens as u64));
    let count = |status| answers.iter().filter(|answer| **answer == status).count();
    (count(200), count(503))
}

#[anyrt::test]
async fn more_requests_than_tokens_with_fewer_connections_are_all_answered() {
    for (tokens, requests) in [(3, 12), (40, 60)] {
        let app = App::new().get("/", work).provide(dropped);
        assert_eq!(storm(app, tokens, requests).await, (requests, 0));
        let app = App::new().get("/", |_: Dep<Option<Connection>>| work_without()).provide(torn_down);
        assert_eq!(storm(app, tokens, requests).await, (requests, 0));
    }
}

fn work_without() -> &'static str {
    std::thread::sleep(Duration::from_millis(1));
    "worked"
}

#[anyrt::test]
async fn a_thousand_requests_are_answered_or_told_to_come_again() {
    let (answered, refused) = storm(App::new().get("/", work).provide(dropped), 40, 1000).await;
    assert_eq!(answered + refused, 1000);
    assert!(answered >= 400, "{answered} answered");
    let app = App::new().limits(patient()).get("/", work).provide(dropped);
    assert_eq!(storm(app, 40, 1000).await, (1000, 0));
}

#[anyrt::test]
async fn a_request_that_has_begun_goes_beyond_the_limit_of_a_stuck_pool_and_no_other_does() {
    struct Made;
    impl Dependency for Made {}
    struct Between;
    impl Dependency for Between {}
    let (log, go, blocked) = (Log::default(), Event::new(), Connections::new(0));
    let app = App::new()
        .get("/blocks", {
            let blocked = blocked.clone();
            move |log: Dep<Log>| {
                log.say("blocks");
                drop(blocked.check_out());
            }
        })
        .get("/begun", |_: Dep<Made>, _: Dep<Between>, log: Dep<Log>| log.say("begun went on"))
        .get("/background", async |_: Dep<Made>, _: Dep<Between>, background: Background, log: Dep<Log>| {
            let log = Log::clone(&log);
            background.add(move || log.say("background went on"))?;
            Ok::<_, TooLate>(())
        })
        .get("/new", |log: Dep<Log>| log.say("new"))
        .provide(|log: Dep<Log>| {
            log.say("made");
            Made
        })
        .provide({
            let go = go.clone();
            move || {
                let go = go.clone();
                async move {
                    go.wait().await;
                    Between
                }
            }
        })
        .view("/view");
    let limiter = anyrt::current_handle().limiter().clone();
    limiter.set_total(1);
    let server = serve(&log, app).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut clients = Vec::new();
    for (path, line) in [("/begun", "made"), ("/background", "made"), ("/blocks", "blocks")] {
        let mut client = server.connect().await;
        client.send(&get(path)).await;
        log.said(line).await;
        log.take();
        clients.push(client);
    }
    let mut new = server.connect().await;
    new.send(&get("/new")).await;
    while limiter.waiting() == 0 || go.waiting() < 2 {
        anyrt::checkpoint().await;
    }
    go.set();
    log.said("begun went on").await;
    log.said("background went on").await;
    assert!(!log.has("new"));
    let state: serde_json::Value =
        serde_json::from_str(&server.get("/view/state.json").await.body).expect("JSON");
    let most = state["pool"]["most_beyond"].as_u64().expect("a number");
    assert!((1..=2).contains(&most), "{}", state["pool"]);
    assert!(state["pool"]["most_threads"].as_u64().is_some_and(|threads| threads >= 2), "{}", state["pool"]);
    // Who is let go lets in who is new.
    drop(Connection(blocked));
    for client in clients.iter_mut().chain([&mut new]) {
        assert_eq!(client.reply().await.status, 200);
    }
    server.stop().await;
}

#[anyrt::test]
async fn a_call_of_a_request_that_has_begun_goes_before_those_that_have_not() {
    struct Made;
    impl Dependency for Made {}
    let (log, held) = (Log::default(), Connections::new(0));
    let app = App::new()
        .get("/begun", |_: Dep<Made>, log: Dep<Log>| log.say("begun"))
        .get("/new", |log: Dep<Log>| log.say("new"))
        .provide({
            let held = held.clone();
            move |log: Dep<Log>| {
                log.say("making");
                drop(held.check_out());
                Made
            }
        });
    let limiter = anyrt::current_handle().limiter().clone();
    limiter.set_total(1);
    let server = serve(&log, app).await;
    let mut clients = Vec::new();
    for path in ["/begun", "/new", "/new", "/new"] {
        let mut client = server.connect().await;
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        clients.push(client);
        log.said("making").await;
    }
    while limiter.waiting() < 3 {
        anyrt::checkpoint().await;
    }
    // Its token comes back, and goes to what it calls next.
    drop(Connection(held));
    for client in &mut clients {
        assert_eq!(client.reply().await.status, 200);
    }
    assert_eq!(log.lines(), ["making", "begun", "new", "new", "new"]);
    assert_eq!((limiter.borrowed(), limiter.waiting()), (0, 0));
    Server::stop(server).await;
}
