//! Datagram sockets: std's UDP sockets on async-io, the reactor.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use anyrt_core::net::DatagramSocket;
use async_io::Async;
use async_trait::async_trait;
use socket2::SockRef;

/// A datagram socket.
#[derive(Debug)]
pub(crate) struct Datagram(Async<UdpSocket>);

impl Datagram {
    /// Adopts `socket`.
    pub(crate) fn adopt(socket: DatagramSocket) -> io::Result<Datagram> {
        // `Async::new` sets non-blocking mode.
        match socket {
            DatagramSocket::Udp(socket) => Async::new(socket).map(Datagram),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

#[async_trait]
impl anyrt_core::net::Datagram for Datagram {
    async fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.0.send_to(bytes, to).await
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.recv_from(buffer).await
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self.0.get_ref())
    }
}
