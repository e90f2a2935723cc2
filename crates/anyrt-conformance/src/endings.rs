//! Ends of tasks that a case can recognise: by an error, by being dropped.

use std::fmt;
use std::sync::Arc;

use anyrt_core::{Event, GroupError, shield};

/// An error with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) &'static str);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failure {}", self.0)
    }
}

impl std::error::Error for Failure {}

/// The names of the [`Failure`]s that are members of `error`, in its order. Members of another type,
/// such as nested groups, are left out.
pub(crate) fn failures(error: &GroupError) -> Vec<&'static str> {
    error
        .iter()
        .filter_map(|child| child.error().downcast_ref::<Failure>())
        .map(|failure| failure.0)
        .collect()
}

/// Waits for `release`, whatever is cancelled meanwhile, then fails.
pub(crate) async fn fails_after(release: Arc<Event>, name: &'static str) -> Result<(), Failure> {
    shield(async { release.wait().await }).await;
    Err(Failure(name))
}

/// Sets an event when it is dropped.
pub(crate) struct SetsOnDrop(pub(crate) Arc<Event>);

impl Drop for SetsOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}
