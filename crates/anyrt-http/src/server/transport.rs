//! What bytes come and go by: the streams that a server accepts.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::task::{Context, Poll};

use anyrt::net::TcpStream;
#[cfg(unix)]
use anyrt::net::UnixStream;
use futures_io::{AsyncRead, AsyncWrite};
#[cfg(feature = "tls")]
use futures_rustls::server::TlsStream;

#[cfg(feature = "tls")]
use super::connection::Connection;

/// An accepted stream.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<Noticed>>),
}

/// What is under TLS: the connection is told when bytes come, for its clock.
#[cfg(feature = "tls")]
#[derive(Debug)]
pub(crate) struct Noticed {
    transport: Transport,
    connection: Arc<Connection>,
}

impl Transport {
    fn reader(&mut self) -> Pin<&mut (dyn AsyncRead + Unpin)> {
        match self {
            Transport::Tcp(stream) => Pin::new(stream),
            #[cfg(unix)]
            Transport::Unix(stream) => Pin::new(stream),
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => Pin::new(&mut **stream),
        }
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        match self {
            Transport::Tcp(stream) => Pin::new(stream),
            #[cfg(unix)]
            Transport::Unix(stream) => Pin::new(stream),
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => Pin::new(&mut **stream),
        }
    }

    /// The other side's address, if it has one.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Transport::Tcp(stream) => stream.peer_addr().ok(),
            #[cfg(unix)]
            Transport::Unix(_) => None,
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.get_ref().0.transport.peer(),
        }
    }

    /// Whether several slices are written at once. TLS would make a record of each.
    pub(crate) fn is_write_vectored(&self) -> bool {
        #[cfg(feature = "tls")]
        if matches!(self, Transport::Tls(_)) {
            return false;
        }
        true
    }

    /// Tells the other side of TLS that this is the end, as far as that is possible at once.
    pub(crate) fn say_goodbye(&mut self) {
        #[cfg(feature = "tls")]
        if let Transport::Tls(stream) = self {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let _ = Pin::new(&mut **stream).poll_close(&mut cx);
        }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn noticed_by(self, connection: &Arc<Connection>) -> Noticed {
        Noticed { transport: self, connection: Arc::clone(connection) }
    }
}

#[cfg(feature = "tls")]
impl AsyncRead for Noticed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.transport).poll_read(cx, buffer);
        if matches!(poll, Poll::Ready(Ok(count)) if count > 0) {
            self.connection.first_bytes_came();
        }
        poll
    }
}

#[cfg(feature = "tls")]
impl AsyncWrite for Noticed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_close(cx)
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.reader().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writer().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writer().poll_write_vectored(cx, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_close(cx)
    }
}
