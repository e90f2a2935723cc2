//! The group or run that a task belongs to.

use crate::base::sync::Arc;
use crate::current::handle::Handle;
use crate::group::GroupState;

/// The group of a task, and with it the run: one reference, because each costs a task two atomic instructions.
#[derive(Clone)]
pub(crate) enum Home {
    /// A group that a program has opened; it knows its run.
    Group(Arc<GroupState>),
    /// The root group of a run.
    Root(Handle),
}

impl Home {
    pub(crate) fn group(&self) -> &Arc<GroupState> {
        match self {
            Home::Group(group) => group,
            Home::Root(handle) => &handle.0.shared.root,
        }
    }

    pub(crate) fn handle(&self) -> &Handle {
        match self {
            Home::Group(group) => group.handle(),
            Home::Root(handle) => handle,
        }
    }
}
