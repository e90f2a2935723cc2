//! [`Run`]: what a run is started on, and its settings.

use std::future::Future;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::time::Duration;

use super::ending::EndsWithin;
use super::error::{RunError, invalid};
use super::launch::Launch;
use super::{HELD_WARNING, Root, Shared};
use crate::base::fork;
use crate::base::sync::Arc;
use crate::blocking::{BlockingPool, DEFAULT_LIMIT, IDLE, PATIENCE, Pool};
use crate::current::context;
use crate::current::handle::Handle;
use crate::current::runtime::{NotOwned, Runtime};
use crate::group::Policy;
use crate::observe::Observer;
use crate::observe::watchdog::{Guard, Watchdog};

/// A run to be started: on what, and its settings.
///
/// The facade `anyrt` has `anyrt::run(main)`, and `anyrt::builder()` for a `Run` on the backend that the environment names.
///
/// ```no_run
/// # fn runtime() -> std::sync::Arc<dyn anyrt_core::Runtime> { unimplemented!() }
/// use anyrt_core::Run;
///
/// let answer = Run::on(runtime()).name("app").blocking_limit(8).run(async { 42 })?;
/// assert_eq!(answer, 42);
/// # Ok::<(), anyrt_core::RunError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing runs until `run` is called, or what `embed` returns is awaited"]
pub struct Run {
    /// None is the runtime around.
    source: Option<Arc<dyn Launch>>,
    threads: Option<usize>,
    name: Option<String>,
    limit: Option<usize>,
    held_warning: Option<Duration>,
    ends_within: EndsWithin,
    idle: Duration,
    patience: Duration,
    blocking_pool: Option<BlockingPool>,
    measure: bool,
    watchdog: Option<Watchdog>,
}

/// The name of a run that was given none.
const NAME: &str = "anyrt";

impl Run {
    /// A run on a runtime that `source` starts, or that the caller brings: a backend of `anyrt`, or an `Arc` of a
    /// [`Runtime`], which [`run`](Run::run) shuts down at its end.
    pub fn on(source: impl Launch) -> Run {
        Run::from(Some(Arc::new(source)))
    }

    /// A run on the runtime around, for [`embed`](Run::embed). What is not set is as it is in the run around.
    pub fn here() -> Run {
        Run::from(None)
    }

    fn from(source: Option<Arc<dyn Launch>>) -> Run {
        Run {
            source,
            threads: None,
            name: None,
            limit: None,
            held_warning: None,
            ends_within: EndsWithin::default(),
            idle: IDLE,
            patience: PATIENCE,
            blocking_pool: None,
            measure: false,
            watchdog: None,
        }
    }

    /// How many threads poll tasks; by default as many as there are cores. The thread that calls
    /// [`run`](Run::run) polls the main future and is not counted.
    ///
    /// Of the backends of `anyrt`, `TokioCurrentThread` has none and ignores it, and `AsyncStd` obeys only the
    /// environment variable `ASYNC_STD_THREAD_COUNT`. Zero is an error of the run, and so is any number for a runtime
    /// that the caller brings.
    pub fn threads(mut self, threads: usize) -> Run {
        self.threads = Some(threads);
        self
    }

    /// The name of the run; its threads are named after it. `anyrt` by default.
    pub fn name(mut self, name: impl Into<String>) -> Run {
        self.name = Some(name.into());
        self
    }

    /// How many blocking calls may run at once by the default limiter; 40 by default (AnyIO's).
    ///
    /// Zero is an error of the run.
    pub fn blocking_limit(mut self, limit: usize) -> Run {
        self.limit = Some(limit);
        self
    }

    /// After how long without work a thread of the blocking pool ends; 10 seconds by default.
    pub fn blocking_idle(mut self, idle: Duration) -> Run {
        self.idle = idle;
        self
    }

    /// How long the end of the run waits for blocking jobs that nobody waits for any more (abandoned,
    /// or dropped by foreign code); 10 seconds by default. Those left are named in a tracing error of
    /// target `anyrt::blocking` and not joined.
    pub fn abandoned_patience(mut self, patience: Duration) -> Run {
        self.patience = patience;
        self
    }

    /// Whose threads run blocking jobs: the core's by default. [`BlockingPool`] says what the runtime's own do
    /// not promise; [`blocking_idle`](Run::blocking_idle) and
    /// [`abandoned_patience`](Run::abandoned_patience) then say nothing.
    pub fn blocking_pool(mut self, pool: BlockingPool) -> Run {
        self.blocking_pool = Some(pool);
        self
    }

    /// How long a cancelled scope may be held before a tracing warning (target `anyrt::held`) names
    /// what holds it; 5 seconds by default. An end of the run that takes as long is told of with the task tree
    /// (target `anyrt::unfinished`).
    pub fn warn_held_after(mut self, after: Duration) -> Run {
        self.held_warning = Some(after);
        self
    }

    /// Measures from the start how often and how long each task is polled, for the
    /// [task view](crate::tasks); [`Handle::measure`] begins later. A poll then reads the clock twice.
    pub fn measure(mut self, measure: bool) -> Run {
        self.measure = measure;
        self
    }

    /// Watches the run, and tells of what it notices.
    pub fn watchdog(mut self, watchdog: Watchdog) -> Run {
        self.watchdog = Some(watchdog);
        self
    }

    /// How long the tasks at the root have, when the main future has ended, to finish what they have begun: they are
    /// told to stop ([`stopping`](crate::stopping())), and cancelled when this is over. None by default: they are
    /// cancelled at once.
    pub fn shutdown_grace(mut self, grace: Duration) -> Run {
        self.ends_within.grace = Some(grace);
        self
    }

    /// How long the end of the run waits for its tasks after they were cancelled; without limit by default.
    ///
    /// When this is over, what is left is named in the error, [`RunError::ShutdownTimedOut`], and dropped with the
    /// runtime. A task that blocks its thread cannot be dropped: some runtimes wait for it all the same.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Run {
        self.ends_within.timeout = Some(timeout);
        self
    }

    /// Whether a run can be started on this thread: not while a task is being polled, and not in a process
    /// that was forked after a run had been started.
    ///
    /// What [`run`](Run::run) asks first; for a [`Launch`] that would start a runtime, `asked` by name, before it.
    ///
    /// # Errors
    ///
    /// [`RunError::Nested`], which names both runtimes, and [`RunError::Forked`].
    pub fn check_here(asked: &'static str) -> Result<(), RunError> {
        if context::is_polling() {
            let running = Handle::try_current().map_or("another runtime", |handle| handle.runtime().name());
            return Err(RunError::Nested { running, asked });
        }
        Ok(fork::check_run()?)
    }

    /// Runs `main` to its end on this thread, and then everything that it has spawned.
    ///
    /// Tasks at the root that are alive when `main` has ended are cancelled, cleaned up and awaited;
    /// then the threads of the pool and of the runtime are joined.
    ///
    /// # Errors
    ///
    /// [`RunError`]; [`RunError::Start`] for a zero, and for a number of threads of a runtime that the caller brings.
    ///
    /// # Panics
    ///
    /// With the panic of `main`, or of a root task whose handle was dropped.
    pub fn run<F: Future>(self, main: F) -> Result<F::Output, RunError> {
        let runtime = self.launch()?;
        Run::check_here(runtime.name())?;
        let handle = self.handle(runtime.clone(), None)?;
        let mut ended = None;
        let driven = {
            let mut root = std::pin::pin!(async {
                ended = Some(Root::new(handle.clone(), main).await);
            });
            catch_unwind(AssertUnwindSafe(|| runtime.block_on(root.as_mut())))
        };
        handle.0.shared.end_observing();
        handle.0.shared.pool.end();
        runtime.shutdown();
        handle.0.shared.run_locals.end();
        driven.unwrap_or_else(|payload| resume_unwind(payload))?;
        let mut ended = ended.ok_or(NotOwned)?;
        ended.unfinished = ended.unfinished.or_else(|| handle.0.shared.lost.take());
        ended.conclude()
    }

    /// Runs `main` as the root of a run inside a program whose runtime somebody else drives, and then
    /// everything that it has spawned; [`embed`] with settings.
    ///
    /// ```
    /// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
    /// use anyrt_core::{Run, run_blocking};
    ///
    /// let name = Run::here().name("island").embed(async {
    ///     run_blocking(|| std::thread::current().name().map(str::to_owned)).await
    /// });
    /// assert!(name.await?.is_some_and(|name| name.starts_with("island")));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RunError::UnobservedFailures`], [`RunError::ShutdownTimedOut`], [`RunError::NoNativePool`]; [`RunError::Start`] for a zero, for
    /// a number of threads, and on something that would have to be started first.
    ///
    /// # Panics
    ///
    /// With the panic of `main`, or of a root task whose handle was dropped. With [`Run::here`], outside of any
    /// runtime, naming the caller and the cure.
    ///
    /// # Cancel safety
    ///
    /// Dropped, `main` is dropped, and the root's tasks are cancelled; nobody waits for them.
    #[track_caller]
    pub fn embed<F: Future>(self, main: F) -> impl Future<Output = Result<F::Output, RunError>> {
        let called = Location::caller();
        async move {
            let around = self.source.is_none().then(|| Handle::current_for(called));
            if self.threads.is_some() {
                return Err(invalid("`threads` are those of the runtime that is embedded in"));
            }
            let running = match (&around, &self.source) {
                (Some(around), _) => Some(around.runtime().clone()),
                (None, source) => source.as_ref().and_then(|source| source.running()),
            };
            let runtime = running.ok_or_else(|| {
                invalid("this run would start a runtime: `Run::here().embed(..)` is on that around")
            })?;
            embed_in(self.handle(runtime, around.as_ref())?, main).await
        }
    }

    /// The same run, on a runtime that is started already.
    pub(super) fn launched(self) -> Result<Run, RunError> {
        let runtime = self.launch()?;
        Ok(Run { source: Some(Arc::new(runtime)), threads: None, ..self })
    }

    fn launch(&self) -> Result<Arc<dyn Runtime>, RunError> {
        let Some(source) = &self.source else {
            return Err(invalid(
                "`Run::here` is for `embed`: to start a run, name what it is on, with `Run::on`",
            ));
        };
        let threads = self.threads.map(|threads| positive("threads", threads)).transpose()?;
        // Before the threads of a runtime are started for nothing.
        self.limit()?;
        source.launch(threads, self.name.as_deref().unwrap_or(NAME))
    }

    fn limit(&self) -> Result<Option<usize>, RunError> {
        let limit = self.limit.map(|limit| positive("blocking_limit", limit)).transpose()?;
        Ok(limit.map(NonZeroUsize::get))
    }

    /// `around`: the run whose settings count where this one has none.
    fn handle(&self, runtime: Arc<dyn Runtime>, around: Option<&Handle>) -> Result<Handle, RunError> {
        let outside = around.map(|around| &around.0.shared);
        let blocking_pool =
            self.blocking_pool.or(outside.map(|outside| outside.blocking_pool)).unwrap_or_default();
        if blocking_pool == BlockingPool::Native && runtime.blocking().is_none() {
            return Err(RunError::NoNativePool { runtime: runtime.name() });
        }
        let name = self.name.as_deref().or(outside.map(|outside| &*outside.name)).unwrap_or(NAME);
        let limit = self.limit()?.or(around.map(|around| around.limiter().total())).unwrap_or(DEFAULT_LIMIT);
        let held_warning =
            self.held_warning.or(outside.map(|outside| outside.held_warning)).unwrap_or(HELD_WARNING);
        let mut shared = Shared::new(Policy::EachForItself, name, limit, held_warning);
        shared.pool = Pool::new(name, self.idle, self.patience, true);
        shared.blocking_pool = blocking_pool;
        shared.ends_within = self.ends_within;
        if let Ok(around) = Handle::try_current() {
            // The machine is the same.
            shared.cpu = around.cpu_limiter().clone();
        }
        let guard = self.watchdog.clone().map(Guard::new);
        shared.observer = Arc::new(Observer::new(self.measure, guard.clone()));
        let handle = Handle::new(runtime, shared);
        if let Some(guard) = guard {
            guard.start(&handle);
        }
        Ok(handle)
    }
}

fn positive(what: &str, number: usize) -> Result<NonZeroUsize, RunError> {
    NonZeroUsize::new(number).ok_or_else(|| invalid(format!("`{what}` is zero, and must be at least one")))
}

/// Runs `main` as the root of a run inside a program whose runtime somebody else drives, and then
/// everything that it has spawned.
///
/// What [`Run::run`] promises for the end of a run holds here for the end of this future. The run has the settings of
/// that around; [`Run::here`] has others.
///
/// # Errors
///
/// [`RunError::UnobservedFailures`], [`RunError::ShutdownTimedOut`].
///
/// # Panics
///
/// With the panic of `main`, or of a root task whose handle was dropped. Outside of any runtime,
/// naming the caller and the cure.
///
/// # Cancel safety
///
/// Dropped, `main` is dropped, and the root's tasks are cancelled; nobody waits for them.
#[track_caller]
pub fn embed<F: Future>(main: F) -> impl Future<Output = Result<F::Output, RunError>> {
    Run::here().embed(main)
}

async fn embed_in<F: Future>(handle: Handle, main: F) -> Result<F::Output, RunError> {
    /// Also when it is dropped. Idle threads end by themselves: to join them here would block a thread of the runtime.
    struct Retires(Shared);
    impl Drop for Retires {
        fn drop(&mut self) {
            self.0.end_observing();
            self.0.pool.retire();
            self.0.run_locals.end();
        }
    }
    let _retires = Retires(handle.0.shared.clone());
    Root::new(handle, main).await.conclude()
}
