//! Time limits.

use std::future::ready;
use std::hint::black_box;
use std::time::Duration;

use anyrt::{move_on_after, move_on_at};

use crate::stopwatch::{Sample, repeat};
use crate::yields::yield_once;

/// A time that never runs out here.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) async fn timeout_ready(count: u64) -> Sample {
    repeat(count, || move_on_after(LIMIT, ready(black_box(1)))).await
}

pub(crate) async fn timeout_yields(count: u64) -> Sample {
    repeat(count, || move_on_after(LIMIT, yield_once())).await
}

pub(crate) async fn deadline_ready(count: u64) -> Sample {
    let deadline = anyrt::now() + LIMIT;
    repeat(count, || move_on_at(deadline, ready(black_box(1)))).await
}

pub(crate) async fn deadline_yields(count: u64) -> Sample {
    let deadline = anyrt::now() + LIMIT;
    repeat(count, || move_on_at(deadline, yield_once())).await
}
