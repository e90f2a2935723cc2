//! Lifespans: what a program does before its first request and after its last.

use std::any::TypeId;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyrt::sync::Event;
use anyrt::{BoxError, CancelScope, ScopeHandle, TaskGroup};

use crate::dependency::Value;
use crate::error::Error;
use crate::sources::Sources;

/// The app's side of a lifespan: [`serve`](Lifespan::serve) is the time in which requests are served.
///
/// ```
/// use anyrt_http::{App, BoxError, Dep, Lifespan};
///
/// struct Worker(anyrt::TaskGroup);
///
/// async fn lifespan(app: Lifespan<Worker>) -> Result<(), BoxError> {
///     println!("starting");
///     // A group that is open for as long as requests are served, and that they may use.
///     anyrt::task_group(async |group| app.serve(Worker(group)).await).await?;
///     println!("all requests, and what they spawned, have ended");
///     Ok(())
/// }
///
/// async fn order(worker: Dep<Worker>) -> &'static str {
///     worker.0.spawn(async { println!("in the group of the lifespan") });
///     "ordered"
/// }
///
/// let app = App::new().lifespan(lifespan).post("/orders", order);
/// # drop(app);
/// ```
///
/// The state is a [`Dep`](crate::Dep) for everyone. Lifespans run in one task each, those of nested routers inside
/// of the one around; if two serve the same type of state, that of the outer one counts. An error before `serve` ends the
/// start, one after it comes back from the server; one meanwhile stops the server, gracefully. A
/// lifespan that does not call `serve` is an error.
#[must_use = "no request is served before `serve` is called"]
pub struct Lifespan<S = ()> {
    run: Arc<Run>,
    of: PhantomData<fn(S)>,
}

impl<S: Send + Sync + 'static> Lifespan<S> {
    /// Lets requests in, and waits until the last one has ended, with its background tasks.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it lets the server go on; the shutdown does not wait here.
    pub async fn serve(self, state: S) {
        self.run.give(TypeId::of::<S>(), Arc::new(state));
        self.run.moved.set();
        self.run.stop.wait().await;
    }
}

/// What a lifespan may end in: nothing, or a `Result` whose error comes back from the server.
#[diagnostic::on_unimplemented(
    message = "a lifespan cannot end in `{Self}`",
    label = "it ends in `()` or in a `Result<(), E>` whose error is an `Error`"
)]
pub trait LifespanEnd: Send + 'static {
    #[doc(hidden)]
    fn end(self) -> Result<(), BoxError>;
}

impl LifespanEnd for () {
    fn end(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError> + Send + 'static> LifespanEnd for Result<(), E> {
    fn end(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

type Ending = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// A lifespan that has not begun.
pub(crate) struct Planned(Box<dyn FnOnce(Arc<Run>) -> Ending + Send>);

/// What a lifespan and the app share.
struct Run {
    /// It serves, or has ended.
    moved: Event,
    stop: Event,
    given: Mutex<Option<(TypeId, Value)>>,
}

/// A lifespan that was begun.
#[derive(Clone)]
pub(crate) struct Begun {
    run: Arc<Run>,
    scope: ScopeHandle,
    /// Set when it has ended.
    ended: Event,
    end: Arc<Mutex<Option<Result<(), BoxError>>>>,
}

impl Planned {
    pub(crate) fn new<S, L, F>(lifespan: L) -> Self
    where
        S: Send + Sync + 'static,
        L: FnOnce(Lifespan<S>) -> F + Send + 'static,
        F: Future + Send + 'static,
        F::Output: LifespanEnd,
    {
        Planned(Box::new(|run| {
            Box::pin(async move { lifespan(Lifespan { run, of: PhantomData }).await.end() })
        }))
    }

    /// Begins it in a task of its own. `failing` is set when it ends, which it should not do by itself.
    pub(crate) fn begin(self, group: &TaskGroup, failing: &Event) -> Begun {
        let run = Arc::new(Run { moved: Event::new(), stop: Event::new(), given: Mutex::default() });
        let (ended, end) = (Event::new(), Arc::new(Mutex::new(None)));
        let scope = CancelScope::new();
        let begun = Begun {
            run: Arc::clone(&run),
            scope: scope.handle(),
            ended: ended.clone(),
            end: Arc::clone(&end),
        };
        let lifespan = (self.0)(Arc::clone(&run));
        let failing = failing.clone();
        // In a shield: it is ended by those who wait for it, when all requests have ended.
        drop(group.named("lifespan").spawn(anyrt::shield(async move {
            let result = scope.run(async move |_| lifespan.await).await;
            *end.lock().unwrap_or_else(PoisonError::into_inner) = result.ok();
            ended.set();
            failing.set();
            run.moved.set();
        })));
        begun
    }
}

impl Begun {
    /// Waits until it serves, and takes its state.
    ///
    /// # Errors
    ///
    /// [`Error::Lifespan`] when it ended before it served.
    pub(crate) async fn serving(&self, sources: &Sources) -> Result<(), Error> {
        self.run.moved.wait().await;
        match self.run.given.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some((kind, state)) => {
                sources.give(kind, state);
                Ok(())
            }
            None => {
                let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).take();
                let early = || BoxError::from("it ended before it served");
                Err(Error::Lifespan(end.and_then(Result::err).unwrap_or_else(early)))
            }
        }
    }

    /// Lets it go on after the last request, and waits for its end. One that has not come to serve is cancelled.
    ///
    /// # Errors
    ///
    /// Its own.
    pub(crate) async fn stop(&self, cut: bool) -> Result<(), Error> {
        // It is asked to come to its end, and waited for as long as it takes.
        self.scope.cancel_after(Duration::MAX, "the server has stopped");
        self.run.stop.set();
        if cut && !self.run.moved.is_set() {
            self.scope.cancel("the start was cancelled");
        }
        self.ended.wait().await;
        match self.end.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Err(error)) => Err(Error::Lifespan(error)),
            _ => Ok(()),
        }
    }
}

impl Run {
    fn give(&self, kind: TypeId, state: Value) {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = Some((kind, state));
    }
}

impl<S> fmt::Debug for Lifespan<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifespan").finish_non_exhaustive()
    }
}
