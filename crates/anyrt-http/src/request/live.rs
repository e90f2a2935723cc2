//! Requests that are being answered. They are followed in an app that has a [view](crate::Router::view), and in no other.
#![cfg_attr(not(feature = "view"), allow(dead_code, reason = "read by the view alone"))]

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use anyrt::runtime::Handle;
use anyrt::task::TaskId;
use axum_core::extract::Request;
use http::{Method, Uri};
use slab::Slab;

use super::arrival::Arrival;
use super::at_end::{Waiter, at_end};
use super::endpoint::Answer;
use super::endpoint::Host;
use super::home::Home;
use super::matched::OperationId;

/// The live requests of an app.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    begun: AtomicU64,
    live: Mutex<Slab<Weak<Story>>>,
}

impl Requests {
    /// Begins to answer a request, which is in the list until its response has been sent and nothing is left to be done.
    pub(crate) fn follow(self: &Arc<Self>, host: &dyn Host, request: Request, arrival: &Arrival) -> Answer {
        let live = self.begin(&request, arrival.home());
        arrival.is_followed_by(&live);
        let answer = host.call(request, arrival);
        let home = arrival.home().clone();
        Box::pin(async move {
            // Of HTTP/2 it is another one than that which began.
            live.is_in_this_task();
            let response = answer.await;
            live.goes_to(Stage::Sending);
            // What is left to be done after it keeps the request in the list by itself.
            at_end(response, &home, Waiter::Live(live))
        })
    }

    fn begin(self: &Arc<Self>, request: &Request, home: &Home) -> Live {
        let handle = Handle::try_current().ok();
        Live(Arc::new_cyclic(|story: &Weak<Story>| Story {
            key: self.lock().insert(Weak::clone(story)),
            number: self.begun.fetch_add(1, Ordering::Relaxed) + 1,
            method: request.method().clone(),
            uri: request.uri().clone(),
            peer: home.peer(),
            since: handle.map(|handle| handle.now()),
            route: OnceLock::new(),
            task: Mutex::default(),
            stage: AtomicU8::new(Stage::Handling as u8),
            client_left: AtomicBool::new(false),
            requests: Arc::clone(self),
        }))
    }

    /// The requests that are live now, the oldest first.
    pub(crate) fn all(&self) -> Vec<Live> {
        let mut all: Vec<Live> =
            self.lock().iter().filter_map(|(_, story)| story.upgrade()).map(Live).collect();
        all.sort_by_key(|live| live.0.number);
        all
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Weak<Story>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// There is no response: layers, dependencies, the handler.
    Handling,
    /// Its response is being made and sent.
    Sending,
    /// Its response has been sent: background tasks and teardowns.
    After,
}

/// A request that is in the list as long as any of these lives.
#[derive(Clone)]
pub(crate) struct Live(Arc<Story>);

pub(crate) struct Story {
    requests: Arc<Requests>,
    key: usize,
    pub(crate) number: u64,
    pub(crate) method: Method,
    uri: Uri,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) since: Option<Instant>,
    route: OnceLock<OperationId>,
    task: Mutex<Option<TaskId>>,
    stage: AtomicU8,
    client_left: AtomicBool,
}

impl Live {
    pub(crate) fn goes_to(&self, stage: Stage) {
        self.0.stage.store(stage as u8, Ordering::Relaxed);
    }

    pub(crate) fn has_route(&self, operation: OperationId) {
        // A layer that calls twice finds the same route.
        let _ = self.0.route.set(operation);
    }

    pub(crate) fn is_in_this_task(&self) {
        *self.0.task.lock().unwrap_or_else(PoisonError::into_inner) =
            anyrt::current_task().map(|task| task.id());
    }

    pub(crate) fn client_left(&self) {
        self.0.client_left.store(true, Ordering::Relaxed);
    }

    pub(crate) fn story(&self) -> &Story {
        &self.0
    }

    pub(crate) fn is(&self, other: &Live) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Story {
    /// Without the query, in which secrets may be.
    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    pub(crate) fn route(&self) -> Option<OperationId> {
        self.route.get().copied()
    }

    pub(crate) fn task(&self) -> Option<TaskId> {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Relaxed) {
            stage if stage == Stage::Handling as u8 => Stage::Handling,
            stage if stage == Stage::Sending as u8 => Stage::Sending,
            _ => Stage::After,
        }
    }

    pub(crate) fn has_client_left(&self) -> bool {
        self.client_left.load(Ordering::Relaxed)
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        let removed = self.requests.lock().try_remove(self.key);
        drop(removed);
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Live").field(&self.0.number).finish()
    }
}

impl fmt::Debug for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Story")
            .field("method", &self.method)
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
