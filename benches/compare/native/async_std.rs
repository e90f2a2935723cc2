//! async-std, on the one runtime of its own, which our backend uses too.

use std::future::ready;
use std::hint::black_box;

use anyrt::Backend;
use async_std::future::timeout;
use async_std::task::{self, spawn_blocking};
use futures::{FutureExt, StreamExt};

use crate::crowd::Crowd;
use crate::ours;
use crate::pair::Pair;
use crate::row::{CALLS, CHILDREN, CURVE, Row};
use crate::station::Orders;
use crate::stopwatch::{Sample, Stopwatch, repeat};
use crate::yields::yield_once;

pub(crate) fn pairs(backend: Backend) -> Vec<Pair> {
    const HANDLES: &str = "async-std, a Vec of handles";
    const CANCEL: &str = "async-std JoinHandle::cancel";
    const TIMEOUT: &str = "async-std timeout";
    const BLOCKING: &str = "async-std spawn_blocking";
    let mut pairs = vec![
        Pair::new(Row::Spawn, backend, ours::spawn, "async-std spawn", spawn),
        Pair::new(Row::Group, backend, ours::group, HANDLES, handles),
        Pair::new(Row::GroupResults, backend, ours::group_results, HANDLES, handles),
        Pair::new(Row::Cancel, backend, ours::cancel, CANCEL, cancel),
        Pair::new(Row::TimeoutReady, backend, ours::timeout_ready, TIMEOUT, timeout_ready),
        Pair::new(Row::TimeoutYields, backend, ours::timeout_yields, TIMEOUT, timeout_yields),
        // It has no absolute deadlines.
        Pair::new(Row::DeadlineReady, backend, ours::deadline_ready, TIMEOUT, timeout_ready),
        Pair::new(Row::DeadlineYields, backend, ours::deadline_yields, TIMEOUT, timeout_yields),
        Pair::new(Row::BlockingOne, backend, ours::blocking_one, BLOCKING, blocking_one),
        Pair::new(Row::BlockingDefault, backend, ours::blocking_default, BLOCKING, blocking_many),
        Pair::new(Row::BlockingUnlimited, backend, ours::blocking_unlimited, BLOCKING, blocking_many),
        Pair::new(Row::Parked, backend, ours::parked, HANDLES, parked),
    ];
    for children in CURVE {
        let (ours, theirs) =
            (move |count| ours::group_of(children, count), move |count| handles_of(children, count));
        pairs.push(Pair::new(Row::GroupOf(children), backend, ours, HANDLES, theirs));
        let (ours, theirs) =
            (move |count| ours::cancel_of(children, count), move |count| cancel_of(children, count));
        pairs.push(Pair::new(Row::CancelOf(children), backend, ours, CANCEL, theirs));
    }
    pairs
}

pub(crate) fn drive(mut orders: Orders) {
    task::block_on(async {
        while let Some(order) = orders.next().await {
            task::spawn(order.fill()).await;
        }
    });
}

async fn spawn(count: u64) -> Sample {
    repeat(count, || task::spawn(async { black_box(1) })).await
}

async fn handles(count: u64) -> Sample {
    handles_of(CHILDREN, count).await
}

async fn handles_of(children: u64, count: u64) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..count {
        let handles: Vec<_> = (0..children).map(|_| task::spawn(async { black_box(1) })).collect();
        let mut sum = 0;
        for handle in handles {
            sum += handle.await;
        }
        assert_eq!(sum, children);
    }
    watch.stop(count * children)
}

async fn cancel(count: u64) -> Sample {
    cancel_of(CHILDREN, count).await
}

async fn cancel_of(children: u64, count: u64) -> Sample {
    let mut total = Sample::default();
    for _ in 0..count {
        let crowd = Crowd::of(children);
        let handles: Vec<_> = (0..children).map(|_| task::spawn(crowd.child())).collect();
        crowd.all_wait().await;
        let watch = Stopwatch::start();
        for handle in handles {
            // Its first poll cancels the task; that it is gone is heard of below.
            let _ = handle.cancel().now_or_never();
        }
        crowd.all_gone().await;
        total += watch.stop(children);
    }
    total
}

async fn parked(count: u64) -> Sample {
    let mut total = Sample::default();
    for _ in 0..count {
        let crowd = Crowd::of(CHILDREN);
        let watch = Stopwatch::start();
        let tasks: Vec<_> = (0..CHILDREN).map(|_| task::spawn(crowd.child())).collect();
        crowd.all_wait().await;
        total += watch.stop(CHILDREN);
        for task in tasks {
            let _ = task.cancel().now_or_never();
        }
        crowd.all_gone().await;
    }
    total
}

async fn timeout_ready(count: u64) -> Sample {
    repeat(count, || timeout(ours::LIMIT, ready(black_box(1)))).await
}

async fn timeout_yields(count: u64) -> Sample {
    repeat(count, || timeout(ours::LIMIT, yield_once())).await
}

async fn blocking_one(count: u64) -> Sample {
    repeat(count, || spawn_blocking(|| black_box(1))).await
}

async fn blocking_many(count: u64) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..count {
        let calls: Vec<_> = (0..CALLS).map(|_| spawn_blocking(|| black_box(1))).collect();
        let mut sum = 0;
        for call in calls {
            sum += call.await;
        }
        assert_eq!(sum, CALLS);
    }
    watch.stop(count * CALLS)
}
