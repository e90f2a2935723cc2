//! How often things allocate, what the runtime allocates for them included. Counts are exact, so
//! they are tests and not benchmarks.
//!
//! Counted is what all threads of the process do, since a task may run on any. Another test that is
//! just starting or being reported adds to one count, so the tests take turns and each counts
//! several times: the least is what the code itself needs.

#[path = "allocations/allocator.rs"]
mod allocator;
#[macro_use]
#[path = "allocations/on_each_backend.rs"]
mod on_each_backend;

use std::future::{IntoFuture, pending, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::{Mutex as StdMutex, PoisonError};
use std::task::Context;
use std::time::Duration;

use anyrt::blocking::CapacityLimiter;
use anyrt::channel::{bounded, watch};
use anyrt::sync::{Event, Mutex, OnceCell, RwLock, Semaphore};
use anyrt::{
    Backend, CancelScope, Run, TaskGroup, checkpoint, fail_after, iterate_blocking, move_on_after,
    move_on_at, run_blocking, shield, task_group,
};

const PASSES: usize = 8;

/// How many times an operation is done in a pass.
const TIMES: u64 = 1_000;

const LONG: Duration = Duration::from_secs(60);

/// The least that a pass of `body` counts, in a task on `backend`.
fn least<F, P>(backend: Backend, body: F) -> u64
where
    F: Fn() -> P + Send + 'static,
    P: Future<Output = u64> + Send,
{
    static TURN: StdMutex<()> = StdMutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let counts = Run::on(backend)
        .threads(1)
        .run(async {
            let task = anyrt::spawn(async move {
                let mut counts = Vec::with_capacity(PASSES);
                for _ in 0..PASSES {
                    counts.push(body().await);
                }
                counts
            });
            task.await
        })
        .expect("the run ends well");
    match counts {
        Ok(counts) => counts.into_iter().min().unwrap_or(u64::MAX),
        Err(error) => panic!("{error}"),
    }
}

/// What [`TIMES`] operations allocate. Each begins in a poll of its own: what is free is taken without a yield only so
/// often in one poll, and the queue of a runtime grows when it yields.
async fn repeated<O, I>(mut operation: O) -> u64
where
    O: FnMut() -> I,
    I: IntoFuture,
{
    let mut allocated = 0;
    for _ in 0..TIMES {
        checkpoint().await;
        let before = allocator::count();
        black_box(operation().await);
        allocated += allocator::count() - before;
    }
    allocated
}

/// What all polls but the first one of a future that stays pending allocate. On this thread: what the
/// first one told a reactor goes on in another.
async fn later_polls(future: impl Future) -> u64 {
    let mut future = pin!(future);
    std::future::poll_fn(move |cx: &mut Context<'_>| {
        let mut poll = |future: Pin<&mut _>| assert!(Future::poll(future, cx).is_pending());
        poll(future.as_mut());
        let before = allocator::count_here();
        for _ in 0..TIMES {
            poll(future.as_mut());
        }
        std::task::Poll::Ready(allocator::count_here() - before)
    })
    .await
}

/// Asserts that [`TIMES`] operations allocated so often, as exactly as `backend` allows.
#[track_caller]
fn assert_each(backend: Backend, count: u64, each: u64) {
    // The queue of async-executor grows by a block for 31 tasks; a task is queued twice at most.
    let slack = match backend {
        Backend::Tokio | Backend::TokioCurrentThread => 0,
        _ => TIMES / 8,
    };
    let expected = each * TIMES;
    assert!(
        (expected..=expected + slack).contains(&count),
        "{count} allocations for {TIMES} operations on {backend}, expected {expected} and at most {slack} more"
    );
}

on_each_backend! {
    fn a_scope_around_a_ready_future_allocates_nothing(backend) {
        assert_eq!(least(backend, || repeated(|| move_on_at(None, ready(black_box(1))))), 0);
    }

    fn a_shield_around_a_ready_future_allocates_nothing(backend) {
        assert_eq!(least(backend, || repeated(|| shield(ready(black_box(1))))), 0);
    }

    fn a_time_limit_around_a_ready_future_allocates_nothing(backend) {
        assert_eq!(least(backend, || repeated(|| move_on_after(LONG, ready(black_box(1))))), 0);
        assert_eq!(least(backend, || repeated(|| fail_after(LONG, ready(black_box(1))))), 0);
    }

    fn a_deadline_around_a_ready_future_allocates_nothing(backend) {
        let pass = || async {
            let deadline = anyrt::now() + LONG;
            repeated(|| move_on_at(deadline, ready(black_box(1)))).await
        };
        assert_eq!(least(backend, pass), 0);
    }

    fn scopes_within_scopes_around_a_ready_future_allocate_nothing(backend) {
        let pass = || repeated(|| move_on_after(LONG, shield(fail_after(LONG, ready(black_box(1))))));
        assert_eq!(least(backend, pass), 0);
    }

    fn only_the_first_poll_of_a_pending_scope_allocates(backend) {
        assert_eq!(least(backend, || later_polls(move_on_at(None, pending::<()>()))), 0);
        assert_eq!(least(backend, || later_polls(shield(pending::<()>()))), 0);
        assert_eq!(least(backend, || later_polls(move_on_after(LONG, pending::<()>()))), 0);
        assert_eq!(least(backend, || later_polls(CancelScope::new().run(async |_| pending::<()>().await))), 0);
    }

    fn a_task_that_is_spawned_and_awaited_allocates_twice(backend) {
        let pass = || async {
            let handle = anyrt::current_handle();
            repeated(|| handle.spawn(async { black_box(1) })).await
        };
        assert_each(backend, least(backend, pass), 2);
    }

    fn a_child_of_a_group_allocates_twice(backend) {
        let pass = || async {
            let counted = task_group(async |tg| {
                // The first time the table of children grows.
                children(&tg).await;
                children(&tg).await
            });
            counted.await.unwrap_or(u64::MAX)
        };
        assert_each(backend, least(backend, pass), 2);
    }

    fn the_table_of_children_costs_little_beside_them(backend) {
        let pass = || async {
            let before = allocator::count();
            let ended = task_group(async |tg| {
                for _ in 0..TIMES {
                    tg.spawn(async { black_box(1) });
                }
            });
            assert!(ended.await.is_ok());
            allocator::count() - before
        };
        let count = least(backend, pass);
        assert!((2 * TIMES..2 * TIMES + TIMES / 8).contains(&count), "{count} allocations for {TIMES} children");
    }

    fn what_is_free_is_taken_without_an_allocation(backend) {
        let pass = || async {
            let (lock, both, permits, limiter) =
                (Mutex::new(1), RwLock::new(1), Semaphore::new(1), CapacityLimiter::new(1));
            let (event, cell) = (Event::new(), OnceCell::from(1));
            event.set();
            let take = async || {
                *lock.lock().await += *both.read().await;
                *both.write().await += 1;
                drop((permits.acquire().await, limiter.acquire().await));
                event.wait().await;
                black_box(cell.get_or_init(async || 2).await);
            };
            // The first time the limiter's table of guards grows.
            take().await;
            repeated(take).await
        };
        assert_eq!(least(backend, pass), 0);
    }

    fn what_is_there_is_received_without_an_allocation(backend) {
        let pass = || async {
            let (sender, receiver) = bounded(2);
            let (teller, mut listener) = watch(1);
            let item = async || {
                let permit = sender.reserve().await;
                black_box((permit.is_ok_and(|permit| permit.send(1).is_ok()), receiver.recv().await.is_ok()));
                black_box((sender.send(2).await.is_ok(), receiver.try_recv().is_ok()));
            };
            // The first time the buffer grows.
            item().await;
            let there = repeated(item).await;
            black_box((teller.get(), listener.wait_for(|_| true).await.is_ok()));
            there
        };
        assert_eq!(least(backend, pass), 0);
    }

    fn who_waits_in_a_line_allocates_once(backend) {
        let pass = || async {
            let (sender, receiver) = bounded(1);
            let lock = Mutex::new(1);
            let wait = async || {
                let guard = lock.lock().await;
                let (mut locks, mut receives) = (lock.lock(), receiver.recv());
                assert!(futures::poll!(&mut locks).is_pending() && futures::poll!(&mut receives).is_pending());
                drop(guard);
                assert!(sender.try_send(1).is_ok());
                drop(locks.await);
                black_box(receives.await.is_ok());
            };
            // The first time the lines grow.
            wait().await;
            repeated(wait).await
        };
        assert_each(backend, least(backend, pass), 2);
    }

    fn a_blocking_call_allocates_at_most_twice(backend) {
        let count = least(backend, || repeated(|| run_blocking(|| black_box(1))));
        // A thread may start because the one that has just ended its job is not idle yet.
        assert!(count <= 2 * TIMES + TIMES / 8, "{count} allocations for {TIMES} calls");
    }

    fn a_blocking_iterator_allocates_once_for_many_items(backend) {
        let pass = || async {
            let mut items = iterate_blocking(0..TIMES);
            let before = allocator::count();
            while items.next().await.is_some() {}
            allocator::count() - before
        };
        let count = least(backend, pass);
        assert!(count < TIMES / 4, "{count} allocations for {TIMES} items");
    }
}

/// What [`TIMES`] children that are alive at once allocate, to the end of the last.
async fn children(tg: &TaskGroup) -> u64 {
    let mut handles = Vec::with_capacity(TIMES as usize);
    let before = allocator::count();
    for _ in 0..TIMES {
        handles.push(tg.spawn(async { black_box(1) }));
    }
    for handle in handles {
        assert!(handle.await.is_ok());
    }
    allocator::count() - before
}
