//! A body that is always ready gives others their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyrt::sync::Event;
use anyrt::{Backend, Builder};
use anyrt_http::{App, Streaming};
use futures_util::{AsyncReadExt, stream};
use http_body_util::BodyExt;

use crate::client::soon;
use crate::speaks::Speaker;

/// How many pieces are made beside a short request, at most, in the middle of many.
const MOST: usize = 256;

fn endless(made: &Arc<AtomicUsize>) -> App {
    let counter = Arc::clone(made);
    App::new().get("/alive", async || "alive").get("/endless", move || {
        let made = Arc::clone(&counter);
        async move {
            Streaming::new(stream::repeat_with(move || {
                made.fetch_add(1, Ordering::Relaxed);
                "piece"
            }))
        }
    })
}

/// Client and server in one thread: what is made is made in turns.
async fn beside_short_requests(http2: bool) {
    let made = Arc::new(AtomicUsize::new(0));
    let listener = anyrt::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let stop = Event::new();
    let server = endless(&made).server().listener(listener).until(stop.wait());
    let serving = anyrt::spawn(async move { server.serve().await.expect("it ends well") });
    let mut short = Speaker::connect(address, http2).await;
    assert_eq!(short.get("/alive").await.body, "alive");
    let mut reading = Speaker::connect(address, false).await;
    reading.begin("GET", "/endless").await;
    let (done, over) = (Event::new(), Event::new());
    let reader = {
        let (done, over) = (done.clone(), over.clone());
        anyrt::spawn(async move {
            let mut buffer = vec![0; 1 << 16];
            while !done.is_set() {
                assert!(reading.link.read(&mut buffer).await.is_ok_and(|count| count > 0));
                anyrt::checkpoint().await;
            }
            over.set();
        })
    };
    let mut beside = Vec::new();
    for _ in 0..25 {
        let before = made.load(Ordering::Relaxed);
        assert_eq!(short.get("/alive").await.body, "alive");
        beside.push(made.load(Ordering::Relaxed) - before);
    }
    done.set();
    soon(over.wait()).await;
    drop((short, reader));
    stop.set();
    soon(serving).await.expect("no panic");
    beside.sort_unstable();
    assert!(beside[12] <= MOST, "{beside:?}");
}

#[test]
fn an_endless_stream_leaves_turns_to_others_on_its_thread() {
    for &backend in Backend::enabled() {
        for http2 in [false, true] {
            Builder::new().backend(backend).threads(1).run(beside_short_requests(http2));
        }
    }
}

#[anyrt::test]
async fn an_endless_stream_ends_with_the_deadline_of_who_reads_it() {
    let made = Arc::new(AtomicUsize::new(0));
    let client = endless(&made).test().await;
    let mut body = client.get("/endless").open().await.into_body();
    let reading = async {
        while let Some(frame) = body.frame().await {
            frame.expect("a piece");
        }
    };
    let ended = soon(anyrt::move_on_after(Duration::from_millis(20), reading)).await;
    assert!(ended.is_none() && made.load(Ordering::Relaxed) > 0);
    drop(body);
    client.close().await.expect("it ends well");
}
