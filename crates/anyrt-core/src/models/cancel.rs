//! A cancellation against children that begin, wait, and end.

use std::future::pending;
use std::time::Duration;

use loom::thread;

use super::stage::{Count, check, on_stage};
use crate::group::task_group;
use crate::scope::checkpoint::checkpoint_if_cancelled;
use crate::scope::{CancelScope, stopping};

#[test]
fn a_scope_is_cancelled_while_it_begins_to_wait() {
    check("a_scope_is_cancelled_while_it_begins_to_wait", || {
        on_stage(async |_| {
            let scope = CancelScope::new();
            let handle = scope.handle();
            thread::spawn(move || handle.cancel_with("now"));
            scope.run(async |_| pending::<()>().await).await.unwrap_err();
        });
    });
}

#[test]
fn an_outer_scope_is_cancelled_while_an_inner_one_begins_to_wait() {
    check("an_outer_scope_is_cancelled_while_an_inner_one_begins_to_wait", || {
        on_stage(async |_| {
            let outer = CancelScope::new();
            let handle = outer.handle();
            thread::spawn(move || handle.cancel_with("now"));
            outer
                .run(async |_| {
                    let _ = CancelScope::new().run(async |_| pending::<()>().await).await;
                    unreachable!("the outermost scope returns");
                })
                .await
                .unwrap_err();
        });
    });
}

#[test]
fn both_scopes_are_cancelled_while_they_wait() {
    check("both_scopes_are_cancelled_while_they_wait", || {
        on_stage(async |_| {
            let (outer, inner) = (CancelScope::new(), CancelScope::new());
            let (first, second) = (outer.handle(), inner.handle());
            thread::spawn(move || first.cancel_with("outer"));
            thread::spawn(move || second.cancel_with("inner"));
            let result = outer
                .run(async |_| {
                    inner.run(async |_| pending::<()>().await).await.unwrap_err();
                    checkpoint_if_cancelled().await;
                    pending::<()>().await;
                })
                .await;
            assert_eq!(result.unwrap_err().reason(), Some("outer"));
        });
    });
}

#[test]
fn a_group_is_cancelled_while_a_child_is_added() {
    check("a_group_is_cancelled_while_a_child_is_added", || {
        on_stage(async |_| {
            let dropped = Count::default();
            let child = dropped.on_drop();
            let _ = task_group(async |tg| {
                let group = tg.clone();
                thread::spawn(move || group.cancel_with("now"));
                tg.spawn(async move {
                    let _child = child;
                    pending::<()>().await;
                });
            })
            .await;
            assert_eq!(dropped.get(), 1);
        });
    });
}

#[test]
fn a_group_is_cancelled_while_a_child_ends() {
    check("a_group_is_cancelled_while_a_child_ends", || {
        on_stage(async |_| {
            let dropped = Count::default();
            let child = dropped.on_drop();
            let result = task_group(async |tg| {
                let group = tg.clone();
                tg.spawn(async move {
                    drop(child);
                    checkpoint_if_cancelled().await;
                });
                thread::spawn(move || group.cancel_with("now"));
                7
            })
            .await;
            assert_eq!(dropped.get(), 1);
            assert!(result.is_ok_and(|value| value == 7), "the body had ended with a value");
        });
    });
}

#[test]
fn a_scope_is_cancelled_while_it_is_told_to_those_who_watch() {
    check("a_scope_is_cancelled_while_it_is_told_to_those_who_watch", || {
        on_stage(async |_| {
            let scope = CancelScope::new();
            let (handle, watched) = (scope.handle(), scope.handle());
            thread::spawn(move || handle.cancel_with("now"));
            watched.cancelled().await;
            assert!(watched.is_cancelled());
            drop(scope);
        });
    });
}

#[test]
fn a_scope_is_told_to_stop_while_somebody_begins_to_wait_for_it() {
    check("a_scope_is_told_to_stop_while_somebody_begins_to_wait_for_it", || {
        on_stage(async |_| {
            let scope = CancelScope::new();
            let handle = scope.handle();
            thread::spawn(move || handle.cancel_after_with(Duration::from_secs(1), "no hurry"));
            let inner = async |_| CancelScope::new().run(async |_| stopping().await).await;
            scope.run(inner).await.expect("time stands still").expect("nobody cancels");
        });
    });
}

#[test]
fn a_scope_that_was_told_to_stop_is_cancelled_while_somebody_begins_to_wait() {
    check("a_scope_that_was_told_to_stop_is_cancelled_while_somebody_begins_to_wait", || {
        on_stage(async |_| {
            let scope = CancelScope::new();
            let handle = scope.handle();
            thread::spawn(move || {
                handle.cancel_after_with(Duration::from_secs(1), "no hurry");
                handle.cancel_with("now");
            });
            let result = scope
                .run(async |_| {
                    stopping().await;
                    pending::<()>().await;
                })
                .await;
            assert_eq!(result.unwrap_err().reason(), Some("now"));
        });
    });
}
