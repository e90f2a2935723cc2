//! Where the code that is polled waits: noted by the leaf that is pending, kept by each node around it.
//!
//! The note is a thread-local cell. A leaf writes its place there when it passes the gate, and takes it back
//! when it is ready; a node reads the cell after a pending poll, under a lock that it takes anyway. Of several
//! leaves that one node polls, the last one that was pending counts.

use std::cell::{Cell, RefCell};
use std::panic::Location;

use super::task_info::TaskId;
use crate::base::sync::Arc;

/// A place in the source code of a caller.
pub(crate) type Called = &'static Location<'static>;

/// Where a future waits, and for what.
#[derive(Clone, Copy)]
pub(crate) struct Note {
    pub(crate) at: Called,
    /// One word, because each node keeps a note: the number of a task, or one of two constants.
    for_task: u64,
}

const NO_TASK: u64 = 0;
const ITS_HOLDER: u64 = u64::MAX;

/// The task that must make progress before the waiter can.
#[derive(PartialEq, Eq)]
pub(crate) enum WaitsFor {
    /// No task in particular.
    NoTask,
    /// This task, whose end is awaited.
    Task(TaskId),
    /// The task that has what the waiter wants: asked when the view is made.
    Holder,
}

/// The number of the task that has something that other tasks wait for; 0 is none.
///
/// Not from `sync`: only the task view reads it, and it is made behind a lock that is not modelled.
pub(crate) type Holder = Arc<std::sync::atomic::AtomicU64>;

impl Note {
    pub(crate) fn waits_for(self) -> WaitsFor {
        match (self.for_task, TaskId::from_number(self.for_task)) {
            (ITS_HOLDER, _) => WaitsFor::Holder,
            (_, Some(task)) => WaitsFor::Task(task),
            (_, None) => WaitsFor::NoTask,
        }
    }
}

crate::base::sync::thread_local! {
    /// Whether a leaf at an open gate is pending in what is polled: it may be handed something.
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

thread_local! {
    static NOTE: Cell<Option<Note>> = const { Cell::new(None) };
    /// The holder of the last leaf that noted [`WaitsFor::Holder`]. Apart from the note, so that other leaves do
    /// not pay for it.
    static HOLDER: RefCell<Option<Holder>> = const { RefCell::new(None) };
}

/// A leaf at an open gate is pending.
#[inline]
pub(crate) fn asks() {
    ASKED.with(|asked| asked.set(true));
}

/// Whether a leaf at an open gate is pending in what is polled.
pub(crate) fn has_asked() -> bool {
    ASKED.with(Cell::get)
}

/// Where a handle waits: where it is polled, if that is code of the user; else, in a combinator, at
/// `otherwise`.
pub(crate) fn awaited_at(polled: Called, otherwise: Called) -> Called {
    // The beginning of the paths of this crate and of the standard library.
    let ours = file!().rfind("src").map_or(file!(), |at| &file!()[..at]);
    let foreign = [ours, "/rustc/"].iter().any(|start| polled.file().starts_with(start));
    if foreign { otherwise } else { polled }
}

/// Notes that what is polled waits here until it is ready.
#[inline]
pub(crate) fn note(called: Called) {
    NOTE.set(Some(Note { at: called, for_task: NO_TASK }));
}

/// Notes that it waits for this task to end.
pub(crate) fn note_task(task: TaskId) {
    if let Some(note) = NOTE.get() {
        NOTE.set(Some(Note { for_task: task.number(), ..note }));
    }
}

/// Notes that it waits for the task that has something.
#[cold]
pub(crate) fn note_holder(holder: Holder) {
    if let Some(note) = NOTE.get() {
        NOTE.set(Some(Note { for_task: ITS_HOLDER, ..note }));
        let old = HOLDER.with_borrow_mut(|known| known.replace(holder));
        drop(old);
    }
}

/// The holder that belongs to the note.
#[cold]
pub(crate) fn holder() -> Option<Holder> {
    HOLDER.with_borrow(Option::clone)
}

/// As [`note`], where the place is known: the scopes of joins have none.
#[inline]
pub(crate) fn note_opt(called: Option<Called>) {
    if let Some(called) = called {
        note(called);
    }
}

#[inline]
pub(crate) fn noted() -> Option<Note> {
    NOTE.get()
}

/// Takes the note back: the leaf that left it is ready.
#[inline]
pub(crate) fn take_back(before: Option<Note>) {
    NOTE.set(before);
}

/// The note as it was before a node was polled.
#[derive(Clone, Copy)]
pub(crate) struct Before {
    note: Option<Note>,
    asked: bool,
}

/// The poll of a node begins, with no note. Returns the note of the poll around it.
#[inline]
pub(crate) fn begin() -> Before {
    Before { note: NOTE.take(), asked: ASKED.with(|asked| asked.replace(false)) }
}

/// The poll of a node has ended and is pending: the poll around it keeps the note of what this node waits for,
/// or if it has none, `before`.
#[inline]
pub(crate) fn end_pending(before: Before) {
    if NOTE.get().is_none() {
        NOTE.set(before.note);
    }
    if before.asked {
        asks();
    }
}

/// The poll has ended and is ready, or was that of another task: the poll around it gets its note back.
#[inline]
pub(crate) fn end(before: Before) {
    NOTE.set(before.note);
    ASKED.with(|asked| asked.set(before.asked));
}
