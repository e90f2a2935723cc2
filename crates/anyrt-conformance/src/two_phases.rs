//! Two-phase cancel: told to stop first, cancelled when the grace is over.

use std::pin::pin;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use anyrt_core::{
    CancelScope, Cause, EffectiveDeadline, Either, Event, checkpoint, current_deadline, is_cancelled,
    is_stopping, local_group, move_on_after, race, shield, stopping, task_group,
};
use futures::future::pending;

use crate::by_hand::ByHand;
use crate::counting::{Counter, count_polls};
use crate::time::{A_MOMENT, AN_HOUR, Stopwatch, compute};

pub(crate) async fn stop_is_told_first_and_the_cancellation_comes_when_the_grace_is_over() {
    let told = Counter::new();
    let inside = told.clone();
    let watch = Stopwatch::start();
    let result = CancelScope::new()
        .run(async move |scope| {
            assert!(!is_stopping() && !scope.is_stopping());
            scope.cancel_after_with(A_MOMENT, "the end");
            assert!(is_stopping() && scope.is_stopping() && !is_cancelled() && !scope.cancel_called());
            stopping().await;
            checkpoint().await;
            inside.add();
            pending::<()>().await;
        })
        .await;
    watch.has_run_for(A_MOMENT);
    let cancelled = result.expect_err("it did not stop");
    assert_eq!((cancelled.cause(), cancelled.reason()), (Cause::GraceOver, Some("the end")));
    assert_eq!(told.get(), 1, "in its grace it goes on");
    assert!(!is_stopping(), "nothing is left of it");
}

pub(crate) async fn stop_ends_well_for_who_ends_within_the_grace() {
    let result = CancelScope::new()
        .run(async |scope| {
            scope.cancel_after_with(AN_HOUR, "the end");
            stopping().await;
            "finished"
        })
        .await;
    assert_eq!(result.expect("it was in time"), "finished");
}

pub(crate) async fn stop_wakes_who_waits_for_it_and_nobody_else() {
    let (waits, works) = (Counter::new(), Counter::new());
    task_group(async |group| {
        let end = Event::new();
        let ends = end.clone();
        let watching = Counter::new();
        let watches = watching.clone();
        let waiting = group.spawn(count_polls(&waits, async move {
            let mut told = pin!(stopping());
            assert!(futures::poll!(&mut told).is_pending());
            watches.add();
            told.await;
        }));
        group.spawn(count_polls(&works, async move { ends.wait().await }));
        while watching.get() == 0 || end.waiting() == 0 {
            checkpoint().await;
        }
        group.cancel_after_with(AN_HOUR, "the end");
        waiting.await.expect("it was told");
        end.set();
    })
    .await
    .expect("both ended in time");
    assert_eq!((waits.get(), works.get()), (2, 2), "who works is polled at its begin and at its end");
}

pub(crate) async fn stop_is_a_level_that_later_scopes_and_children_see() {
    task_group(async |group| {
        group.cancel_after_with(AN_HOUR, "the end");
        let child = group.spawn(async {
            assert!(is_stopping(), "seen before the first await");
            task_group(async |inner| {
                let grandchild = inner.spawn(async {
                    move_on_after(AN_HOUR, stopping()).await.expect("seen in a scope of its own");
                    is_stopping()
                });
                grandchild.await.expect("it ended")
            })
            .await
            .expect("nothing failed")
        });
        assert!(child.await.expect("it ended"));
    })
    .await
    .expect("nothing was cancelled");
}

pub(crate) async fn stop_is_seen_by_a_future_that_is_moved_into_the_scope() {
    let mut waiting = ByHand::new(stopping());
    assert!(waiting.poll().is_pending());
    let result = CancelScope::new()
        .run(async |scope| {
            assert!(waiting.poll().is_pending());
            scope.cancel_after_with(AN_HOUR, "the end");
            assert_eq!(waiting.wakes(), 1);
            waiting.poll()
        })
        .await;
    assert_eq!(result.expect("it ended in time"), Poll::Ready(()));
    assert_eq!(waiting.wakers_kept(), 0, "it has left both scopes");
}

pub(crate) async fn stop_does_not_pass_a_shield_and_its_scope_does() {
    let result = CancelScope::new()
        .run(async |scope| {
            scope.cancel_after_with(AN_HOUR, "the end");
            shield(async {
                assert!(!is_stopping());
                let first = race(stopping(), scope.stopping()).await;
                assert_eq!(first, Either::Right(()), "the scope tells, and here nothing is told");
            })
            .await;
            assert!(is_stopping());
        })
        .await;
    result.expect("it ended in time");
}

pub(crate) async fn stop_comes_through_when_a_shield_is_taken_down() {
    CancelScope::new()
        .run(async |outer| {
            let inner = CancelScope::new().shield(true);
            let handle = inner.handle();
            let mut run = ByHand::new(inner.run(async |_| stopping().await));
            assert!(run.poll().is_pending());
            outer.cancel_after_with(AN_HOUR, "the end");
            assert!(run.poll().is_pending(), "behind the shield nothing is told");
            let before = run.wakes();
            handle.set_shield(false);
            assert!(run.wakes() > before);
            assert!(matches!(run.poll(), Poll::Ready(Ok(()))));
        })
        .await
        .expect("it ended in time");
}

pub(crate) async fn stop_of_two_graces_the_one_that_ends_sooner_stands() {
    let result = CancelScope::new()
        .run(async |scope| {
            scope.cancel_after_with(AN_HOUR, "some time");
            scope.cancel_after_with(A_MOMENT, "soon");
            scope.cancel_after_with(AN_HOUR, "or later");
            pending::<()>().await;
        })
        .await;
    assert_eq!(result.expect_err("the shorter one is over").reason(), Some("soon"));
}

pub(crate) async fn stop_without_a_grace_is_a_cancellation() {
    let result = CancelScope::new()
        .run(async |scope| {
            scope.cancel_after_with(Duration::ZERO, "now");
            assert!(scope.cancel_called());
            checkpoint().await;
        })
        .await;
    assert_eq!(result.expect_err("there was no grace").cause(), Cause::GraceOver);
}

pub(crate) async fn stop_is_overridden_by_a_plain_cancel() {
    let watch = Stopwatch::start();
    let result = CancelScope::new()
        .run(async |scope| {
            scope.cancel_after_with(AN_HOUR, "some time");
            scope.cancel_with("now");
            scope.cancel_after_with(Duration::ZERO, "too late");
            pending::<()>().await;
        })
        .await;
    watch.shows_no_wait();
    let cancelled = result.expect_err("it was cancelled");
    assert_eq!((cancelled.cause(), cancelled.reason()), (Cause::Explicit, Some("now")));
}

pub(crate) async fn stop_and_a_deadline_do_not_move_each_other() {
    let result = CancelScope::new()
        .timeout(A_MOMENT)
        .run(async |scope| {
            let deadline = scope.deadline();
            scope.cancel_after_with(AN_HOUR, "some time");
            assert_eq!(scope.deadline(), deadline);
            assert_eq!(current_deadline(), deadline.map_or(EffectiveDeadline::None, EffectiveDeadline::At));
            pending::<()>().await;
        })
        .await;
    assert_eq!(result.expect_err("the deadline is sooner").cause(), Cause::Deadline);

    let result = CancelScope::new()
        .timeout(AN_HOUR)
        .run(async |scope| {
            scope.cancel_after_with(A_MOMENT, "soon");
            scope.set_deadline(None);
            assert!(matches!(current_deadline(), EffectiveDeadline::At(_)), "the end of the grace");
            pending::<()>().await;
        })
        .await;
    assert_eq!(result.expect_err("the grace is over").cause(), Cause::GraceOver);
}

pub(crate) async fn stop_before_entry_without_a_clock_counts_from_the_first_poll() {
    let scope = CancelScope::new();
    let handle = scope.handle();
    thread::Builder::new()
        .spawn(move || handle.cancel_after_with(A_MOMENT, "from a thread"))
        .expect("a thread")
        .join()
        .expect("it does not panic");
    compute(A_MOMENT * 2);
    let watch = Stopwatch::start();
    let result = scope
        .run(async |scope| {
            assert!(is_stopping() && !is_cancelled());
            stopping().await;
            assert!(!scope.cancel_called());
            pending::<()>().await;
        })
        .await;
    watch.has_run_for(A_MOMENT);
    assert_eq!(result.expect_err("the grace is over").reason(), Some("from a thread"));
}

pub(crate) async fn stop_is_told_by_a_thread_that_no_runtime_knows() {
    let scope = CancelScope::new();
    let handle = scope.handle();
    let run = scope.run(async |_| {
        stopping().await;
        pending::<()>().await;
    });
    let tell = async move {
        // By now the scope was polled: only a wake-up from that thread gets it polled again.
        thread::Builder::new()
            .spawn(move || handle.cancel_after_with(A_MOMENT, "from a thread"))
            .map(drop)
            .expect("a thread");
    };
    let (result, ()) = futures::join!(run, tell);
    assert_eq!(result.expect_err("the grace is over").cause(), Cause::GraceOver);
}

pub(crate) async fn stop_of_a_scope_that_is_over_changes_nothing() {
    let scope = CancelScope::new();
    let handle = scope.handle();
    scope.run(async |_| checkpoint().await).await.expect("nobody cancelled it");
    handle.cancel_after_with(Duration::ZERO, "too late");
    assert!(!handle.is_stopping() && handle.cause().is_none());
    assert!(!is_stopping());
}

pub(crate) async fn stop_is_true_in_a_cancelled_scope_and_lets_nobody_pass() {
    let passed = Counter::new();
    let inside = passed.clone();
    let result = CancelScope::new()
        .run(async move |scope| {
            scope.cancel_with("now");
            assert!(is_stopping() && scope.is_stopping());
            stopping().await;
            inside.add();
        })
        .await;
    result.expect_err("it is a checkpoint as others are");
    assert_eq!(passed.get(), 0);
}

pub(crate) async fn stop_reaches_the_children_of_a_borrowing_scope() {
    let told = Counter::new();
    let result = local_group(async |children| {
        for _ in 0..2 {
            children.spawn(async {
                stopping().await;
                told.add();
            });
        }
        children.spawn(pending::<()>());
        checkpoint().await;
        children.cancel_after_with(A_MOMENT, "the end");
        pending::<()>().await;
    })
    .await;
    let cancelled = result.expect_err("one child did not stop");
    assert_eq!(cancelled.cancelled().map(|cancelled| cancelled.cause()), Some(Cause::GraceOver));
    assert_eq!(told.get(), 2);
}

pub(crate) async fn stop_is_heard_by_a_service_and_the_grace_ends_those_that_do_not_listen() {
    let heard = Counter::new();
    let result = task_group(async |group| {
        let counted = heard.clone();
        group.spawn_service(async move {
            stopping().await;
            counted.add();
        });
        group.spawn(pending::<()>());
        group.cancel_after_with(A_MOMENT, "the end");
    })
    .await;
    result.expect("the body had ended by itself");
    assert_eq!(heard.get(), 1);
}
