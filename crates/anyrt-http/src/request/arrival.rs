//! What becomes of a request whose client leaves: the route says it, the connection does it.

use std::cell::{Cell, OnceCell};

use anyrt::sync::Event;
use axum_core::extract::Request;

use super::home::Home;
use super::live::Live;
use crate::request::on_disconnect::Disconnect;

/// A request on its way to its route, which says what becomes of it when the client leaves.
#[derive(Debug)]
pub(crate) struct Arrival {
    home: Home,
    disconnect: Cell<Disconnect>,
    gone: OnceCell<Event>,
    /// Of an app that has a view.
    live: OnceCell<Live>,
}

impl Arrival {
    /// Of a request that goes on at this place when its caller drops it.
    pub(crate) fn at(home: Home) -> Self {
        Arrival { home, disconnect: Cell::default(), gone: OnceCell::new(), live: OnceCell::new() }
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

    pub(crate) fn is_followed_by(&self, live: &Live) {
        // Of the outermost app alone.
        let _ = self.live.set(live.clone());
    }

    pub(crate) fn live(&self) -> Option<&Live> {
        self.live.get()
    }

    /// Lets a request carry through a layer what is known of it.
    pub(crate) fn take_along(&self, request: &mut Request) {
        self.home.take_along(request);
        if let Some(live) = self.live() {
            request.extensions_mut().insert(live.clone());
        }
    }

    /// What a request carries.
    pub(crate) fn taken_along(request: &mut Request) -> Self {
        let arrival = Arrival::at(Home::taken_along(request));
        if let Some(live) = request.extensions_mut().remove() {
            arrival.is_followed_by(&live);
        }
        arrival
    }

    /// What the route has said, and where the request goes on.
    pub(crate) fn into_parts(self) -> (Home, Leaving) {
        let (disconnect, gone, live) =
            (self.disconnect.get(), self.gone.into_inner(), self.live.into_inner());
        (self.home, Leaving { disconnect, gone, live })
    }
}

/// What a route has said about a client that leaves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leaving {
    pub(crate) disconnect: Disconnect,
    pub(crate) gone: Option<Event>,
    pub(crate) live: Option<Live>,
}

impl Leaving {
    /// Sets what says that the client has left, for a handler that asked; returns whether the handler goes on.
    pub(crate) fn announce_client_left(&self) -> bool {
        if let Some(gone) = &self.gone {
            gone.set();
        }
        if let Some(live) = &self.live {
            live.client_left();
        }
        self.disconnect != Disconnect::Cancel
    }
}
