//! A run: a root future on a runtime, and the end in which nothing is left behind.

mod ending;
mod error;
mod launch;
mod lost;
mod portal;
mod settings;
pub mod signal;
mod unfinished;

pub use error::RunError;
pub use launch::Launch;
pub use portal::{BlockingPortal, PortalThread, SharedPortal, blocking_portal, try_blocking_portal};
pub use settings::{Run, embed};
pub use unfinished::Unfinished;
pub(crate) use unfinished::left_below;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use self::ending::{Ending, EndsWithin};
use self::lost::LostTasks;
use crate::base::sync::Arc;
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::blocking::{BlockingPool, CapacityLimiter, DEFAULT_LIMIT, IDLE, PATIENCE, Pool};
use crate::current::budget;
use crate::current::context::{self, Setting, Tasked};
use crate::current::handle::Handle;
use crate::current::locals::Locals;
use crate::current::run_local::RunLocals;
use crate::group::{GroupError, GroupState, Policy};
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
            return Err(RunError::ShutdownTimedOut(unfinished.with_errors(self.errors)));
        }
        match self.errors {
            Some(errors) => Err(RunError::UnobservedFailures(errors)),
            None => Ok(output),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}
