//! Services: children that are cancelled when all else in their group is done.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use slab::Slab;

use super::state::GroupState;
use crate::base::sync::Arc;
use crate::tree::NodeRef;

/// The services of a group.
#[derive(Default)]
pub(super) struct Services {
    /// None for one that is not counted among the children yet.
    nodes: Slab<Option<NodeRef>>,
    alive: usize,
}

impl Services {
    /// How many of the group's children are services.
    pub(super) fn alive(&self) -> usize {
        self.alive
    }

    pub(super) fn nodes(&self) -> Vec<NodeRef> {
        self.nodes.iter().filter_map(|(_, node)| node.clone()).collect()
    }

    pub(super) fn reserve(&mut self) -> usize {
        self.nodes.insert(None)
    }

    pub(super) fn enlist(&mut self, key: usize, node: NodeRef) {
        if let Some(place) = self.nodes.get_mut(key) {
            *place = Some(node);
            self.alive += 1;
        }
    }

    pub(super) fn dismiss(&mut self, key: usize) -> Option<NodeRef> {
        let node = self.nodes.try_remove(key).flatten();
        self.alive -= usize::from(node.is_some());
        node
    }
}

pin_project! {
    /// The future of a service. Gone, it tells its group: before it is counted out as a child, so that
    /// there are never more services than children.
    pub(super) struct Service<F> {
        #[pin]
        inner: F,
        post: Post,
    }
}

/// A service's place among those of its group.
struct Post {
    group: Arc<GroupState>,
    key: usize,
}

impl<F> Service<F> {
    /// The future, and what enlists its node once it is a child.
    pub(super) fn new(group: &Arc<GroupState>, inner: F) -> (Service<F>, impl FnOnce(NodeRef) + use<F>) {
        let key = group.reserve_service();
        let enlisting = group.clone();
        let post = Post { group: group.clone(), key };
        (Service { inner, post }, move |node| enlisting.enlist_service(key, node))
    }
}

impl<F: Future> Future for Service<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().inner.poll(cx)
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.group.dismiss_service(self.key);
    }
}
