//! Background tasks: what a request leaves to be done after its response.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyrt::BoxError;
use anyrt::sync::Event;
use axum_core::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::StatusCode;

use super::home::Home;
use super::lane::Lane;
use super::outcome::Outcome;
use crate::base::kind::{Async, Blocking};
use crate::base::panics::message;
use crate::base::panics::report;
use crate::response::http_error::HttpError;
use crate::response::problem::detail;
use crate::response::source::Source;

/// Adds background tasks: what is done after the response has been sent, one after another, in the order in which it
/// was added. An argument of a path operation or a provider; all of one request share one list.
///
/// A task is a future, which runs on the event loop, or a plain closure, which runs in the thread pool. It ends in
/// nothing or in a `Result`; the first that fails or panics stops the rest, is logged, and the
/// dependencies of the request, which are undone after the tasks, are told of it.
///
/// ```
/// use anyrt_http::{Background, TooLate};
///
/// async fn sign_up(name: String, background: Background) -> Result<&'static str, TooLate> {
///     background.named("welcome mail").add(async move { println!("welcome, {name}") })?;
///     background.add(|| std::fs::write("/tmp/last", "a plain closure may block"))?;
///     Ok("see your mail")
/// }
/// ```
///
/// The tasks run whatever the status of the response is, and when the client leaves before its end. A request that
/// makes no response of its own, because it is cancelled, runs none, and says so in the log. The server's shutdown waits for
/// them, up to its deadline.
#[derive(Clone)]
pub struct Background {
    list: Arc<List>,
    name: Option<Arc<str>>,
}

/// A background task came too late: the tasks of its request have run already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the background tasks of this request have run already: add tasks before the response, or while its body is streamed"
)]
pub struct TooLate;

impl Background {
    pub(crate) fn of(list: Arc<List>) -> Background {
        Background { list, name: None }
    }

    /// The same list; what is added by this one has a name, for logs and the task view.
    pub fn named(&self, name: &str) -> Background {
        Background { list: Arc::clone(&self.list), name: Some(name.into()) }
    }

    /// Adds a task: a future, or a plain closure.
    ///
    /// The handle need not be kept. It must not be awaited before the response is returned: the task starts after it.
    ///
    /// # Errors
    ///
    /// [`TooLate`] when the tasks of this request have run, or never will.
    pub fn add<F, K>(&self, task: F) -> Result<BackgroundHandle<F::Value>, TooLate>
    where
        F: BackgroundTask<K>,
    {
        let slot = Arc::new(Slot { ended: Event::new(), result: Mutex::default() });
        let task = task.prepare(Promise(Some(Arc::clone(&slot))));
        let mut listed = self.list.lock();
        if listed.closed {
            drop(listed);
            return Err(TooLate);
        }
        let name = self.name.clone().unwrap_or_else(|| "background task".into());
        listed.tasks.push_back(Listed { name, task });
        Ok(BackgroundHandle(slot))
    }
}

impl IntoResponse for TooLate {
    fn into_response(self) -> Response {
        let mut response = detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
        response.extensions_mut().insert(Source(Arc::new(self)));
        response
    }
}

impl From<TooLate> for HttpError {
    /// As [`HttpError::internal`].
    fn from(error: TooLate) -> Self {
        HttpError::internal(error)
    }
}

/// The tasks of one request.
#[derive(Default)]
pub(crate) struct List(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Listed>,
    /// They have run, or never will.
    closed: bool,
}

struct Listed {
    name: Arc<str>,
    task: Prepared,
}

/// A task that puts its result where its handle finds it.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "passed on, and nowhere kept")]
pub enum Prepared {
    Async(Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>),
    Blocking(Box<dyn FnOnce() -> Result<(), BoxError> + Send>),
}

impl List {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the tasks in their order, also those that are added meanwhile, and closes the list; says how the first
    /// failure changes the outcome.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the task that runs is cancelled, and the rest is left to [`give_up`](List::give_up).
    pub(crate) async fn run(&self, home: &Home, lane: Option<&Arc<Lane>>) -> Option<Outcome> {
        loop {
            let Listed { name, task } = {
                let mut state = self.lock();
                match state.tasks.pop_front() {
                    Some(next) => next,
                    None => {
                        state.closed = true;
                        return None;
                    }
                }
            };
            let failed = match home
                .run(&name, AssertUnwindSafe(run(task, lane.cloned())).catch_unwind())
                .await
            {
                Some(Ok(Ok(()))) => continue,
                Some(Ok(Err(error))) => {
                    tracing::error!(task = &*name, %error, "a background task failed, and stops those after it");
                    Outcome::failed(error.into())
                }
                Some(Err(panic)) => {
                    report(&*panic);
                    Outcome::panicked(&*panic)
                }
                None => Outcome::Cancelled(format!("the background task `{name}` was cancelled").into()),
            };
            self.give_up();
            return Some(failed);
        }
    }

    /// Closes the list. What is in it does not run, and its handles say so.
    pub(crate) fn give_up(&self) {
        let dropped = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.tasks)
        };
        for Listed { name, .. } in dropped {
            tracing::warn!(
                task = &*name,
                "a background task does not run, because of what happened before it"
            );
        }
    }
}

async fn run(task: Prepared, lane: Option<Arc<Lane>>) -> Result<(), BoxError> {
    match task {
        Prepared::Async(task) => task.await,
        Prepared::Blocking(task) => match lane {
            Some(lane) => lane.call(task, "background task").await,
            None => anyrt::run_blocking(task).name("background task").await,
        },
    }
}

/// A future or a plain closure, as a background task.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a background task",
    label = "neither a future nor a plain closure, `Send` and without borrows, that ends in `()` or a `Result`",
    note = "an async closure is called first: `background.add(task())`"
)]
pub trait BackgroundTask<K> {
    /// What its handle gives.
    type Value: Send + 'static;

    #[doc(hidden)]
    fn prepare(self, promise: Promise<Self::Value>) -> Prepared;
}

/// What a background task ends in: nothing, or a `Result`.
#[diagnostic::on_unimplemented(
    message = "a background task cannot end in `{Self}`",
    label = "it ends in `()` or in a `Result`"
)]
pub trait BackgroundOutput: Send + 'static {
    /// What its handle gives.
    type Value: Send + 'static;

    #[doc(hidden)]
    fn ended(self) -> Result<Self::Value, BoxError>;
}

impl BackgroundOutput for () {
    type Value = ();

    fn ended(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<T: Send + 'static, E: Into<BoxError> + Send + 'static> BackgroundOutput for Result<T, E> {
    type Value = T;

    fn ended(self) -> Result<T, BoxError> {
        self.map_err(Into::into)
    }
}

impl<F> BackgroundTask<Async> for F
where
    F: Future + Send + 'static,
    F::Output: BackgroundOutput,
{
    type Value = <F::Output as BackgroundOutput>::Value;

    fn prepare(self, promise: Promise<Self::Value>) -> Prepared {
        Prepared::Async(Box::pin(async move {
            match AssertUnwindSafe(self).catch_unwind().await {
                Ok(output) => promise.keep(output.ended()),
                Err(panic) => promise.panicked(panic),
            }
        }))
    }
}

impl<F, R> BackgroundTask<(Blocking, R)> for F
where
    F: FnOnce() -> R + Send + 'static,
    R: BackgroundOutput,
{
    type Value = R::Value;

    fn prepare(self, promise: Promise<Self::Value>) -> Prepared {
        Prepared::Blocking(Box::new(move || match std::panic::catch_unwind(AssertUnwindSafe(self)) {
            Ok(output) => promise.keep(output.ended()),
            Err(panic) => promise.panicked(panic),
        }))
    }
}

/// The result of a background task, for tests, a view of jobs, another task.
#[derive(Clone)]
pub struct BackgroundHandle<T>(Arc<Slot<T>>);

/// Why a background task has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackgroundEnded {
    /// It failed; the text is that of its error, which is logged.
    #[error("the background task failed: {0}")]
    Failed(String),
    /// It panicked, with this message.
    #[error("the background task panicked: {0}")]
    Panicked(String),
    /// It was dropped: one before it failed, the request was cancelled, the server's shutdown had no time for it.
    #[error("the background task was dropped before its end")]
    Dropped,
}

impl<T> BackgroundHandle<T> {
    /// Waits for the end of the task, and takes its result.
    ///
    /// # Errors
    ///
    /// [`BackgroundEnded`]; also [`Dropped`](BackgroundEnded::Dropped) when a clone took the result.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn wait(&self) -> Result<T, BackgroundEnded> {
        self.0.ended.wait().await;
        let result = self.0.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.unwrap_or(Err(BackgroundEnded::Dropped))
    }

    /// Whether it has ended, with a result or without.
    pub fn is_finished(&self) -> bool {
        self.0.ended.is_set()
    }
}

struct Slot<T> {
    ended: Event,
    result: Mutex<Option<Result<T, BackgroundEnded>>>,
}

/// Puts a result into its slot; dropped before, it says so there.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "passed on, and nowhere kept")]
pub struct Promise<T>(Option<Arc<Slot<T>>>);

impl<T> Promise<T> {
    fn keep(mut self, result: Result<T, BoxError>) -> Result<(), BoxError> {
        match result {
            Ok(value) => {
                self.put(Ok(value));
                Ok(())
            }
            Err(error) => {
                self.put(Err(BackgroundEnded::Failed(error.to_string())));
                Err(error)
            }
        }
    }

    fn panicked(mut self, panic: Box<dyn std::any::Any + Send>) -> ! {
        self.put(Err(BackgroundEnded::Panicked(message(&*panic).to_owned())));
        std::panic::resume_unwind(panic)
    }

    fn put(&mut self, result: Result<T, BackgroundEnded>) {
        if let Some(slot) = self.0.take() {
            *slot.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            slot.ended.set();
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.put(Err(BackgroundEnded::Dropped));
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.list.lock();
        f.debug_struct("Background")
            .field("waiting", &state.tasks.len())
            .field("closed", &state.closed)
            .finish()
    }
}

impl<T> fmt::Debug for BackgroundHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackgroundHandle").field("finished", &self.is_finished()).finish()
    }
}
