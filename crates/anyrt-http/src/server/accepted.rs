//! A connection that was accepted, before anything was said on it.

#[cfg(feature = "tls")]
use std::future::Future;
use std::sync::Arc;

use anyrt::BoxError;

use super::connection::Connection;
#[cfg(feature = "tls")]
use super::connection::guarded;
#[cfg(feature = "tls")]
use super::deadlines::Which;
use super::stream::Protocol;
#[cfg(feature = "tls")]
use super::tls::Tls;
use super::transport::Transport;

/// A stream that was accepted, and what has to be done on it first.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) transport: Transport,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
}

impl Accepted {
    /// The stream to speak HTTP on, and the protocol if it was agreed on; none when the server stops
    /// before the client has said anything.
    ///
    /// # Errors
    ///
    /// Of the handshake, or that it took too long.
    #[cfg(feature = "tls")]
    pub(crate) async fn handshake(
        self,
        connection: &Arc<Connection>,
    ) -> Result<Option<(Transport, Option<Protocol>)>, BoxError> {
        let Some(tls) = self.tls else { return Ok(Some((self.transport, None))) };
        // Nothing else is written meanwhile: its clock is free.
        connection.watch().set(Which::Writing, connection.limits().handshake);
        // Boxed, so that connections without TLS need no room for it.
        let mut shaking = Box::pin(tls.accept(self.transport, connection));
        let shaken = guarded(connection, |cx| shaking.as_mut().poll(cx)).await;
        connection.watch().clear(Which::Writing);
        shaken
    }

    /// See above.
    #[cfg(not(feature = "tls"))]
    pub(crate) async fn handshake(
        self,
        _: &Arc<Connection>,
    ) -> Result<Option<(Transport, Option<Protocol>)>, BoxError> {
        Ok(Some((self.transport, None)))
    }
}
