//! What a group reports when it did not end well.

use std::error::Error;
use std::{fmt, io};

use super::start::ToldTheStarter;
use crate::scope::TimedOut;
use crate::task::TaskEnded;
use crate::tree::{Cancelled, Cause, Label};

/// Any error that can cross threads.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// The error of a group: that it was cancelled, one error, or several in order of occurrence.
///
/// One error is shown as itself: `Display` and `source` are that error's. Errors of a nested group
/// stay together, as one error of the outer group. A sibling's cancellation is never among them.
pub struct GroupError(Kind);

enum Kind {
    Cancelled(Cancelled),
    /// Never empty.
    Errors(Vec<ChildError>),
}

/// One error of a group, and the task that it comes from.
pub struct ChildError {
    task: Option<Label>,
    error: BoxError,
    /// Whether it only repeats what a group owns.
    echo: bool,
}

impl GroupError {
    pub(crate) fn from_cancelled(cancelled: Cancelled) -> GroupError {
        GroupError(Kind::Cancelled(cancelled))
    }

    /// None of no errors. Echoes are left out, unless there is nothing else.
    pub(crate) fn from_errors(errors: Vec<ChildError>) -> Option<GroupError> {
        let news = errors.iter().any(|error| !error.echo);
        let errors: Vec<_> = errors.into_iter().filter(|error| !news || !error.echo).collect();
        if errors.is_empty() { None } else { Some(GroupError(Kind::Errors(errors))) }
    }

    /// Whether nothing failed, but the group's own scope was cancelled and cut the body short.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0, Kind::Cancelled(_))
    }

    /// The cancellation, if it is nothing else.
    pub fn cancelled(&self) -> Option<&Cancelled> {
        match &self.0 {
            Kind::Cancelled(cancelled) => Some(cancelled),
            Kind::Errors(_) => None,
        }
    }

    /// The error that came first.
    pub fn first(&self) -> Option<&ChildError> {
        self.errors().first()
    }

    /// How many errors there are; none for a cancellation.
    #[expect(clippy::len_without_is_empty, reason = "`is_cancelled` is the question to ask")]
    pub fn len(&self) -> usize {
        self.errors().len()
    }

    /// The errors in order of occurrence.
    pub fn iter(&self) -> std::slice::Iter<'_, ChildError> {
        self.errors().iter()
    }

    /// The first error, if it is an `E`.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.first().and_then(|first| first.error.downcast_ref())
    }

    /// The only error, if it is an `E`.
    ///
    /// # Errors
    ///
    /// Itself, when there are several, none, or it is of another type.
    pub fn downcast<E: Error + 'static>(self) -> Result<E, GroupError> {
        match self.into_single() {
            Ok(single) => {
                let ChildError { task, error, echo } = single;
                match error.downcast::<E>() {
                    Ok(error) => Ok(*error),
                    Err(error) => Err(GroupError(Kind::Errors(vec![ChildError { task, error, echo }]))),
                }
            }
            Err(other) => Err(other),
        }
    }

    fn into_single(self) -> Result<ChildError, GroupError> {
        match self.0 {
            Kind::Errors(mut errors) if errors.len() == 1 => match errors.pop() {
                Some(error) => Ok(error),
                None => Err(GroupError(Kind::Errors(errors))),
            },
            kind => Err(GroupError(kind)),
        }
    }

    fn errors(&self) -> &[ChildError] {
        match &self.0 {
            Kind::Cancelled(_) => &[],
            Kind::Errors(errors) => errors,
        }
    }

    fn single(&self) -> Option<&ChildError> {
        match self.errors() {
            [only] => Some(only),
            _ => None,
        }
    }
}

impl<'a> IntoIterator for &'a GroupError {
    type Item = &'a ChildError;
    type IntoIter = std::slice::Iter<'a, ChildError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Cancelled(cancelled) => write!(f, "task group {cancelled}"),
            Kind::Errors(errors) => match errors.as_slice() {
                [only] => only.error.fmt(f),
                many => {
                    write!(f, "{} errors in a task group: ", many.len())?;
                    for (index, error) in many.iter().enumerate() {
                        let comma = if index == 0 { "" } else { "; " };
                        write!(f, "{comma}{error}")?;
                    }
                    Ok(())
                }
            },
        }
    }
}

impl fmt::Debug for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Cancelled(cancelled) => f.debug_tuple("GroupError").field(cancelled).finish(),
            Kind::Errors(errors) => f.debug_tuple("GroupError").field(errors).finish(),
        }
    }
}

impl Error for GroupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Kind::Cancelled(cancelled) => Some(cancelled),
            Kind::Errors(errors) => match errors.as_slice() {
                [only] => only.error.source(),
                many => many.first().map(|first| &*first.error as &(dyn Error + 'static)),
            },
        }
    }
}

impl From<GroupError> for io::Error {
    /// A single `io::Error` comes back as itself, a deadline is `TimedOut`, the rest is `Other`.
    fn from(error: GroupError) -> io::Error {
        let timed_out = match (&error.0, error.single()) {
            (Kind::Cancelled(cancelled), _) => cancelled.cause() == Cause::Deadline,
            (_, Some(single)) => single.error.is::<TimedOut>(),
            _ => false,
        };
        if timed_out {
            return io::Error::new(io::ErrorKind::TimedOut, error);
        }
        error.downcast::<io::Error>().unwrap_or_else(io::Error::other)
    }
}

impl ChildError {
    pub(crate) fn of_task(task: Label, error: BoxError) -> ChildError {
        ChildError { task: Some(task), error, echo: false }
    }

    pub(crate) fn of_body(error: BoxError) -> ChildError {
        ChildError { task: None, error, echo: false }
    }

    /// Notes whether it only repeats what a group has or will have: `cancelled` says whether the
    /// group that records it is cancelled.
    pub(crate) fn note_echo(&mut self, cancelled: bool) {
        self.echo = self
            .error
            .downcast_ref::<TaskEnded>()
            .is_some_and(|ended| ended.is_echo() || cancelled && ended.is_cancelled());
    }

    /// Whether the child's starter has the real one.
    pub(super) fn is_told_elsewhere(&self) -> bool {
        self.error.is::<ToldTheStarter>()
    }

    /// Whether it is a cancellation that came back through a handle.
    pub(crate) fn is_cancelled_echo(&self) -> bool {
        self.echo && self.error.downcast_ref::<TaskEnded>().is_some_and(TaskEnded::is_cancelled)
    }

    /// The name of the task that failed; none for the body.
    pub fn task_name(&self) -> Option<&str> {
        self.task.as_ref().map(Label::name)
    }

    /// The error.
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.error
    }

    /// The error itself.
    pub fn into_error(self) -> BoxError {
        self.error
    }
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.task {
            Some(task) => write!(f, "[{task}] {}", self.error),
            None => write!(f, "[body] {}", self.error),
        }
    }
}

impl fmt::Debug for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildError").field("task", &self.task).field("error", &self.error).finish()
    }
}

/// A task that its runtime has dropped before it had ended.
#[derive(Debug, thiserror::Error)]
#[error("the runtime dropped task {0} before it had ended: it was shut down, or it breaks its promise")]
pub(crate) struct Lost(String);

impl Lost {
    pub(crate) fn new(label: String) -> Lost {
        Lost(label)
    }
}
