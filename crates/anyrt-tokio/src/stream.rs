//! Streams: tokio's TCP and Unix streams behind the `futures` traits.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

#[cfg(unix)]
use anyrt_core::net::connect_unix;
use anyrt_core::net::{Address, StreamSocket};
use futures_io::{AsyncRead, AsyncWrite};
use socket2::SockRef;
use tokio::io::{AsyncRead as TokioRead, AsyncWrite as TokioWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// A connected stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    /// Connects to `address`. To be awaited with the runtime entered.
    pub(crate) async fn connect(address: &Address) -> io::Result<Stream> {
        match address {
            Address::Tcp(address) => TcpStream::connect(address).await.map(Stream::Tcp),
            #[cfg(unix)]
            Address::Unix(path) => Stream::adopt(StreamSocket::Unix(connect_unix(path)?)),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Adopts `socket`. To be called with the runtime entered.
    pub(crate) fn adopt(socket: StreamSocket) -> io::Result<Stream> {
        match socket {
            StreamSocket::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                TcpStream::from_std(socket).map(Stream::Tcp)
            }
            #[cfg(unix)]
            StreamSocket::Unix(socket) => {
                socket.set_nonblocking(true)?;
                UnixStream::from_std(socket).map(Stream::Unix)
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn reader(&mut self) -> Pin<&mut (dyn TokioRead + Unpin)> {
        match self {
            Stream::Tcp(stream) => Pin::new(stream),
            #[cfg(unix)]
            Stream::Unix(stream) => Pin::new(stream),
        }
    }

    fn writer(&mut self) -> Pin<&mut (dyn TokioWrite + Unpin)> {
        match self {
            Stream::Tcp(stream) => Pin::new(stream),
            #[cfg(unix)]
            Stream::Unix(stream) => Pin::new(stream),
        }
    }
}

impl anyrt_core::net::Stream for Stream {
    fn socket(&self) -> SockRef<'_> {
        match self {
            Stream::Tcp(stream) => SockRef::from(stream),
            #[cfg(unix)]
            Stream::Unix(stream) => SockRef::from(stream),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(self.reader().poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
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

    // Shuts down the sending side; that the peer is gone already is no error to tokio.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_shutdown(cx)
    }
}
