//! Starting a run: [`run`], [`run_on`], [`Builder`].

use std::env;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::panic::Location;
use std::time::Duration;

use anyrt_core::{BlockingPool, PortalThread, Run, RunError, Watchdog};

use crate::ambient;
use crate::backend::Backend;

/// Runs `main` to its end on this thread, and then everything that it has spawned.
///
/// The runtime is the one that the environment variable `ANYRT_BACKEND` names, else the first that
/// is compiled in of tokio, smol, async-std. [`run_on`] and [`Builder`] name one in the code.
///
/// Tasks at the root that are alive when `main` has ended are cancelled, cleaned up and awaited.
///
/// ```
/// let answer = anyrt::run(async {
///     let question = anyrt::spawn(async { 6 * 7 });
///     question.await
/// })?;
/// assert_eq!(answer, 42);
/// # Ok::<(), anyrt::TaskEnded>(())
/// ```
///
/// # Panics
///
/// With the panic of `main`, or of a root task whose handle was dropped. With a [`RunError`]: inside
/// a task (also a plain tokio one), where [`embed`](crate::embed) is the way; when no backend, or not
/// the one that was asked for, is compiled in. [`try_run`] gives an error for these.
#[track_caller]
pub fn run<F: Future>(main: F) -> F::Output {
    Builder::new().run(main)
}

/// As [`run`], with an error in place of a panic where there is no panic to be resumed.
///
/// # Errors
///
/// [`RunError`].
///
/// # Panics
///
/// With the panic of `main`, or of a root task whose handle was dropped.
pub fn try_run<F: Future>(main: F) -> Result<F::Output, RunError> {
    Builder::new().try_run(main)
}

/// As [`run`], on `backend`, whatever the environment says.
///
/// # Panics
///
/// As [`run`].
#[track_caller]
pub fn run_on<F: Future>(backend: Backend, main: F) -> F::Output {
    Builder::new().backend(backend).run(main)
}

/// As [`try_run`], on `backend`, whatever the environment says.
///
/// # Errors, panics
///
/// As [`try_run`].
pub fn try_run_on<F: Future>(backend: Backend, main: F) -> Result<F::Output, RunError> {
    Builder::new().backend(backend).try_run(main)
}

/// Starts a runtime on a thread of its own, with a portal into it: for programs without one that call
/// async code. Dropped, it stops; see [`PortalThread`].
///
/// ```
/// let portal = anyrt::start_blocking_portal()?;
/// assert_eq!(portal.call(async { 42 })?, 42);
/// portal.stop();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`RunError`], as [`try_run`].
pub fn start_blocking_portal() -> Result<PortalThread, RunError> {
    Builder::new().start_blocking_portal()
}

/// A run with something to say about it.
///
/// ```
/// let names = anyrt::Builder::new().name("app").threads(2).blocking_limit(8);
/// names.run(async {
///     let thread = anyrt::run_blocking(|| std::thread::current().name().map(str::to_owned)).await;
///     assert!(thread.is_some_and(|name| name.starts_with("app")));
/// });
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "nothing runs until `run` or `try_run` is called"]
pub struct Builder {
    backend: Option<Backend>,
    threads: Option<usize>,
    name: Option<String>,
    blocking_limit: Option<usize>,
    blocking_pool: BlockingPool,
    blocking_idle: Option<Duration>,
    abandoned_patience: Option<Duration>,
    measure: bool,
    watchdog: Option<Watchdog>,
    shutdown_grace: Option<Duration>,
    shutdown_timeout: Option<Duration>,
}

impl Builder {
    /// As [`run`] does it.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// The backend, whatever the environment says.
    pub fn backend(mut self, backend: Backend) -> Builder {
        self.backend = Some(backend);
        self
    }

    /// How many threads poll tasks; by default as many as there are cores. The thread that calls
    /// [`run`](Builder::run) polls the main future and is not counted.
    ///
    /// It is ignored by [`Backend::TokioCurrentThread`], which has none, and by
    /// [`Backend::AsyncStd`], which obeys only the environment variable `ASYNC_STD_THREAD_COUNT`.
    /// Zero is an error of the run.
    pub fn threads(mut self, threads: usize) -> Builder {
        self.threads = Some(threads);
        self
    }

    /// The name of the run; its threads are named after it. `anyrt` by default.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = Some(name.into());
        self
    }

    /// How many blocking calls may run at once by the default limiter; 40 by default.
    ///
    /// Zero is an error of the run.
    pub fn blocking_limit(mut self, limit: usize) -> Builder {
        self.blocking_limit = Some(limit);
        self
    }

    /// After how long without work a thread of the blocking pool ends; 10 seconds by default.
    pub fn blocking_idle(mut self, idle: Duration) -> Builder {
        self.blocking_idle = Some(idle);
        self
    }

    /// How long the end of the run waits for blocking jobs that nobody waits for any more; 10 seconds by
    /// default. Those left are named in a tracing error of target `anyrt::blocking`.
    pub fn abandoned_patience(mut self, patience: Duration) -> Builder {
        self.abandoned_patience = Some(patience);
        self
    }

    /// Whose threads run blocking jobs: by default the run's own. [`BlockingPool`] says what those of the
    /// runtime (tokio's `spawn_blocking`, the crate `blocking` on smol and async-std) do not promise.
    ///
    /// ```
    /// use anyrt::BlockingPool;
    ///
    /// let sum = anyrt::Builder::new().blocking_pool(BlockingPool::Native).run(async {
    ///     anyrt::run_blocking(|| 1 + 1).await
    /// });
    /// assert_eq!(sum, 2);
    /// ```
    pub fn blocking_pool(mut self, pool: BlockingPool) -> Builder {
        self.blocking_pool = pool;
        self
    }

    /// Measures how often and how long each task is polled, for [`tasks`](crate::tasks); see
    /// [`Run::measure`].
    pub fn measure(mut self, measure: bool) -> Builder {
        self.measure = measure;
        self
    }

    /// Watches the run for polls that take too long, tasks that spin, and standstill.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let watchdog = anyrt::Watchdog::new().slow_poll(Duration::from_secs(1)).standstill(Duration::from_secs(60));
    /// anyrt::Builder::new().watchdog(watchdog).run(async { /* .. */ });
    /// ```
    pub fn watchdog(mut self, watchdog: Watchdog) -> Builder {
        self.watchdog = Some(watchdog);
        self
    }

    /// How long the tasks at the root have, when the main future has ended, until they are cancelled; see
    /// [`Run::shutdown_grace`].
    pub fn shutdown_grace(mut self, grace: Duration) -> Builder {
        self.shutdown_grace = Some(grace);
        self
    }

    /// How long the end of the run waits for its tasks after they were cancelled; see
    /// [`Run::shutdown_timeout`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use anyrt::{Builder, RunError, checkpoint, shield};
    ///
    /// let ended = Builder::new().shutdown_timeout(Duration::from_millis(10)).try_run(async {
    ///     anyrt::spawn(shield(std::future::pending::<()>()));
    ///     checkpoint().await;
    /// });
    /// assert!(matches!(ended, Err(RunError::Unfinished(_))));
    /// ```
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Builder {
        self.shutdown_timeout = Some(timeout);
        self
    }

    /// Starts the runtime and runs `main`; see [`run`].
    ///
    /// # Panics
    ///
    /// As [`run`].
    #[track_caller]
    pub fn run<F: Future>(self, main: F) -> F::Output {
        match self.try_run(main) {
            Ok(output) => output,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts the runtime and runs `main`; see [`try_run`].
    ///
    /// # Errors
    ///
    /// [`RunError`]; [`RunError::Start`] for a zero, too.
    ///
    /// # Panics
    ///
    /// As [`try_run`].
    pub fn try_run<F: Future>(self, main: F) -> Result<F::Output, RunError> {
        self.start()?.try_run(main)
    }

    /// Starts the runtime on a thread of its own, with a portal into it, for programs without one.
    ///
    /// ```
    /// let portal = anyrt::Builder::new().name("island").start_blocking_portal()?;
    /// assert_eq!(portal.call(async { 42 })?, 42);
    /// portal.stop();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RunError`], as [`try_run`](Builder::try_run).
    pub fn start_blocking_portal(self) -> Result<PortalThread, RunError> {
        PortalThread::start(self.start()?)
    }

    /// Runs `main` as the root of a run inside a program whose runtime somebody else started; see
    /// [`embed`](crate::embed).
    ///
    /// # Panics
    ///
    /// As [`embed`](crate::embed); with a [`RunError`] of [`try_embed`](Builder::try_embed).
    ///
    /// # Cancel safety
    ///
    /// As [`embed`](crate::embed).
    #[track_caller]
    pub fn embed<F: Future>(self, main: F) -> impl Future<Output = F::Output> {
        let called = Location::caller();
        let embedded = self.try_embed(main);
        async move {
            match embedded.await {
                Ok(output) => output,
                Err(error) => panic!("{error} (embedded at {called})"),
            }
        }
    }

    /// As [`embed`](Builder::embed), with an error for the panic.
    ///
    /// # Errors
    ///
    /// [`RunError`]; [`RunError::Start`] for a zero, and where a backend or a number of threads was named:
    /// those are the program's around.
    ///
    /// # Panics, cancel safety
    ///
    /// As [`try_embed`](crate::try_embed).
    #[track_caller]
    pub fn try_embed<F: Future>(self, main: F) -> impl Future<Output = Result<F::Output, RunError>> {
        let around = ambient::current_handle();
        async move {
            if self.backend.is_some() || self.threads.is_some() {
                return Err(invalid("`backend` and `threads` are those of the runtime that is embedded in"));
            }
            self.told(Run::new(around.runtime().clone()))?.try_embed(main).await
        }
    }

    fn start(self) -> Result<Run, RunError> {
        ambient::init();
        let environment = env::var_os("ANYRT_BACKEND").map(|name| name.to_string_lossy().into_owned());
        let backend = Backend::choose(self.backend, environment.as_deref())?;
        // Before anything is started: in a task the start of a runtime would be in vain.
        ambient::check_not_polling(backend.name())?;
        let threads = self.threads.map(|threads| positive("threads", threads)).transpose()?;
        // Before the threads of a runtime are started for nothing.
        self.limit()?;
        let runtime = backend.start(threads, self.name.as_deref().unwrap_or(NAME))?;
        self.told(Run::new(runtime))
    }

    /// `run`, told what this value says.
    fn told(self, run: Run) -> Result<Run, RunError> {
        let limit = self.limit()?;
        let mut run = run.name(self.name.as_deref().unwrap_or(NAME)).blocking_pool(self.blocking_pool);
        if let Some(limit) = limit {
            run = run.blocking_limit(limit);
        }
        if let Some(idle) = self.blocking_idle {
            run = run.blocking_idle(idle);
        }
        if let Some(patience) = self.abandoned_patience {
            run = run.abandoned_patience(patience);
        }
        run = run.measure(self.measure);
        if let Some(watchdog) = self.watchdog {
            run = run.watchdog(watchdog);
        }
        if let Some(grace) = self.shutdown_grace {
            run = run.shutdown_grace(grace);
        }
        if let Some(timeout) = self.shutdown_timeout {
            run = run.shutdown_timeout(timeout);
        }
        Ok(run)
    }

    fn limit(&self) -> Result<Option<NonZeroUsize>, RunError> {
        self.blocking_limit.map(|limit| positive("blocking_limit", limit)).transpose()
    }
}

/// The name of a run that was given none.
const NAME: &str = "anyrt";

fn positive(what: &str, number: usize) -> Result<NonZeroUsize, RunError> {
    NonZeroUsize::new(number).ok_or_else(|| invalid(format!("`{what}` is zero, and must be at least one")))
}

fn invalid(what: impl Into<String>) -> RunError {
    RunError::Start(io::Error::new(io::ErrorKind::InvalidInput, what.into()))
}
