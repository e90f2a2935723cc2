//! A server that is told to stop tells all that runs in it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyrt::sync::Event;
use anyrt::{is_stopping, stopping};
use anyrt_http::{
    App, Background, Configure, Dep, Lifespan, Limits, Outcome, Served, Sse, SseEvent, Streaming, Teardown,
    TooLate,
};
use futures_util::{StreamExt, stream};

use super::speaks::{End, Speaker};
use crate::client::soon;

/// What has begun, and what was told.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn say(&self, line: &str) {
        self.0.lock().expect("no panic meanwhile").push(line.to_owned());
    }

    fn has(&self, line: &str) -> bool {
        self.0.lock().expect("no panic meanwhile").iter().any(|said| said == line)
    }

    async fn said(&self, line: &str) {
        let said = async {
            while !self.has(line) {
                anyrt::sleep(Duration::from_millis(1)).await;
            }
        };
        soon(said).await;
    }

    /// Says that it begins, and what it was told.
    async fn hears(&self, what: &str) -> String {
        assert!(!is_stopping());
        self.say(&format!("{what} begins"));
        stopping().await;
        assert!(is_stopping());
        self.say(&format!("{what} was told"));
        format!("{what} says farewell")
    }
}

fn app(log: &Log) -> App {
    let after = log.clone();
    App::new()
        .provide_value(log.clone())
        .get("/handler", async |log: Dep<Log>| log.hears("handler").await)
        .get("/detached", (async |log: Dep<Log>| log.hears("detached").await).detach())
        .get("/plain", |log: Dep<Log>| {
            log.say("plain begins");
            while !is_stopping() {
                std::thread::sleep(Duration::from_millis(1));
            }
            log.say("plain was told");
            "plain says farewell"
        })
        .get("/stream", async |log: Dep<Log>| {
            let log = (*log).clone();
            Streaming::new(stream::once(async move { log.hears("stream").await }))
        })
        .get("/sse", async |log: Dep<Log>| {
            let log = (*log).clone();
            Sse::new(stream::once(async move { SseEvent::data(log.hears("sse").await) }))
        })
        .get("/background", async |background: Background, log: Dep<Log>| {
            let log = (*log).clone();
            background.add(async move { drop(log.hears("background").await) })?;
            Ok::<_, TooLate>("background says farewell")
        })
        .lifespan(async move |app: Lifespan| {
            app.serve(()).await;
            assert!(is_stopping());
            after.say("lifespan was told");
        })
}

const ALL: [&str; 6] = ["handler", "detached", "plain", "stream", "sse", "background"];

struct Serving {
    address: std::net::SocketAddr,
    stop: Event,
    serving: anyrt::TaskHandle<Served>,
}

async fn start(app: App) -> Serving {
    let listener = anyrt::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let stop = Event::new();
    let server = app.server().listener(listener).until(stop.wait());
    let serving = anyrt::spawn(async move { server.serve().await.expect("it ends well") });
    Serving { address, stop, serving }
}

#[anyrt::test]
async fn all_that_runs_in_a_server_hears_that_it_stops() {
    for http2 in [false, true] {
        let log = Log::default();
        let server = start(app(&log)).await;
        let mut asked = Vec::new();
        for what in ALL {
            let mut speaker = Speaker::connect(server.address, http2).await;
            let stream = speaker.begin("GET", &format!("/{what}")).await;
            log.said(&format!("{what} begins")).await;
            asked.push((what, speaker, stream));
        }
        server.stop.set();
        for (what, mut speaker, stream) in asked {
            log.said(&format!("{what} was told")).await;
            if http2 {
                // The server asks first whether the client has heard of the end; it answers all the same.
                continue;
            }
            let seen = speaker.answer("GET", stream).await;
            assert_eq!((seen.status, seen.end), (200, End::Whole), "{what}: {seen:?}");
            assert!(seen.body.contains(&format!("{what} says farewell")), "{what}: {seen:?}");
        }
        let served = soon(server.serving).await.expect("no panic");
        assert!(log.has("lifespan was told"));
        assert_eq!(served.requests, 6, "{served:?}");
        if !http2 {
            assert_eq!((served.answered, served.left, served.cancelled), (6, 0, 0), "{served:?}");
        }
    }
}

#[anyrt::test]
async fn a_stream_that_goes_on_is_cut_and_counted() {
    struct Session;
    let log = Log::default();
    let told = log.clone();
    let mut limits = Limits::default();
    limits.shutdown = Duration::from_millis(20);
    let app = App::new()
        .limits(limits)
        .provide(move || {
            let told = told.clone();
            async move {
                Teardown::new(Session, async move |_, outcome: Outcome| match outcome {
                    Outcome::Cancelled(why) if why.contains("shutdown") => told.say("cut"),
                    other => told.say(&other.to_string()),
                })
            }
        })
        .get("/sse", async |_: Dep<Session>| {
            Sse::new(stream::iter([SseEvent::data("first")]).chain(stream::pending()))
        })
        .get("/waits", async |_: Dep<Session>| std::future::pending::<&str>().await);
    let server = start(app).await;
    let mut speakers = Vec::new();
    for http2 in [false, true] {
        let mut speaker = Speaker::connect(server.address, http2).await;
        speaker.begin("GET", "/sse").await;
        let mut read = Vec::new();
        while !read.ends_with(b"data: first\n\n") {
            let mut byte = [0];
            assert_eq!(
                soon(futures_util::AsyncReadExt::read(&mut speaker.link, &mut byte)).await.ok(),
                Some(1)
            );
            read.push(byte[0]);
        }
        speakers.push(speaker);
    }
    server.stop.set();
    let served = soon(server.serving).await.expect("no panic");
    assert_eq!((served.requests, served.cancelled, served.left, served.answered), (2, 2, 0, 0), "{served:?}");
    assert_eq!(*log.0.lock().expect("no panic"), ["cut", "cut"]);
}

#[anyrt::test]
async fn an_app_under_test_hears_its_end_too() {
    let log = Log::default();
    let client = app(&log).test().await;
    let mut body = client.get("/stream").open().await.into_body();
    let reading = anyrt::spawn(async move {
        http_body_util::BodyExt::frame(&mut body).await.is_some_and(|frame| frame.is_ok())
    });
    log.said("stream begins").await;
    client.close().await.expect("it ends well");
    assert!(log.has("lifespan was told"));
    reading.cancel_with("the test is over");
}
