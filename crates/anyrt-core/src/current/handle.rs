//! [`Handle`]: the value that core code holds to reach its runtime.

use std::fmt;
use std::panic::Location;
use std::sync::OnceLock;
use std::time::Instant;

use super::context;
use super::locals::Locals;
use super::runtime::Runtime;
use crate::base::sync::Arc;
use crate::run::Shared;

/// A runtime and what belongs to one run of it: blocking pool, default limiter, root tasks.
///
/// Cheap to clone. Everything ambient (`anyrt::spawn`, `anyrt::sleep`) asks [`Handle::current`].
#[derive(Clone)]
pub struct Handle(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) shared: Shared,
}

/// Finds a runtime that another library has started: the one that the calling thread has entered, or none.
///
/// A backend submits a finder, and every program that links the backend knows it before `main`:
///
/// ```
/// # use std::sync::Arc;
/// # use anyrt_core::{Finder, Runtime};
/// # fn find() -> Option<Arc<dyn Runtime>> { None }
/// inventory::submit!(Finder::new(find));
/// ```
#[derive(Debug)]
pub struct Finder(fn() -> Option<Arc<dyn Runtime>>);

impl Finder {
    /// A finder that calls `find`. It is called where no task and no blocking job of anyrt runs, and should be
    /// quick.
    pub const fn new(find: fn() -> Option<Arc<dyn Runtime>>) -> Finder {
        Finder(find)
    }
}

inventory::collect!(Finder);

/// The error of [`Handle::try_current`] where there is no runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no runtime here: start one with `anyrt::run(async {{ .. }})` or `#[anyrt::main]`, \
     open a root in a tokio program with `anyrt::embed(async {{ .. }}).await`, \
     call this from inside a task or a blocking job, or pass a `Handle` to this thread"
)]
pub struct NoRuntime;

/// Shared by all runtimes that no run of ours has started.
static ADOPTED: OnceLock<Shared> = OnceLock::new();

impl Handle {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, shared: Shared) -> Handle {
        Handle(Arc::new(Inner { runtime, shared }))
    }

    /// A handle to a runtime that other code started and ends.
    ///
    /// What is spawned at its root is detached, as that runtime does it: nothing waits for it.
    /// [`embed`](crate::embed) opens a root that is waited for.
    pub fn adopt(runtime: Arc<dyn Runtime>) -> Handle {
        Handle::new(runtime, ADOPTED.get_or_init(Shared::detached).clone())
    }

    /// The runtime of the current task or blocking job, else one that a [`Finder`] knows on this thread.
    ///
    /// # Panics
    ///
    /// Outside of any runtime, naming the caller and the cure.
    #[track_caller]
    pub fn current() -> Handle {
        Handle::current_for(Location::caller())
    }

    /// As [`current`](Handle::current), for code that is polled later than it was called.
    pub(crate) fn current_for(called: &Location<'_>) -> Handle {
        match Handle::try_current() {
            Ok(handle) => handle,
            Err(error) => panic!("{error} (asked for at {called})"),
        }
    }

    /// As [`current`](Handle::current), with an error in place of the panic.
    ///
    /// # Errors
    ///
    /// [`NoRuntime`] outside of any runtime.
    pub fn try_current() -> Result<Handle, NoRuntime> {
        if let Some(handle) = context::handle() {
            return Ok(handle);
        }
        let found = inventory::iter::<Finder>.into_iter().find_map(|Finder(find)| find());
        found.map(Handle::adopt).ok_or(NoRuntime)
    }

    /// The runtime underneath.
    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.0.runtime
    }

    /// The runtime's clock.
    pub fn now(&self) -> Instant {
        self.0.runtime.now()
    }

    /// Makes this handle current on the calling thread while `run` runs, for code outside of tasks.
    pub fn enter<R>(&self, run: impl FnOnce() -> R) -> R {
        let mut setting = context::Setting {
            task: None,
            locals: Locals::default(),
            handle: Some(self.clone()),
            in_job: false,
            polling: context::is_polling(),
        };
        context::within(&mut setting, run)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("runtime", &self.0.runtime.name())
            .field("run", &self.0.shared.name)
            .finish_non_exhaustive()
    }
}
