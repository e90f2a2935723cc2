//! RC: groups that are cut short from outside, or by a child whose handle is awaited.

use std::sync::Arc;
use std::time::Duration;

use anyrt_core::channel;
use anyrt_core::{
    CancelScope, Cause, Event, Lock, checkpoint, fail_after, scope, shield, sleep, task_group, try_task_group,
};
use futures::future::pending;

use crate::counting::Counter;
use crate::endings::{Failure, failures};
use crate::time::{A_MOMENT, Stopwatch};

pub(crate) async fn rc_01_a_deadline_while_a_group_waits_ends_the_code_after_it_as_well() {
    let after = Counter::new();
    let counted = after.clone();
    let watch = Stopwatch::start();
    let result = fail_after(A_MOMENT, async move {
        let _ = task_group(async |group| {
            group.spawn(pending::<()>());
        })
        .await;
        counted.add();
    })
    .await;
    watch.has_run_for(A_MOMENT);
    assert!(result.is_err(), "the timeout is reported");
    assert_eq!(after.get(), 0, "no code after the group ran, not even without an await");
}

pub(crate) async fn rc_02_a_deadline_that_cuts_no_child_short_loses_nothing() {
    let after = Counter::new();
    let counted = after.clone();
    let result = fail_after(A_MOMENT / 2, async move {
        let value = task_group(async |group| {
            group.spawn(shield(sleep(A_MOMENT)));
            group.spawn(shield(sleep(A_MOMENT)));
            "body"
        })
        .await;
        counted.add();
        value.expect("no child fails")
    })
    .await;
    assert_eq!(result.expect("nothing was cut short"), "body");
    assert_eq!(after.get(), 1);
}

pub(crate) async fn rc_03_the_borrowing_scope_keeps_the_same_rules() {
    let after = Counter::new();
    let watch = Stopwatch::start();
    let result = fail_after(A_MOMENT, async {
        let _ = scope(async |children| {
            children.spawn(pending::<()>());
        })
        .await;
        after.add();
    })
    .await;
    watch.has_run_for(A_MOMENT);
    assert!(result.is_err(), "the timeout is reported");
    assert_eq!(after.get(), 0, "no code after the scope ran");

    let result = fail_after(A_MOMENT / 2, async {
        let value = scope(async |children| {
            children.spawn(shield(sleep(A_MOMENT)));
            "body"
        })
        .await;
        after.add();
        value.expect("no child fails")
    })
    .await;
    assert_eq!(result.expect("nothing was cut short"), "body");
    assert_eq!(after.get(), 1);
}

pub(crate) async fn rc_04_an_error_that_the_body_passes_on_is_counted_once() {
    for round in 0..1_000 {
        let result = try_task_group(async |group| {
            let child = group.try_spawn(async {
                checkpoint().await;
                Err::<(), _>(Failure("boom"))
            });
            child.await?;
            anyrt_core::Ok(())
        })
        .await;
        let error = result.expect_err("the child failed");
        assert_eq!((error.len(), failures(&error)), (1, vec!["boom"]), "in round {round}: {error}");
    }
}

pub(crate) async fn rc_05_an_error_that_a_shielded_body_passes_on_is_counted_once() {
    for round in 0..100 {
        let result = try_task_group(async |group| {
            let child = group.try_spawn(async {
                checkpoint().await;
                Err::<(), _>(Failure("boom"))
            });
            shield(async {
                child.await?;
                anyrt_core::Ok(())
            })
            .await
        })
        .await;
        let error = result.expect_err("the child failed");
        assert_eq!((error.len(), failures(&error)), (1, vec!["boom"]), "in round {round}: {error}");
    }
}

pub(crate) async fn rc_06_a_loop_whose_awaits_are_always_ready_ends_at_the_deadline() {
    let watch = Stopwatch::start();
    let set = Event::new();
    set.set();
    let lock = Arc::new(Lock::new(()));
    let (sender, receiver) = channel::bounded::<()>(1);

    ends_at_the_deadline(async || set.wait().await).await;
    ends_at_the_deadline(async || drop(lock.lock().await)).await;
    ends_at_the_deadline(async || {
        let _ = sender.send(()).await;
        let _ = receiver.recv().await;
    })
    .await;
    ends_at_the_deadline(async || sleep(Duration::ZERO).await).await;
    ends_at_the_deadline(async || checkpoint().await).await;
    watch.has_run_for(A_MOMENT * 5);

    // Where it has passed before, nothing is taken any more, ready or not.
    let late = CancelScope::new().timeout(Duration::ZERO).run(async |_| drop(lock.lock().await)).await;
    assert_eq!(late.expect_err("its time was over").cause(), Cause::Deadline);
}

async fn ends_at_the_deadline(wait: impl AsyncFn()) {
    let result = CancelScope::new()
        .timeout(A_MOMENT)
        .run(async |_| {
            loop {
                wait().await;
            }
        })
        .await;
    let cancelled = result.map(|never: std::convert::Infallible| never).expect_err("it never returns");
    assert_eq!(cancelled.cause(), Cause::Deadline);
}
