//! Where the code that is polled waits: noted by the leaf that is pending, kept by each node around it.
//!
//! The note is a cell of the thread. A leaf leaves its place there when it passes the gate and takes it back when
//! it is ready; a node reads it after a poll that was pending, under a lock that it takes anyway. Of
//! several leaves that one node polls, the last one that was pending counts.

use std::cell::{Cell, RefCell};
use std::panic::Location;

use super::task_info::TaskId;
use crate::base::sync::Arc;

/// A place in somebody's code.
pub(crate) type Called = &'static Location<'static>;

/// Where something waits, and for whom.
#[derive(Clone, Copy)]
pub(crate) struct Note {
    pub(crate) at: Called,
    /// One word, because each node keeps a note: the number of a task, or one of these two.
    whom: u64,
}

const NOBODY: u64 = 0;
const HOLDER_OF_IT: u64 = u64::MAX;

/// Which task must go on before who waits can.
#[derive(PartialEq, Eq)]
pub(crate) enum Whom {
    /// None in particular.
    Nobody,
    /// This one, which is to end.
    Task(TaskId),
    /// Who has what is waited for, whoever that is by then: asked when somebody looks.
    Holder,
}

/// The number of the task that has something which others wait for; 0 is none.
///
/// Not from the switchable module: only the task view reads it, and it is made behind a lock that is not modelled.
pub(crate) type Holder = Arc<std::sync::atomic::AtomicU64>;

impl Note {
    pub(crate) fn whom(self) -> Whom {
        match (self.whom, TaskId::from_number(self.whom)) {
            (HOLDER_OF_IT, _) => Whom::Holder,
            (_, Some(task)) => Whom::Task(task),
            (_, None) => Whom::Nobody,
        }
    }
}

crate::base::sync::thread_local! {
    /// Whether what is polled has left a leaf waiting that was not cancelled: it may be handed something.
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

thread_local! {
    static NOTE: Cell<Option<Note>> = const { Cell::new(None) };
    /// That of the last leaf that noted [`Whom::Holder`]. Apart, so that others do not pay for it.
    static HOLDER: RefCell<Option<Holder>> = const { RefCell::new(None) };
}

/// A leaf that is not cancelled is pending.
#[inline]
pub(crate) fn asks() {
    ASKED.with(|asked| asked.set(true));
}

/// Whether a leaf that was not cancelled is pending in what is polled.
pub(crate) fn has_asked() -> bool {
    ASKED.with(Cell::get)
}

/// Where a handle waits: in the code that polls it, or, where a combinator does, at `otherwise`.
pub(crate) fn awaited_at(polled: Called, otherwise: Called) -> Called {
    // The start of the paths of this crate, and of the standard library.
    let ours = file!().rfind("src").map_or(file!(), |at| &file!()[..at]);
    let foreign = [ours, "/rustc/"].iter().any(|start| polled.file().starts_with(start));
    if foreign { otherwise } else { polled }
}

/// What is polled waits here, until it is ready.
#[inline]
pub(crate) fn note(called: Called) {
    NOTE.set(Some(Note { at: called, whom: NOBODY }));
}

/// It waits for this task to end.
pub(crate) fn note_task(task: TaskId) {
    if let Some(note) = NOTE.get() {
        NOTE.set(Some(Note { whom: task.number(), ..note }));
    }
}

/// It waits for who has something.
#[cold]
pub(crate) fn note_holder(holder: Holder) {
    if let Some(note) = NOTE.get() {
        NOTE.set(Some(Note { whom: HOLDER_OF_IT, ..note }));
        let old = HOLDER.with_borrow_mut(|known| known.replace(holder));
        drop(old);
    }
}

/// The holder that belongs to the note.
#[cold]
pub(crate) fn holder() -> Option<Holder> {
    HOLDER.with_borrow(Option::clone)
}

/// The same, where the place is known: the scopes of joins have none.
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

/// The note is taken back: what left it is ready.
#[inline]
pub(crate) fn take_back(before: Option<Note>) {
    NOTE.set(before);
}

/// What was noted where a node is polled, before that.
#[derive(Clone, Copy)]
pub(crate) struct Before {
    note: Option<Note>,
    asked: bool,
}

/// The poll of a node begins, with no note; what it is polled in has this one.
#[inline]
pub(crate) fn begin() -> Before {
    Before { note: NOTE.take(), asked: ASKED.with(|asked| asked.replace(false)) }
}

/// The poll of a node has ended, pending: around it counts what it waits for, else what was `before`.
#[inline]
pub(crate) fn end_pending(before: Before) {
    if NOTE.get().is_none() {
        NOTE.set(before.note);
    }
    if before.asked {
        asks();
    }
}

/// It has ended, ready, or the poll of another task has: around it counts what was `before`.
#[inline]
pub(crate) fn end(before: Before) {
    NOTE.set(before.note);
    ASKED.with(|asked| asked.set(before.asked));
}
