//! Starting a run: [`run`], [`run_on`], [`builder`].

use std::env;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;

use anyrt_core::{Launch, PortalThread, Run, RunError, Runtime};

use crate::ambient;
use crate::backend::Backend;

/// Runs `main` to its end on this thread, and then everything that it has spawned.
///
/// The runtime is the one that the environment variable `ANYRT_BACKEND` names, else the first that
/// is compiled in of tokio, smol, async-std. [`run_on`] and [`Run::on`] name one in the code.
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
/// the one that was asked for, is compiled in. `anyrt::builder().run(main)` gives an error for these.
#[track_caller]
pub fn run<F: Future>(main: F) -> F::Output {
    run_or_panic(builder(), main)
}

/// As [`run`], on `backend`, whatever the environment says.
///
/// # Panics
///
/// As [`run`]. `Run::on(backend).run(main)` gives an error for a [`RunError`].
#[track_caller]
pub fn run_on<F: Future>(backend: Backend, main: F) -> F::Output {
    run_or_panic(Run::on(backend), main)
}

/// Runs `main`, and panics with the error's own message: for [`run`], [`run_on`], and what the attributes of this crate make.
#[doc(hidden)]
#[track_caller]
pub fn run_or_panic<F: Future>(run: Run, main: F) -> F::Output {
    match run.run(main) {
        Ok(output) => output,
        Err(error) => panic!("{error}"),
    }
}

/// A run, to be given settings, on the runtime that [`run`] takes; [`Run::on`] takes another.
///
/// ```
/// let named = anyrt::builder().name("app").threads(2).blocking_limit(8);
/// named.run(async {
///     let thread = anyrt::run_blocking(|| std::thread::current().name().map(str::to_owned)).await;
///     assert!(thread.is_some_and(|name| name.starts_with("app")));
/// })?;
/// # Ok::<(), anyrt::RunError>(())
/// ```
///
/// Whose threads run blocking jobs, who watches the run, how it ends:
///
/// ```
/// use std::time::Duration;
/// use anyrt::{RunError, checkpoint, shield};
/// use anyrt::blocking::BlockingPool;
/// use anyrt::observe::Watchdog;
///
/// let sum = anyrt::builder().blocking_pool(BlockingPool::Native).run(async {
///     anyrt::run_blocking(|| 1 + 1).await
/// })?;
/// assert_eq!(sum, 2);
///
/// let watchdog = Watchdog::new().slow_poll(Duration::from_secs(1)).standstill(Duration::from_secs(60));
/// anyrt::builder().watchdog(watchdog).run(async { /* .. */ })?;
///
/// let ended = anyrt::builder().shutdown_timeout(Duration::from_millis(10)).run(async {
///     anyrt::spawn(shield(std::future::pending::<()>()));
///     checkpoint().await;
/// });
/// assert!(matches!(ended, Err(RunError::ShutdownTimedOut(_))));
/// # Ok::<(), anyrt::RunError>(())
/// ```
pub fn builder() -> Run {
    Run::on(Environment)
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
/// [`RunError`], as [`Run::run`].
pub fn start_blocking_portal() -> Result<PortalThread, RunError> {
    builder().start_blocking_portal()
}

/// The backend that the environment names, else the first that is compiled in.
#[derive(Debug)]
struct Environment;

impl Launch for Environment {
    fn launch(&self, threads: Option<NonZeroUsize>, name: &str) -> Result<Arc<dyn Runtime>, RunError> {
        let named = env::var_os("ANYRT_BACKEND").map(|name| name.to_string_lossy().into_owned());
        Backend::choose(named.as_deref())?.launch(threads, name)
    }
}

impl Launch for Backend {
    fn launch(&self, threads: Option<NonZeroUsize>, name: &str) -> Result<Arc<dyn Runtime>, RunError> {
        // Before anything is started: in a task the start of a runtime would be in vain.
        ambient::check_not_polling(self.name())?;
        self.start(threads, name)
    }
}
