//! Streams: std's TCP and Unix streams on async-io, the reactor.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

#[cfg(unix)]
use anyrt_core::net::connect_unix;
use anyrt_core::net::{Address, StreamSocket};
use async_io::Async;
use futures_io::{AsyncRead, AsyncWrite};
use socket2::SockRef;

/// A connected stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(Async<TcpStream>),
    #[cfg(unix)]
    Unix(Async<UnixStream>),
}

impl Stream {
    /// Connects to `address`.
    pub(crate) async fn connect(address: &Address) -> io::Result<Stream> {
        match address {
            Address::Tcp(address) => Async::<TcpStream>::connect(*address).await.map(Stream::Tcp),
            #[cfg(unix)]
            Address::Unix(path) => Stream::adopt(StreamSocket::Unix(connect_unix(path)?)),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Adopts `socket`.
    pub(crate) fn adopt(socket: StreamSocket) -> io::Result<Stream> {
        // `Async::new` sets non-blocking mode.
        match socket {
            StreamSocket::Tcp(socket) => Async::new(socket).map(Stream::Tcp),
            #[cfg(unix)]
            StreamSocket::Unix(socket) => Async::new(socket).map(Stream::Unix),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn reader(&mut self) -> Pin<&mut (dyn AsyncRead + Unpin)> {
        match self {
            Stream::Tcp(stream) => Pin::new(stream),
            #[cfg(unix)]
            Stream::Unix(stream) => Pin::new(stream),
        }
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        match self {
            Stream::Tcp(stream) => Pin::new(stream),
            #[cfg(unix)]
            Stream::Unix(stream) => Pin::new(stream),
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.get_ref().shutdown(how),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.get_ref().shutdown(how),
        }
    }
}

impl anyrt_core::net::Stream for Stream {
    fn socket(&self) -> SockRef<'_> {
        match self {
            Stream::Tcp(stream) => SockRef::from(stream.get_ref()),
            #[cfg(unix)]
            Stream::Unix(stream) => SockRef::from(stream.get_ref()),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.reader().poll_read(cx, buffer)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.reader().poll_read_vectored(cx, buffers)
    }
}

impl AsyncWrite for Stream {
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

    // `Async` would only flush. That the peer is gone already is no error, as it is none to tokio.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.writer().poll_flush(cx))?;
        Poll::Ready(match self.shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        })
    }
}
