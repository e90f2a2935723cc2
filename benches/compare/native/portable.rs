//! Peers that run on any runtime: tokio-util's tokens, and futures.

use std::future::ready;
use std::hint::black_box;

use anyrt::Backend;
use futures::StreamExt;
use futures::future::abortable;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use crate::ours;
use crate::pair::Pair;
use crate::row::{CHILDREN, Row};
use crate::stopwatch::{Sample, Stopwatch, repeat};
use crate::yields::yield_once;

pub(crate) fn pairs(backend: Backend) -> Vec<Pair> {
    const TOKEN: &str = "tokio-util run_until_cancelled";
    const NEW_TOKEN: &str = "tokio-util, a new token each time";
    const ABORTABLE: &str = "futures Abortable";
    const BARE: &str = "the bare future";
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
        Pair::new(Row::ShieldReady, backend, ours::shield_ready, BARE, bare_ready),
        Pair::new(Row::ShieldYields, backend, ours::shield_yields, BARE, bare_yields),
        Pair::new(Row::Borrowing, backend, ours::borrowing, UNORDERED, unordered),
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
