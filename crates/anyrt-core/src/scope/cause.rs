//! Why something was cancelled: told once, kept whole.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::context;
use crate::sync::Arc;
use crate::task::Label;

/// What kind of thing cancelled a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Its deadline passed.
    Deadline,
    /// Somebody called `cancel`.
    Explicit,
    /// A child or the body of the task group failed or panicked.
    SiblingFailed,
    /// The run is ending.
    Shutdown,
    /// It was a service, and all else in its group is done.
    NoLongerNeeded,
    /// The future that owned it was dropped by foreign code (`select!`, an abort).
    Dropped,
}

/// The error of a scope that was cancelled, and the story behind it.
///
/// The first cancellation of a scope is kept; later ones change nothing.
#[derive(Clone)]
pub struct Cancelled(Arc<Story>);

struct Story {
    cause: Cause,
    reason: Option<Box<str>>,
    task: Option<Label>,
    after: Option<Duration>,
    location: &'static Location<'static>,
}

impl Cancelled {
    /// Tells the story of a cancellation that happens now, by the task that is current.
    pub(crate) fn new(cause: Cause, reason: Option<Box<str>>, location: &'static Location<'static>) -> Self {
        let task = context::current_task().map(|task| task.info().label());
        Cancelled(Arc::new(Story { cause, reason, task, after: None, location }))
    }

    /// The story of a deadline: `location` is where it was set, `after` what was asked for.
    pub(crate) fn deadline(
        reason: Option<Box<str>>,
        after: Option<Duration>,
        location: &'static Location<'static>,
    ) -> Self {
        let task = context::current_task().map(|task| task.info().label());
        Cancelled(Arc::new(Story { cause: Cause::Deadline, reason, task, after, location }))
    }

    /// What kind of thing it was.
    pub fn cause(&self) -> Cause {
        self.0.cause
    }

    /// The reason given with the first `cancel`, or with the scope that timed out.
    pub fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// The name of the task in which it was cancelled; none when no task of ours did it.
    pub fn task(&self) -> Option<&str> {
        self.0.task.as_ref().map(Label::name)
    }

    /// Where `cancel` was called, or where the deadline was set.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let story = &*self.0;
        match (story.cause, story.after) {
            (Cause::Deadline, Some(after)) => write!(f, "cancelled by a deadline of {after:?}")?,
            (Cause::Deadline, None) => f.write_str("cancelled by a deadline")?,
            (Cause::Explicit, _) => f.write_str("cancelled")?,
            (Cause::SiblingFailed, _) => f.write_str("cancelled because a sibling failed")?,
            (Cause::Shutdown, _) => f.write_str("cancelled because the run ends")?,
            (Cause::NoLongerNeeded, _) => f.write_str("cancelled because all else in its group is done")?,
            (Cause::Dropped, _) => f.write_str("cancelled because its owner dropped it")?,
        }
        match story.cause {
            Cause::Deadline => write!(f, " set at {}", story.location)?,
            _ => write!(f, " at {}", story.location)?,
        }
        if let Some(task) = &story.task {
            write!(f, " in task {task}")?;
        }
        if let Some(reason) = &story.reason {
            write!(f, ": {reason}")?;
        }
        Ok(())
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
