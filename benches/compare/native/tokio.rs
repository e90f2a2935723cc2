//! tokio, and tokio-util's task tracker.

use std::future::ready;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyrt::Backend;
use futures::StreamExt;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use crate::crowd::Crowd;
use crate::ours;
use crate::pair::Pair;
use crate::row::{CALLS, CHILDREN, CURVE, Row, SHORT_CURVE};
use crate::station::{Orders, THREADS};
use crate::stopwatch::{Sample, Stopwatch, repeat};
use crate::yields::yield_once;

pub(crate) fn pairs(backend: Backend) -> Vec<Pair> {
    const JOIN_SET: &str = "tokio JoinSet";
    const BLOCKING: &str = "tokio spawn_blocking";
    let mut pairs = vec![
        Pair::new(Row::Spawn, backend, ours::spawn, "tokio::spawn", spawn),
        Pair::new(Row::Group, backend, ours::group, JOIN_SET, join_set),
        Pair::new(Row::Group, backend, ours::group, "tokio-util TaskTracker (no results)", tracker),
        Pair::new(Row::GroupResults, backend, ours::group_results, JOIN_SET, join_set),
        Pair::new(Row::Cancel, backend, ours::cancel, "tokio JoinSet::abort_all", abort_all),
        Pair::new(Row::TimeoutReady, backend, ours::timeout_ready, "tokio timeout", timeout_ready),
        Pair::new(Row::TimeoutYields, backend, ours::timeout_yields, "tokio timeout", timeout_yields),
        Pair::new(Row::DeadlineReady, backend, ours::deadline_ready, "tokio timeout_at", deadline_ready),
        Pair::new(Row::DeadlineYields, backend, ours::deadline_yields, "tokio timeout_at", deadline_yields),
        Pair::new(Row::BlockingOne, backend, ours::blocking_one, BLOCKING, blocking_one),
        Pair::new(Row::BlockingDefault, backend, ours::blocking_default, BLOCKING, blocking_many),
        Pair::new(Row::BlockingUnlimited, backend, ours::blocking_unlimited, BLOCKING, blocking_many),
        Pair::new(Row::Parked, backend, ours::parked, "tokio, a Vec of handles", parked),
        Pair::new(Row::Parked, backend, ours::parked, JOIN_SET, parked_in_a_set),
    ];
    for children in CURVE {
        let (ours, theirs) =
            (move |count| ours::group_of(children, count), move |count| join_set_of(children, count));
        pairs.push(Pair::new(Row::GroupOf(children), backend, ours, JOIN_SET, theirs));
        let (ours, theirs) =
            (move |count| ours::cancel_of(children, count), move |count| abort_all_of(children, count));
        pairs.push(Pair::new(Row::CancelOf(children), backend, ours, "tokio JoinSet::abort_all", theirs));
    }
    for size in SHORT_CURVE {
        let (ours, theirs) = (move |count| ours::nested_of(size, count), move |count| nested_of(size, count));
        pairs.push(Pair::new(Row::NestedOf(size), backend, ours, JOIN_SET, theirs));
        let (ours, theirs) =
            (move |count| ours::waiters_of(size, count), move |count| waiters_of(size, count));
        pairs.push(Pair::new(Row::WaitersOf(size), backend, ours, "tokio JoinSet, Semaphore", theirs));
    }
    pairs
}

pub(crate) fn drive(backend: Backend, mut orders: Orders) {
    let mut builder = match backend {
        Backend::TokioCurrentThread => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = match builder.worker_threads(THREADS).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("tokio could not be started: {error}"),
    };
    runtime.block_on(async {
        while let Some(order) = orders.next().await {
            // If it panicked, who ordered it notices.
            let _ = tokio::spawn(order.fill()).await;
        }
    });
}

async fn spawn(count: u64) -> Sample {
    repeat(count, || tokio::spawn(async { black_box(1) })).await
}

async fn join_set(count: u64) -> Sample {
    join_set_of(CHILDREN, count).await
}

async fn join_set_of(children: u64, count: u64) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..count {
        let mut set = JoinSet::new();
        for _ in 0..children {
            set.spawn(async { black_box(1) });
        }
        let mut sum = 0;
        while let Some(result) = set.join_next().await {
            sum += result.unwrap_or(0);
        }
        assert_eq!(sum, children);
    }
    watch.stop(count * children)
}

async fn nested_of(depth: u64, count: u64) -> Sample {
    fn nest(depth: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let mut set = JoinSet::new();
            if depth > 1 {
                set.spawn(nest(depth - 1));
            }
            while let Some(ended) = set.join_next().await {
                assert!(ended.is_ok());
            }
        })
    }
    let watch = Stopwatch::start();
    for _ in 0..count {
        nest(depth).await;
    }
    watch.stop(count * depth)
}

async fn waiters_of(waiters: u64, count: u64) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..count {
        let semaphore = Arc::new(Semaphore::new(1));
        let arrived = Arc::new(AtomicU64::new(0));
        let token = semaphore.acquire().await;
        let mut set = JoinSet::new();
        for _ in 0..waiters {
            let (semaphore, arrived) = (semaphore.clone(), arrived.clone());
            set.spawn(async move {
                arrived.fetch_add(1, Ordering::AcqRel);
                drop(semaphore.acquire().await);
            });
        }
        while arrived.load(Ordering::Acquire) < waiters {
            yield_once().await;
        }
        drop(token);
        while let Some(ended) = set.join_next().await {
            assert!(ended.is_ok());
        }
    }
    watch.stop(count * waiters)
}

async fn tracker(count: u64) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..count {
        let tracker = TaskTracker::new();
        for _ in 0..CHILDREN {
            tracker.spawn(async { black_box(1) });
        }
        tracker.close();
        tracker.wait().await;
    }
    watch.stop(count * CHILDREN)
}

async fn abort_all(count: u64) -> Sample {
    abort_all_of(CHILDREN, count).await
}

async fn abort_all_of(children: u64, count: u64) -> Sample {
    let mut total = Sample::default();
    for _ in 0..count {
        let crowd = Crowd::of(children);
        let mut set = JoinSet::new();
        for _ in 0..children {
            set.spawn(crowd.child());
        }
        crowd.all_wait().await;
        let watch = Stopwatch::start();
        set.abort_all();
        while set.join_next().await.is_some() {}
        total += watch.stop(children);
    }
    total
}

async fn parked(count: u64) -> Sample {
    let mut total = Sample::default();
    for _ in 0..count {
        let crowd = Crowd::of(CHILDREN);
        let watch = Stopwatch::start();
        let tasks: Vec<_> = (0..CHILDREN).map(|_| tokio::spawn(crowd.child())).collect();
        crowd.all_wait().await;
        total += watch.stop(CHILDREN);
        for handle in &tasks {
            handle.abort();
        }
        for handle in tasks {
            assert!(handle.await.is_err());
        }
    }
    total
}

async fn parked_in_a_set(count: u64) -> Sample {
    let mut total = Sample::default();
    for _ in 0..count {
        let crowd = Crowd::of(CHILDREN);
        let watch = Stopwatch::start();
        let mut set = JoinSet::new();
        for _ in 0..CHILDREN {
            set.spawn(crowd.child());
        }
        crowd.all_wait().await;
        total += watch.stop(CHILDREN);
        set.shutdown().await;
    }
    total
}

async fn timeout_ready(count: u64) -> Sample {
    repeat(count, || timeout(ours::LIMIT, ready(black_box(1)))).await
}

async fn timeout_yields(count: u64) -> Sample {
    repeat(count, || timeout(ours::LIMIT, yield_once())).await
}

async fn deadline_ready(count: u64) -> Sample {
    let deadline = Instant::now() + ours::LIMIT;
    repeat(count, || timeout_at(deadline, ready(black_box(1)))).await
}

async fn deadline_yields(count: u64) -> Sample {
    let deadline = Instant::now() + ours::LIMIT;
    repeat(count, || timeout_at(deadline, yield_once())).await
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
            sum += call.await.unwrap_or(0);
        }
        assert_eq!(sum, CALLS);
    }
    watch.stop(count * CALLS)
}
