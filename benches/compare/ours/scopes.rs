//! Scopes and shields.

use std::future::ready;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;

use anyrt::{CancelScope, move_on_at, shield};
use futures::future::join_all;

use crate::crowd::Crowd;
use crate::row::CHILDREN;
use crate::stopwatch::{Sample, Stopwatch, repeat};
use crate::yields::yield_once;

pub(crate) async fn scope_ready(count: u64) -> Sample {
    repeat(count, || move_on_at(None, ready(black_box(1)))).await
}

pub(crate) async fn scope_yields(count: u64) -> Sample {
    repeat(count, || move_on_at(None, yield_once())).await
}

pub(crate) async fn handle_ready(count: u64) -> Sample {
    repeat(count, || CancelScope::new().run(async |_| ready(black_box(1)).await)).await
}

pub(crate) async fn handle_yields(count: u64) -> Sample {
    repeat(count, || CancelScope::new().run(async |_| yield_once().await)).await
}

pub(crate) async fn shield_ready(count: u64) -> Sample {
    repeat(count, || shield(ready(black_box(1)))).await
}

pub(crate) async fn shield_yields(count: u64) -> Sample {
    repeat(count, || shield(yield_once())).await
}

pub(crate) async fn child_ready(count: u64) -> Sample {
    let around = CancelScope::new();
    let body = async |_| repeat(count, || CancelScope::new().run(async |_| ready(black_box(1)).await)).await;
    around.run(body).await.unwrap_or_default()
}

pub(crate) async fn child_yields(count: u64) -> Sample {
    let around = CancelScope::new();
    let body = async |_| repeat(count, || CancelScope::new().run(async |_| yield_once().await)).await;
    around.run(body).await.unwrap_or_default()
}

pub(crate) async fn cancel_flat(count: u64) -> Sample {
    cancel_scopes(count, |crowd| waiting(crowd, CHILDREN), CHILDREN).await
}

pub(crate) async fn cancel_tree(count: u64) -> Sample {
    let branches = |crowd: &Arc<Crowd>| -> Waiting {
        let branches: Vec<_> = (0..100).map(|_| in_a_scope(waiting(crowd, CHILDREN / 100))).collect();
        Box::pin(async { drop(join_all(branches).await) })
    };
    cancel_scopes(count, branches, CHILDREN + 100).await
}

type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The call of `cancel` alone, as of a token: who is woken is not polled yet.
async fn cancel_scopes(count: u64, waiting: impl Fn(&Arc<Crowd>) -> Waiting, scopes: u64) -> Sample {
    let mut total = Sample::default();
    for _ in 0..count {
        let crowd = Crowd::of(CHILDREN);
        let ended = CancelScope::new()
            .run(async |top| {
                let mut waiting = waiting(&crowd);
                crowd.gather(waiting.as_mut()).await;
                let watch = Stopwatch::start();
                top.cancel_with("they have waited enough");
                total += watch.stop(scopes);
                waiting.await;
            })
            .await;
        assert!(ended.is_err());
    }
    total
}

fn waiting(crowd: &Arc<Crowd>, scopes: u64) -> Waiting {
    let scopes: Vec<_> = (0..scopes).map(|_| in_a_scope(crowd.child())).collect();
    Box::pin(async { drop(join_all(scopes).await) })
}

async fn in_a_scope(body: impl Future<Output = ()>) {
    let _ = CancelScope::new().run(async |_| body.await).await;
}
