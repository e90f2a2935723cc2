//! Why something was cancelled: recorded once, with the first cancellation.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::{Node, NodeRef, Path};
use crate::base::sync::Arc;

/// What kind of thing cancelled a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Its deadline passed.
    Deadline,
    /// A call of `cancel` or `cancel_with`.
    Explicit,
    /// A call of `cancel_after`, and the grace was over before it had ended.
    GraceOver,
    /// A child or the body of the task group failed or panicked.
    SiblingFailed,
    /// The run is ending.
    Shutdown,
    /// It was a service, and everything else in its group is done.
    NoLongerNeeded,
    /// The future that owned it was dropped by foreign code (`select!`, an abort).
    Dropped,
}

/// The error of a scope that was cancelled: who cancelled it, where and why.
///
/// The first cancellation of a scope is kept; later ones change nothing.
#[derive(Clone)]
pub struct Cancelled(Arc<Story>);

struct Story {
    cause: Cause,
    reason: Option<Box<str>>,
    who: Who,
    /// The duration that was asked for: the time limit, or the grace.
    after: Option<Duration>,
    location: &'static Location<'static>,
}

/// The task or thread that cancelled, or, for a deadline, whose deadline it was.
enum Who {
    Task(Path),
    /// A thread that runs no task.
    Thread(Box<str>),
    NoTask,
}

impl Who {
    fn is_here() -> Who {
        match Path::current() {
            Some(path) => Who::Task(path),
            None => std::thread::current().name().map_or(Who::NoTask, |name| Who::Thread(name.into())),
        }
    }
}

impl Cancelled {
    /// The story of a cancellation that happens now, by the current task.
    pub(crate) fn new(cause: Cause, reason: Option<Box<str>>, location: &'static Location<'static>) -> Self {
        Cancelled(Arc::new(Story { cause, reason, who: Who::is_here(), after: None, location }))
    }

    /// The story of a cancellation of `node` that no code has called for.
    #[track_caller]
    pub(crate) fn of(node: &Node, cause: Cause) -> Self {
        Cancelled::new(cause, None, node.opened().unwrap_or_else(Location::caller))
    }

    /// The story of a cancellation that will happen when `grace` is over.
    pub(crate) fn when_over(
        cause: Cause,
        grace: Duration,
        reason: Option<Box<str>>,
        location: &'static Location<'static>,
    ) -> Self {
        Cancelled(Arc::new(Story { cause, reason, who: Who::is_here(), after: Some(grace), location }))
    }

    /// The story of a deadline: `location` is where it was set, `after` the duration that was asked for, and
    /// `node` the scope that has it. The task that notices it may be another.
    pub(crate) fn deadline(
        reason: Option<Box<str>>,
        after: Option<Duration>,
        location: &'static Location<'static>,
        node: &NodeRef,
    ) -> Self {
        let who = Path::around(node).map_or(Who::NoTask, Who::Task);
        Cancelled(Arc::new(Story { cause: Cause::Deadline, reason, who, after, location }))
    }

    /// What kind of thing it was.
    pub fn cause(&self) -> Cause {
        self.0.cause
    }

    /// The reason given with the first cancellation (`cancel_with`, `cancel_after_with`), or with the scope that timed out.
    pub fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// The name of the task that cancelled it, or whose deadline it was; none when no task of ours did it.
    pub fn task(&self) -> Option<&str> {
        match &self.0.who {
            Who::Task(path) => Some(path.name()),
            Who::Thread(_) | Who::NoTask => None,
        }
    }

    /// Where `cancel` or `cancel_after` was called, or where the deadline was set. With the other causes,
    /// where the scope or group was opened that was cancelled.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let story = &*self.0;
        let (at, who) = (story.location, &story.who);
        let after = story.after.unwrap_or_default();
        match story.cause {
            Cause::Deadline if story.after.is_none() => {
                write!(f, "cancelled by a deadline set at {at}{who}")?
            }
            Cause::Deadline => write!(f, "cancelled by a deadline of {after:?} set at {at}{who}")?,
            Cause::Explicit => write!(f, "cancelled at {at}{who}")?,
            Cause::GraceOver => write!(f, "cancelled after a grace of {after:?} given at {at}{who}")?,
            Cause::SiblingFailed => {
                write!(f, "cancelled because a sibling failed{who}, in the group opened at {at}")?;
            }
            Cause::Shutdown if story.after.is_none() => f.write_str("cancelled because the run ends")?,
            Cause::Shutdown => write!(f, "cancelled because the run ends, after a grace of {after:?}")?,
            Cause::NoLongerNeeded => {
                write!(f, "cancelled because all else is done in its group, opened at {at}")?;
            }
            Cause::Dropped => write!(f, "cancelled because its owner dropped it{who}, opened at {at}")?,
        }
        match &story.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Task(path) => write!(f, " in task {path}"),
            Who::Thread(name) => write!(f, " in thread {name}"),
            Who::NoTask => Ok(()),
        }
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled")
            .field("cause", &self.0.cause)
            .field("reason", &self.reason())
            .field("task", &self.task())
            .field("location", &format_args!("{}", self.0.location))
            .finish()
    }
}

impl std::error::Error for Cancelled {}
