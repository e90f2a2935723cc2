//! [`BlockingPortal`]: foreign threads call async code.

use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::{fmt, io};

use futures_util::FutureExt as _;

use super::{Run, RunError};
use crate::base::sync::{Arc, Mutex};
use crate::blocking::BlockingHandle;
use crate::blocking::from_thread::CallError;
use crate::current::context;
use crate::group::{
    BoxError, GroupError, NotAResultElseUseTry, Ready, TaskGroup, task_group, try_task_group,
};
use crate::task::{self, Options, TaskHandle};
use crate::tree::default_name;
use crate::wait::primitives::Event;

/// Lets threads that the runtime does not know call async code on it: std threads, those of a GUI, of
/// C code, of a thread pool.
///
/// Cheap to clone; goes to any thread. It is open while its block runs, and as long as one of its
/// tasks is alive; then everything is an error, never a wait without end.
#[derive(Clone)]
pub struct BlockingPortal {
    group: TaskGroup,
}

/// Runs `body` with a portal; left when the tasks that came through the portal have ended.
///
/// It is a task group: its tasks stand in the scope of this call.
///
/// ```
/// # async fn demo() {
/// use anyrt_core::{blocking_portal, run_blocking};
///
/// let sum = blocking_portal(async |portal| {
///     // Any other thread would do.
///     let thread = std::thread::Builder::new().spawn(move || portal.call(async { 1 + 1 })).unwrap();
///     run_blocking(move || thread.join().unwrap()).await
/// })
/// .await;
/// assert_eq!(sum.unwrap().unwrap(), 2);
/// # }
/// ```
///
/// # Errors
///
/// [`GroupError`]: that it was cancelled.
///
/// # Panics
///
/// With the panic of `body`, or of a task of [`BlockingPortal::spawn`], after the others were
/// cancelled. A panic inside [`BlockingPortal::call`] is the calling thread's.
///
/// # Cancel safety
///
/// As [`task_group`](crate::task_group): the tasks are cancelled and waited for, and the threads that
/// wait for them get an error.
#[track_caller]
pub fn blocking_portal<F, T>(body: F) -> impl Future<Output = Result<T, GroupError>>
where
    F: AsyncFnOnce(BlockingPortal) -> T,
{
    task_group(async move |group| body(BlockingPortal { group }).await)
}

/// As [`blocking_portal`], with a body that ends in a `Result`: its error cancels the tasks.
///
/// # Errors
///
/// As [`blocking_portal`], and the body's error.
///
/// # Panics, cancel safety
///
/// As [`blocking_portal`].
#[track_caller]
pub fn try_blocking_portal<F, T>(body: F) -> impl Future<Output = Result<T, GroupError>>
where
    F: AsyncFnOnce(BlockingPortal) -> Result<T, BoxError>,
{
    try_task_group(async move |group| body(BlockingPortal { group }).await)
}

impl BlockingPortal {
    /// Runs async code as a task of the portal, and waits for it in this thread.
    ///
    /// # Errors
    ///
    /// [`CallError::Cancelled`] when it was cancelled with the portal;
    /// [`CallError::RunEnded`] when the portal is closed; [`CallError::OnRuntimeThread`] on a thread that
    /// polls a task.
    ///
    /// # Panics
    ///
    /// With the panic of the async code.
    #[track_caller]
    pub fn call<F>(&self, future: F) -> Result<F::Output, CallError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if context::is_polling() {
            return Err(CallError::OnRuntimeThread);
        }
        let caught = AssertUnwindSafe(future).catch_unwind();
        let name = default_name::<F>();
        let task = self.launch(caught, Options { name: Some(name.into()), ..Options::default() });
        Ok(BlockingHandle::new(task).wait()?.unwrap_or_else(|payload| resume_unwind(payload)))
    }

    /// Runs `call` on a thread of the runtime, and waits for it. It is never cancelled.
    ///
    /// # Errors, panics
    ///
    /// As [`call`](BlockingPortal::call).
    #[track_caller]
    pub fn call_sync<F, T>(&self, call: F) -> Result<T, CallError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.call(async move { call() })
    }

    /// Spawns a task of the portal. Its panic is the portal's.
    ///
    /// In a portal that is closed the future is dropped, and the handle says so.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> BlockingHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        BlockingHandle::new(self.launch(future, Options::default()))
    }

    /// As [`spawn`](BlockingPortal::spawn), with a name for messages and the task view.
    #[track_caller]
    pub fn spawn_named<F>(&self, name: &str, future: F) -> BlockingHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        BlockingHandle::new(self.launch(future, Options { name: Some(name.into()), ..Options::default() }))
    }

    /// Starts a task of the portal and waits in this thread until it says that it is ready; gives what
    /// it says, and its handle. Otherwise as [`TaskGroup::start`].
    ///
    /// # Errors
    ///
    /// [`CallError::NotReady`] when it ended before; else as [`call`](BlockingPortal::call).
    ///
    /// # Panics
    ///
    /// With its panic before it was ready.
    #[track_caller]
    pub fn start<F, Fut, V, Which>(&self, child: F) -> Result<(V, BlockingHandle<Fut::Output>), CallError>
    where
        F: FnOnce(Ready<V>) -> Fut + Send + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: NotAResultElseUseTry<Which> + Send + 'static,
        V: Send + 'static,
        Which: 'static,
    {
        let starting = self.group.start(child);
        match self.call(starting)? {
            Ok((said, task)) => Ok((said, BlockingHandle::new(task))),
            Err(_) => Err(CallError::NotReady),
        }
    }

    /// Cancels the tasks of the portal, and its block.
    #[track_caller]
    pub fn cancel(&self) {
        self.group.cancel();
    }

    /// As [`cancel`](BlockingPortal::cancel), with a reason that errors and logs repeat.
    #[track_caller]
    pub fn cancel_with(&self, reason: &str) {
        self.group.cancel_with(reason);
    }

    /// Whether the portal is closed: its block and its tasks have ended.
    pub fn is_closed(&self) -> bool {
        self.group.is_closed()
    }

    #[track_caller]
    fn launch<F>(&self, future: F, options: Options) -> TaskHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        task::spawn(self.group.home(), future, Ok, options)
    }
}

impl fmt::Debug for BlockingPortal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingPortal").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// A run on a thread of its own, with a portal into it: for programs without a runtime.
///
/// Dropped, it stops: the tasks are cancelled, cleaned up, awaited, and the thread is joined.
#[derive(Debug)]
pub struct PortalThread {
    portal: BlockingPortal,
    end: Arc<Event>,
    thread: Option<JoinHandle<()>>,
}

impl Run {
    /// Starts it on a thread of its own, with a portal into it, for programs without a runtime; see [`PortalThread`].
    ///
    /// # Errors
    ///
    /// [`RunError`], as [`run`](Run::run).
    pub fn start_blocking_portal(self) -> Result<PortalThread, RunError> {
        PortalThread::start(self)
    }
}

impl PortalThread {
    /// Starts `run` on a thread of its own.
    ///
    /// # Errors
    ///
    /// [`RunError`] when the thread or the run could not be started.
    pub fn start(run: Run) -> Result<PortalThread, RunError> {
        let run = run.launched()?;
        let end = Arc::new(Event::new());
        let (tell, told) = mpsc::channel();
        let ending = end.clone();
        let thread = thread::Builder::new()
            .name("anyrt-portal".to_owned())
            .spawn(move || {
                let opened = tell.clone();
                let ended = run.run(blocking_portal(async move |portal| {
                    // Nobody listens any more when the starter has gone.
                    let _ = opened.send(Ok(portal));
                    ending.wait().await;
                }));
                if let Err(error) = ended {
                    let _ = tell.send(Err(error));
                }
            })
            .map_err(RunError::Start)?;
        match told.recv() {
            Ok(Ok(portal)) => Ok(PortalThread { portal, end, thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(RunError::Start(io::Error::other("the thread of the portal panicked"))),
        }
    }

    /// The portal, to be cloned for other threads.
    pub fn portal(&self) -> &BlockingPortal {
        &self.portal
    }

    /// Waits for the tasks, and ends the run. A panic of one of them goes on here.
    ///
    /// # Panics
    ///
    /// With the panic of a task of [`BlockingPortal::spawn`].
    pub fn stop(mut self) {
        self.end.set();
        if let Some(thread) = self.thread.take()
            && let Err(payload) = thread.join()
        {
            resume_unwind(payload);
        }
    }
}

impl std::ops::Deref for PortalThread {
    type Target = BlockingPortal;

    fn deref(&self) -> &BlockingPortal {
        &self.portal
    }
}

impl Drop for PortalThread {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.portal.cancel_with("the portal's thread was dropped");
            self.end.set();
            // The hook has told of its panic.
            let _ = thread.join();
        }
    }
}

/// One portal for several users: the first starts it, the last stops it.
///
/// ```no_run
/// # fn run() -> anyrt_core::Run { unimplemented!() }
/// use anyrt_core::SharedPortal;
///
/// let shared = SharedPortal::new(|| Ok(run()));
/// let portal = shared.open()?;
/// assert_eq!(portal.call(async { 42 })?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SharedPortal {
    make: Box<dyn Fn() -> Result<Run, RunError> + Send + Sync>,
    open: Mutex<std::sync::Weak<PortalThread>>,
}

impl SharedPortal {
    /// Each time that it is started anew, on a run that `make` makes.
    pub fn new(make: impl Fn() -> Result<Run, RunError> + Send + Sync + 'static) -> SharedPortal {
        SharedPortal { make: Box::new(make), open: Mutex::default() }
    }

    /// The portal, started if nobody uses it. The last user to drop it stops it.
    ///
    /// # Errors
    ///
    /// [`RunError`] when it could not be started; the next call tries again.
    pub fn open(&self) -> Result<Arc<PortalThread>, RunError> {
        let mut open = self.open.lock();
        if let Some(portal) = open.upgrade() {
            return Ok(portal);
        }
        let portal = Arc::new(PortalThread::start((self.make)()?)?);
        *open = Arc::downgrade(&portal);
        Ok(portal)
    }
}

impl fmt::Debug for SharedPortal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPortal").finish_non_exhaustive()
    }
}
