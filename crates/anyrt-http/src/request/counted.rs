//! Handlers that count as alive, for the server's report.

use std::sync::Arc;

use super::home::{Home, Owner};

/// A handler that counts as alive, wherever it is, until this is dropped.
pub(crate) struct Counted(Option<Arc<dyn Owner>>);

impl Counted {
    pub(crate) fn at(home: &Home) -> Self {
        let owner = home.owner();
        if let Some(owner) = owner {
            owner.handler_begins();
        }
        Counted(owner.cloned())
    }

    /// It has ended by itself.
    pub(crate) fn ends(&self) {
        if let Some(owner) = &self.0 {
            owner.handler_ends();
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(owner) = &self.0 {
            owner.handler_is_gone();
        }
    }
}
