//! What ran where: the threads on which functions of each kind were seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde::Serialize;

/// The kinds of functions the layer calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    AsyncHandler,
    PlainHandler,
    AsyncDependency,
    PlainDependency,
}

/// The names of threads, by the kind of function that was seen on them.
#[derive(Default)]
pub(crate) struct Journal(Mutex<BTreeMap<Kind, BTreeSet<String>>>);

impl Journal {
    /// Notes that a function of this kind runs on this thread.
    pub(crate) fn note(&self, kind: Kind) {
        let name = thread::current().name().unwrap_or("a thread without a name").to_owned();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default().insert(name);
    }

    pub(crate) fn threads(&self) -> BTreeMap<Kind, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
