//! How the parts of a [`TaskTree`](super::TaskTree) that are not plain numbers and names are written as JSON.

use std::panic::Location;
use std::time::Duration;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::tree::{Cancelled, Cause, TaskId};

impl Serialize for TaskId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.number())
    }
}

/// As `file:line:column`.
pub(super) fn place<S: Serializer>(
    place: &Option<&'static Location<'static>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match place {
        Some(place) => serializer.collect_str(place),
        None => serializer.serialize_none(),
    }
}

pub(super) fn seconds<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    span.map(|span| span.as_secs_f64()).serialize(serializer)
}

pub(super) fn cancelled<S: Serializer>(cause: &Option<Cancelled>, serializer: S) -> Result<S::Ok, S::Error> {
    cause.as_ref().map(Story).serialize(serializer)
}

struct Story<'a>(&'a Cancelled);

impl Serialize for Story<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Story(story) = self;
        let cause = match story.cause() {
            Cause::Deadline => "deadline",
            Cause::Explicit => "explicit",
            Cause::SiblingFailed => "sibling-failed",
            Cause::Shutdown => "shutdown",
            Cause::NoLongerNeeded => "no-longer-needed",
            Cause::Dropped => "dropped",
            Cause::GraceOver => "grace-over",
        };
        let mut out = serializer.serialize_struct("Cancelled", 5)?;
        out.serialize_field("cause", cause)?;
        out.serialize_field("reason", &story.reason())?;
        out.serialize_field("task", &story.task())?;
        out.serialize_field("at", &story.location().to_string())?;
        out.serialize_field("text", &story.to_string())?;
        out.end()
    }
}
