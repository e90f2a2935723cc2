//! The stack of what a request, or the app, has to undo.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use anyrt::blocking::Token;
use axum_core::response::Response;
use futures_util::FutureExt;

use super::outcome::Outcome;
use crate::base::contained::contained;
use crate::base::panics::report;

/// A teardown that was called: what remains to be done.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "passed on, and nowhere kept")]
pub enum Undoing {
    Async(Pin<Box<dyn Future<Output = Result<(), Response>> + Send>>),
    Blocking(Box<dyn FnOnce() -> Result<(), Response> + Send>),
}

/// What undoes one dependency. It knows its value.
pub(crate) type Undo = Box<dyn FnOnce(Outcome) -> Undoing + Send>;

/// One dependency that was made and has to be left.
pub(crate) struct Entry {
    /// The type of the dependency.
    pub(crate) name: &'static str,
    pub(crate) undo: Option<Undo>,
    /// Its token of `max_concurrency`, given back when it is undone.
    pub(crate) token: Option<Token>,
}

/// Dependencies that were made, last made last.
#[derive(Default)]
pub(crate) struct Stack(Vec<Entry>);

impl Stack {
    pub(crate) fn push(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Undoes all, last made first. Each that fails changes the outcome for the next ones, and its error goes to
    /// `failed`.
    ///
    /// # Cancel safety
    ///
    /// To be polled in a shield: dropped, the rest is not undone.
    pub(crate) async fn undo(self, outcome: &mut Outcome, mut failed: impl FnMut(&'static str, Response)) {
        for Entry { name, undo, token } in self.0.into_iter().rev() {
            if let Some(undo) = undo {
                let told = outcome.clone();
                match AssertUnwindSafe(async { run(undo(told)).await }).catch_unwind().await {
                    Ok(Ok(())) => {}
                    Ok(Err(response)) => {
                        *outcome = Outcome::of(&response);
                        // What it says of itself is code of others, too.
                        let _ = contained(|| failed(name, response));
                    }
                    Err(panic) => {
                        report(&*panic);
                        *outcome = Outcome::panicked(&*panic);
                    }
                }
            }
            drop(token);
        }
    }
}

/// A plain one runs in the pool without a token: nothing that handlers wait for can keep it from running.
async fn run(undoing: Undoing) -> Result<(), Response> {
    match undoing {
        Undoing::Async(undoing) => undoing.await,
        Undoing::Blocking(undoing) => anyrt::run_blocking(undoing).unlimited().name("teardown").await,
    }
}

/// Logs an error for which it is too late to answer the client with it.
pub(crate) fn told(name: &'static str, response: &Response) {
    let outcome = Outcome::of(response);
    tracing::error!(dependency = name, %outcome, "a teardown failed");
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|entry| entry.name)).finish()
    }
}
