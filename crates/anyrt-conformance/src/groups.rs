//! TG: the life of a task group.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use anyrt_core::{BoxError, CancelScope, Event, checkpoint, shield, task_group, try_task_group};
use futures::future::pending;

use crate::by_hand::ByHand;
use crate::counting::{Counter, count_polls};
use crate::endings::{Failure, SetsOnDrop};

pub(crate) async fn tg_01_all_children_finish_before_the_block_is_left() {
    let finished = Counter::new();
    let counted = finished.clone();
    let value = task_group(async move |group| {
        let release = Arc::new(Event::new());
        for _ in 0..5 {
            let (released, finished) = (Arc::clone(&release), counted.clone());
            group.spawn(async move {
                released.wait().await;
                checkpoint().await;
                finished.add();
            });
        }
        release.set();
        "body"
    })
    .await;
    assert_eq!(value.expect("no child fails"), "body");
    assert_eq!(finished.get(), 5);
}

pub(crate) async fn tg_02_spawn_returns_before_the_child_runs() {
    thread_local!(static SPAWNING: Cell<bool> = const { Cell::new(false) });

    task_group(async |group| {
        SPAWNING.set(true);
        // It may run at once, but on another thread, not inside the call.
        let child = group.spawn(async { SPAWNING.get() });
        SPAWNING.set(false);
        assert!(!child.await.expect("the child ends"), "it was polled inside the call of spawn");
    })
    .await
    .expect("no child fails");
}

pub(crate) async fn tg_03_a_child_spawns_siblings_into_its_group() {
    let finished = Counter::new();
    let counted = finished.clone();
    task_group(async move |group| {
        let siblings = group.clone();
        group.spawn(async move {
            // By now the body may have ended: the group waits for these as well.
            let grandsiblings = siblings.clone();
            siblings.spawn(async move {
                checkpoint().await;
                grandsiblings.spawn(async move {
                    checkpoint().await;
                    counted.add();
                });
            });
        });
    })
    .await
    .expect("no child fails");
    assert_eq!(finished.get(), 1);
}

pub(crate) async fn tg_06_spawning_after_exit_is_an_error_and_drops_the_future() {
    let group = task_group(async |group| {
        group.spawn(async {});
        group
    })
    .await
    .expect("no child fails");
    refuses_children(&group).await;
}

pub(crate) async fn tg_07_spawning_after_an_exit_with_an_error_is_an_error() {
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    try_task_group(async move |group| {
        *keep.lock().expect("not poisoned") = Some(group);
        Err::<(), BoxError>(Failure("boom").into())
    })
    .await
    .expect_err("the body failed");
    let group = kept.lock().expect("not poisoned").take().expect("the body ran");
    refuses_children(&group).await;
}

pub(crate) async fn tg_09_an_empty_group_returns_the_value_of_its_body() {
    assert_eq!(task_group(async |_| 7).await.expect("nothing fails"), 7);
    let tried = try_task_group(async |_| Ok::<_, BoxError>(7)).await;
    assert_eq!(tried.expect("nothing fails"), 7);
}

pub(crate) async fn tg_10_an_empty_group_is_no_cancellation_point() {
    let result = CancelScope::new()
        .run(async |scope| {
            scope.cancel_with("before the group");
            task_group(async |_| 7).await.expect("nothing fails")
        })
        .await;
    assert_eq!(result.expect("nothing was interrupted"), 7);
}

pub(crate) async fn tg_11_a_group_with_an_idle_child_in_a_cancelled_scope_exits_cleanly() {
    let ran = Counter::new();
    let child = ran.clone();
    let result = CancelScope::new()
        .run(async move |scope| {
            scope.cancel_with("before the group");
            task_group(async move |group| {
                group.spawn(async move {
                    child.add();
                });
                "body"
            })
            .await
            .expect("no child fails")
        })
        .await;
    assert_eq!(result.expect("nothing was interrupted"), "body");
    assert_eq!(ran.get(), 1);
}

pub(crate) async fn tg_23_a_new_child_of_a_cancelled_group_starts_and_stops_at_its_first_checkpoint() {
    let steps = Counter::new();
    let child = steps.clone();
    task_group(async move |group| {
        group.cancel_with("before the child");
        group.spawn(async move {
            child.add();
            checkpoint().await;
            child.add();
        });
    })
    .await
    .expect("the body finished");
    assert_eq!(steps.get(), 1);
}

pub(crate) async fn tg_24_a_group_cancelled_twice_and_two_groups_in_sequence() {
    for reason in ["in the first group", "in the second group"] {
        let result = task_group(async |group| {
            group.spawn(pending::<()>());
            group.cancel_with(reason);
            group.cancel_with("again");
            pending::<()>().await;
        })
        .await;
        let error = result.expect_err("the body was interrupted");
        assert_eq!(error.cancelled().and_then(|cancelled| cancelled.reason()), Some(reason));
    }
    checkpoint().await;
}

pub(crate) async fn tg_26_cancelling_a_group_whose_children_have_ended_is_harmless() {
    let result = task_group(async |group| {
        let child = group.spawn(async { 7 });
        let value = child.await.expect("the child ends");
        group.cancel_with("too late");
        (group, value)
    })
    .await;
    let (group, value) = result.expect("the body finished");
    assert_eq!(value, 7);
    group.cancel_with("far too late");
    checkpoint().await;
}

/// The analogue of a native cancellation is somebody else who drops the future of the host.
pub(crate) async fn tg_32_a_host_dropped_in_the_tick_of_its_own_cancel_cancels_its_children() {
    let result = task_group(async |around| {
        let drops = Counter::new();
        let ended = Arc::new(Event::new());
        let (local, sets) = (drops.on_drop(), SetsOnDrop(Arc::clone(&ended)));
        let scope = CancelScope::new();
        let handle = scope.handle();
        let host = scope.run(async move |_| {
            task_group(async move |group| {
                group.spawn(async move {
                    let _locals = (local, sets);
                    pending::<()>().await;
                });
                pending::<()>().await;
            })
            .await
        });
        let mut host = ByHand::new(host);
        assert!(host.poll().is_pending());
        handle.cancel_with("in the same tick");
        host.drop_future();
        ended.wait().await;
        assert_eq!(drops.get(), 1);
        assert!(!around.cancel_scope().is_cancelled());
        checkpoint().await;
        "goes on"
    })
    .await;
    assert_eq!(result.expect("nothing else was cancelled"), "goes on");
}

pub(crate) async fn rule_27_the_group_waits_for_grandchildren_that_come_while_it_waits() {
    let finished = Counter::new();
    let counted = finished.clone();
    let mut host = ByHand::new(task_group(async move |group| {
        spawn_another(group, 10, counted);
    }));
    // The body ends at once: all of them but the first are spawned while the group waits.
    while host.poll().is_pending() {
        checkpoint().await;
    }
    assert_eq!(finished.get(), 10);
}

pub(crate) async fn rule_35_the_host_does_not_spin_while_a_shielded_child_keeps_the_group() {
    let release = Arc::new(Event::new());
    let released = Arc::clone(&release);
    let begun = Arc::new(Event::new());
    let child_begun = Arc::clone(&begun);
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut host = ByHand::new(scope.run(async move |_| {
        task_group(async move |group| {
            group.spawn(async move {
                shield(async {
                    child_begun.set();
                    released.wait().await;
                })
                .await;
            });
        })
        .await
    }));
    assert!(host.poll().is_pending());
    begun.wait().await;
    handle.cancel_with("while the group waits");
    assert!(host.poll().is_pending(), "the shielded child keeps it");
    let before = host.wakes();
    for _ in 0..100 {
        checkpoint().await;
    }
    assert_eq!(host.wakes(), before, "nothing wakes the host while nothing changes");
    release.set();
    // The end of the child does: the watchdog would tell.
    while host.wakes() == before {
        checkpoint().await;
    }
    while host.poll().is_pending() {
        checkpoint().await;
    }
    assert!(host.wakes() - before < 5, "woken {} times for one end", host.wakes() - before);
}

/// A child that spawns the next one, `left` times, each of them after a checkpoint.
fn spawn_another(group: anyrt_core::TaskGroup, left: usize, finished: Counter) {
    if left > 0 {
        let next = group.clone();
        group.spawn(async move {
            checkpoint().await;
            finished.add();
            spawn_another(next, left - 1, finished);
        });
    }
}

/// A closed group: the handle says so, and the future is dropped without a poll.
async fn refuses_children(group: &anyrt_core::TaskGroup) {
    assert!(group.is_closed());
    let polls = Counter::new();
    let drops = Counter::new();
    let local = drops.on_drop();
    let child = group.spawn(count_polls(&polls, async move {
        let _local = local;
    }));
    assert_eq!(drops.get(), 1, "the future is dropped at once");
    let ended = child.await.expect_err("the group is closed");
    assert!(ended.is_not_started(), "{ended}");
    assert_eq!(polls.get(), 0);
}
