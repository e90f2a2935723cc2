//! A dependency whose code stands around the request: before the value is given, and after.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use anyrt::sync::Event;
use axum_core::response::{IntoResponse, Response};

use super::teardown::{Teardown, Undone};
use crate::request::outcome::Outcome;
use crate::request::undo::Undoing;
use crate::response::problem::internal;

/// Gives the value of a [`Teardown::around`] to the request, and waits until it is undone.
#[must_use = "the request waits for the value"]
pub struct Give<T>(Arc<Given<T>>);

struct Given<T> {
    value: Mutex<Option<T>>,
    outcome: Mutex<Option<Outcome>>,
    undone: Event,
}

/// Why a dependency refused the request: the response that says so.
#[derive(Debug)]
pub struct Refusal(Box<Response>);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl<T: Send + Sync + 'static> Teardown<T> {
    /// A value that is made and undone by one piece of code, which stands around all that uses the value: a task group, for
    /// example, that is open meanwhile.
    ///
    /// ```
    /// use anyrt_http::{Give, Refusal, Teardown};
    ///
    /// struct Tasks(anyrt::TaskGroup);
    ///
    /// /// A group for the tasks of one request: what still runs at its end is cancelled.
    /// async fn tasks() -> Result<Teardown<Tasks>, Refusal> {
    ///     Teardown::around(async |give: Give<Tasks>| {
    ///         let ended = anyrt::task_group(async |group| {
    ///             give.value(Tasks(group.clone())).await;
    ///             group.cancel_with("the request has ended");
    ///         });
    ///         // A cancelled group is no error here.
    ///         drop(ended.await);
    ///     })
    ///     .await
    /// }
    /// # let _ = tasks;
    /// ```
    ///
    /// It is not polled between the two: what it has begun goes on in tasks of its own, and what wakes it is seen when the
    /// value is undone.
    ///
    /// # Errors
    ///
    /// The error of the code, if it ends before it gives a value.
    ///
    /// # Panics
    ///
    /// With the panic of the code before it gives a value.
    ///
    /// # Cancel safety
    ///
    /// Cancelled before it gave a value, the code is dropped.
    pub async fn around<F, R>(around: impl FnOnce(Give<T>) -> F) -> Result<Teardown<T>, Refusal>
    where
        F: Future<Output = R> + Send + 'static,
        R: Undone,
    {
        let given =
            Arc::new(Given { value: Mutex::default(), outcome: Mutex::default(), undone: Event::new() });
        let mut code = Box::pin(around(Give(Arc::clone(&given))));
        let value = poll_fn(|cx| {
            let polled = code.as_mut().poll(cx);
            match (given.value.lock().unwrap_or_else(PoisonError::into_inner).take(), polled) {
                // Given, and not yet told to go on.
                (Some(value), _) => Poll::Ready(Ok(value)),
                (None, Poll::Pending) => Poll::Pending,
                (None, Poll::Ready(ended)) => Poll::Ready(Err(ended)),
            }
        });
        match value.await {
            Ok(value) => Ok(Teardown { value, undo: Box::new(move |_, outcome| given.undo(outcome, code)) }),
            Err(ended) => Err(Refusal(Box::new(match ended.undone() {
                Err(refusal) => refusal,
                Ok(()) => {
                    tracing::error!("the code of a `Teardown::around` ended without a value");
                    internal()
                }
            }))),
        }
    }
}

impl<T> Given<T> {
    fn undo<F, R>(&self, outcome: Outcome, code: Pin<Box<F>>) -> Undoing
    where
        F: Future<Output = R> + Send + 'static,
        R: Undone,
    {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.undone.set();
        Undoing::Async(Box::pin(async { code.await.undone() }))
    }
}

impl<T> Give<T> {
    /// Gives the value, and waits until it is undone; says how the request ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it waits no more; the value stays given.
    pub async fn value(self, value: T) -> Outcome {
        *self.0.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        self.0.undone.wait().await;
        let outcome = self.0.outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        outcome.unwrap_or_else(|| Outcome::Cancelled("the dependency was dropped".into()))
    }
}

impl<T> fmt::Debug for Give<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Give").finish_non_exhaustive()
    }
}
