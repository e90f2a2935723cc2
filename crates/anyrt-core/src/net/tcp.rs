//! TCP.

use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::ToAddresses;
use super::io::{gated_stream, leaf};
use super::resolve::first;
use crate::current::handle::Handle;
use crate::current::sockets::{Address, Listener, ListenerSocket, Stream, StreamSocket};
use crate::tree::site::Called;

/// How many connections may wait to be accepted, as far as the system agrees.
pub(super) const BACKLOG: i32 = 1024;

/// A TCP stream. Reads and writes are checkpoints that only wait.
#[derive(Debug)]
pub struct TcpStream {
    io: Box<dyn Stream>,
    /// Where it was connected, accepted or adopted.
    opened: Called,
}

gated_stream!(TcpStream);

impl TcpStream {
    /// Connects to the first address that answers.
    ///
    /// # Errors
    ///
    /// Of the resolver, naming the name; or of the last attempt, as the system tells it.
    ///
    /// # Panics
    ///
    /// Outside of any runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing stays open.
    #[track_caller]
    pub fn connect(address: impl ToAddresses) -> impl Future<Output = io::Result<TcpStream>> {
        let called = Location::caller();
        async move {
            let handle = Handle::current_for(called);
            first(address.to_addresses().await?, |address| {
                let (runtime, address) = (handle.runtime().clone(), Address::Tcp(address));
                async move {
                    let io = leaf(true, called, runtime.connect(&address)).await?;
                    Ok(TcpStream { io, opened: called })
                }
            })
            .await
        }
    }

    /// Adopts a connected std socket; sets it to non-blocking mode.
    ///
    /// # Errors
    ///
    /// When the runtime cannot adopt it.
    ///
    /// # Panics
    ///
    /// Outside of any runtime.
    #[track_caller]
    pub fn from_std(socket: std::net::TcpStream) -> io::Result<TcpStream> {
        let io = Handle::current().runtime().stream(StreamSocket::Tcp(socket))?;
        Ok(TcpStream { io, opened: Location::caller() })
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        internet(self.io.socket().local_addr()?)
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// Of the system; `NotConnected` after a reset.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        internet(self.io.socket().peer_addr()?)
    }

    /// Sets `TCP_NODELAY`: small writes are sent at once.
    ///
    /// # Errors
    ///
    /// Of the system.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.io.socket().set_tcp_nodelay(on)
    }

    /// The socket underneath, for options.
    pub fn socket(&self) -> socket2::SockRef<'_> {
        self.io.socket()
    }
}

/// A TCP listener. Any number of tasks may accept at once.
#[derive(Debug)]
pub struct TcpListener {
    io: Box<dyn Listener>,
}

impl TcpListener {
    /// Listens on the first address that is free. On Unix with `SO_REUSEADDR`, so that a server can
    /// be started again at once.
    ///
    /// # Errors
    ///
    /// Of the resolver, naming the name; or of the last attempt, as the system tells it: `AddrInUse` for a port in use.
    ///
    /// # Panics
    ///
    /// Outside of any runtime.
    #[track_caller]
    pub fn bind(address: impl ToAddresses) -> impl Future<Output = io::Result<TcpListener>> {
        let called = Location::caller();
        async move {
            let handle = Handle::current_for(called);
            first(address.to_addresses().await?, |address| {
                ready(listen(address).and_then(|socket| adopt(&handle, socket)))
            })
            .await
        }
    }

    /// Adopts a listening std socket; sets it to non-blocking mode.
    ///
    /// # Errors
    ///
    /// When the runtime cannot adopt it.
    ///
    /// # Panics
    ///
    /// Outside of any runtime.
    #[track_caller]
    pub fn from_std(socket: std::net::TcpListener) -> io::Result<TcpListener> {
        adopt(&Handle::current(), socket)
    }

    /// Accepts a connection; beside it the address of the client.
    ///
    /// # Errors
    ///
    /// Of the system; most of them (`ECONNABORTED`, too many open files) say nothing about the next
    /// call.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no connection is lost.
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> {
        let called = Location::caller();
        async move {
            let (io, peer) = leaf(true, called, self.io.accept()).await?;
            let stream = TcpStream { io, opened: called };
            let peer = match peer {
                Some(Address::Tcp(peer)) => peer,
                _ => stream.peer_addr()?,
            };
            Ok((stream, peer))
        }
    }

    /// The address that it listens on; with the port that was found, if zero was asked for.
    ///
    /// # Errors
    ///
    /// Of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        internet(self.io.socket().local_addr()?)
    }

    /// The socket underneath, for options.
    pub fn socket(&self) -> socket2::SockRef<'_> {
        self.io.socket()
    }
}

fn adopt(handle: &Handle, socket: std::net::TcpListener) -> io::Result<TcpListener> {
    Ok(TcpListener { io: handle.runtime().listen(ListenerSocket::Tcp(socket))? })
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    // On Windows it would let two servers share a port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

pub(super) fn internet(address: socket2::SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no internet address"))
}
