//! Unix sockets.

use std::future::Future;
use std::io;
use std::panic::Location;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::io::{gated_stream, leaf};
use super::{Address, Listener, ListenerSocket, Stream, StreamSocket};
use crate::handle::Handle;
use crate::waits::Called;

/// A Unix stream. Reads and writes are checkpoints that only wait.
#[derive(Debug)]
pub struct UnixStream {
    io: Box<dyn Stream>,
    /// Where it was connected, accepted or adopted.
    opened: Called,
}

gated_stream!(UnixStream);

impl UnixStream {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    ///
    /// Of the system, naming the path.
    ///
    /// # Panics
    ///
    /// Outside of any runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing stays open.
    #[track_caller]
    pub fn connect(path: impl AsRef<Path>) -> impl Future<Output = io::Result<UnixStream>> {
        let called = Location::caller();
        let path = path.as_ref().to_owned();
        async move {
            let handle = Handle::current_for(called);
            let address = Address::Unix(path.clone());
            let connected = leaf(true, called, handle.runtime().connect(&address)).await;
            Ok(UnixStream { io: connected.map_err(|error| at(&path, error))?, opened: called })
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
    pub fn from_std(socket: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
        let io = Handle::current().runtime().stream(StreamSocket::Unix(socket))?;
        Ok(UnixStream { io, opened: Location::caller() })
    }

    /// The socket underneath, for options.
    pub fn socket(&self) -> socket2::SockRef<'_> {
        self.io.socket()
    }
}

/// A Unix listener. Any number of tasks may accept at once.
#[derive(Debug)]
pub struct UnixListener {
    io: Box<dyn Listener>,
}

impl UnixListener {
    /// Listens at `path`, which must not exist; it is not removed at the end.
    ///
    /// # Errors
    ///
    /// Of the system, naming the path.
    ///
    /// # Panics
    ///
    /// Outside of any runtime.
    #[track_caller]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        let path = path.as_ref();
        let socket = std::os::unix::net::UnixListener::bind(path).map_err(|error| at(path, error))?;
        UnixListener::from_std(socket)
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
    pub fn from_std(socket: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        Ok(UnixListener { io: Handle::current().runtime().listen(ListenerSocket::Unix(socket))? })
    }

    /// Accepts a connection.
    ///
    /// # Errors
    ///
    /// Of the system; most of them say nothing about the next call.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no connection is lost.
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<UnixStream>> {
        let called = Location::caller();
        async move { Ok(UnixStream { io: leaf(true, called, self.io.accept()).await?, opened: called }) }
    }

    /// The socket underneath, for options.
    pub fn socket(&self) -> socket2::SockRef<'_> {
        self.io.socket()
    }
}

fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
