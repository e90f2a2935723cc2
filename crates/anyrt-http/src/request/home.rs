//! What a request belongs to, where it goes on when its caller has dropped it.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use anyrt::TaskGroup;
use anyrt::runtime::Handle;
use axum_core::extract::Request;
use futures_util::FutureExt;

use super::after::After;
use super::at_end::Waiter;
use crate::base::contained::Contained;
use crate::response::ended::Ended;
use crate::response::sent::Sent;

/// The owner of requests: a connection of our server, or a client of a test.
pub(crate) trait Owner: Any + Send + Sync + fmt::Debug {
    /// What goes on without its caller goes on in this group.
    fn group(&self) -> &TaskGroup;

    /// The client's address, if a server of ours listens, and its app has a view.
    fn peer(&self) -> Option<SocketAddr> {
        None
    }

    /// A response was taken whole: `waiter` is to be told when it is with the system.
    fn when_sent(&self, waiter: Waiter, _: Option<Arc<Sent>>) {
        waiter.ends(&Ended::Whole(None));
    }

    /// Begins what is left of a request.
    fn begin(&self, after: After) {
        spawn(self.group(), AFTER, after.run());
    }

    /// A handler begins, which counts as alive until [`handler_is_gone`](Owner::handler_is_gone).
    fn handler_begins(&self) {}

    /// A handler has ended by itself.
    fn handler_ends(&self) {}

    /// A handler is dropped, whatever ended it.
    fn handler_is_gone(&self) {}
}

/// The name of the task for what is left of a request.
pub(crate) const AFTER: &str = "after a response";

/// Runs what is left to be done in a group. Its panic, also that of what a cancellation drops, is its own.
pub(crate) fn spawn(group: &TaskGroup, name: &str, future: impl Future<Output = ()> + Send + 'static) {
    drop(group.named(name).spawn(Contained::new(future).map(drop)));
}

/// Where a request goes on that its caller dropped: at its owner's, or in a root task, if a foreign server called.
#[derive(Debug, Clone)]
pub(crate) struct Home(Option<Arc<dyn Owner>>);

impl Home {
    /// In a root task.
    pub(crate) const ROOT: Home = Home(None);

    /// In the group of an owner.
    pub(crate) fn of(owner: Arc<dyn Owner>) -> Home {
        Home(Some(owner))
    }

    pub(crate) fn owner(&self) -> Option<&Arc<dyn Owner>> {
        self.0.as_ref()
    }

    /// The owner, if it is of this type.
    #[cfg(feature = "view")]
    pub(crate) fn owned_by<O: Owner>(&self) -> Option<&O> {
        let owner: &dyn Any = &**self.0.as_ref()?;
        owner.downcast_ref()
    }

    /// The client's address, if a server of ours listens, and its app has a view.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.0.as_ref()?.peer()
    }

    /// Runs here what is left to be done. Its panic, also that of what a cancellation drops, is its own.
    pub(crate) fn spawn(&self, name: &str, future: impl Future<Output = ()> + Send + 'static) {
        if let Some(owner) = &self.0 {
            return spawn(owner.group(), name, future);
        }
        match Handle::try_current() {
            Ok(handle) => drop(handle.spawn(Contained::new(future).map(drop))),
            Err(_) => tracing::warn!(
                "a request was dropped outside of any runtime, with what was left to be done of it"
            ),
        }
    }

    /// Runs a part of what is left in a task that has a name; none if it was cancelled, or panicked.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the task running, which is in the same group as the task that waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        name: &str,
        part: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        /// Not a `Result`, whatever the part ends in.
        struct Ended<T>(T);
        let part = Contained::new(part).map(Ended);
        let task = match &self.0 {
            Some(owner) => owner.group().named(name).spawn(part),
            None => Handle::try_current().ok()?.spawn(part),
        };
        task.await.ok().and_then(|Ended(value)| value)
    }

    /// A response was taken whole: `waiter` is told when it is with the system.
    pub(crate) fn when_sent(&self, waiter: Waiter, sent: Option<Arc<Sent>>) {
        match &self.0 {
            Some(owner) => owner.when_sent(waiter, sent),
            None => waiter.ends(&Ended::Whole(None)),
        }
    }

    /// Begins what is left of a request.
    pub(crate) fn begin(&self, after: After) {
        match &self.0 {
            Some(owner) => owner.begin(after),
            None => self.spawn(AFTER, after.run()),
        }
    }

    /// Lets a request carry its home through services of others.
    pub(crate) fn take_along(&self, request: &mut Request) {
        request.extensions_mut().insert(self.clone());
    }

    /// What a request carries; a root task, if a foreign server calls.
    pub(crate) fn taken_along(request: &mut Request) -> Home {
        request.extensions_mut().remove().unwrap_or(Home::ROOT)
    }
}
