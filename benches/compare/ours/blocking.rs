//! Blocking calls.

use std::future::IntoFuture;
use std::hint::black_box;

use anyrt::blocking::CapacityLimiter;
use anyrt::run_blocking;
use futures::future::join_all;

use crate::row::CALLS;
use crate::stopwatch::{Sample, Stopwatch, repeat};

pub(crate) async fn blocking_one(count: u64) -> Sample {
    repeat(count, || run_blocking(|| black_box(1))).await
}

pub(crate) async fn blocking_default(count: u64) -> Sample {
    many(count, anyrt::current_handle().limiter()).await
}

pub(crate) async fn blocking_unlimited(count: u64) -> Sample {
    many(count, &CapacityLimiter::unlimited()).await
}

/// A call begins when it is polled, so all of them are, in one task; a native one begins when it is made.
async fn many(count: u64, limiter: &CapacityLimiter) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..count {
        let calls = (0..CALLS).map(|_| run_blocking(|| black_box(1)).limiter(limiter).into_future());
        assert_eq!(join_all(calls).await.into_iter().sum::<u64>(), CALLS);
    }
    watch.stop(count * CALLS)
}
