//! Datagram sockets: tokio's UDP sockets.

use std::io;
use std::net::SocketAddr;

use anyrt_core::net::DatagramSocket;
use async_trait::async_trait;
use socket2::SockRef;
use tokio::net::UdpSocket;

/// A datagram socket.
#[derive(Debug)]
pub(crate) struct Datagram(UdpSocket);

impl Datagram {
    /// Adopts `socket`. To be called with the runtime entered.
    pub(crate) fn adopt(socket: DatagramSocket) -> io::Result<Datagram> {
        match socket {
            DatagramSocket::Udp(socket) => {
                socket.set_nonblocking(true)?;
                UdpSocket::from_std(socket).map(Datagram)
            }
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
        SockRef::from(&self.0)
    }
}
