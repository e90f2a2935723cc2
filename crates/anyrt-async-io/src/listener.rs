//! Listeners: std's TCP and Unix listeners on async-io, the reactor.

use std::io;
use std::net::TcpListener;
#[cfg(unix)]
use std::os::unix::net::UnixListener;

use anyrt_core::net::{Address, ListenerSocket};
use async_io::Async;
use async_trait::async_trait;
use socket2::SockRef;

use crate::stream::Stream;

/// A listener.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(Async<TcpListener>),
    #[cfg(unix)]
    Unix(Async<UnixListener>),
}

impl Listener {
    /// Adopts `socket`.
    pub(crate) fn adopt(socket: ListenerSocket) -> io::Result<Listener> {
        // `Async::new` sets non-blocking mode.
        match socket {
            ListenerSocket::Tcp(socket) => Async::new(socket).map(Listener::Tcp),
            #[cfg(unix)]
            ListenerSocket::Unix(socket) => Async::new(socket).map(Listener::Unix),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

#[async_trait]
impl anyrt_core::net::Listener for Listener {
    // The async methods keep a list of waiters; the poll methods would keep only the last one.
    async fn accept(&self) -> io::Result<(Box<dyn anyrt_core::net::Stream>, Option<Address>)> {
        Ok(match self {
            Listener::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                (Box::new(Stream::Tcp(stream)), Some(Address::Tcp(peer)))
            }
            #[cfg(unix)]
            Listener::Unix(socket) => {
                let (stream, peer) = socket.accept().await?;
                (
                    Box::new(Stream::Unix(stream)),
                    peer.as_pathname().map(|path| Address::Unix(path.to_owned())),
                )
            }
        })
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Listener::Tcp(socket) => SockRef::from(socket.get_ref()),
            #[cfg(unix)]
            Listener::Unix(socket) => SockRef::from(socket.get_ref()),
        }
    }
}
