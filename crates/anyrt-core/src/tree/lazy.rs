//! A scope before it stands in the tree, and the node of one that stands for itself.

use std::panic::Location;
use std::task::{Wake, Waker};

use super::kind::ScopeKind;
use super::node::{HasNode, Node};
use crate::base::clock::NEVER;
use crate::base::sync::Arc;

/// A scope that nobody has needed yet.
#[derive(Clone, Copy)]
pub(crate) struct Lazy {
    pub(crate) kind: ScopeKind,
    pub(crate) shield: bool,
    pub(crate) deadline: u64,
    /// The time that was asked for, in nanoseconds or zero, and where: for messages.
    pub(crate) after: u64,
    pub(crate) opened: Option<&'static Location<'static>>,
}

impl Lazy {
    /// No deadline, no shield.
    pub(crate) fn at(kind: ScopeKind, opened: &'static Location<'static>) -> Lazy {
        Lazy { opened: Some(opened), ..Lazy::nowhere(kind) }
    }

    /// One that nobody has opened at any place.
    pub(crate) const fn nowhere(kind: ScopeKind) -> Lazy {
        Lazy { kind, shield: false, deadline: NEVER, after: 0, opened: None }
    }

    /// For places that never come into the tree.
    pub(crate) const NOWHERE: Lazy = Lazy::nowhere(ScopeKind::Scope);
}

/// A scope node that stands for itself: no task, no group.
pub(crate) struct ScopeNode(pub(crate) Node);

impl HasNode for ScopeNode {
    fn node(&self) -> &Node {
        &self.0
    }

    fn timer_waker(self: Arc<Self>) -> Waker {
        Waker::from(self)
    }
}

impl Wake for ScopeNode {
    fn wake(self: Arc<Self>) {
        self.0.timer_fired();
    }
}
