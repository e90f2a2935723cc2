//! Listeners: tokio's TCP and Unix listeners.

use std::io;

use anyrt_core::net::{Address, ListenerSocket};
use async_trait::async_trait;
use socket2::SockRef;
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::runtime::Handle;

use crate::context::within;
use crate::stream::Stream;

/// A listener, and the runtime that its connections belong to.
#[derive(Debug)]
pub(crate) struct Listener {
    handle: Handle,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listener {
    /// Adopts `socket` into the runtime of `handle`.
    pub(crate) fn adopt(handle: &Handle, socket: ListenerSocket) -> io::Result<Listener> {
        let _entered = handle.enter();
        let socket = match socket {
            ListenerSocket::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                Socket::Tcp(TcpListener::from_std(socket)?)
            }
            #[cfg(unix)]
            ListenerSocket::Unix(socket) => {
                socket.set_nonblocking(true)?;
                Socket::Unix(UnixListener::from_std(socket)?)
            }
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Listener { handle: handle.clone(), socket })
    }
}

#[async_trait]
impl anyrt_core::net::Listener for Listener {
    // The async methods keep a list of waiters; the poll methods would keep only the last one.
    async fn accept(&self) -> io::Result<(Box<dyn anyrt_core::net::Stream>, Option<Address>)> {
        Ok(match &self.socket {
            Socket::Tcp(socket) => {
                let (stream, peer) = within(&self.handle, socket.accept()).await?;
                (Box::new(Stream::Tcp(stream)), Some(Address::Tcp(peer)))
            }
            #[cfg(unix)]
            Socket::Unix(socket) => {
                let (stream, peer) = within(&self.handle, socket.accept()).await?;
                (
                    Box::new(Stream::Unix(stream)),
                    peer.as_pathname().map(|path| Address::Unix(path.to_owned())),
                )
            }
        })
    }

    fn socket(&self) -> SockRef<'_> {
        match &self.socket {
            Socket::Tcp(socket) => SockRef::from(socket),
            #[cfg(unix)]
            Socket::Unix(socket) => SockRef::from(socket),
        }
    }
}
