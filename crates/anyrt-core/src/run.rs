//! A run: a root future on a runtime, and the end in which nothing is left behind.

mod ending;
mod lost;
mod portal;
pub mod signal;
mod unfinished;

pub use portal::{BlockingPortal, PortalThread, SharedPortal, blocking_portal, try_blocking_portal};
pub use unfinished::Unfinished;
pub(crate) use unfinished::left_below;

use std::any::Any;
use std::future::Future;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, io};

use pin_project_lite::pin_project;

use self::ending::{Ending, EndsWithin};
use self::lost::LostTasks;
use crate::base::fork::{self, Forked};
use crate::base::sync::Arc;
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::blocking::{BlockingPool, CapacityLimiter, DEFAULT_LIMIT, IDLE, PATIENCE, Pool};
use crate::current::budget;
use crate::current::context::{self, Setting, Tasked};
use crate::current::handle::Handle;
use crate::current::locals::Locals;
use crate::current::run_local::RunLocals;
use crate::current::runtime::{NotOwned, Runtime};
use crate::group::{GroupError, GroupState, Policy};
use crate::observe::watchdog::{Guard, Watchdog};
use crate::observe::{self, Observer};
use crate::task::span;
use crate::tree::{self, Cause, HasNode, MAIN, Node, NodeRef, TaskInfo, default_name};

/// After how long a cancelled scope that is held becomes a warning, by default.
const HELD_WARNING: Duration = Duration::from_secs(5);

/// What belongs to one run, or to all runtimes that were adopted.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) name: Arc<str>,
    pub(crate) pool: Pool,
    pub(crate) blocking_pool: BlockingPool,
    pub(crate) limiter: CapacityLimiter,
    /// Of `run_cpu`: of the size of the machine.
    pub(crate) cpu: CapacityLimiter,
    /// Of blocking calls that wait for nobody's token.
    pub(crate) unlimited: CapacityLimiter,
    /// How long a cancelled scope may be held before a warning names what holds it.
    pub(crate) held_warning: Duration,
    pub(crate) run_locals: Arc<RunLocals>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) ends_within: EndsWithin,
    /// Where tasks belong that no group owns.
    pub(crate) root: Arc<GroupState>,
    /// Those that were left when the root was closed.
    pub(crate) lost: Arc<LostTasks>,
}

impl Shared {
    #[track_caller]
    fn new(policy: Policy, name: &str, limit: usize, held_warning: Duration) -> Shared {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Shared {
            name: name.into(),
            pool: Pool::new(name, IDLE, PATIENCE, policy != Policy::Detached),
            blocking_pool: BlockingPool::Core,
            limiter: CapacityLimiter::new(limit),
            cpu: CapacityLimiter::new(cores),
            unlimited: CapacityLimiter::unlimited(),
            held_warning,
            run_locals: Arc::default(),
            observer: Arc::default(),
            ends_within: EndsWithin::default(),
            root: GroupState::new(policy, None, None, Location::caller()),
            lost: Arc::default(),
        }
    }

    /// Nobody looks at it any more.
    fn end_observing(&self) {
        self.observer.end();
    }

    /// For runtimes that no run of ours has started: nothing waits at their end.
    pub(crate) fn detached() -> Shared {
        Shared::new(Policy::Detached, "anyrt", DEFAULT_LIMIT, HELD_WARNING)
    }
}

/// A run to be started on a runtime that the caller brings.
///
/// The facade `anyrt` picks the runtime; this is what it stands on, and what the author of another
/// backend uses.
#[derive(Debug)]
#[must_use = "nothing runs until `run` or `try_run` is called"]
pub struct Run {
    runtime: Arc<dyn Runtime>,
    name: String,
    limit: usize,
    held_warning: Duration,
    ends_within: EndsWithin,
    idle: Duration,
    patience: Duration,
    blocking_pool: BlockingPool,
    measure: bool,
    watchdog: Option<Watchdog>,
}

/// Why a run could not be started, or what was left at its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A task is being polled on this thread: to wait here would stop it, and what it waits for.
    #[error(
        "a run on {asked} cannot be started inside a task of {running}: that task is being polled on this thread, and to wait \
         here would block it; await the future instead, or use `anyrt::embed(..).await`, or start the run on a thread of its own"
    )]
    Nested {
        /// The name of the runtime that polls the task.
        running: &'static str,
        /// The name of that on which the run was to be.
        asked: &'static str,
    },
    /// This process was forked off another one in which a run had been started.
    #[error(transparent)]
    Forked(#[from] Forked),
    /// The runtime was adopted: its owner drives it.
    #[error(transparent)]
    NotOwned(#[from] NotOwned),
    /// No backend is compiled in.
    #[error("no backend is compiled in: enable a feature of `anyrt`: `tokio`, `smol` or `async-std`")]
    NoBackend,
    /// `ANYRT_BACKEND`, or a name in the code, names no backend.
    #[error("unknown backend `{name}`: `ANYRT_BACKEND` and `Backend` know {known}")]
    UnknownBackend {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The backend is known, but its feature is off.
    #[error("backend `{name}` is not compiled in: enable the feature `{feature}` of `anyrt`")]
    NotCompiledIn {
        /// The backend that was asked for.
        name: String,
        /// The feature that brings it.
        feature: String,
    },
    /// The run has chosen the runtime's own pool for blocking jobs, and the runtime has none.
    #[error("`{runtime}` has no pool of its own for blocking jobs: choose `BlockingPool::Core`")]
    NoNativePool {
        /// The runtime's name.
        runtime: &'static str,
    },
    /// The runtime could not be started.
    #[error("the runtime could not be started: {0}")]
    Start(#[source] io::Error),
    /// The main future ended well, but tasks at the root failed and nobody had looked at them.
    #[error("tasks at the root of the run failed, and nobody looked: {0}")]
    Unhandled(#[source] GroupError),
    /// Tasks had not ended when the time for that was over ([`Run::shutdown_timeout`]), or nobody was left to wait
    /// for them: the future of their group was not polled any more, and outlived the run.
    #[error(transparent)]
    Unfinished(Unfinished),
}

impl Run {
    /// A run on `runtime`, which the run owns: it shuts it down at its end.
    pub fn new(runtime: Arc<dyn Runtime>) -> Run {
        Run {
            runtime,
            name: "anyrt".to_owned(),
            limit: DEFAULT_LIMIT,
            held_warning: HELD_WARNING,
            ends_within: EndsWithin::default(),
            idle: IDLE,
            patience: PATIENCE,
            blocking_pool: BlockingPool::Core,
            measure: false,
            watchdog: None,
        }
    }

    /// The name of the run; its threads are named after it. `anyrt` by default.
    pub fn name(mut self, name: &str) -> Run {
        name.clone_into(&mut self.name);
        self
    }

    /// The size of the default limiter of blocking calls; 40 by default (AnyIO's).
    pub fn blocking_limit(mut self, limit: NonZeroUsize) -> Run {
        self.limit = limit.get();
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
        self.blocking_pool = pool;
        self
    }

    /// How long a cancelled scope may be held before a tracing warning (target `anyrt::held`) names
    /// what holds it; 5 seconds by default. An end of the run that takes as long is told of with the task tree
    /// (target `anyrt::unfinished`).
    pub fn warn_held_after(mut self, after: Duration) -> Run {
        self.held_warning = after;
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
    /// When this is over, what is left is named in the error, [`RunError::Unfinished`], and dropped with the
    /// runtime. A task that blocks its thread cannot be dropped: some runtimes wait for it all the same.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Run {
        self.ends_within.timeout = Some(timeout);
        self
    }

    /// Whether a run can be started on this thread: not while a task is being polled, and not in a process
    /// that was forked after a run had been started.
    ///
    /// What [`try_run`](Run::try_run) asks first; for those who would start a runtime, `asked` by name, before it.
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
    /// # Panics
    ///
    /// With the panic of `main`, or of a root task whose handle was dropped; with a [`RunError`].
    #[track_caller]
    pub fn run<F: Future>(self, main: F) -> F::Output {
        match self.try_run(main) {
            Ok(output) => output,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`run`](Run::run), with an error for what is no panic.
    ///
    /// # Errors
    ///
    /// [`RunError`].
    ///
    /// # Panics
    ///
    /// With the panic of `main`, or of a root task whose handle was dropped.
    pub fn try_run<F: Future>(self, main: F) -> Result<F::Output, RunError> {
        Run::check_here(self.runtime.name())?;
        let handle = self.handle()?;
        let mut ended = None;
        let driven = {
            let mut root = std::pin::pin!(async {
                ended = Some(Root::new(handle.clone(), main).await);
            });
            catch_unwind(AssertUnwindSafe(|| self.runtime.block_on(root.as_mut())))
        };
        handle.0.shared.end_observing();
        handle.0.shared.pool.end();
        self.runtime.shutdown();
        handle.0.shared.run_locals.end();
        driven.unwrap_or_else(|payload| resume_unwind(payload))?;
        let mut ended = ended.ok_or(NotOwned)?;
        ended.unfinished = ended.unfinished.or_else(|| handle.0.shared.lost.take());
        ended.conclude()
    }

    /// Runs `main` as [`try_embed`] does it, with what this value says in place of what the program
    /// around says.
    ///
    /// ```
    /// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
    /// use anyrt_core::{Handle, Run, run_blocking};
    ///
    /// let around = Handle::current().runtime().clone();
    /// let name = Run::new(around).name("island").try_embed(async {
    ///     run_blocking(|| std::thread::current().name().map(str::to_owned)).await
    /// });
    /// assert!(name.await?.is_some_and(|name| name.starts_with("island")));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors, panics, cancel safety
    ///
    /// As [`try_embed`]; [`RunError::NoNativePool`].
    pub async fn try_embed<F: Future>(self, main: F) -> Result<F::Output, RunError> {
        embed_in(self.handle()?, main).await
    }

    fn handle(&self) -> Result<Handle, RunError> {
        if self.blocking_pool == BlockingPool::Native && self.runtime.blocking().is_none() {
            return Err(RunError::NoNativePool { runtime: self.runtime.name() });
        }
        let mut shared = Shared::new(Policy::EachForItself, &self.name, self.limit, self.held_warning);
        shared.pool = Pool::new(&self.name, self.idle, self.patience, true);
        shared.blocking_pool = self.blocking_pool;
        shared.ends_within = self.ends_within;
        if let Ok(around) = Handle::try_current() {
            // The machine is the same.
            shared.cpu = around.cpu_limiter().clone();
        }
        let guard = self.watchdog.clone().map(Guard::new);
        shared.observer = Arc::new(Observer::new(self.measure, guard.clone()));
        let handle = Handle::new(self.runtime.clone(), shared);
        if let Some(guard) = guard {
            guard.start(&handle);
        }
        Ok(handle)
    }
}

/// Runs `main` as the root of a run inside a program whose runtime somebody else drives, and then
/// everything that it has spawned.
///
/// What [`Run::run`] promises for the end of a run holds here for the end of this future.
///
/// # Errors
///
/// [`RunError::Unhandled`].
///
/// # Panics
///
/// With the panic of `main`, or of a root task whose handle was dropped. Outside of any runtime,
/// naming the cure.
///
/// # Cancel safety
///
/// Dropped, `main` is dropped, and the root's tasks are cancelled; nobody waits for them.
#[track_caller]
pub fn try_embed<F: Future>(main: F) -> impl Future<Output = Result<F::Output, RunError>> {
    let called = Location::caller();
    async move {
        let outer = Handle::current_for(called);
        let outside = &outer.0.shared;
        let limit = outer.limiter().total();
        let mut shared = Shared::new(Policy::EachForItself, &outside.name, limit, outside.held_warning);
        // The machine is the same.
        shared.cpu = outside.cpu.clone();
        shared.blocking_pool = outside.blocking_pool;
        embed_in(Handle::new(outer.runtime().clone(), shared), main).await
    }
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

/// As [`try_embed`], with a panic for the error.
///
/// # Panics
///
/// As [`try_embed`], and with what [`RunError::Unhandled`] says.
#[track_caller]
pub fn embed<F: Future>(main: F) -> impl Future<Output = F::Output> {
    let called = Location::caller();
    let embedded = try_embed(main);
    async move {
        match embedded.await {
            Ok(output) => output,
            Err(error) => panic!("{error} (embedded at {called})"),
        }
    }
}

pin_project! {
    /// The main future, then the end of all that stands at the root.
    struct Root<F: Future> {
        #[pin]
        main: Option<F>,
        setting: Setting,
        handle: Handle,
        task: Arc<MainTask>,
        root: Arc<GroupState>,
        ended: Option<Result<F::Output, Box<dyn Any + Send>>>,
        // None while the main future runs.
        ending: Option<Ending>,
    }

    impl<F: Future> PinnedDrop for Root<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.main.is_some() {
                context::within(this.setting, || this.main.set(None));
                tree::end(&this.task.node);
            }
            this.root.cancel_for(Cause::Dropped);
        }
    }
}

/// The task that the main future runs in.
struct MainTask {
    info: TaskInfo,
    node: Node,
    handle: Handle,
    /// It is being polled now.
    polled: AtomicBool,
}

impl MainTask {
    /// It stands in the tree, as the tasks at the root do.
    fn link(self: &Arc<Self>, root: &Arc<GroupState>) {
        if self.node.parent_address() == 0 {
            tree::link_new(&(self.clone() as NodeRef), &root.as_node());
        }
    }
}

impl HasNode for MainTask {
    fn node(&self) -> &Node {
        &self.node
    }

    fn as_task(&self) -> Option<&TaskInfo> {
        Some(&self.info)
    }

    fn runs_on(&self) -> Option<&Handle> {
        Some(&self.handle)
    }

    fn is_polled(&self) -> bool {
        self.polled.load(Ordering::Relaxed)
    }
}

impl Tasked for MainTask {
    fn info(&self) -> &TaskInfo {
        &self.info
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl<F: Future> Root<F> {
    fn new(handle: Handle, main: F) -> Root<F> {
        let root = handle.0.shared.root.clone();
        let info = TaskInfo::new(Some(MAIN.into()), default_name::<F>, None);
        let locals = span::add(Locals::default(), &info);
        let (node, polled) = (Node::task_root(), AtomicBool::new(false));
        let task = Arc::new(MainTask { info, node, handle: handle.clone(), polled });
        let setting =
            Setting { task: Some(task.clone()), locals, handle: None, in_job: false, polling: true };
        Root { main: Some(main), setting, handle, task, root, ended: None, ending: None }
    }
}

impl<F: Future> Future for Root<F> {
    type Output = Ended<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(main) = this.main.as_mut().as_pin_mut() {
            let (task, root) = (&*this.task, &*this.root);
            task.link(root);
            task.polled.store(true, Ordering::Relaxed);
            let polled = context::within(this.setting, || {
                let look = observe::is_on()
                    .then(|| observe::begin(&task.handle, &task.info, &task.node, cx.waker()));
                let waker = look.as_ref().map_or(cx.waker(), |look| look.waker(cx.waker()));
                let around = budget::begin();
                let polled = catch_unwind(AssertUnwindSafe(|| main.poll(&mut Context::from_waker(waker))));
                budget::end(around);
                match (&polled, &look) {
                    (Ok(Poll::Pending), _) => drop(task.node.attend(waker, false)),
                    (_, Some(look)) => look.task_ended(),
                    (_, None) => (),
                }
                polled
            });
            task.polled.store(false, Ordering::Relaxed);
            *this.ended = match polled {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(output)) => Some(Ok(output)),
                Err(payload) => Some(Err(payload)),
            };
            let dropped =
                context::within(this.setting, || catch_unwind(AssertUnwindSafe(|| this.main.set(None))));
            if let Err(payload) = dropped {
                this.root.panicked_unheard(payload);
            }
            tree::end(&this.task.node);
            *this.ending = Some(Ending::begin(this.handle, this.root));
        }
        let Some(ending) = this.ending else { return Poll::Pending };
        let (toll, unfinished) = ready!(ending.poll(this.handle, this.root, cx));
        match this.ended.take() {
            Some(output) => Poll::Ready(Ended {
                output,
                panic: toll.panics.into_iter().next(),
                errors: GroupError::from_errors(toll.errors),
                unfinished,
            }),
            None => panic!("a future was polled again after it was ready"),
        }
    }
}

/// All that came of a run.
struct Ended<T> {
    output: Result<T, Box<dyn Any + Send>>,
    panic: Option<Box<dyn Any + Send>>,
    errors: Option<GroupError>,
    unfinished: Option<Unfinished>,
}

impl<T> Ended<T> {
    fn conclude(self) -> Result<T, RunError> {
        let output = self.output.unwrap_or_else(|payload| resume_unwind(payload));
        if let Some(payload) = self.panic {
            resume_unwind(payload);
        }
        if let Some(unfinished) = self.unfinished {
            return Err(RunError::Unfinished(unfinished.with_errors(self.errors)));
        }
        match self.errors {
            Some(errors) => Err(RunError::Unhandled(errors)),
            None => Ok(output),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}
