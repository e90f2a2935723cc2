//! A body that is always ready gives others their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyrt::sync::Event;
use anyrt::{Backend, Run};
use anyrt_http::{App, Streaming};
use futures_util::stream;
use http_body_util::BodyExt;

use crate::client::soon;

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

/// Client and app in one thread: what is made is made in turns.
async fn beside_short_requests() {
    let made = Arc::new(AtomicUsize::new(0));
    let client = endless(&made).test().await;
    let (begun, done) = (Event::new(), Event::new());
    let mut body = client.get("/endless").open().await.into_body();
    let reader = {
        let (begun, done) = (begun.clone(), done.clone());
        anyrt::spawn(async move {
            while !done.is_set() {
                body.frame().await.expect("it has no end").expect("a piece");
                begun.set();
            }
        })
    };
    soon(begun.wait()).await;
    let mut beside = Vec::new();
    for _ in 0..25 {
        let before = made.load(Ordering::Relaxed);
        assert_eq!(client.get("/alive").await.text(), "alive");
        beside.push(made.load(Ordering::Relaxed) - before);
        anyrt::checkpoint().await;
    }
    done.set();
    soon(reader).await.expect("no panic");
    client.close().await.expect("it ends well");
    beside.sort_unstable();
    assert!(beside[12] <= MOST, "{beside:?}");
}

#[test]
fn an_endless_stream_leaves_turns_to_others_on_its_thread() {
    for &backend in Backend::enabled() {
        Run::on(backend).threads(1).run(beside_short_requests()).expect("the run ends well");
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
