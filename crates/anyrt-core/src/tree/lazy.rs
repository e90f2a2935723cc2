//! A scope before it stands in the tree, and the node of one that stands for itself.

use std::panic::Location;
use std::task::{Wake, Waker};

use super::kind::ScopeKind;
use super::node::{HasNode, Node};
use crate::base::clock::NEVER;
use crate::base::sync::Arc;

/// A scope that is not in the tree, because nothing has needed its node yet.
#[derive(Clone, Copy)]
pub(crate) struct Lazy {
    pub(crate) kind: ScopeKind,
    pub(crate) shield: bool,
    pub(crate) deadline: u64,
    /// The duration of the time limit in nanoseconds, or zero, for messages.
    pub(crate) after: u64,
    pub(crate) opened: Option<&'static Location<'static>>,
}

impl Lazy {
    /// A scope without a deadline or a shield.
    pub(crate) fn at(kind: ScopeKind, opened: &'static Location<'static>) -> Lazy {
        Lazy { opened: Some(opened), ..Lazy::nowhere(kind) }
    }

    /// A scope that was not opened by a call.
    pub(crate) const fn nowhere(kind: ScopeKind) -> Lazy {
        Lazy { kind, shield: false, deadline: NEVER, after: 0, opened: None }
    }

    /// For places that are never linked.
    pub(crate) const NOWHERE: Lazy = Lazy::nowhere(ScopeKind::Scope);
}

/// The node of a scope that is neither a task nor a group.
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
