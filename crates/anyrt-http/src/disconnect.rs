//! What becomes of a request whose client leaves: the route says it, the connection does it.

use std::cell::{Cell, OnceCell};

use anyrt::sync::Event;

/// What becomes of a request whose client leaves before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Disconnect {
    /// It is cancelled: dropped at its next await, but for what holds in it.
    #[default]
    Cancel,
    /// It goes on, without being told. A client that ended only its sending side is still answered.
    Detach,
    /// As `Detach`, and the handler can learn of it.
    Notify,
}

/// A request on its way to its route, which says what becomes of it when the client leaves.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    disconnect: Cell<Disconnect>,
    gone: OnceCell<Event>,
}

impl Arrival {
    /// Called by the route, before its handler begins.
    #[allow(dead_code, reason = "for routes that say so")]
    pub(crate) fn on_disconnect(&self, disconnect: Disconnect) {
        self.disconnect.set(disconnect);
    }

    /// Set when the client has left, of a route that goes on: [`Disconnect::Notify`].
    #[allow(dead_code, reason = "for routes that ask")]
    pub(crate) fn gone(&self) -> &Event {
        self.gone.get_or_init(Event::new)
    }

    /// What the route has said.
    pub(crate) fn said(self) -> Leaving {
        Leaving { disconnect: self.disconnect.get(), gone: self.gone.into_inner() }
    }
}

/// What a route has said about a client that leaves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leaving {
    pub(crate) disconnect: Disconnect,
    pub(crate) gone: Option<Event>,
}

impl Leaving {
    /// Whether the handler goes on; then it is told, if it asked.
    pub(crate) fn goes_on(&self) -> bool {
        if self.disconnect == Disconnect::Cancel {
            return false;
        }
        if let Some(gone) = &self.gone {
            gone.set();
        }
        true
    }
}
