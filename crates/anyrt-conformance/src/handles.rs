//! TH: what a handle tells of its task.

use std::sync::Arc;

use anyrt_core::{Event, LocalGroup, TaskStatus, checkpoint, shield, task_group};
use futures::future::pending;

use crate::counting::Counter;
use crate::endings::{Failure, failures};

pub(crate) async fn th_01_the_status_runs_from_pending_to_finished() {
    task_group(async |group| {
        let release = Arc::new(Event::new());
        let released = Arc::clone(&release);
        let mut child = group.spawn(async move { released.wait().await });
        assert_eq!((child.status(), child.is_finished()), (TaskStatus::Pending, false));
        release.set();
        child.wait().await;
        assert_eq!((child.status(), child.is_finished()), (TaskStatus::Finished, true));
        (&mut child).await.expect("it finished");
        assert_eq!(child.status(), TaskStatus::Finished, "also when the value was taken");
    })
    .await
    .expect("no child fails");

    LocalGroup::sendable()
        .run(async |scope| {
            let mut child = scope.spawn(checkpoint());
            assert_eq!(child.status(), TaskStatus::Pending);
            assert_eq!(child.wait().await, TaskStatus::Finished);
            assert_eq!(child.status(), TaskStatus::Finished);
        })
        .await
        .expect("no child fails");
}

pub(crate) async fn th_02_awaiting_a_handle_gives_the_value() {
    let value = task_group(async |group| group.spawn(async { 7 }).await.expect("it finished")).await;
    assert_eq!(value.expect("no child fails"), 7);
}

pub(crate) async fn th_03_the_value_of_a_task_that_has_not_finished_is_an_error() {
    task_group(async |group| {
        let release = Arc::new(Event::new());
        let released = Arc::clone(&release);
        let mut child = group.named("slow").spawn(async move {
            released.wait().await;
            7
        });
        let error = child.try_value().expect_err("it has not finished");
        assert_eq!(error.task_name(), "slow");
        assert!(error.to_string().contains("not finished"), "{error}");
        release.set();
        child.wait().await;
        assert_eq!(child.try_value().expect("it has finished").expect("with a value"), 7);
    })
    .await
    .expect("no child fails");

    LocalGroup::sendable()
        .run(async |scope| {
            let mut child = scope.spawn(async { 7 });
            assert!(child.try_value().is_err());
            child.wait().await;
            assert_eq!(child.try_value().expect("it has finished").expect("with a value"), 7);
        })
        .await
        .expect("no child fails");
}

pub(crate) async fn th_04_a_failed_child_tells_its_handle_and_its_group() {
    let result = task_group(async |group| {
        let mut child = group.try_spawn(async { Err::<(), _>(Failure("boom")) });
        shield(async {
            assert_eq!(child.wait().await, TaskStatus::Failed);
            let ended = child.await.expect_err("it failed");
            assert!(ended.is_failed());
            assert!(ended.to_string().contains("failure boom"), "{ended}");
        })
        .await;
    })
    .await;
    let error = result.expect_err("a child failed");
    assert_eq!((error.len(), failures(&error)), (1, vec!["boom"]), "the original, once: {error}");
}

pub(crate) async fn th_05_cancelling_a_handle_stops_that_child_only() {
    let drops = Counter::new();
    let local = drops.on_drop();
    let finished = task_group(async move |group| {
        let release = Arc::new(Event::new());
        let released = Arc::clone(&release);
        let sibling = group.spawn(async move {
            released.wait().await;
            checkpoint().await;
            "sibling"
        });
        let child = group.spawn(async move {
            let _local = local;
            pending::<()>().await;
        });
        child.cancel_with("only you");
        let ended = child.await.expect_err("it was cancelled");
        assert_eq!(ended.cancelled().and_then(|cancelled| cancelled.reason()), Some("only you"));
        release.set();
        sibling.await.expect("it was not cancelled")
    })
    .await;
    assert_eq!(finished.expect("a cancelled child is no failure"), "sibling");
    assert_eq!(drops.get(), 1);
}

pub(crate) async fn th_07_a_task_is_cancelling_until_its_end_and_then_cancelled() {
    task_group(async |group| {
        let (inside, release) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (entered, released) = (Arc::clone(&inside), Arc::clone(&release));
        let mut child = group.spawn(async move {
            shield(async {
                entered.set();
                released.wait().await;
            })
            .await;
            checkpoint().await;
        });
        inside.wait().await;
        assert_eq!(child.status(), TaskStatus::Pending);
        child.cancel_with("enough");
        assert_eq!(child.status(), TaskStatus::Cancelling);
        checkpoint().await;
        assert_eq!(child.status(), TaskStatus::Cancelling, "the shield holds it");
        release.set();
        assert_eq!(child.wait().await, TaskStatus::Cancelled);
        assert_eq!(child.status(), TaskStatus::Cancelled);
    })
    .await
    .expect("no child fails");
}

pub(crate) async fn th_08_cancelling_a_task_that_has_ended_changes_nothing() {
    task_group(async |group| {
        let mut child = group.spawn(async { 7 });
        child.wait().await;
        child.cancel_with("too late");
        assert_eq!(child.status(), TaskStatus::Finished);
        assert_eq!(child.await.expect("it had finished"), 7);
    })
    .await
    .expect("no child fails");
}

pub(crate) async fn th_09_waiting_for_a_task_returns_however_it_ends() {
    let result = task_group(async |group| {
        shield(async {
            assert_eq!(group.spawn(checkpoint()).wait().await, TaskStatus::Finished);
            let mut cancelled = group.spawn(pending::<()>());
            cancelled.cancel_with("enough");
            assert_eq!(cancelled.wait().await, TaskStatus::Cancelled);
            let mut failed = group.try_spawn(async { Err::<(), _>(Failure("boom")) });
            assert_eq!(failed.wait().await, TaskStatus::Failed);
            assert!(failed.await.is_err(), "and leaves what it ended with");
        })
        .await;
    })
    .await;
    assert_eq!(failures(&result.expect_err("one has failed")), ["boom"]);

    let closed = task_group(async |group| group).await.expect("nothing fails");
    assert_eq!(closed.spawn(async {}).wait().await, TaskStatus::NotStarted);
}

pub(crate) async fn th_10_the_handle_of_a_started_child_comes_with_the_value_also_after_a_cancel() {
    task_group(async |group| {
        let (value, mut child) = group
            .start(async |ready| {
                ready.started("ready");
                pending::<()>().await;
            })
            .await
            .expect("it says that it is ready");
        child.cancel_with("enough");
        assert_eq!(child.wait().await, TaskStatus::Cancelled);
        assert_eq!(value, "ready");
    })
    .await
    .expect("no child fails");
}

pub(crate) async fn th_11_dropping_a_handle_neither_detaches_nor_cancels() {
    let finished = Counter::new();
    let counted = finished.clone();
    task_group(async move |group| {
        let release = Arc::new(Event::new());
        let released = Arc::clone(&release);
        drop(group.spawn(async move {
            released.wait().await;
            checkpoint().await;
            counted.add();
        }));
        checkpoint().await;
        release.set();
    })
    .await
    .expect("no child fails");
    assert_eq!(finished.get(), 1, "the group waited for it");
}
