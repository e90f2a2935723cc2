//! What is counted in a round, and must be balanced at its end.

use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct Books {
    /// Whatever is played and alive.
    alive: AtomicIsize,
    steps: AtomicUsize,
    cleanups: Mutex<Vec<Arc<CleanUp>>>,
    closed: AtomicBool,
    faults: Mutex<Vec<String>>,
}

/// A clean-up that is promised.
#[derive(Debug)]
pub(crate) struct CleanUp {
    name: &'static str,
    /// Foreign code may drop it with its owner: it is polled in place.
    may_be_dropped: bool,
    promised: AtomicBool,
    begun: AtomicUsize,
    ended: AtomicUsize,
}

/// A group and what is around it: how many tasks live inside.
#[derive(Debug, Default)]
pub(crate) struct Members {
    alive: AtomicIsize,
    around: Option<Arc<Members>>,
}

/// Something that is played: alive until it is dropped.
pub(crate) struct Alive {
    books: Arc<Books>,
    inside: Option<Arc<Members>>,
}

impl Books {
    pub(crate) fn step(&self) {
        self.steps.fetch_add(1, SeqCst);
        if self.closed.load(SeqCst) {
            self.fault("a step after the end of the run".into());
        }
    }

    pub(crate) fn steps(&self) -> usize {
        self.steps.load(SeqCst)
    }

    pub(crate) fn fault(&self, what: String) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    pub(crate) fn clean_up(&self, name: &'static str, may_be_dropped: bool) -> Arc<CleanUp> {
        let (promised, begun, ended) = Default::default();
        let new = Arc::new(CleanUp { name, may_be_dropped, promised, begun, ended });
        self.cleanups.lock().unwrap_or_else(PoisonError::into_inner).push(new.clone());
        new
    }

    /// The run has ended.
    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
        let alive = self.alive.load(SeqCst);
        if alive != 0 {
            self.fault(format!("{alive} outlive the run"));
        }
        for cleanup in self.cleanups.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let counts =
                (cleanup.promised.load(SeqCst), cleanup.begun.load(SeqCst), cleanup.ended.load(SeqCst));
            let may_be_dropped = cleanup.may_be_dropped;
            match counts {
                (true, 1, 1) | (false, 0, 0) => (),
                (true, 0..=1, 0) if may_be_dropped => (),
                _ => self.fault(format!("{}: (promised, begun, ended) = {counts:?}", cleanup.name)),
            }
        }
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many clean-ups were made, in full.
    pub(crate) fn cleaned(&self) -> usize {
        let cleanups = self.cleanups.lock().unwrap_or_else(PoisonError::into_inner);
        cleanups.iter().filter(|cleanup| cleanup.ended.load(SeqCst) > 0).count()
    }
}

impl CleanUp {
    /// From here on it must run.
    pub(crate) fn promise(&self) {
        self.promised.store(true, SeqCst);
    }

    pub(crate) fn begins(&self) {
        self.begun.fetch_add(1, SeqCst);
    }

    pub(crate) fn ends(&self) {
        self.ended.fetch_add(1, SeqCst);
    }
}

impl Members {
    pub(crate) fn inside(around: Option<Arc<Members>>) -> Arc<Members> {
        Arc::new(Members { alive: AtomicIsize::new(0), around })
    }

    pub(crate) fn alive(&self) -> isize {
        self.alive.load(SeqCst)
    }

    fn count(mut members: Option<&Arc<Members>>, by: isize) {
        while let Some(group) = members {
            group.alive.fetch_add(by, SeqCst);
            members = group.around.as_ref();
        }
    }
}

impl Alive {
    /// `inside`: the group that waits for it, and those around that.
    pub(crate) fn new(books: &Arc<Books>, inside: Option<&Arc<Members>>) -> Alive {
        books.alive.fetch_add(1, SeqCst);
        Members::count(inside, 1);
        Alive { books: books.clone(), inside: inside.cloned() }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        Members::count(self.inside.as_ref(), -1);
        self.books.alive.fetch_sub(1, SeqCst);
        if self.books.closed.load(SeqCst) {
            self.books.fault("dropped after the end of the run".into());
        }
    }
}
