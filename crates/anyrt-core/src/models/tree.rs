//! Two changes that pass through the tree at once: the state that is left is the one that the tree then
//! implies.

use std::panic::Location;
use std::time::Duration;

use loom::thread;

use super::stage::check;
use crate::base::sync::Arc;
use crate::tree::lazy::ScopeNode;
use crate::tree::{self, Cancelled, Cause, Node, NodeRef, ScopeKind};

fn node() -> NodeRef {
    Arc::new(ScopeNode(Node::new(ScopeKind::Scope, Location::caller())))
}

fn cancel(node: &NodeRef) {
    let location = Location::caller();
    tree::cancel(node, || Cancelled::new(Cause::Explicit, None, location));
}

fn below(parent: &NodeRef) -> NodeRef {
    let child = node();
    tree::link_new(&child, parent);
    child
}

/// Runs `other` beside `own`.
fn beside(other: impl FnOnce() + 'static, own: impl FnOnce()) {
    let other = thread::spawn(other);
    own();
    other.join().unwrap();
}

#[test]
fn a_node_is_linked_while_its_parent_is_cancelled() {
    check("a_node_is_linked_while_its_parent_is_cancelled", || {
        let (parent, child) = (node(), node());
        let above = parent.clone();
        beside(move || cancel(&above), || tree::link_new(&child, &parent));
        assert!(child.node().is_cancelled());
    });
}

#[test]
fn a_subtree_is_linked_while_the_scope_above_is_cancelled() {
    check("a_subtree_is_linked_while_the_scope_above_is_cancelled", || {
        let (top, moved) = (node(), node());
        let parent = below(&top);
        let inner = below(&moved);
        beside(move || cancel(&top), || tree::link(&moved, parent.clone()));
        assert!(moved.node().is_cancelled());
        assert!(inner.node().is_cancelled());
    });
}

#[test]
fn a_node_is_moved_away_while_its_scope_is_cancelled() {
    check("a_node_is_moved_away_while_its_scope_is_cancelled", || {
        let (from, to) = (node(), node());
        let moved = below(&from);
        let inner = below(&moved);
        let here = from.clone();
        beside(
            move || cancel(&here),
            || {
                tree::unlink(&moved);
                tree::link(&moved, to.clone());
            },
        );
        assert!(from.node().is_cancelled());
        assert!(!moved.node().is_cancelled(), "it inherits from where it is now");
        assert!(!inner.node().is_cancelled());
    });
}

#[test]
fn a_shield_is_put_up_while_the_scope_around_is_cancelled() {
    check("a_shield_is_put_up_while_the_scope_around_is_cancelled", || {
        let top = node();
        let shield = below(&top);
        let inner = below(&shield);
        let above = top.clone();
        beside(move || cancel(&above), || tree::set_shield(&shield, true));
        assert!(!shield.node().is_cancelled());
        assert!(!inner.node().is_cancelled());
        assert!(top.node().holds());
        tree::set_shield(&shield, false);
        assert!(inner.node().is_cancelled());
        assert!(!top.node().holds());
    });
}

#[test]
fn a_shield_is_taken_down_and_up_while_the_scope_around_is_cancelled() {
    check("a_shield_is_taken_down_and_up_while_the_scope_around_is_cancelled", || {
        let top = node();
        let shield = below(&top);
        tree::set_shield(&shield, true);
        let inner = below(&shield);
        let above = top.clone();
        beside(
            move || cancel(&above),
            || {
                tree::set_shield(&shield, false);
                tree::set_shield(&shield, true);
            },
        );
        assert!(!inner.node().is_cancelled());
        assert!(top.node().holds());
    });
}

#[test]
fn a_deadline_is_moved_while_a_subtree_is_linked() {
    check("a_deadline_is_moved_while_a_subtree_is_linked", || {
        let (top, moved) = (node(), node());
        let inner = below(&moved);
        let above = top.clone();
        beside(move || tree::set_deadline(&above, 7, None, None), || tree::link(&moved, top.clone()));
        assert_eq!(moved.node().deadline(), 7);
        assert_eq!(inner.node().deadline(), 7);
    });
}

#[test]
fn a_node_ends_while_its_scope_is_cancelled() {
    check("a_node_ends_while_its_scope_is_cancelled", || {
        let top = node();
        let (child, sibling) = (below(&top), below(&top));
        let above = top.clone();
        beside(move || cancel(&above), || tree::end(child.node()));
        assert!(sibling.node().is_cancelled());
        assert_eq!(top.node().children(), 1);
    });
}

#[test]
fn a_subtree_is_linked_while_the_scope_above_is_told_to_stop() {
    check("a_subtree_is_linked_while_the_scope_above_is_told_to_stop", || {
        let (top, moved) = (node(), node());
        let inner = below(&moved);
        let above = top.clone();
        beside(
            move || {
                let location = Location::caller();
                let story = Cancelled::new(Cause::GraceOver, None, location);
                tree::stop(&above, Duration::from_secs(1), None, story);
            },
            || tree::link(&moved, top.clone()),
        );
        assert!(moved.node().is_stopping() && inner.node().is_stopping());
        assert!(!inner.node().is_cancelled());
    });
}
