//! CN: scopes inside each other, and which of them a cancellation leaves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use anyrt_core::{CancelScope, Event, checkpoint, finally, is_cancelled, move_on_after, shield, task_group};
use futures::future::pending;

use crate::by_hand::ByHand;
use crate::counting::Counter;
use crate::endings::SetsOnDrop;
use crate::time::{A_MOMENT, Stopwatch};

pub(crate) async fn cn_01_what_follows_an_inner_scope_does_not_run_when_the_outer_is_cancelled() {
    let steps = Counter::new();
    let inside = steps.clone();
    let result = CancelScope::new()
        .run(async move |outer| {
            let _ = CancelScope::new()
                .run(async move |_| {
                    outer.cancel_with("from the inner body");
                    checkpoint().await;
                })
                .await;
            inside.add();
        })
        .await;
    assert!(result.is_err());
    assert_eq!(steps.get(), 0);
}

pub(crate) async fn cn_02_the_outer_scope_catches_and_the_inner_does_not() {
    let caught = Counter::new();
    let inside = caught.clone();
    let result = CancelScope::new()
        .run(async move |outer| {
            let inner = CancelScope::new();
            let handle = inner.handle();
            let result = inner
                .run(async |inner| {
                    // Both: the outermost cancelled scope is the one that is left.
                    inner.cancel_with("inner");
                    outer.cancel_with("outer");
                    assert!(inner.cancel_called() && handle.is_cancelled());
                    let cause = handle.cause().expect("it is cancelled");
                    assert_eq!(cause.reason(), Some("outer"), "the outermost cause is told");
                    checkpoint().await;
                })
                .await;
            if result.is_err() {
                inside.add();
            }
        })
        .await;
    assert_eq!(result.expect_err("the outer one catches").reason(), Some("outer"));
    assert_eq!(caught.get(), 0, "the inner one does not");
}

pub(crate) async fn cn_03_cancelling_the_inner_scope_leaves_the_outer_alone() {
    let result = CancelScope::new()
        .run(async |outer| {
            let result = CancelScope::new()
                .run(async |inner| {
                    inner.cancel_with("inner");
                    checkpoint().await;
                })
                .await;
            assert_eq!(result.expect_err("the inner one catches").reason(), Some("inner"));
            assert!(!outer.is_cancelled());
            checkpoint().await;
            "what follows runs"
        })
        .await;
    assert_eq!(result.expect("the outer one does not catch"), "what follows runs");
}

pub(crate) async fn cn_05_an_outer_cancel_during_the_clean_up_of_an_inner_one_goes_to_the_outer() {
    let steps = Counter::new();
    let (cleaned, after) = (steps.clone(), steps.clone());
    let result = CancelScope::new()
        .run(async move |outer| {
            let _ = CancelScope::new()
                .run(async move |inner| {
                    inner.cancel_with("inner");
                    finally(pending::<()>(), async move |_| {
                        outer.cancel_with("outer");
                        checkpoint().await;
                        cleaned.add();
                    })
                    .await;
                })
                .await;
            after.add();
        })
        .await;
    assert_eq!(result.expect_err("the outer one catches").reason(), Some("outer"));
    assert_eq!(steps.get(), 1, "the clean-up ended, the inner scope was not left");
}

/// CN-05 for a group: its body was cut short by its own cancellation, and a child that ends well all the same
/// has not ended yet when the cancellation around it comes.
pub(crate) async fn rule_17_a_group_that_cancelled_itself_goes_to_the_scope_that_is_cancelled_meanwhile() {
    for (cut_short, comes_after) in [(true, 0), (false, 1)] {
        let after = Counter::new();
        let counted = after.clone();
        let result = CancelScope::new()
            .run(async move |outer| {
                let result = task_group(async move |group| {
                    let body_ended = Arc::new(Event::new());
                    let ended = Arc::clone(&body_ended);
                    group.spawn(shield(async move {
                        ended.wait().await;
                        outer.cancel_with("outer");
                        checkpoint().await;
                    }));
                    let _ends = SetsOnDrop(body_ended);
                    group.cancel_with("the group itself");
                    if cut_short {
                        checkpoint().await;
                    }
                    "value"
                })
                .await;
                counted.add();
                result.ok()
            })
            .await;
        assert_eq!(after.get(), comes_after);
        match result {
            Ok(value) => {
                assert_eq!((value, cut_short), (Some("value"), false), "what all have finished stays")
            }
            Err(cancelled) => assert_eq!((cancelled.reason(), cut_short), (Some("outer"), true)),
        }
    }
}

pub(crate) async fn cn_06_an_outer_cancel_during_the_clean_up_of_a_shielded_inner_one_waits() {
    let result = CancelScope::new()
        .run(async |outer| {
            let result = CancelScope::new()
                .shield(true)
                .run(async |inner| {
                    inner.cancel_with("inner");
                    finally(pending::<()>(), async |_| {
                        outer.cancel_with("outer");
                        checkpoint().await;
                    })
                    .await;
                })
                .await;
            assert_eq!(result.expect_err("the inner one catches").reason(), Some("inner"));
            assert!(is_cancelled());
            "no checkpoint follows"
        })
        .await;
    assert_eq!(result.expect("the outer one has nothing to interrupt"), "no checkpoint follows");
}

pub(crate) async fn cn_08_after_a_handled_inner_timeout_the_outer_scope_still_catches_its_own() {
    let watch = Stopwatch::start();
    let result = CancelScope::new()
        .run(async |outer| {
            assert!(move_on_after(A_MOMENT, pending::<()>()).await.is_none());
            watch.has_run_for(A_MOMENT);
            outer.cancel_with("after the timeout");
            checkpoint().await;
        })
        .await;
    assert_eq!(result.expect_err("the outer one catches").reason(), Some("after the timeout"));
    checkpoint().await;
}

pub(crate) async fn cn_09_a_cancellation_reaches_groups_at_any_depth() {
    const DEPTH: usize = 12;
    let drops = Counter::new();
    let counted = drops.clone();
    let result = CancelScope::new()
        .run(async move |scope| {
            task_group(async move |group| {
                let deepest = Arc::new(Event::new());
                group.spawn(nest(DEPTH, counted, Arc::clone(&deepest)));
                deepest.wait().await;
                scope.cancel_with("from the top");
                pending::<()>().await;
            })
            .await
        })
        .await;
    assert!(result.is_err());
    assert_eq!(drops.get(), DEPTH + 1, "every body at every depth was dropped");
}

/// A group in a child of a group, `depth` times; sets `deepest` at the bottom.
fn nest(depth: usize, drops: Counter, deepest: Arc<Event>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let _local = drops.on_drop();
        if depth == 0 {
            deepest.set();
            pending::<()>().await;
        }
        let result = task_group(async move |group| {
            group.spawn(nest(depth - 1, drops, deepest));
        })
        .await;
        result.expect("never reached: the cancellation came from outside");
    })
}

pub(crate) async fn cn_10_cancelling_the_private_scope_of_a_child_leaves_host_and_group_alone() {
    let value = task_group(async |group| {
        let sibling_waits = Arc::new(Event::new());
        let release = Arc::clone(&sibling_waits);
        let sibling = group.spawn(async move {
            sibling_waits.wait().await;
            "sibling"
        });
        let child = group.spawn(async {
            let result = CancelScope::new()
                .run(async |own| {
                    own.cancel_with("private");
                    checkpoint().await;
                })
                .await;
            result.is_err()
        });
        assert!(child.await.expect("the child itself is not cancelled"));
        assert!(!group.cancel_scope().is_cancelled());
        checkpoint().await;
        release.set();
        sibling.await.expect("nor is its sibling")
    })
    .await;
    assert_eq!(value.expect("nor is the group"), "sibling");
}

/// The limit is the stack of who cancels: the thread here has next to none.
pub(crate) async fn rule_15_cancelling_a_deep_tree_of_scopes_needs_no_stack() {
    const DEPTH: usize = 5_000;
    let outermost = CancelScope::new();
    let handle = outermost.handle();
    let innermost_begun = Counter::new();
    let tree = outermost.run({
        let begun = innermost_begun.clone();
        async move |_| scopes(DEPTH, begun).await
    });
    let mut run = ByHand::new(tree);
    assert!(run.poll().is_pending());
    assert_eq!(innermost_begun.get(), 1);
    std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(move || handle.cancel_with("all of it"))
        .expect("a thread")
        .join()
        .expect("cancelling does not panic");
    assert!(run.wakes() > 0);
    assert!(matches!(run.poll(), Poll::Ready(Err(_))));
}

/// `depth` scopes inside each other and a future that is never ready.
fn scopes(depth: usize, begun: Counter) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        if depth == 0 {
            begun.add();
            pending::<()>().await;
        } else {
            let _ = CancelScope::new().run(async move |_| scopes(depth - 1, begun).await).await;
        }
    })
}
