//! Handlers that count as alive, for the server's report.

use std::sync::Arc;

use crate::attended::Home;
use crate::connection::Connection;

/// A handler that counts as alive, wherever it is, until this is dropped.
pub(crate) struct Alive(Option<Arc<Connection>>);

impl Alive {
    pub(crate) fn of(home: &Home) -> Self {
        let Home::Server(connection) = home else { return Alive(None) };
        connection.counters().handler_begins();
        Alive(Some(Arc::clone(connection)))
    }

    /// It has ended by itself.
    pub(crate) fn ends(&self) {
        if let Some(connection) = &self.0
            && connection.server.is_stopping()
        {
            connection.counters().handler_finished();
        }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.counters().handler_is_gone();
        }
    }
}
