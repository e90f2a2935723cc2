//! Waiting for what comes down the tree: the cancellation, the word to stop.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::current::context;
use crate::current::gate::leaf;
use crate::tree::site::Called;
use crate::tree::{Node, NodeRef};

/// A place among those who wait for news of one node, given back when it is dropped.
#[derive(Default)]
struct Watch {
    node: Option<NodeRef>,
    key: Option<usize>,
}

impl Watch {
    /// Waits at `node`, and nowhere else.
    fn at(&mut self, node: &NodeRef, cx: &Context<'_>) {
        if !self.node.as_ref().is_some_and(|known| std::ptr::eq(known.node(), node.node())) {
            self.leave();
            self.node = Some(node.clone());
        }
        node.node().watch(&mut self.key, cx.waker());
    }

    fn leave(&mut self) {
        if let (Some(node), Some(key)) = (self.node.take(), self.key.take()) {
            node.node().unwatch(key);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Waits for news of one node that somebody has a handle to.
pub(super) struct News {
    node: NodeRef,
    asked: fn(&Node) -> bool,
    watch: Watch,
    called: Called,
}

impl News {
    pub(super) fn new(node: NodeRef, asked: fn(&Node) -> bool, called: Called) -> News {
        News { node, asked, watch: Watch::default(), called }
    }
}

impl Future for News {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.watch.at(&this.node, cx);
        if (this.asked)(this.node.node()) {
            this.watch.leave();
            return Poll::Ready(());
        }
        // A leaf that only waits: whether the gate is open or shut, there is nothing to do.
        leaf(false, this.called, cx, |_| Poll::Pending)
    }
}

/// Waits until the code that runs is told to stop: that its scope, or one around it in sight, is to be
/// cancelled when a grace is over ([`ScopeHandle::cancel_after`](crate::ScopeHandle::cancel_after)).
///
/// Where a server stops to accept and finishes what it has begun:
///
/// ```
/// # async fn accept() -> u32 { 1 }
/// # async fn demo() {
/// use anyrt_core::{Either, is_stopping, race, stopping, task_group};
///
/// task_group(async |tg| {
///     while !is_stopping() {
///         // One that comes in the same moment counts: of two that are ready, `race` returns the first.
///         let Either::Left(connection) = race(accept(), stopping()).await else { break };
///         tg.spawn(async move { drop(connection) });
///     }
///     // .. those that were accepted have the grace to end
/// })
/// .await
/// .unwrap();
/// # }
/// ```
///
/// It is a level, not an event: ready at once where the code was told before, in scopes that are opened
/// later too. A shield keeps it away as it keeps the cancellation, so that a clean-up may use code that
/// takes on nothing new while it is stopping; `scope.stopping()` of a scope outside is the way to look past
/// a shield. In a cancelled scope nobody returns from it, unless something holds the scope.
///
/// # Cancel safety
///
/// Nothing is lost.
#[track_caller]
pub fn stopping() -> Stopping {
    Stopping { watch: Watch::default(), called: Location::caller() }
}

/// The future of [`stopping`].
#[must_use = "futures do nothing unless polled"]
pub struct Stopping {
    watch: Watch,
    called: Called,
}

impl Future for Stopping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(top) = context::top() {
            self.watch.at(&top, cx);
        }
        leaf(false, self.called, cx, |_| match is_stopping() {
            true => {
                self.watch.leave();
                Poll::Ready(())
            }
            false => Poll::Pending,
        })
    }
}

/// Whether the code that runs was told to stop; see [`stopping`]. True in a cancelled scope too.
pub fn is_stopping() -> bool {
    context::is_stopping()
}

impl fmt::Debug for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopping").field("watching", &self.watch.key.is_some()).finish()
    }
}
