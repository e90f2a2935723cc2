//! What becomes of a request whose client leaves: the route says it, the connection does it.

use std::cell::{Cell, OnceCell};

use anyrt::sync::Event;

use crate::attended::Home;

/// What becomes of a request whose client leaves before it is answered.
///
/// Whoever asks by [`Client`](crate::Client) learns of it in every case, as far as it still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Disconnect {
    /// It is cancelled: dropped at its next await, but for what holds in it.
    #[default]
    Cancel,
    /// It goes on. A client that ended only its sending side is still answered.
    Detach,
    /// As `Detach`, of a handler that looks for it: that ends early by itself.
    Notify,
}

/// A request on its way to its route, which says what becomes of it when the client leaves.
#[derive(Debug)]
pub(crate) struct Arrival {
    home: Home,
    disconnect: Cell<Disconnect>,
    gone: OnceCell<Event>,
}

impl Arrival {
    /// Of a request that goes on at this place when its caller drops it.
    pub(crate) fn at(home: Home) -> Self {
        Arrival { home, disconnect: Cell::default(), gone: OnceCell::new() }
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// What becomes of it if its route says nothing.
    pub(crate) fn by_default(self, disconnect: Disconnect) -> Self {
        self.disconnect.set(disconnect);
        self
    }

    /// Called by the route, before its handler begins.
    pub(crate) fn on_disconnect(&self, disconnect: Disconnect) {
        self.disconnect.set(disconnect);
    }

    /// Set when the client has left. Of a route that does not ask it costs nothing.
    pub(crate) fn gone(&self) -> &Event {
        self.gone.get_or_init(Event::new)
    }

    /// What the route has said, and where the request goes on.
    pub(crate) fn said(self) -> (Home, Leaving) {
        (self.home, Leaving { disconnect: self.disconnect.get(), gone: self.gone.into_inner() })
    }
}

/// What a route has said about a client that leaves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leaving {
    pub(crate) disconnect: Disconnect,
    pub(crate) gone: Option<Event>,
}

impl Leaving {
    /// Tells the handler, if it asked; whether it goes on.
    pub(crate) fn goes_on(&self) -> bool {
        if let Some(gone) = &self.gone {
            gone.set();
        }
        self.disconnect != Disconnect::Cancel
    }
}
