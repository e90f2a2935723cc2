//! Apps that are served.

use std::future::Future;
use std::sync::Arc;

use anyrt::net::TcpListener;
use anyrt::{Either, race};
use futures_util::FutureExt;

use super::{Server, What, run, told_to_stop};
use crate::app::lifespan::Planned;
use crate::app::service::AppService;
use crate::app::{App, startup};
use crate::base::error::{Error, Result};

impl App {
    /// Serves on this address until Ctrl-C or SIGTERM, then ends gracefully: no new connections, what
    /// was begun is finished, and after [`Limits::shutdown`](crate::Limits::shutdown) what still runs is cancelled.
    ///
    /// # Errors
    ///
    /// The first mistake, before a socket is opened; [`Error::Listen`] if the address cannot be used.
    ///
    /// # Panics
    ///
    /// Outside of any runtime, naming the cure.
    ///
    /// # Cancel safety
    ///
    /// Dropped or cancelled, it closes the listener and cancels all requests; what holds in them is
    /// brought to an end by the enclosing scope.
    pub async fn serve(self, address: &str) -> Result<()> {
        let built = self.build()?;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| Error::Listen { address: address.to_owned(), source })?;
        serve(built, listener, told_to_stop()).await
    }

    /// Serves on a listener until `stop` is ready, then ends as [`serve`](App::serve) does.
    ///
    /// # Errors
    ///
    /// The first mistake: see [`Error`].
    ///
    /// # Panics
    ///
    /// Outside of any runtime, naming the cure.
    ///
    /// # Cancel safety
    ///
    /// As [`serve`](App::serve).
    pub async fn serve_until(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<()> {
        serve(self.build()?, listener, stop.map(Ok)).await
    }

    /// A server of this app, to be told where it listens.
    pub fn server(self) -> Server {
        let built = self.build();
        let limits = built.as_ref().map(|(service, _)| service.limits().clone()).unwrap_or_default();
        Server::of(built.map(|(service, lifespans)| What::App(service, lifespans)), limits)
    }
}

/// Serves between start and end of an app; a lifespan that ends by itself stops it, too.
async fn serve(
    (service, lifespans): (AppService, Vec<Planned>),
    listener: TcpListener,
    stop: impl Future<Output = Result<()>> + Send,
) -> Result<()> {
    let (core, limits) = (Arc::clone(service.core()), service.limits().clone());
    Box::pin(startup::around(core, lifespans, async move |failing| {
        let stop = race(stop, failing.wait()).map(|first| match first {
            Either::Left(stopped) => stopped,
            Either::Right(()) => Ok(()),
        });
        run(listener, Arc::new(service), limits, stop).await
    }))
    .await
}
