//! smol: an executor with threads of its own, as that of our backend.

use std::future::{pending, ready};
use std::hint::black_box;
use std::thread;
use std::time::Instant;

use anyrt::Backend;
use futures::StreamExt;
use smol::future::or;
use smol::{Executor, Timer, unblock};

use crate::crowd::Crowd;
use crate::ours;
use crate::pair::Pair;
use crate::row::{CALLS, CHILDREN, CURVE, Row};
use crate::station::{Orders, THREADS};
use crate::stopwatch::{Sample, Stopwatch, repeat};
use crate::yields::yield_once;

static EXECUTOR: Executor<'static> = Executor::new();

pub(crate) fn pairs(backend: Backend) -> Vec<Pair> {
    const TASKS: &str = "smol, a Vec of tasks";
    const DROP: &str = "smol, the tasks dropped";
    const TIMEOUT: &str = "smol `or` Timer";
    const UNBLOCK: &str = "smol unblock";
    let mut pairs = vec![
        Pair::new(Row::Spawn, backend, ours::spawn, "smol Executor::spawn", spawn),
        Pair::new(Row::Group, backend, ours::group, TASKS, tasks),
        Pair::new(Row::GroupResults, backend, ours::group_results, TASKS, tasks),
        Pair::new(Row::Cancel, backend, ours::cancel, DROP, cancel),
        Pair::new(Row::TimeoutReady, backend, ours::timeout_ready, TIMEOUT, timeout_ready),
        Pair::new(Row::TimeoutYields, backend, ours::timeout_yields, TIMEOUT, timeout_yields),
        Pair::new(Row::DeadlineReady, backend, ours::deadline_ready, TIMEOUT, deadline_ready),
        Pair::new(Row::DeadlineYields, backend, ours::deadline_yields, TIMEOUT, deadline_yields),
        Pair::new(Row::BlockingOne, backend, ours::blocking_one, UNBLOCK, blocking_one),
        Pair::new(Row::BlockingDefault, backend, ours::blocking_default, UNBLOCK, blocking_many),
        Pair::new(Row::BlockingUnlimited, backend, ours::blocking_unlimited, UNBLOCK, blocking_many),
        Pair::new(Row::Parked, backend, ours::parked, TASKS, parked),
    ];
    for children in CURVE {
        let (ours, theirs) =
            (move |count| ours::group_of(children, count), move |count| tasks_of(children, count));
        pairs.push(Pair::new(Row::GroupOf(children), backend, ours, TASKS, theirs));
        let (ours, theirs) =
            (move |count| ours::cancel_of(children, count), move |count| cancel_of(children, count));
        pairs.push(Pair::new(Row::CancelOf(children), backend, ours, DROP, theirs));
    }
    pairs
}

pub(crate) fn drive(mut orders: Orders) {
    for _ in 0..THREADS {
        // They end with the process, as those of smol's global executor do.
        let started = thread::Builder::new()
            .name("native smol".to_owned())
            .spawn(|| smol::block_on(EXECUTOR.run(pending::<()>())));
        if let Err(error) = started {
            panic!("a thread for smol could not be started: {error}");
        }
    }
    smol::block_on(async {
        while let Some(order) = orders.next().await {
            EXECUTOR.spawn(order.fill()).await;
        }
    });
}

async fn spawn(count: u64) -> Sample {
    repeat(count, || EXECUTOR.spawn(async { black_box(1) })).await
}

async fn tasks(count: u64) -> Sample {
    tasks_of(CHILDREN, count).await
}

async fn tasks_of(children: u64, count: u64) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..count {
        let tasks: Vec<_> = (0..children).map(|_| EXECUTOR.spawn(async { black_box(1) })).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await;
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
        let tasks: Vec<_> = (0..children).map(|_| EXECUTOR.spawn(crowd.child())).collect();
        crowd.all_wait().await;
        let watch = Stopwatch::start();
        drop(tasks);
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
        let tasks: Vec<_> = (0..CHILDREN).map(|_| EXECUTOR.spawn(crowd.child())).collect();
        crowd.all_wait().await;
        total += watch.stop(CHILDREN);
        drop(tasks);
        crowd.all_gone().await;
    }
    total
}

async fn timeout_ready(count: u64) -> Sample {
    repeat(count, || within_limit(ready(black_box(1)))).await
}

async fn timeout_yields(count: u64) -> Sample {
    repeat(count, || within_limit(yield_once())).await
}

async fn deadline_ready(count: u64) -> Sample {
    let deadline = in_a_while();
    repeat(count, || until(deadline, ready(black_box(1)))).await
}

async fn deadline_yields(count: u64) -> Sample {
    let deadline = in_a_while();
    repeat(count, || until(deadline, yield_once())).await
}

async fn within_limit<F: Future>(future: F) -> Option<F::Output> {
    let timer = async {
        Timer::after(ours::LIMIT).await;
        None
    };
    or(async { Some(future.await) }, timer).await
}

async fn until<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    let timer = async {
        Timer::at(deadline).await;
        None
    };
    or(async { Some(future.await) }, timer).await
}

#[expect(clippy::disallowed_methods, reason = "smol's own clock")]
fn in_a_while() -> Instant {
    Instant::now() + ours::LIMIT
}

async fn blocking_one(count: u64) -> Sample {
    repeat(count, || unblock(|| black_box(1))).await
}

async fn blocking_many(count: u64) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..count {
        let calls: Vec<_> = (0..CALLS).map(|_| unblock(|| black_box(1))).collect();
        let mut sum = 0;
        for call in calls {
            sum += call.await;
        }
        assert_eq!(sum, CALLS);
    }
    watch.stop(count * CALLS)
}
