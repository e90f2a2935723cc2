//! A dependency with what undoes it.

use std::fmt;
use std::future::Future;

use axum_core::response::{IntoResponse, Response};

use super::dependency::Dep;
use crate::base::kind::{Async, Blocking};
use crate::request::outcome::Outcome;
use crate::request::undo::Undoing;

/// A value with what undoes it: what a provider returns that opens something.
///
/// ```
/// use anyrt_http::{Outcome, Teardown};
///
/// struct Session;
/// impl Session {
///     async fn commit(&self) {}
///     async fn roll_back(&self) {}
/// }
///
/// async fn session() -> Teardown<Session> {
///     Teardown::new(Session, async |session, outcome: Outcome| {
///         if outcome.is_ok() { session.commit().await } else { session.roll_back().await }
///     })
/// }
/// # let _ = session;
/// ```
///
/// The undo is called once for each value that was made, last made first, whatever happened: the handler or a
/// later provider failed or panicked, the request did not fit, the client left. It is told the [`Outcome`]. An async one
/// runs on the event loop, a plain one in the thread pool, where it never waits for what handlers wait for; both
/// are shielded from cancellation, so a limit is a `move_on_after` inside. It returns nothing, or a `Result<(), E>`
/// with an error that is a response: of a dependency of the lifetime [`Function`](crate::Lifetime::Function) that replaces the response, of
/// another it is logged; in both cases those further out are told of it.
///
/// Where making and undoing are one piece of code, with a task group around the request between them, it is
/// [`Teardown::around`].
///
/// When it is called is the dependency's [`Lifetime`](crate::Lifetime), by default [`Lifetime::Request`](crate::Lifetime::Request).
pub struct Teardown<T: Send + Sync + 'static> {
    pub(crate) value: T,
    pub(crate) undo: UndoOf<T>,
}

pub(crate) type UndoOf<T> = Box<dyn FnOnce(Dep<T>, Outcome) -> Undoing + Send>;

impl<T: Send + Sync + 'static> Teardown<T> {
    /// A value and what undoes it: a closure of the value and the [`Outcome`], async or plain.
    pub fn new<U, R, K>(value: T, undo: U) -> Self
    where
        U: FnOnce(Dep<T>, Outcome) -> R + Send + 'static,
        R: Undo<K>,
    {
        Teardown { value, undo: Box::new(move |value, outcome| R::begin(move || undo(value, outcome))) }
    }

    /// The value alone, for calling a provider in a test.
    pub fn into_inner(self) -> T {
        self.value
    }
}

/// Tells by what an undo returns where it runs.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a teardown can return",
    label = "neither `()` nor a `Result<(), E>` with a response as error, nor a `Send` future of these"
)]
pub trait Undo<K>: Sized {
    #[doc(hidden)]
    fn begin(undo: impl FnOnce() -> Self + Send + 'static) -> Undoing;
}

/// What an undo returns at last.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a teardown can return",
    label = "neither `()` nor a `Result<(), E>` with a response as error"
)]
pub trait Undone {
    #[doc(hidden)]
    fn undone(self) -> Result<(), Response>;
}

impl Undone for () {
    fn undone(self) -> Result<(), Response> {
        Ok(())
    }
}

impl<E: IntoResponse> Undone for Result<(), E> {
    fn undone(self) -> Result<(), Response> {
        self.map_err(IntoResponse::into_response)
    }
}

impl<F> Undo<Async> for F
where
    F: Future + Send + 'static,
    F::Output: Undone,
{
    fn begin(undo: impl FnOnce() -> F + Send + 'static) -> Undoing {
        Undoing::Async(Box::pin(async move { undo().await.undone() }))
    }
}

impl<R: Undone> Undo<Blocking> for R {
    fn begin(undo: impl FnOnce() -> R + Send + 'static) -> Undoing {
        Undoing::Blocking(Box::new(move || undo().undone()))
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for Teardown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teardown").field("value", &self.value).finish_non_exhaustive()
    }
}
