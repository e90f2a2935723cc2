//! CS: the life of a cancel scope. "Caught" is: its `run` returned `Err(Cancelled)`.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anyrt_core::{
    BoxError, CancelScope, Cause, EffectiveDeadline, Event, GroupError, checkpoint, current_deadline,
    is_cancelled, sleep, task_group, try_task_group,
};
use futures::future::pending;

use crate::by_hand::ByHand;
use crate::counting::Counter;
use crate::endings::{Failure, fails_after, failures};
use crate::time::{A_MOMENT, Stopwatch};

pub(crate) async fn cs_01_a_new_scope_is_blank() {
    let scope = CancelScope::new();
    let handle = scope.handle();
    assert!(!handle.cancel_called());
    assert!(!handle.is_cancelled());
    assert!(handle.cause().is_none());
    assert!(handle.deadline().is_none());
    assert!(!handle.is_shielded());

    let result = scope
        .run(async |inside| {
            assert!(!inside.cancel_called() && !inside.is_cancelled() && !is_cancelled());
            assert!(matches!(current_deadline(), EffectiveDeadline::None));
            checkpoint().await;
            "value"
        })
        .await;
    assert_eq!(result.expect("nobody cancelled it"), "value");
    assert!(!handle.cancel_called());
}

pub(crate) async fn cs_02_cancelling_twice_is_cancelling_once() {
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut run = ByHand::new(scope.run(async |_| pending::<()>().await));
    assert!(run.poll().is_pending());
    assert_eq!(run.wakes(), 0);
    handle.cancel_with("once");
    assert_eq!(run.wakes(), 1);
    handle.cancel_with("twice");
    assert_eq!(run.wakes(), 1, "the second call wakes nobody");
    assert!(matches!(run.poll(), Poll::Ready(Err(_))));
}

pub(crate) async fn cs_03_a_scope_cancelled_before_entry_stops_at_its_first_checkpoint() {
    let steps = Counter::new();
    let inside = steps.clone();
    let scope = CancelScope::new();
    scope.handle().cancel_with("before entry");
    let result = scope
        .run(async move |_| {
            inside.add();
            checkpoint().await;
            inside.add();
        })
        .await;
    assert_eq!(result.expect_err("it was cancelled").reason(), Some("before entry"));
    assert_eq!(steps.get(), 1, "the body starts, and ends at its first checkpoint");
}

pub(crate) async fn cs_04_cancelling_a_scope_after_exit_changes_nothing() {
    let scope = CancelScope::new();
    let handle = scope.handle();
    assert!(scope.run(async |_| checkpoint().await).await.is_ok());
    handle.cancel_with("after exit");
    assert!(!is_cancelled());
    checkpoint().await;
    sleep(Duration::ZERO).await;
}

pub(crate) async fn cs_05_a_cancelled_scope_without_a_checkpoint_returns_its_value() {
    let result = CancelScope::new()
        .run(async |scope| {
            scope.cancel_with("but nothing awaits");
            "value"
        })
        .await;
    assert_eq!(result.expect("nothing was interrupted"), "value");
}

pub(crate) async fn cs_06_a_cancelled_scope_is_left_at_a_checkpoint_and_the_code_after_it_runs() {
    let scope = CancelScope::new();
    let handle = scope.handle();
    let result = scope
        .run(async |scope| {
            scope.cancel_with("now");
            checkpoint().await;
            panic!("the checkpoint returned");
        })
        .await;
    assert_eq!(result.expect_err("it was interrupted").cause(), Cause::Explicit);
    assert!(handle.cancel_called());
    checkpoint().await;
}

pub(crate) async fn cs_08_a_cancellation_does_not_leak_out_of_its_scope() {
    for body_reaches_a_checkpoint in [true, false] {
        let result = CancelScope::new()
            .run(async move |scope| {
                scope.cancel_with("inside");
                if body_reaches_a_checkpoint {
                    checkpoint().await;
                }
            })
            .await;
        assert_eq!(result.is_err(), body_reaches_a_checkpoint);
        assert!(!is_cancelled());
        checkpoint().await;
    }
}

pub(crate) async fn cs_10_a_child_cancels_the_scope_around_its_group() {
    let result = CancelScope::new()
        .run(async |scope| {
            task_group(async move |group| {
                group.spawn(async move { scope.cancel_with("by a child") });
                pending::<()>().await;
            })
            .await
        })
        .await;
    assert_eq!(result.map(|_| ()).expect_err("it was cancelled").reason(), Some("by a child"));
}

pub(crate) async fn cs_11_the_first_reason_stays() {
    let result = CancelScope::new()
        .run(async |scope| {
            scope.cancel_with("the first");
            scope.cancel_with("the second");
            checkpoint().await;
        })
        .await;
    let cancelled = result.expect_err("it was cancelled");
    assert_eq!(cancelled.reason(), Some("the first"));
    assert!(cancelled.to_string().contains("the first"), "{cancelled}");
}

pub(crate) async fn cs_12_the_message_names_the_task_that_cancelled() {
    let result = CancelScope::new()
        .run(async |scope| {
            task_group(async move |group| {
                group.named("canceller").spawn(async move { scope.cancel_with("enough") });
                pending::<()>().await;
            })
            .await
        })
        .await;
    let cancelled = result.map(|_| ()).expect_err("it was cancelled");
    assert!(cancelled.task().is_some_and(|task| task.starts_with("canceller")), "{cancelled}");
    assert!(cancelled.to_string().contains("canceller"), "{cancelled}");
}

pub(crate) async fn cs_13_a_cancellation_by_a_deadline_says_so() {
    let watch = Stopwatch::start();
    let result = CancelScope::new().timeout(A_MOMENT).run(async |_| pending::<()>().await).await;
    watch.has_run_for(A_MOMENT);
    let cancelled = result.expect_err("the deadline passed");
    assert_eq!(cancelled.cause(), Cause::Deadline);
    assert!(cancelled.to_string().contains("deadline"), "{cancelled}");
}

pub(crate) async fn cs_14_an_error_passes_through_a_cancelled_scope() {
    let result = CancelScope::new()
        .run(async |scope| {
            scope.cancel_with("but the error is first");
            Err::<(), _>(Failure("boom"))
        })
        .await;
    assert_eq!(result.expect("nothing was interrupted"), Err(Failure("boom")));
}

/// The list has the scope "caught" here as well, since an exception group can be split. A value
/// cannot: what leaves is the error alone, and the handle tells of the cancellation.
pub(crate) async fn cs_15_of_cancellations_and_an_error_only_the_error_leaves() {
    let scope = CancelScope::new();
    let handle = scope.handle();
    let result = scope
        .run(async |scope| {
            try_task_group(async move |group| {
                let release = Arc::new(Event::new());
                group.spawn(pending::<()>());
                group.try_spawn(fails_after(Arc::clone(&release), "boom"));
                scope.cancel_with("now");
                release.set();
                pending::<Result<(), BoxError>>().await
            })
            .await
        })
        .await;
    let error = result.expect("the error leaves").expect_err("the error is one");
    assert_eq!((error.len(), failures(&error)), (1, vec!["boom"]), "{error}");
    assert!(!error.is_cancelled());
    assert!(handle.cancel_called());
}

pub(crate) async fn cs_16_a_cancellation_two_groups_deep_is_left_out_and_the_nesting_kept() {
    let result = CancelScope::new()
        .run(async |scope| {
            try_task_group(async move |outer| {
                let release = Arc::new(Event::new());
                let begun = Arc::new(Event::new());
                outer.try_spawn(fails_after(Arc::clone(&release), "outer"));
                let (inner_release, inner_begun) = (Arc::clone(&release), Arc::clone(&begun));
                outer.try_spawn(async move {
                    try_task_group(async move |inner| {
                        inner.spawn(pending::<()>());
                        inner.try_spawn(fails_after(Arc::clone(&inner_release), "first"));
                        inner.try_spawn(fails_after(inner_release, "second"));
                        inner_begun.set();
                        pending::<Result<(), BoxError>>().await
                    })
                    .await
                });
                begun.wait().await;
                scope.cancel_with("now");
                release.set();
                pending::<Result<(), BoxError>>().await
            })
            .await
        })
        .await;
    let error = result.expect("the errors leave").expect_err("there are errors");
    assert_eq!(error.len(), 2, "{error}");
    let nested: Vec<&GroupError> =
        error.iter().filter_map(|child| child.error().downcast_ref::<GroupError>()).collect();
    assert_eq!(nested.len(), 1, "one of them is the inner group's: {error}");
    let mut inner = failures(nested[0]);
    inner.sort_unstable();
    assert_eq!(inner, ["first", "second"]);
    assert_eq!(failures(&error), ["outer"]);
}

pub(crate) async fn cs_17_a_group_of_cancellations_only_is_absorbed() {
    let result = CancelScope::new()
        .run(async |scope| {
            task_group(async move |group| {
                for _ in 0..3 {
                    group.spawn(pending::<()>());
                }
                scope.cancel_with("now");
                pending::<()>().await;
            })
            .await
        })
        .await;
    assert!(result.is_err(), "the scope caught it, and no group of errors is seen");
}

pub(crate) async fn cs_18_an_error_group_without_a_cancellation_is_not_caught() {
    let result = CancelScope::new()
        .run(async |scope| {
            let result = try_task_group(async |group| {
                let release = Arc::new(Event::new());
                group.try_spawn(fails_after(Arc::clone(&release), "first"));
                group.try_spawn(async move {
                    release.set();
                    Err::<(), _>(Failure("second"))
                });
                anyrt_core::ok(())
            })
            .await;
            scope.cancel_with("after the group");
            result
        })
        .await;
    let error = result.expect("nothing was interrupted").expect_err("the errors pass");
    let mut names = failures(&error);
    names.sort_unstable();
    assert_eq!(names, ["first", "second"]);
}

pub(crate) async fn cs_27_a_scope_that_was_left_keeps_nothing() {
    let token = Arc::new(());
    let held = Arc::clone(&token);
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut run = ByHand::new(scope.run(async move |_| {
        let _held = held;
        checkpoint().await;
    }));
    assert!(run.poll().is_pending());
    assert!(run.poll().is_ready());
    assert_eq!(Arc::strong_count(&token), 1, "the body is gone though the handle is alive");
    run.drop_future();
    assert_eq!(run.wakers_kept(), 0, "nor is the task kept, by its waker");
    assert!(!handle.cancel_called());
}

pub(crate) async fn cs_28_locals_of_a_cancelled_task_are_gone_when_the_group_returns() {
    let drops = Counter::new();
    let counted = drops.clone();
    task_group(async move |group| {
        let begun = Arc::new(Event::new());
        for _ in 0..2 {
            let local = counted.on_drop();
            let begun = Arc::clone(&begun);
            group.spawn(async move {
                let _local = local;
                begun.set();
                pending::<()>().await;
            });
        }
        begun.wait().await;
        group.cancel_with("enough");
    })
    .await
    .expect("the body ended by itself");
    assert_eq!(drops.get(), 2);
}

pub(crate) async fn rule_8_who_waits_for_a_cancellation_is_told_once_and_leaves_nothing_behind() {
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut run = ByHand::new(scope.run(async |_| pending::<()>().await));
    let mut gone = ByHand::new(handle.cancelled());
    let mut waiting = ByHand::new(handle.cancelled());
    assert!(run.poll().is_pending() && gone.poll().is_pending() && waiting.poll().is_pending());
    gone.drop_future();
    assert_eq!(gone.wakers_kept(), 0, "it has left");
    handle.cancel_with("once");
    handle.cancel_with("twice");
    assert_eq!((waiting.wakes(), gone.wakes()), (1, 0));
    assert!(waiting.poll().is_ready());
    assert_eq!(waiting.wakers_kept(), 0);
    assert!(matches!(run.poll(), Poll::Ready(Err(_))));
    handle.cancelled().await;
}

pub(crate) async fn rule_18_a_scope_is_cancelled_from_any_thread() {
    let scope = CancelScope::new();
    let handle = scope.handle();
    let run = scope.run(async |_| pending::<()>().await);
    let cancel = async move {
        // By now the scope was polled: only a wake-up from that thread gets it polled again.
        std::thread::Builder::new()
            .spawn(move || handle.cancel_with("from a thread"))
            .map(drop)
            .expect("a thread");
    };
    let (result, ()) = futures::join!(run, cancel);
    let cancelled = result.expect_err("it was cancelled");
    assert_eq!(cancelled.reason(), Some("from a thread"));
    assert_eq!(cancelled.task(), None, "no task did it");
}
