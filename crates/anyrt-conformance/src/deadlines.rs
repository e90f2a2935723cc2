//! TO: deadlines and timeouts.

use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anyrt_core::{
    BoxError, CancelScope, Cause, EffectiveDeadline, Event, checkpoint, current_deadline, fail_after,
    fail_at, is_cancelled, join, move_on_after, move_on_at, now, shield, sleep, task_group, try_task_group,
    yield_shielded,
};
use futures::FutureExt;
use futures::future::{BoxFuture, pending};

use crate::counting::Counter;
use crate::endings::{Failure, SetsOnDrop, fails_after, failures};
use crate::time::{A_MOMENT, AN_HOUR, Stopwatch, compute};

pub(crate) async fn to_01_move_on_after_interrupts_its_body_without_an_error() {
    let watch = Stopwatch::start();
    let passed = Counter::new();
    let inside = passed.clone();
    let result = move_on_after(A_MOMENT, async move {
        pending::<()>().await;
        inside.add();
    })
    .await;
    watch.has_run_for(A_MOMENT);
    watch.shows_no_wait();
    assert_eq!((result, passed.get()), (None, 0));

    // The flags are those of a scope with the same timeout.
    let scope = CancelScope::new().timeout(A_MOMENT);
    let handle = scope.handle();
    assert!(scope.run(async |_| pending::<()>().await).await.is_err(), "caught");
    assert!(handle.cancel_called());
}

pub(crate) async fn to_02_a_timeout_of_zero_interrupts_at_the_first_checkpoint() {
    let steps = Counter::new();
    let inside = steps.clone();
    let result = move_on_after(Duration::ZERO, async move {
        inside.add();
        checkpoint().await;
        inside.add();
    })
    .await;
    assert_eq!((result, steps.get()), (None, 1), "the body starts, and is interrupted");
    assert_eq!(move_on_after(Duration::ZERO, async { 7 }).await, Some(7), "ready at once is in time");
}

pub(crate) async fn to_03_no_timeout_never_fires() {
    let result = move_on_after(None, async {
        assert!(matches!(current_deadline(), EffectiveDeadline::None));
        sleep(A_MOMENT).await;
        7
    })
    .await;
    assert_eq!(result, Some(7));
}

pub(crate) async fn to_04_fail_after_returns_the_timeout_error() {
    let watch = Stopwatch::start();
    let error = fail_after(A_MOMENT, pending::<()>()).await.expect_err("never ready");
    watch.has_run_for(A_MOMENT);
    watch.shows_no_wait();
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::TimedOut);

    let scope = CancelScope::new().timeout(A_MOMENT);
    let handle = scope.handle();
    let cancelled = scope.run(async |_| pending::<()>().await).await.expect_err("never ready");
    assert_eq!(cancelled.cause(), Cause::Deadline);
    assert_eq!(handle.cause().map(|cancelled| cancelled.cause()), Some(Cause::Deadline));
    assert!(handle.cancel_called() && handle.is_cancelled());
}

pub(crate) async fn to_05_a_body_that_finishes_without_a_checkpoint_is_never_too_late() {
    let result = fail_after(A_MOMENT / 2, async {
        compute(A_MOMENT);
        7
    })
    .await;
    assert_eq!(result.expect("the clock is not asked afterwards"), 7);
}

pub(crate) async fn to_06_a_timeout_carries_its_reason() {
    let error = fail_after(Duration::ZERO, pending::<()>()).reason("the database is slow").await;
    let error = error.expect_err("never ready");
    assert_eq!(error.reason(), Some("the database is slow"));
    assert!(error.to_string().contains("the database is slow"), "{error}");
}

pub(crate) async fn to_07_an_explicit_cancel_before_the_deadline_is_no_timeout() {
    let result = CancelScope::new()
        .timeout(A_MOMENT)
        .run(async |scope| {
            scope.cancel_with("by hand");
            // The deadline passes before the cancellation is delivered; it is decided by the cause.
            compute(A_MOMENT * 2);
            checkpoint().await;
        })
        .await;
    let cancelled = result.expect_err("it was cancelled");
    assert_eq!((cancelled.cause(), cancelled.reason()), (Cause::Explicit, Some("by hand")));
}

pub(crate) async fn to_09_of_two_timeouts_the_shorter_outer_one_fires_alone() {
    let watch = Stopwatch::start();
    let inner = CancelScope::new().timeout(AN_HOUR);
    let handle = inner.handle();
    let passed = Counter::new();
    let inside = passed.clone();
    let result = move_on_after(A_MOMENT, async move {
        let _ = inner.run(async |_| pending::<()>().await).await;
        inside.add();
    })
    .await;
    watch.has_run_for(A_MOMENT);
    assert_eq!((result, passed.get()), (None, 0), "the inner one does not return");
    assert!(!handle.cancel_called());
}

pub(crate) async fn to_10_of_two_timeouts_the_shorter_inner_one_fires_and_the_outer_body_goes_on() {
    let watch = Stopwatch::start();
    let result = fail_after(AN_HOUR, async {
        let inner = move_on_after(A_MOMENT, pending::<()>()).await;
        watch.has_run_for(A_MOMENT);
        checkpoint().await;
        inner
    })
    .await;
    assert_eq!(result.expect("the outer one does not fire"), None);
}

pub(crate) async fn to_11_a_relative_timeout_starts_when_it_is_first_polled() {
    let timeout = move_on_after(A_MOMENT, pending::<()>());
    compute(A_MOMENT * 2);
    let watch = Stopwatch::start();
    assert_eq!(timeout.await, None);
    watch.has_run_for(A_MOMENT);
}

pub(crate) async fn to_13_a_deadline_moved_into_the_past_cancels_at_once() {
    let result = CancelScope::new()
        .timeout(AN_HOUR)
        .run(async |scope| {
            assert!(!scope.cancel_called());
            scope.set_deadline(Some(now()));
            assert!(scope.cancel_called(), "at once, before any checkpoint");
            assert!(is_cancelled());
            checkpoint().await;
        })
        .await;
    assert_eq!(result.expect_err("it was cancelled").cause(), Cause::Deadline);

    // Another task does it to one that sleeps already.
    let scope = CancelScope::new();
    let handle = scope.handle();
    let (result, ()) = futures::join!(scope.run(async |_| pending::<()>().await), async move {
        handle.set_deadline(Some(now()));
    });
    assert_eq!(result.expect_err("it was woken").cause(), Cause::Deadline);
}

pub(crate) async fn to_14_a_deadline_that_is_taken_away_does_not_fire() {
    let result = CancelScope::new()
        .timeout(A_MOMENT)
        .run(async |scope| {
            // The timer is armed by now.
            yield_shielded().await;
            scope.set_deadline(None);
            assert!(scope.deadline().is_none());
            sleep(A_MOMENT * 2).await;
            7
        })
        .await;
    assert_eq!(result.expect("disarmed"), 7);
}

pub(crate) async fn to_16_a_deadline_in_the_past_is_reported_before_entry() {
    let scope = CancelScope::new().deadline(now());
    let handle = scope.handle();
    assert!(handle.cancel_called() && handle.is_cancelled());
    let steps = Counter::new();
    let inside = steps.clone();
    let result = scope
        .run(async move |_| {
            inside.add();
            checkpoint().await;
            inside.add();
        })
        .await;
    assert_eq!(result.expect_err("it was cancelled").cause(), Cause::Deadline);
    assert_eq!(steps.get(), 1);
}

pub(crate) async fn to_17_a_deadline_that_passes_after_exit_flips_nothing() {
    let scope = CancelScope::new().timeout(A_MOMENT);
    let handle = scope.handle();
    assert_eq!(scope.run(async |_| 7).await.expect("in time"), 7);
    compute(A_MOMENT * 2);
    checkpoint().await;
    assert!(!handle.cancel_called());
    assert!(handle.cause().is_none());
}

/// A `Duration` is never negative nor "not a number"; what is left of the case is pinned here.
pub(crate) async fn to_18_extreme_deadlines_are_clamped() {
    let past = now();
    assert_eq!(move_on_at(past, pending::<()>()).await, None);
    assert!(fail_at(past, pending::<()>()).await.is_err());
    assert_eq!(move_on_after(Duration::MAX, async { 7 }).await, Some(7));
    let yielded = move_on_after(Duration::MAX, async {
        checkpoint().await;
        7
    });
    assert_eq!(yielded.await, Some(7), "more than the clock can say is never");
    let slept = move_on_after(A_MOMENT, sleep(Duration::MAX)).await;
    assert_eq!(slept, None);
}

pub(crate) async fn to_19_the_effective_deadline_is_the_earliest_one_in_sight() {
    let soon = now() + AN_HOUR;
    let late = soon + AN_HOUR;
    let checked = move_on_at(soon, async {
        assert_eq!(deadline(), Some(soon));
        move_on_at(late, async {
            assert_eq!(deadline(), Some(soon), "the outer one is earlier");
        })
        .await
        .expect("in time");
        move_on_at(soon - A_MOMENT, async {
            assert_eq!(deadline(), Some(soon - A_MOMENT), "the inner one is earlier");
        })
        .await
        .expect("in time");
        assert_eq!(deadline(), Some(soon));
    })
    .await;
    assert!(checked.is_some());
    assert!(matches!(current_deadline(), EffectiveDeadline::None));

    // One that is moved while those inside run.
    let outer = CancelScope::new().run(async |outer| {
        let inner = CancelScope::new().run(async |_| {
            checkpoint().await;
            outer.set_deadline(Some(soon));
            assert_eq!(deadline(), Some(soon), "the outer one was moved");
        });
        inner.await.expect("in time");
    });
    outer.await.expect("in time");
}

pub(crate) async fn to_20_a_cancelled_scope_says_so_in_place_of_a_deadline() {
    let result = CancelScope::new()
        .timeout(AN_HOUR)
        .run(async |scope| {
            assert!(matches!(current_deadline(), EffectiveDeadline::At(_)));
            scope.cancel_with("now");
            assert!(matches!(current_deadline(), EffectiveDeadline::Cancelled));
        })
        .await;
    assert!(result.is_ok());
}

pub(crate) async fn to_21_a_child_sees_the_deadline_around_its_group() {
    let soon = now() + AN_HOUR;
    let seen = move_on_at(soon, async {
        task_group(async |group| group.spawn(async { deadline() }).await.expect("the child ends"))
            .await
            .expect("no child fails")
    })
    .await;
    assert_eq!(seen, Some(Some(soon)));
}

pub(crate) async fn to_23_a_timeout_around_a_group_cancels_its_children_and_is_one_error() {
    let drops = Counter::new();
    let counted = drops.clone();
    let watch = Stopwatch::start();
    let result = fail_after(A_MOMENT, async move {
        task_group(async move |group| {
            for _ in 0..3 {
                let local = counted.on_drop();
                group.spawn(async move {
                    let _local = local;
                    pending::<()>().await;
                });
            }
            pending::<()>().await;
        })
        .await
        .expect("the group does not return");
    })
    .await;
    result.expect_err("the deadline passed");
    watch.has_run_for(A_MOMENT);
    assert_eq!(drops.get(), 3);
}

pub(crate) async fn to_24_an_error_during_the_clean_up_wins_over_the_timeout() {
    let watch = Stopwatch::start();
    let result = fail_after(A_MOMENT, async {
        try_task_group(async |group| {
            let interrupted = Arc::new(Event::new());
            group.try_spawn(fails_after(Arc::clone(&interrupted), "during the clean-up"));
            // Its destructor tells the other child that the deadline has passed.
            let tells = SetsOnDrop(interrupted);
            group.spawn(async move {
                let _tells = tells;
                pending::<()>().await;
            });
            pending::<Result<(), BoxError>>().await
        })
        .await
    })
    .await;
    watch.has_run_for(A_MOMENT);
    let error = result.expect("the error wins").expect_err("a child failed");
    assert_eq!(failures(&error), ["during the clean-up"]);
}

pub(crate) async fn to_25_what_timed_out_ran_at_least_as_long_as_it_was_given() {
    for given in [Duration::from_millis(20), A_MOMENT, A_MOMENT * 2] {
        let watch = Stopwatch::start();
        assert_eq!(move_on_after(given, pending::<()>()).await, None);
        watch.has_run_for(given);

        let watch = Stopwatch::start();
        sleep(given).await;
        watch.has_run_for(given);
    }
}

pub(crate) async fn rule_10_a_deadline_moved_later_is_armed_anew() {
    let watch = Stopwatch::start();
    let result = CancelScope::new()
        .timeout(A_MOMENT)
        .run(async |scope| {
            yield_shielded().await;
            scope.set_deadline(Some(now() + A_MOMENT * 3));
            pending::<()>().await;
        })
        .await;
    watch.has_run_for(A_MOMENT * 3);
    assert_eq!(result.expect_err("it fires then").cause(), Cause::Deadline);
}

pub(crate) async fn rule_10_a_new_deadline_never_uncancels() {
    let result = CancelScope::new()
        .run(async |scope| {
            scope.cancel_with("for good");
            scope.set_deadline(Some(now() + AN_HOUR));
            scope.set_deadline(None);
            assert!(scope.cancel_called() && is_cancelled());
            checkpoint().await;
        })
        .await;
    assert_eq!(result.expect_err("still cancelled").cause(), Cause::Explicit);
}

pub(crate) async fn rule_19_an_outer_timeout_is_not_the_timeout_of_an_inner_fail_after() {
    let inner_failed = Counter::new();
    let seen = inner_failed.clone();
    let result = move_on_after(Duration::ZERO, async move {
        if fail_after(AN_HOUR, pending::<()>()).await.is_err() {
            seen.add();
        }
    })
    .await;
    assert_eq!((result, inner_failed.get()), (None, 0));
}

pub(crate) async fn rule_26_a_clean_up_with_bounded_time_ends_by_its_own_deadline() {
    let timed_out = Counter::new();
    let seen = timed_out.clone();
    let result = CancelScope::new()
        .run(async move |scope| {
            scope.cancel_with("now");
            anyrt_core::finally(pending::<()>(), async move |_| {
                if move_on_after(A_MOMENT, pending::<()>()).await.is_none() {
                    seen.add();
                }
                shield(checkpoint()).await;
            })
            .await;
        })
        .await;
    assert_eq!(result.expect_err("the cancellation goes on").reason(), Some("now"));
    assert_eq!(timed_out.get(), 1);
}

/// A failure is not lost because a deadline passed while nobody looked.
pub(crate) async fn rule_33_an_error_that_was_there_before_the_deadline_is_no_timeout() {
    let result = fail_after(A_MOMENT / 2, async {
        compute(A_MOMENT);
        Err::<(), _>(Failure("boom"))
    })
    .await;
    assert_eq!(result.expect("no timeout"), Err(Failure("boom")));
}

pub(crate) async fn rule_78_a_deadline_that_has_passed_is_seen_at_a_foreign_await() {
    const ROUNDS: usize = 20;
    let went_on = Counter::new();
    for _ in 0..ROUNDS {
        let inside = went_on.clone();
        let of_zero = move_on_after(Duration::ZERO, async move {
            foreign_yield().await;
            inside.add();
        });
        assert_eq!((of_zero.await, went_on.get()), (None, 0), "a limit of zero");

        let inside = went_on.clone();
        let later = CancelScope::new().timeout(Duration::from_millis(1)).run(async move |_| {
            foreign_yield().await;
            compute(Duration::from_millis(2));
            foreign_yield().await;
            inside.add();
        });
        assert_eq!(later.await.expect_err("it is late").cause(), Cause::Deadline);
        assert_eq!(went_on.get(), 0, "it was pending before, and computed past its limit");
    }
    let loops = Counter::new();
    let turns = loops.clone();
    let looped = move_on_after(Duration::from_millis(2), async move {
        compute(Duration::from_millis(4));
        loop {
            foreign_yield().await;
            turns.add();
        }
    });
    assert_eq!((looped.await, loops.get()), (None, 0));
}

pub(crate) async fn rule_78_a_task_sees_at_a_foreign_await_the_deadline_around_its_group() {
    let went_on = Counter::new();
    let (child, branch) = (went_on.clone(), went_on.clone());
    let in_a_child = move_on_after(Duration::from_millis(20), async {
        task_group(async |group| {
            group.spawn(async move {
                compute(Duration::from_millis(40));
                foreign_yield().await;
                child.add();
            });
        })
        .await
        .expect("no child fails");
    });
    assert_eq!((in_a_child.await, went_on.get()), (None, 0));

    let in_a_branch = move_on_after(Duration::from_millis(2), async {
        let computes = async move {
            compute(Duration::from_millis(4));
            foreign_yield().await;
            branch.add();
        };
        join(computes, foreign_yield()).await;
    });
    assert_eq!((in_a_branch.await, went_on.get()), (None, 0));
}

pub(crate) async fn rule_79_of_deadlines_that_have_passed_the_earliest_answers() {
    const ROUNDS: usize = 1_000;
    let first = now();
    let second = first + Duration::from_nanos(1);
    while now() <= second {
        std::hint::spin_loop();
    }
    let waits: [fn() -> BoxFuture<'static, ()>; 4] = [
        || foreign_yield().boxed(),
        || checkpoint().boxed(),
        || pending().boxed(),
        || sleep(AN_HOUR).boxed(),
    ];
    for round in 0..ROUNDS {
        let wait = || waits[round % waits.len()]();
        let earlier_inside = move_on_at(second, move_on_at(first, wait())).await;
        assert_eq!(earlier_inside, Some(None), "the inner one, round {round}");
        let earlier_outside = move_on_at(first, move_on_at(second, wait())).await;
        assert_eq!(earlier_outside, None, "the outer one, round {round}");
        let together = move_on_at(first, move_on_at(first, wait())).await;
        assert_eq!(together, None, "of the same deadline the outer one, round {round}");
        let in_the_middle = move_on_at(second, move_on_at(first, move_on_at(second, wait()))).await;
        assert_eq!(in_the_middle, Some(None), "the one in the middle, round {round}");

        let steps = Counter::new();
        let inside = steps.clone();
        let after = move_on_at(second, async move {
            assert_eq!(move_on_at(first, wait()).await, None);
            inside.add();
            wait().await;
            inside.add();
        });
        assert_eq!((after.await, steps.get()), (None, 1), "the outer one is next, round {round}");
    }
}

pub(crate) async fn rule_79_of_deadlines_that_pass_together_the_earliest_answers() {
    for round in 0..10 {
        let at = now() + Duration::from_millis(2);
        let late = at + Duration::from_micros(200);
        // The thread is busy when they pass, so both are late when somebody looks.
        let busy = || async {
            compute(Duration::from_millis(u64::from(round % 2 == 0) * 4));
            pending::<()>().await;
        };
        assert_eq!(move_on_at(late, move_on_at(at, busy())).await, Some(None), "round {round}");
        assert_eq!(move_on_at(at, move_on_at(late, busy())).await, None, "round {round}");
    }
}

pub(crate) async fn rule_79_an_inner_deadline_that_passed_after_its_owner_looked_goes_first() {
    for _ in 0..10 {
        let at = now() + Duration::from_millis(2);
        let late = at + Duration::from_millis(1);
        // The inner one looks, then the task computes past both, then the outer one looks.
        let both = move_on_at(late, async {
            let inner = move_on_at(at, pending::<()>());
            let computes = async {
                while now() <= late {
                    std::hint::spin_loop();
                }
                pending::<()>().await;
            };
            futures::select_biased! {
                ended = inner.fuse() => ended,
                () = computes.fuse() => unreachable!("it is never ready"),
            }
        });
        assert_eq!(both.await, Some(None));
    }
}

/// Pending once, and no leaf of ours: it does not look at any scope.
fn foreign_yield() -> impl Future<Output = ()> + Send + Unpin {
    let mut yielded = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// The effective deadline here, if it is one in time.
fn deadline() -> Option<std::time::Instant> {
    match current_deadline() {
        EffectiveDeadline::At(instant) => Some(instant),
        _ => None,
    }
}
