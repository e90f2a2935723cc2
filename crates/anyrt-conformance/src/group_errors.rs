//! TG: what comes out of a task group, when something in it failed or was cancelled.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use anyrt_core::{
    BoxError, Cause, Event, GroupError, TaskGroup, checkpoint, shield, task_group, try_task_group,
};
use futures::FutureExt;
use futures::future::pending;

use crate::counting::Counter;
use crate::endings::{Failure, SetsOnDrop, fails_after, failures};

pub(crate) async fn tg_12_an_error_of_a_child_cancels_the_sleeping_host() {
    let drops = Counter::new();
    let local = drops.on_drop();
    let result = task_group(async move |group| {
        let _local = local;
        group.try_spawn(async { Err::<(), _>(Failure("boom")) });
        pending::<()>().await;
    })
    .await;
    let error = result.expect_err("a child failed");
    assert_eq!((error.len(), failures(&error)), (1, vec!["boom"]), "{error}");
    assert_eq!(drops.get(), 1);
}

pub(crate) async fn tg_13_an_error_of_a_child_cancels_its_siblings() {
    let drops = Counter::new();
    let counted = drops.clone();
    let result = task_group(async move |group| {
        for _ in 0..3 {
            let local = counted.on_drop();
            group.spawn(async move {
                let _local = local;
                pending::<()>().await;
            });
        }
        group.try_spawn(async { Err::<(), _>(Failure("boom")) });
    })
    .await;
    let error = result.expect_err("a child failed");
    assert_eq!((error.len(), failures(&error)), (1, vec!["boom"]), "{error}");
    assert_eq!(drops.get(), 3);
}

pub(crate) async fn rule_30_a_failure_cancels_the_group_at_that_moment() {
    let result = task_group(async move |group| {
        let fails = group.try_spawn(async { Err::<(), _>(Failure("boom")) });
        // In a shield, so that it looks, however soon the cancellation comes.
        shield(async move {
            fails.await.expect_err("it fails");
            assert!(
                group.cancel_scope().is_cancelled(),
                "whoever hears of a failure finds the group cancelled"
            );
        })
        .await;
    })
    .await;
    assert_eq!(failures(&result.expect_err("a child failed")), vec!["boom"]);
}

pub(crate) async fn tg_14_an_error_of_the_host_cancels_the_children() {
    let drops = Counter::new();
    let counted = drops.clone();
    let seen = Arc::new(Mutex::new(None));
    let see = Arc::clone(&seen);
    let result = try_task_group(async move |group| {
        let local = counted.on_drop();
        let child = group.spawn(async move {
            let _local = local;
            pending::<()>().await;
        });
        *see.lock().expect("not poisoned") = Some(child);
        Err::<(), BoxError>(Failure("host").into())
    })
    .await;
    let error = result.expect_err("the host failed");
    assert_eq!((error.len(), failures(&error)), (1, vec!["host"]), "{error}");
    assert_eq!(drops.get(), 1);
    let child = seen.lock().expect("not poisoned").take().expect("the body ran");
    let ended = child.await.expect_err("the child was cancelled");
    assert_eq!(ended.cancelled().map(|cancelled| cancelled.cause()), Some(Cause::SiblingFailed));
}

pub(crate) async fn tg_16_a_single_error_comes_back_as_itself() {
    let result = task_group(async |group| {
        group.try_spawn(async { Err::<(), _>(Failure("boom")) });
    })
    .await;
    let error = result.expect_err("a child failed");
    assert_eq!(error.len(), 1);
    assert_eq!(error.to_string(), Failure("boom").to_string(), "it is displayed as itself");
    assert_eq!(error.downcast::<Failure>().expect("it is itself"), Failure("boom"));
}

pub(crate) async fn tg_17_several_errors_come_in_order_of_occurrence() {
    let result = task_group(async |group| {
        let second_may = Arc::new(Event::new());
        group.named("later").try_spawn(fails_after(Arc::clone(&second_may), "second"));
        let first = group.named("earlier").try_spawn(async { Err::<(), _>(Failure("first")) });
        shield(async {
            assert!(first.await.is_err());
            second_may.set();
        })
        .await;
    })
    .await;
    let error = result.expect_err("two children failed");
    assert_eq!((error.len(), failures(&error)), (2, vec!["first", "second"]), "{error}");
    for (child, name) in error.iter().zip(["earlier", "later"]) {
        assert!(child.task_name().is_some_and(|task| task.starts_with(name)), "{child:?} is of {name}");
    }

    let result = try_task_group(async |group| {
        let interrupted = when_cut_short(&group);
        group.try_spawn(fails_after(interrupted, "child"));
        Err::<(), BoxError>(Failure("body").into())
    })
    .await;
    let error = result.expect_err("the body failed");
    assert_eq!(failures(&error), ["body", "child"], "the body failed first");
    assert_eq!(error.first().expect("two errors").task_name(), None, "it is not a child");
}

/// An event that is set when a child is cut short.
fn when_cut_short(group: &TaskGroup) -> Arc<Event> {
    let interrupted = Arc::new(Event::new());
    let sets = SetsOnDrop(Arc::clone(&interrupted));
    group.spawn(async move {
        let _sets = sets;
        pending::<()>().await;
    });
    interrupted
}

/// An error with a cause.
#[derive(Debug)]
struct Caused(Failure);

impl std::fmt::Display for Caused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("caused")
    }
}

impl std::error::Error for Caused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

pub(crate) async fn rule_31_the_chain_of_causes_goes_through_groups() {
    let result = task_group(async |outer| {
        outer.named("host").try_spawn(async {
            task_group(async |inner| {
                inner.named("deep").try_spawn(async { Err::<(), _>(Caused(Failure("the cause"))) });
            })
            .await
        });
    });
    let error = result.await.expect_err("a child of a child failed");
    assert_eq!(error.to_string(), "caused", "one error is shown as itself, also through two groups");
    let source = std::error::Error::source(&error).expect("its cause is that of the error");
    assert_eq!(source.downcast_ref(), Some(&Failure("the cause")));
    let error = error.downcast::<GroupError>().expect("the group inside");
    assert_eq!(error.first().and_then(|first| first.task_name()), Some("deep"));
    assert_eq!(error.downcast::<Caused>().expect("the error itself").0, Failure("the cause"));

    let result = try_task_group(async |group| {
        let interrupted = when_cut_short(&group);
        group.named("second").try_spawn(fails_after(interrupted, "child"));
        Err::<(), BoxError>(Caused(Failure("the cause")).into())
    });
    let error = result.await.expect_err("two failed");
    let text = error.to_string();
    assert!(text.starts_with("2 errors in a task group: [body] caused"), "{text}");
    assert!(text.contains("[second#") && text.ends_with("failure child"), "{text}");
    let source = std::error::Error::source(&error).expect("the first of several is the cause");
    assert!(source.is::<Caused>());
    let error = error.downcast::<Caused>().expect_err("there are several");
    assert_eq!((&error).into_iter().filter(|child| child.error().is::<Failure>()).count(), 1);
}

pub(crate) async fn tg_19_nested_groups_give_nested_errors() {
    let result = task_group(async |outer| {
        let outer_may = Arc::new(Event::new());
        let inner_ended = Arc::clone(&outer_may);
        outer.try_spawn(async move {
            let result = task_group(async |inner| {
                let second_may = Arc::new(Event::new());
                inner.try_spawn(fails_after(Arc::clone(&second_may), "inner second"));
                inner.try_spawn(async move {
                    second_may.set();
                    Err::<(), _>(Failure("inner first"))
                });
            })
            .await;
            inner_ended.set();
            result
        });
        outer.try_spawn(fails_after(outer_may, "outer"));
    })
    .await;
    let error = result.expect_err("children failed");
    assert_eq!(error.len(), 2, "{error}");
    assert_eq!(failures(&error), ["outer"]);
    let inner = error.iter().find_map(|child| child.error().downcast_ref::<GroupError>());
    let mut inner = failures(inner.expect("the inner group is one member"));
    inner.sort_unstable();
    assert_eq!(inner, ["inner first", "inner second"]);
}

pub(crate) async fn tg_20_of_cancellations_only_a_single_one_leaves() {
    let drops = Counter::new();
    let counted = drops.clone();
    let result = task_group(async move |group| {
        for _ in 0..3 {
            let local = counted.on_drop();
            group.spawn(async move {
                let _local = local;
                pending::<()>().await;
            });
        }
        group.cancel_with("enough");
        pending::<()>().await;
    })
    .await;
    let error = result.expect_err("the body was interrupted");
    assert!(error.is_cancelled());
    assert_eq!(error.iter().count(), 0, "no members: {error}");
    assert_eq!(error.cancelled().and_then(|cancelled| cancelled.reason()), Some("enough"));
    assert_eq!(drops.get(), 3);

    // The same when the body passes on what the handle of a cancelled child says.
    let result = try_task_group(async |group| {
        let child = group.spawn(pending::<()>());
        group.cancel_with("enough");
        shield(async {
            child.await?;
            anyrt_core::ok(())
        })
        .await
    })
    .await;
    let error = result.expect_err("the body did not finish");
    assert!(error.is_cancelled());
    assert_eq!(error.iter().count(), 0, "no members: {error}");
}

pub(crate) async fn tg_21_cancelled_members_never_stand_beside_errors() {
    let result = task_group(async |group| {
        for _ in 0..3 {
            group.spawn(pending::<()>());
        }
        group.try_spawn(async { Err::<(), _>(Failure("boom")) });
        pending::<()>().await;
    })
    .await;
    let error = result.expect_err("a child failed");
    assert!(!error.is_cancelled());
    assert_eq!((error.len(), error.iter().count()), (1, 1), "{error}");
    assert_eq!(failures(&error), ["boom"]);

    // Nor does one that comes back through the handle of a child and out of the body.
    let result = try_task_group(async |group| {
        let cancelled = group.spawn(pending::<()>());
        group.try_spawn(async { Err::<(), _>(Failure("boom")) });
        shield(async {
            cancelled.await?;
            anyrt_core::ok(())
        })
        .await
    })
    .await;
    let error = result.expect_err("a child failed");
    assert_eq!((error.len(), failures(&error)), (1, vec!["boom"]), "{error}");
}

pub(crate) async fn tg_22_cancelling_a_group_is_no_error_of_a_child() {
    let drops = Counter::new();
    let local = drops.on_drop();
    let finished = task_group(async move |group| {
        group.spawn(async move {
            let _local = local;
            pending::<()>().await;
        });
        group.cancel_with("enough");
        "value"
    })
    .await;
    assert_eq!(finished.expect("the body finished"), "value");
    assert_eq!(drops.get(), 1);

    let interrupted = task_group(async |group| {
        group.spawn(pending::<()>());
        group.cancel_with("enough");
        checkpoint().await;
    })
    .await;
    let error = interrupted.expect_err("the body was dropped");
    assert!(error.is_cancelled());
    assert_eq!(error.cancelled().map(|cancelled| cancelled.cause()), Some(Cause::Explicit));
}

pub(crate) async fn tg_33_errors_are_not_kept_alive_by_the_group() {
    /// An error that shares something.
    #[derive(Debug)]
    struct Shares(#[expect(dead_code, reason = "it is there to be kept alive")] Arc<()>);

    impl std::fmt::Display for Shares {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "shares")
        }
    }

    impl std::error::Error for Shares {}

    let token = Arc::new(());
    let kept = Arc::new(Mutex::new(None));
    let (shared, keep) = (Arc::clone(&token), Arc::clone(&kept));
    let result = task_group(async move |group| {
        let child = group.try_spawn(async move { Err::<(), _>(Shares(shared)) });
        *keep.lock().expect("not poisoned") = Some((group, child));
    })
    .await;
    assert_eq!(Arc::strong_count(&token), 2, "the error has it");
    drop(result);
    assert_eq!(Arc::strong_count(&token), 1, "neither the group nor the child's handle has it");
    assert!(kept.lock().expect("not poisoned").is_some());
}

pub(crate) async fn tg_34_a_panic_of_a_child_is_resumed_in_the_host() {
    let started = Counter::new();
    let drops = Counter::new();
    let (sibling, counted) = (started.clone(), drops.clone());
    let host = AssertUnwindSafe(async move {
        task_group(async move |group| {
            let local = counted.on_drop();
            group.spawn(async move {
                let _local = local;
                sibling.add();
                pending::<()>().await;
            });
            group.spawn(async { std::panic::resume_unwind(Box::new("the child's own")) as () });
            pending::<()>().await;
        })
        .await
    });
    let panic = host.catch_unwind().await.map(|_| ()).expect_err("it is resumed");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the child's own"), "as it was");
    assert_eq!((started.get(), drops.get()), (1, 1), "the sibling was cancelled first");
}
