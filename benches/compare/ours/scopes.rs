//! Scopes and shields.

use std::future::ready;
use std::hint::black_box;

use anyrt::{CancelScope, move_on_at, shield};

use crate::stopwatch::{Sample, repeat};
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
