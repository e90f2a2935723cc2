//! Tasks and groups.

use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyrt::blocking::CapacityLimiter;
use anyrt::{LocalGroup, task_group};

use crate::crowd::Crowd;
use crate::row::CHILDREN;
use crate::stopwatch::{Sample, Stopwatch, repeat};
use crate::yields::yield_once;

pub(crate) async fn spawn(count: u64) -> Sample {
    let handle = anyrt::current_handle();
    repeat(count, || handle.spawn(async { black_box(1) })).await
}

pub(crate) async fn group(count: u64) -> Sample {
    group_of(CHILDREN, count).await
}

pub(crate) async fn group_of(children: u64, count: u64) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..count {
        let ended = task_group(async |tg| {
            for _ in 0..children {
                tg.spawn(async { black_box(1) });
            }
        })
        .await;
        assert!(ended.is_ok());
    }
    watch.stop(count * children)
}

pub(crate) async fn group_results(count: u64) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..count {
        let sum = task_group(async |tg| {
            let children: Vec<_> = (0..CHILDREN).map(|_| tg.spawn(async { black_box(1) })).collect();
            let mut sum = 0;
            for child in children {
                sum += child.await.unwrap_or(0);
            }
            sum
        })
        .await;
        assert_eq!(sum.ok(), Some(CHILDREN));
    }
    watch.stop(count * CHILDREN)
}

pub(crate) async fn cancel(count: u64) -> Sample {
    cancel_of(CHILDREN, count).await
}

pub(crate) async fn cancel_of(children: u64, count: u64) -> Sample {
    let mut total = Sample::default();
    for _ in 0..count {
        let crowd = Crowd::of(children);
        let mut watch = None;
        let ended = task_group(async |tg| {
            for _ in 0..children {
                tg.spawn(crowd.child());
            }
            crowd.all_wait().await;
            watch = Some(Stopwatch::start());
            tg.cancel_with("they have waited enough");
        })
        .await;
        assert!(ended.is_ok());
        if let Some(watch) = watch {
            total += watch.stop(children);
        }
    }
    total
}

pub(crate) async fn nested_of(depth: u64, count: u64) -> Sample {
    fn nest(depth: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let ended = task_group(async |tg| {
                if depth > 1 {
                    tg.spawn(nest(depth - 1));
                }
            })
            .await;
            assert!(ended.is_ok());
        })
    }
    let watch = Stopwatch::start();
    for _ in 0..count {
        nest(depth).await;
    }
    watch.stop(count * depth)
}

/// From the first spawn until the last has had it.
pub(crate) async fn waiters_of(waiters: u64, count: u64) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..count {
        let limiter = Arc::new(CapacityLimiter::new(1));
        let arrived = Arc::new(AtomicU64::new(0));
        let ended = task_group(async |tg| {
            let token = limiter.acquire().await;
            for _ in 0..waiters {
                let (limiter, arrived) = (limiter.clone(), arrived.clone());
                tg.spawn(async move {
                    arrived.fetch_add(1, Ordering::AcqRel);
                    drop(limiter.acquire().await);
                });
            }
            while arrived.load(Ordering::Acquire) < waiters {
                yield_once().await;
            }
            drop(token);
        })
        .await;
        assert!(ended.is_ok());
    }
    watch.stop(count * waiters)
}

/// From the first spawn until all wait: what is left then is theirs.
pub(crate) async fn parked(count: u64) -> Sample {
    let mut total = Sample::default();
    for _ in 0..count {
        let crowd = Crowd::of(CHILDREN);
        let ended = task_group(async |tg| {
            let watch = Stopwatch::start();
            for _ in 0..CHILDREN {
                tg.spawn(crowd.child());
            }
            crowd.all_wait().await;
            total += watch.stop(CHILDREN);
            tg.cancel_with("they have waited enough");
        })
        .await;
        assert!(ended.is_ok());
    }
    total
}

pub(crate) async fn borrowing(count: u64) -> Sample {
    let numbers: Vec<u64> = vec![1; CHILDREN as usize];
    let watch = Stopwatch::start();
    for _ in 0..count {
        let ended = LocalGroup::sendable()
            .run(async |s| {
                for number in &numbers {
                    s.spawn(async move { black_box(*number) });
                }
            })
            .await;
        assert!(ended.is_ok());
    }
    watch.stop(count * CHILDREN)
}
