//! A tracing span for each task, which follows it to each thread that polls it, and into its blocking jobs.
//!
//! It travels with the task-locals, which do the same. Made only if a subscriber wants it: otherwise a spawn
//! pays a look at the level, and a poll nothing.

use std::any::Any;
use std::sync::OnceLock;

use tracing::Span;
use tracing::span::EnteredSpan;

use crate::base::sync::Arc;
use crate::current::context;
use crate::current::locals::{Entry, Locals};
use crate::observe::Reason;
use crate::tree::TaskInfo;

/// Its address is the key of the span among the task-locals.
static KEY: u8 = 0;

/// Set with the first span, for the rest of the process.
static REASON: OnceLock<Reason> = OnceLock::new();

/// The task-locals of a task, with its span if a subscriber wants it.
#[inline]
pub(crate) fn add(locals: Locals, info: &TaskInfo) -> Locals {
    if !tracing::enabled!(target: "anyrt::task", tracing::Level::DEBUG) {
        return locals;
    }
    make(locals, info)
}

#[cold]
fn make(locals: Locals, info: &TaskInfo) -> Locals {
    let span = tracing::debug_span!(target: "anyrt::task", "task", name = info.name(), id = %info.id());
    if span.is_disabled() {
        return locals;
    }
    REASON.get_or_init(Reason::new);
    let value: Arc<dyn Any + Send + Sync> = Arc::new(span);
    Some(Arc::new(Entry::new(std::ptr::from_ref(&KEY).addr(), value, locals)))
}

/// Enters the span of the task whose locals are current.
pub(crate) fn enter() -> Option<EnteredSpan> {
    REASON.get()?;
    let found = context::with_locals(|locals| Entry::find(locals, std::ptr::from_ref(&KEY).addr()));
    found.and_then(|value| value.downcast_ref::<Span>().cloned()).map(Span::entered)
}
