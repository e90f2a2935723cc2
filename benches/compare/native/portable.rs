//! Peers that run on any runtime: tokio-util's tokens, and futures.

use std::future::ready;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;

use anyrt::Backend;
use futures::StreamExt;
use futures::future::{abortable, join_all};
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use crate::crowd::Crowd;
use crate::ours;
use crate::pair::Pair;
use crate::row::{CHILDREN, Row};
use crate::stopwatch::{Sample, Stopwatch, repeat};
use crate::yields::yield_once;

pub(crate) fn pairs(backend: Backend) -> Vec<Pair> {
    const TOKEN: &str = "tokio-util run_until_cancelled";
    const NEW_TOKEN: &str = "tokio-util, a new token each time";
    const CHILD_TOKEN: &str = "tokio-util child token";
    const TREE: &str = "tokio-util, a tree of tokens";
    const ABORTABLE: &str = "futures Abortable";
    const BARE: &str = "the bare future";
    const UNSEEN: &str = "anyrt, the same unseen";
    const UNORDERED: &str = "futures FuturesUnordered";
    vec![
        Pair::new(Row::ScopeReady, backend, ours::scope_ready, TOKEN, token_ready),
        Pair::new(Row::ScopeReady, backend, ours::scope_ready, ABORTABLE, abortable_ready),
        Pair::new(Row::ScopeReady, backend, ours::scope_ready, BARE, bare_ready),
        Pair::new(Row::ScopeYields, backend, ours::scope_yields, TOKEN, token_yields),
        Pair::new(Row::ScopeYields, backend, ours::scope_yields, ABORTABLE, abortable_yields),
        Pair::new(Row::ScopeYields, backend, ours::scope_yields, BARE, bare_yields),
        Pair::new(Row::HandleReady, backend, ours::handle_ready, NEW_TOKEN, new_token_ready),
        Pair::new(Row::HandleReady, backend, ours::handle_ready, ABORTABLE, abortable_ready),
        Pair::new(Row::HandleYields, backend, ours::handle_yields, NEW_TOKEN, new_token_yields),
        Pair::new(Row::HandleYields, backend, ours::handle_yields, ABORTABLE, abortable_yields),
        Pair::new(Row::ChildReady, backend, ours::child_ready, CHILD_TOKEN, child_token_ready),
        Pair::new(Row::ChildYields, backend, ours::child_yields, CHILD_TOKEN, child_token_yields),
        Pair::new(Row::CancelFlat, backend, ours::cancel_flat, TREE, cancel_flat),
        Pair::new(Row::CancelTree, backend, ours::cancel_tree, TREE, cancel_tree),
        Pair::new(Row::ShieldReady, backend, ours::shield_ready, BARE, bare_ready),
        Pair::new(Row::ShieldYields, backend, ours::shield_yields, BARE, bare_yields),
        Pair::new(Row::Borrowing, backend, ours::borrowing, UNORDERED, unordered),
        Pair::new(Row::SpawnMeasured, backend, ours::spawn_measured, UNSEEN, ours::spawn).of_ours(),
        Pair::new(Row::GroupMeasured, backend, ours::group_measured, UNSEEN, ours::group).of_ours(),
        Pair::new(Row::GroupLookedAt, backend, ours::group_looked_at, UNSEEN, ours::group).of_ours(),
    ]
}

async fn token_ready(count: u64) -> Sample {
    let token = &CancellationToken::new();
    repeat(count, || token.run_until_cancelled(ready(black_box(1)))).await
}

async fn token_yields(count: u64) -> Sample {
    let token = &CancellationToken::new();
    repeat(count, || token.run_until_cancelled(yield_once())).await
}

async fn new_token_ready(count: u64) -> Sample {
    repeat(count, || CancellationToken::new().run_until_cancelled_owned(ready(black_box(1)))).await
}

async fn new_token_yields(count: u64) -> Sample {
    repeat(count, || CancellationToken::new().run_until_cancelled_owned(yield_once())).await
}

async fn child_token_ready(count: u64) -> Sample {
    let around = CancellationToken::new();
    repeat(count, || around.child_token().run_until_cancelled_owned(ready(black_box(1)))).await
}

async fn child_token_yields(count: u64) -> Sample {
    let around = CancellationToken::new();
    repeat(count, || around.child_token().run_until_cancelled_owned(yield_once())).await
}

async fn cancel_flat(count: u64) -> Sample {
    cancel_tokens(count, |top, crowd| waiting(top, crowd, CHILDREN), CHILDREN).await
}

async fn cancel_tree(count: u64) -> Sample {
    let branches = |top: &CancellationToken, crowd: &Arc<Crowd>| -> Waiting {
        let branches: Vec<_> = (0..100).map(|_| waiting(&top.child_token(), crowd, CHILDREN / 100)).collect();
        Box::pin(async { drop(join_all(branches).await) })
    };
    cancel_tokens(count, branches, CHILDREN + 100).await
}

type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Futures that have left their wakers with their tokens, as our scopes have.
async fn cancel_tokens(
    count: u64,
    waiting: impl Fn(&CancellationToken, &Arc<Crowd>) -> Waiting,
    tokens: u64,
) -> Sample {
    let mut total = Sample::default();
    for _ in 0..count {
        let (top, crowd) = (CancellationToken::new(), Crowd::of(CHILDREN));
        let mut waiting = waiting(&top, &crowd);
        crowd.gather(waiting.as_mut()).await;
        let watch = Stopwatch::start();
        top.cancel();
        total += watch.stop(tokens);
        waiting.await;
    }
    total
}

fn waiting(above: &CancellationToken, crowd: &Arc<Crowd>, count: u64) -> Waiting {
    let tokens: Vec<_> = (0..count).map(|_| (above.child_token(), crowd.child())).collect();
    let waiting = tokens.into_iter().map(|(token, child)| token.run_until_cancelled_owned(child));
    let waiting: Vec<_> = waiting.collect();
    Box::pin(async { drop(join_all(waiting).await) })
}

async fn abortable_ready(count: u64) -> Sample {
    repeat(count, || abortable(ready(black_box(1))).0).await
}

async fn abortable_yields(count: u64) -> Sample {
    repeat(count, || abortable(yield_once()).0).await
}

async fn bare_ready(count: u64) -> Sample {
    repeat(count, || ready(black_box(1))).await
}

async fn bare_yields(count: u64) -> Sample {
    repeat(count, yield_once).await
}

async fn unordered(count: u64) -> Sample {
    let numbers: Vec<u64> = vec![1; CHILDREN as usize];
    let watch = Stopwatch::start();
    for _ in 0..count {
        let mut children: FuturesUnordered<_> =
            numbers.iter().map(|number| async move { black_box(*number) }).collect();
        while let Some(number) = children.next().await {
            black_box(number);
        }
    }
    watch.stop(count * CHILDREN)
}
