//! Holds that one thread releases while another polls, moves, or counts.

use std::panic::Location;

use loom::thread;

use super::stage::{Count, check, on_stage};
use crate::base::sync::Arc;
use crate::blocking::run_blocking;
use crate::scope::checkpoint::checkpoint;
use crate::scope::{CancelScope, shield};
use crate::tree::lazy::ScopeNode;
use crate::tree::{self, Node, NodeRef, ScopeKind};

fn node() -> NodeRef {
    Arc::new(ScopeNode(Node::new(ScopeKind::Scope, Location::caller())))
}

#[test]
fn a_hold_is_released_while_it_is_moved() {
    check("a_hold_is_released_while_it_is_moved", || {
        let (from, to, holder) = (node(), node(), node());
        tree::link_new(&holder, &from);
        tree::hold_parent(holder.clone(), || true);
        let released = holder.clone();
        let other = thread::spawn(move || tree::hold_parent(released, || false));
        tree::unlink(&holder);
        tree::link(&holder, to.clone());
        other.join().unwrap();
        assert!(!from.node().holds());
        assert!(!to.node().holds());
    });
}

#[test]
fn two_holds_are_told_and_released_at_once() {
    check("two_holds_are_told_and_released_at_once", || {
        let (top, parent, one, two) = (node(), node(), node(), node());
        tree::link_new(&parent, &top);
        tree::link_new(&one, &parent);
        tree::link_new(&two, &parent);
        tree::hold_parent(one.clone(), || true);
        let other = thread::spawn(move || tree::hold_parent(one, || false));
        tree::hold_parent(two.clone(), || true);
        assert!(top.node().holds(), "never too low while one holds");
        other.join().unwrap();
        assert!(top.node().holds());
        tree::hold_parent(two, || false);
        assert!(!top.node().holds());
    });
}

#[test]
fn a_job_ends_while_its_cancelled_scope_decides() {
    check("a_job_ends_while_its_cancelled_scope_decides", || {
        on_stage(async |handle| {
            let seen = Count::default();
            let told = seen.clone();
            let scope = CancelScope::new();
            let result = scope
                .run(async |scope| {
                    let job = run_blocking(|| 7);
                    scope.cancel_with("now");
                    // The token is awaited first: the call would be a checkpoint. So the job is started in a
                    // shield.
                    let value = shield(async { job.await }).await;
                    assert_eq!(value, 7);
                    told.add();
                    checkpoint().await;
                })
                .await;
            assert_eq!(seen.get(), 1, "the result is seen before the scope is left");
            result.unwrap_err();
            handle.0.shared.pool.end();
        });
    });
}

#[test]
fn a_scope_is_cancelled_while_its_job_ends() {
    check("a_scope_is_cancelled_while_its_job_ends", || {
        on_stage(async |handle| {
            let (ran, seen) = (Count::default(), Count::default());
            let (told, job) = (seen.clone(), ran.clone());
            let scope = CancelScope::new();
            let other = scope.handle();
            thread::spawn(move || other.cancel_with("now"));
            let _ = scope
                .run(async |_| {
                    run_blocking(move || job.add()).await;
                    told.add();
                })
                .await;
            handle.0.shared.pool.end();
            assert_eq!(ran.get(), seen.get(), "who has run is heard of, who is not started never runs");
        });
    });
}
