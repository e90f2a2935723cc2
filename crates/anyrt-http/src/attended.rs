//! The future of one request, owned so that its panic is a 500 and its drop is a cancellation.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyrt::{CancelScope, Handle, TaskContext};
use axum_core::extract::Request;
use axum_core::response::Response;
use futures_util::FutureExt;

use crate::admission;
use crate::alive::Alive;
use crate::connection::Connection;
use crate::contained::{Contained, contained, let_go};
use crate::disconnect::Leaving;
use crate::operation::Answer;
use crate::request::{After, Ended, Waiter, internal, keeping, message};
use crate::sent::Sent;
use crate::test_client::TestHome;

/// Where a request goes on that its caller dropped.
#[derive(Debug, Clone)]
pub(crate) enum Home {
    /// In the task group of the server that serves this connection.
    Server(Arc<Connection>),
    /// In the task group of a test client.
    Test(Arc<TestHome>),
    /// In a root task: called by a foreign server.
    Root,
}

impl Home {
    /// Who asks, if a server of ours listens, and its app has a view.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Home::Server(connection) => connection.peer,
            Home::Test(_) | Home::Root => None,
        }
    }

    /// Runs here what is left to be done. Its panic, also that of what a cancellation drops, is its own.
    fn spawn(&self, name: &str, future: impl Future<Output = ()> + Send + 'static) {
        let future = Contained::new(future).map(drop);
        match self {
            Home::Server(connection) => drop(connection.group().named(name).spawn(future)),
            Home::Test(home) => drop(home.group.named(name).spawn(future)),
            Home::Root => match Handle::try_current() {
                Ok(handle) => drop(handle.spawn(future)),
                Err(_) => tracing::warn!(
                    "a request was dropped outside of any runtime, with what was left to be done of it"
                ),
            },
        }
    }

    /// Runs a part of what is left in a task that has a name; none if it was cancelled, or panicked.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the task running, which is in the same group as who waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        name: &str,
        part: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        /// Not a `Result`, whatever the part ends in.
        struct Ended<T>(T);
        let part = Contained::new(part).map(Ended);
        let task = match self {
            Home::Server(connection) => connection.group().named(name).spawn(part),
            Home::Test(home) => home.group.named(name).spawn(part),
            Home::Root => Handle::try_current().ok()?.spawn(part),
        };
        task.await.ok().and_then(|Ended(value)| value)
    }

    /// A response was taken whole: who waits for its end is told when it is with the system.
    pub(crate) fn when_sent(&self, waiter: Waiter, sent: Option<Arc<Sent>>) {
        match self {
            Home::Server(connection) => connection.when_sent(waiter, sent),
            Home::Test(_) | Home::Root => waiter.ends(&Ended::Whole(None)),
        }
    }

    /// Begins what is left of a request.
    pub(crate) fn begin(&self, after: After) {
        const NAME: &str = "after a response";
        match self {
            Home::Test(home) => self.spawn(NAME, home.telling(after.run())),
            _ => self.spawn(NAME, after.run()),
        }
    }

    /// Lets a request carry its home through services of others.
    pub(crate) fn take_along(&self, request: &mut Request) {
        request.extensions_mut().insert(self.clone());
    }

    /// What a request carries; a root task, if a foreign server calls.
    pub(crate) fn taken_along(request: &mut Request) -> Home {
        request.extensions_mut().remove().unwrap_or(Home::Root)
    }
}

/// The future of one request. Little is added to the fast path: a flag, and task-locals of its own.
pub(crate) struct Attended {
    /// Taken when it has ended.
    answer: Option<Answer>,
    /// What this request sets, no other one on the same connection sees. None inside of another one: what is set below a
    /// layer is seen by the layer.
    locals: Option<TaskContext>,
    /// A request that was never polled has begun nothing that would have to end.
    begun: bool,
    home: Home,
    leaving: Leaving,
    alive: Option<Alive>,
}

impl Attended {
    pub(crate) fn new(answer: Answer, home: Home, leaving: Leaving) -> Self {
        let alive = Some(Alive::of(&home));
        let locals = Some(TaskContext::capture());
        Attended { answer: Some(answer), locals, begun: false, home, leaving, alive }
    }

    /// One that is polled by another one.
    pub(crate) fn inner(answer: Answer, home: Home, leaving: Leaving) -> Self {
        Attended { answer: Some(answer), locals: None, begun: false, home, leaving, alive: None }
    }

    /// Polls the request; a panic of the handler becomes a 500.
    ///
    /// # Panics
    ///
    /// When polled again after it was ready, as futures do.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response> {
        let Some(answer) = &mut self.answer else { panic!("a request was polled after its end") };
        self.begun = true;
        let mut poll = || contained(|| answer.as_mut().poll(cx));
        let polled = match &mut self.locals {
            Some(locals) => locals.run(poll),
            None => poll(),
        };
        // A turn in the pool's queue is for the next call of the same poll.
        admission::let_turn_go();
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(response)) => {
                self.end();
                Poll::Ready(response)
            }
            Err(_) => {
                self.end();
                Poll::Ready(internal())
            }
        }
    }

    /// Drops the future; a panic in a destructor must not reach the connection.
    fn end(&mut self) {
        let answer = self.answer.take();
        if let Some(alive) = &self.alive {
            alive.ends();
        }
        let_go(answer);
        self.alive = None;
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        if self.answer.is_none() {
            return;
        }
        if !self.begun {
            return self.end();
        }
        let Some(answer) = self.answer.take() else { return };
        let answer = keeping(self.locals.take().unwrap_or_else(TaskContext::capture), answer);
        let alive = self.alive.take();
        let goes_on = self.leaving.goes_on();
        let live = self.leaving.live.take();
        let cut = async move {
            if let Some(live) = live {
                live.is_in_this_task();
            }
            let scope = CancelScope::new();
            if !goes_on {
                // Before it starts, so that it is dropped at its next await; only what holds goes on.
                scope.handle().cancel_with("the client left");
            }
            let ending = scope.run(async move |_| let_go(answer.await));
            Contained::new(ending).await;
            drop(alive);
        };
        self.home.spawn("a request whose client left", cut);
    }
}

/// Logs a panic with the name of the task it happened in.
pub(crate) fn report(panic: &(dyn Any + Send)) {
    let task = anyrt::current_task().map(|task| task.name().to_string()).unwrap_or_default();
    tracing::error!(task, panic = message(panic), "a request panicked");
}

impl fmt::Debug for Attended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attended").field("begun", &self.begun).finish_non_exhaustive()
    }
}
