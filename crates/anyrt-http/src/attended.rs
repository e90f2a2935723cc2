//! The future of one request, owned so that its panic is a 500 and its drop is a cancellation.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};

use anyrt::{CancelScope, Handle};
use axum_core::response::Response;
use futures_util::FutureExt;
use http::StatusCode;

use crate::connection::Connection;
use crate::disconnect::Leaving;
use crate::operation::Answer;
use crate::problem::detail;

/// Where a request goes on that its caller dropped.
#[derive(Debug, Clone)]
pub(crate) enum Home {
    /// In the task group of the server that serves this connection.
    Server(Arc<Connection>),
    /// In a root task: called by a foreign server.
    Root,
}

/// The future of one request. Nothing is added to the fast path but a flag.
pub(crate) struct Attended {
    /// Taken when it has ended.
    answer: Option<Answer>,
    /// A request that was never polled has begun nothing that would have to end.
    begun: bool,
    home: Home,
    leaving: Leaving,
}

impl Attended {
    pub(crate) fn new(answer: Answer, home: Home, leaving: Leaving) -> Self {
        Attended { answer: Some(answer), begun: false, home, leaving }
    }

    /// Polls the request; a panic of the handler becomes a 500.
    ///
    /// # Panics
    ///
    /// When polled again after it was ready, as futures do.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response> {
        let Some(answer) = &mut self.answer else { panic!("a request was polled after its end") };
        self.begun = true;
        match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(response)) => {
                self.end();
                Poll::Ready(response)
            }
            Err(panic) => {
                report(&*panic);
                self.end();
                Poll::Ready(detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"))
            }
        }
    }

    /// Drops the future; a panic in a destructor must not reach the connection.
    fn end(&mut self) {
        let answer = self.answer.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(answer))) {
            report(&*panic);
        }
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        if !self.begun {
            return self.end();
        }
        let Some(answer) = self.answer.take() else { return };
        let goes_on = self.leaving.goes_on();
        let cut = async move {
            let scope = CancelScope::new();
            if !goes_on {
                // Before it starts, so that it is dropped at its next await; only what holds goes on.
                scope.handle().cancel("the client left");
            }
            let ending = scope.run(async move |_| drop(answer.await));
            if let Err(panic) = AssertUnwindSafe(ending).catch_unwind().await {
                report(&*panic);
            }
        };
        match &self.home {
            Home::Server(connection) => drop(connection.group().spawn(cut)),
            Home::Root => match Handle::try_current() {
                Ok(handle) => drop(handle.spawn(cut)),
                Err(_) => {
                    tracing::warn!("a request was dropped outside of any runtime, its clean-up with it")
                }
            },
        }
    }
}

/// Logs a panic with the name of the task it happened in.
pub(crate) fn report(panic: &(dyn Any + Send)) {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    let task = anyrt::current_task().map(|task| task.name().to_string()).unwrap_or_default();
    tracing::error!(task, panic = message, "a request panicked");
}

impl fmt::Debug for Attended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attended").field("begun", &self.begun).finish_non_exhaustive()
    }
}
