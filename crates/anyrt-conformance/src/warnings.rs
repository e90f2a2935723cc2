//! Warnings, caught for a case that asks for one.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// The texts of the events of one target that happened on this thread while a closure ran.
#[derive(Debug, Clone)]
pub(crate) struct Warnings {
    target: &'static str,
    texts: Arc<Mutex<Vec<String>>>,
}

impl Warnings {
    pub(crate) fn of(target: &'static str) -> Warnings {
        Warnings { target, texts: Arc::default() }
    }

    /// Catches them while `run` runs.
    pub(crate) fn catch<T>(&self, run: impl FnOnce() -> T) -> T {
        // While there is one subscriber only, tracing asks the thread that comes to a place first, and
        // takes its answer for all. With a second one it asks each thread.
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| Dispatch::new(NoSubscriber::default()));
        tracing::subscriber::with_default(self.clone(), run)
    }

    /// What was caught so far: the fields of each event, one after the other.
    pub(crate) fn caught(&self) -> Vec<String> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == self.target
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).push(text.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = write!(self.0, "{field}={value:?} ");
    }
}
