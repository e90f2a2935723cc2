//! Nothing is left behind: the bytes that the process has do not grow with what was done.
//!
//! Counted is what all threads have. Something may be on its way in another thread at any moment, and a table
//! grows now and then; a leak is what shows in most passes of many rounds, and also when the passes with the least are
//! compared. So one of [`SMALLEST`] bytes a round does. `ANYRT_ROUNDS` sets another number of rounds in a pass than 100.

#[path = "allocations/allocator.rs"]
mod allocator;
#[macro_use]
#[path = "allocations/on_each_backend.rs"]
mod on_each_backend;

use std::future::{IntoFuture, pending};
use std::io;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::pin;
use std::sync::{Mutex as StdMutex, PoisonError};
use std::time::Duration;

use anyrt::blocking::CapacityLimiter;
use anyrt::sync::{Event, Mutex};
use anyrt::{
    Backend, CancelScope, Run, channel, checkpoint, fail_after, finally, from_thread, join, local_group,
    move_on_after, run_blocking, shield, task_group, try_task_group,
};
use futures::FutureExt;

const PASSES: usize = 12;
/// No allocation of ours is smaller.
const SMALLEST: i64 = 16;

const LONG: Duration = Duration::from_secs(60);

/// How many rounds a pass has.
fn rounds() -> i64 {
    std::env::var("ANYRT_ROUNDS").map_or(100, |rounds| rounds.parse().expect("a number of rounds"))
}

/// Whether each round has left something, by what was there after each pass.
fn leaks(live: &[i64], rounds: i64) -> bool {
    let least = |passes: &[i64]| *passes.iter().min().expect("there are passes");
    let mut grown: Vec<i64> = live.windows(2).map(|pass| pass[1] - pass[0]).collect();
    grown.sort_unstable();
    let (first, second) = live.split_at(live.len() / 2);
    // Half of it is enough: something else may have gone meanwhile.
    let leak = rounds * SMALLEST / 2;
    grown[grown.len() / 2] >= leak && least(second) - least(first) >= leak * second.len() as i64
}

#[track_caller]
fn nothing_is_left(backend: Backend, live: &[i64], rounds: i64) {
    assert!(!leaks(live, rounds), "passes of {rounds} rounds leave more and more on {backend}: {live:?}");
}

static TURN: StdMutex<()> = StdMutex::new(());

/// Does `round` again and again in a task on `backend`.
#[track_caller]
fn again_and_again<F: Future<Output = ()> + Send>(backend: Backend, round: impl Fn() -> F + Send + 'static) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let rounds = rounds();
    let live = Run::on(backend)
        .threads(1)
        .run(async move {
            let task = anyrt::spawn(async move {
                let mut live = Vec::with_capacity(PASSES);
                // The first passes fill the tables that everything else then finds.
                for pass in 0..PASSES + 2 {
                    for _ in 0..rounds {
                        round().await;
                    }
                    if pass >= 2 {
                        live.push(allocator::live());
                    }
                }
                live
            });
            task.await.expect("it ends")
        })
        .expect("the run ends well");
    nothing_is_left(backend, &live, rounds);
}

on_each_backend! {
    fn groups_leave_nothing(backend) {
        again_and_again(backend, || async {
            let sum = try_task_group(async |group| {
                let (one, two) = (group.spawn(async { 1 }), group.try_spawn(async { anyrt::ok(2) }));
                group.spawn_service(pending::<()>());
                Ok(one.await? + two.await?)
            });
            assert_eq!(sum.await.expect("no child fails"), 3);
        });
    }

    fn groups_that_fail_leave_nothing(backend) {
        again_and_again(backend, || async {
            let failed = task_group(async |group| {
                group.spawn(pending::<()>());
                group.try_spawn(async { Err::<(), _>(io::Error::other("one")) });
                group.try_spawn(async { Err::<(), _>(io::Error::other("two")) });
            });
            assert!(failed.await.is_err());
        });
    }

    fn panics_leave_nothing(backend) {
        again_and_again(backend, || async {
            // Resumed, so that no hook tells of it.
            let panicked = AssertUnwindSafe(task_group(async |group| {
                group.spawn(async { resume_unwind(Box::new("a child")) });
                group.spawn(async { resume_unwind(Box::new("another")) });
                pending::<()>().await;
            }));
            assert!(panicked.catch_unwind().await.is_err());
            drop(anyrt::spawn(async { resume_unwind(Box::new("a root")) }).await);
        });
    }

    fn groups_that_are_dropped_leave_nothing(backend) {
        again_and_again(backend, || async {
            let around = task_group(async |_| {
                let mut inner = Box::pin(task_group(async |group| {
                    group.spawn(pending::<()>());
                    group.spawn(async {});
                    pending::<()>().await;
                }));
                assert!(futures::poll!(&mut inner).is_pending());
            });
            around.await.expect("nothing fails");
        });
    }

    fn scopes_leave_nothing(backend) {
        again_and_again(backend, || async {
            assert!(move_on_after(LONG, checkpoint()).await.is_some());
            assert!(move_on_after(Duration::ZERO, pending::<()>()).await.is_none());
            assert!(fail_after(Duration::ZERO, shield(checkpoint())).await.is_ok());
            let cancelled = CancelScope::new().timeout(LONG).reason("none").run(async |scope| {
                let inner = CancelScope::new().shield(true).run(async |inner| {
                    scope.cancel_with("now");
                    inner.set_shield(false);
                    finally(pending::<()>(), async |_| checkpoint().await).await;
                });
                join(inner, pending::<()>()).await
            });
            assert!(cancelled.await.is_err());
            let stopped = CancelScope::new().run(async |scope| {
                scope.cancel_after_with(LONG, "no hurry");
                anyrt::stopping().await;
            });
            assert!(stopped.await.is_ok());
        });
    }

    fn borrowing_scopes_leave_nothing(backend) {
        again_and_again(backend, || async {
            let text = String::from("borrowed");
            let read = anyrt::LocalGroup::sendable().run(async |children| {
                let length = children.spawn(async { text.len() });
                length.await
            });
            assert_eq!(read.await.expect("no child fails").expect("it ends"), 8);
        });
    }

    fn futures_that_are_moved_leave_nothing(backend) {
        again_and_again(backend, || async {
            let mut kept = pin!(CancelScope::new().run(async |_| {
                checkpoint().await;
                checkpoint().await;
            }));
            assert!(move_on_after(Duration::ZERO, &mut kept).await.is_none());
            kept.await.expect("nobody cancelled it");
        });
    }

    fn children_that_are_started_leave_nothing(backend) {
        again_and_again(backend, || async {
            let started = task_group(async |group| {
                let child = group.start(async |ready| {
                    ready.started(7);
                    checkpoint().await;
                });
                assert_eq!(child.await.expect("it is ready").0, 7);
                assert!(group.start::<_, _, (), _>(async |ready| drop(ready)).await.is_err());
                let cut = CancelScope::new().run(async |scope| {
                    scope.cancel_with("now");
                    let _ = group.start::<_, _, (), _>(async |_ready| pending::<()>().await).await;
                });
                assert!(cut.await.is_err());
            });
            started.await.expect("nothing fails");
        });
    }

    fn blocking_calls_leave_nothing(backend) {
        let limiter = CapacityLimiter::new(2);
        again_and_again(backend, move || {
            let limiter = limiter.clone();
            async move {
                assert_eq!(run_blocking(|| 7).limiter(&limiter).await, 7);
                assert_eq!(run_blocking(|| from_thread::run(async { 8 })).limiter(&limiter).await.ok(), Some(8));
                let mut left = Box::pin(run_blocking(|| vec![0; 100]).abandon_on_cancel().into_future());
                let _ = futures::poll!(&mut left);
                drop(left);
                let _one = limiter.acquire_on_behalf_of("a key").await;
                let _two = limiter.acquire().await;
                let waits = move_on_after(Duration::ZERO, limiter.acquire());
                assert!(waits.await.is_none());
            }
        });
    }

    fn what_is_between_tasks_leaves_nothing(backend) {
        again_and_again(backend, || async {
            let (event, lock) = (Event::new(), Mutex::new(7));
            let guard = lock.lock().await;
            assert!(move_on_after(Duration::ZERO, event.wait()).await.is_none());
            assert!(move_on_after(Duration::ZERO, lock.lock()).await.is_none());
            drop(guard);
            event.set();
            event.wait().await;
            let (sender, receiver) = channel::bounded(1);
            sender.send(String::from("an item")).await.expect("somebody receives");
            let second = move_on_after(Duration::ZERO, sender.send(String::from("another"))).await;
            assert!(second.is_none());
            assert_eq!(receiver.recv().await.as_deref(), Ok("an item"));
            assert!(move_on_after(Duration::ZERO, receiver.recv()).await.is_none());
        });
    }

    fn runs_leave_nothing(backend) {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = 8;
        let mut live = Vec::with_capacity(PASSES);
        for pass in 0..PASSES + 2 {
            for _ in 0..runs {
                Run::on(backend).threads(1).run(async {
                    anyrt::spawn(pending::<()>());
                    run_blocking(|| ()).await;
                    local_group(async |children| { children.spawn(async {}); }).await.expect("nothing fails");
                }).expect("the run ends well");
            }
            if pass >= 2 {
                live.push(allocator::live());
            }
        }
        nothing_is_left(backend, &live, runs);
    }
}

#[test]
fn a_small_leak_is_seen_whatever_comes_and_goes() {
    let passes = 0..PASSES as i64;
    let small: Vec<i64> =
        passes.clone().map(|pass| 1_000 + pass * 100 * SMALLEST + (pass % 5 / 4) * 952).collect();
    assert!(leaks(&small, 100));
    let grows_once: Vec<i64> = passes.clone().map(|pass| 1_000 + (pass / 3) * 4_705).collect();
    assert!(!leaks(&grows_once, 100));
    let comes_and_goes: Vec<i64> = passes.map(|pass| 1_000 + (pass % 2) * 8_000).collect();
    assert!(!leaks(&comes_and_goes, 100));
}
