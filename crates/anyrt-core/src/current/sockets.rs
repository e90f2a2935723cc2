//! What a backend does for sockets: std sockets that a runtime adopts, and what it gives for them.

use std::fmt;
use std::io::Result as IoResult;
use std::net::SocketAddr;

use async_trait::async_trait;
use futures_io::{AsyncRead, AsyncWrite};
use socket2::SockRef;

/// The address of a peer: where [`Runtime::connect`](crate::Runtime::connect) connects to, what [`Listener::accept`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

/// A connected std socket that a runtime is asked to adopt.
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamSocket {
    /// A TCP stream.
    Tcp(std::net::TcpStream),
    /// A Unix stream.
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

/// A listening std socket that a runtime is asked to adopt.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenerSocket {
    /// A TCP listener.
    Tcp(std::net::TcpListener),
    /// A Unix listener.
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener),
}

/// A bound std datagram socket that a runtime is asked to adopt.
#[derive(Debug)]
#[non_exhaustive]
pub enum DatagramSocket {
    /// A UDP socket.
    Udp(std::net::UdpSocket),
}

/// A connected byte stream of a runtime.
///
/// Reads and writes follow the `futures` traits: one waiter a direction, the latest waker counts.
/// `poll_close` shuts down the sending side.
pub trait Stream: AsyncRead + AsyncWrite + fmt::Debug + Unpin + Send + Sync {
    /// The socket underneath, for addresses and options.
    fn socket(&self) -> SockRef<'_>;
}

/// A listener of a runtime. Any number of tasks may wait in [`accept`](Listener::accept) at once.
#[async_trait]
pub trait Listener: fmt::Debug + Send + Sync {
    /// Accepts one connection; beside it the address of the peer, as the system told it then. None where the peer has
    /// none, such as a Unix socket that was not bound to a path.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no connection.
    async fn accept(&self) -> IoResult<(Box<dyn Stream>, Option<Address>)>;

    /// The socket underneath, for addresses and options.
    fn socket(&self) -> SockRef<'_>;
}

/// A datagram socket of a runtime. Any number of tasks may wait in each direction at once.
#[async_trait]
pub trait Datagram: fmt::Debug + Send + Sync {
    /// Sends one datagram; the number of bytes sent.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready sends nothing.
    async fn send_to(&self, bytes: &[u8], to: SocketAddr) -> IoResult<usize>;

    /// Receives one datagram, cut to the buffer's length; the number of bytes and the sender.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no datagram.
    async fn recv_from(&self, buffer: &mut [u8]) -> IoResult<(usize, SocketAddr)>;

    /// The socket underneath, for addresses and options.
    fn socket(&self) -> SockRef<'_>;
}
