//! Lifespans: what a program does before its first request and after its last.

use std::any::{TypeId, type_name};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyrt::sync::Event;
use anyrt::{BoxError, CancelScope, ScopeHandle, TaskGroup};

use crate::base::error::Error;
use crate::inject::dependency::{Argument, ArgumentKind, Dep};
use crate::inject::registry::Sources;
use crate::request::value::Value;

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
/// Further arguments are [`Dep`]s, up to four, of what lives as long as the app: values, dependencies of
/// [`Lifetime::App`](crate::Lifetime::App), and the state of lifespans around. They are made before it begins, and undone after it has ended.
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

/// A function that can be a lifespan: of its [`Lifespan`], and up to four [`Dep`]s, which are there before it begins.
///
/// Implemented for all functions that fit; there is no need to implement or call it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function that a lifespan can be",
    label = "expected an async function of a `Lifespan<S>` and up to four `Dep`s"
)]
pub trait LifespanFunction<S, A>: Send + 'static {
    #[doc(hidden)]
    fn asks_for() -> Vec<Argument>;

    #[doc(hidden)]
    fn begin(self, lifespan: Lifespan<S>, found: &dyn Fn(&Argument) -> Option<Value>) -> LifespanFuture;
}

macro_rules! lifespan_function {
    ($($dep:ident)*) => {
        #[allow(non_snake_case, unused_variables, reason = "the type's name serves as the value's")]
        impl<Function, End, S, $($dep),*> LifespanFunction<S, ($($dep,)*)> for Function
        where
            S: Send + Sync + 'static,
            Function: FnOnce(Lifespan<S>, $(Dep<$dep>),*) -> End + Send + 'static,
            End: Future<Output: LifespanEnd> + Send + 'static,
            $($dep: Send + Sync + 'static,)*
        {
            fn asks_for() -> Vec<Argument> {
                vec![$(Argument::dependency::<$dep>()),*]
            }

            fn begin(self, lifespan: Lifespan<S>, found: &dyn Fn(&Argument) -> Option<Value>) -> LifespanFuture {
                $(let $dep = match found(&Argument::dependency::<$dep>()).and_then(|value| value.downcast().ok()) {
                    Some(value) => Dep::shared(value),
                    None => return not_there::<$dep>(),
                };)*
                Box::pin(async move { self(lifespan, $($dep),*).await.end() })
            }
        }
    };
}
lifespan_function!();
lifespan_function!(A);
lifespan_function!(A B);
lifespan_function!(A B C);
lifespan_function!(A B C D);

/// It asks for the state of a lifespan that has not begun, its own perhaps.
fn not_there<T>() -> LifespanFuture {
    let text = format!("it asks for a `{}`, which is not there before it serves", type_name::<T>());
    Box::pin(std::future::ready(Err(BoxError::from(text))))
}

type LifespanFuture = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

type BeginLifespan = Box<dyn FnOnce(Arc<Run>, &dyn Fn(&Argument) -> Option<Value>) -> LifespanFuture + Send>;

/// A lifespan that has not begun.
pub(crate) struct Planned {
    begin: BeginLifespan,
    /// What it asks for, which is made before it begins.
    pub(crate) needs: Vec<Argument>,
    pub(crate) name: &'static str,
}

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
    pub(crate) fn new<S, L, A>(lifespan: L) -> Self
    where
        S: Send + Sync + 'static,
        L: LifespanFunction<S, A>,
    {
        Planned {
            begin: Box::new(|run, found| lifespan.begin(Lifespan { run, of: PhantomData }, found)),
            needs: L::asks_for(),
            name: type_name::<L>(),
        }
    }

    /// Begins it in a task of its own. `failing` is set when it ends, which it should not do by itself.
    pub(crate) fn begin(self, group: &TaskGroup, failing: &Event, sources: &Sources) -> Begun {
        let run = Arc::new(Run { moved: Event::new(), stop: Event::new(), given: Mutex::default() });
        let (ended, end) = (Event::new(), Arc::new(Mutex::new(None)));
        let scope = CancelScope::new();
        let begun = Begun {
            run: Arc::clone(&run),
            scope: scope.handle(),
            ended: ended.clone(),
            end: Arc::clone(&end),
        };
        let found = |argument: &Argument| match argument.is {
            ArgumentKind::Dependency(kind) => sources.ready(kind),
            _ => None,
        };
        let lifespan = (self.begin)(Arc::clone(&run), &found);
        let failing = failing.clone();
        // In a shield: the server ends it, when all requests have ended.
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
        self.scope.cancel_after_with(Duration::MAX, "the server has stopped");
        self.run.stop.set();
        if cut && !self.run.moved.is_set() {
            self.scope.cancel_with("the start was cancelled");
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
