//! Unix sockets.

use std::future::Future;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use super::io::{gated_stream, leaf};
use super::tcp::BACKLOG;
use crate::current::handle::Handle;
use crate::current::sockets::{Address, Listener, ListenerSocket, Stream, StreamSocket};
use crate::tree::site::Called;
use crate::wait::time::Sleep;

/// How long a connect waits that found the queue full.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(32);

/// A Unix stream. Reads and writes are checkpoints that only wait.
#[derive(Debug)]
pub struct UnixStream {
    io: Box<dyn Stream>,
    /// Where it was connected, accepted or adopted.
    opened: Called,
}

gated_stream!(UnixStream);

impl UnixStream {
    /// Connects to the socket at `path`; on Linux one that begins with a NUL is a name without a file.
    ///
    /// It waits where a blocking connect would: while the listener's queue is full. The system tells nobody when
    /// there is room, so it tries again, at first after a millisecond and at last every 32 ms. Who waits has no
    /// place in a line.
    ///
    /// # Errors
    ///
    /// Of the system, as they are: the same on every runtime. [`InvalidInput`](io::ErrorKind::InvalidInput) for what is
    /// no path of a socket: one that is too long, or has a NUL inside.
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
            let address = Address::Unix(path);
            let mut pause = FIRST_PAUSE;
            loop {
                match leaf(true, called, handle.runtime().connect(&address)).await {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        Sleep::called_at(pause, called).on(handle.clone()).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                    connected => return Ok(UnixStream { io: connected?, opened: called }),
                }
            }
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
    /// Listens at `path`, which must not exist; it is not removed at the end. On Linux one that begins with a NUL is a
    /// name without a file.
    ///
    /// # Errors
    ///
    /// Of the system, as they are; [`InvalidInput`](io::ErrorKind::InvalidInput) for what is no path of a socket.
    ///
    /// # Panics
    ///
    /// Outside of any runtime.
    #[track_caller]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&address_of(path.as_ref())?)?;
        socket.listen(BACKLOG)?;
        UnixListener::from_std(socket.into())
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

    /// Accepts a connection; beside it the path that the client's socket is bound to, if it is.
    ///
    /// # Errors
    ///
    /// Of the system; most of them say nothing about the next call.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no connection is lost.
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<(UnixStream, Option<PathBuf>)>> {
        let called = Location::caller();
        async move {
            let (io, peer) = leaf(true, called, self.io.accept()).await?;
            let peer = match peer {
                Some(Address::Unix(path)) => Some(path),
                _ => None,
            };
            Ok((UnixStream { io, opened: called }, peer))
        }
    }

    /// The socket underneath, for options.
    pub fn socket(&self) -> socket2::SockRef<'_> {
        self.io.socket()
    }
}

/// Connects a Unix socket, in non-blocking mode, without waiting: what [`Runtime::connect`](crate::Runtime::connect) does on
/// every runtime.
///
/// # Errors
///
/// Of the system: [`WouldBlock`](io::ErrorKind::WouldBlock) while the listener's queue is full. A socket in that state is
/// writable as it was before, so there is no event to wait for. [`InvalidInput`](io::ErrorKind::InvalidInput) for what is
/// no path of a socket.
pub fn connect_unix(path: &Path) -> io::Result<std::os::unix::net::UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&address_of(path)?)?;
    Ok(socket.into())
}

fn address_of(path: &Path) -> io::Result<SockAddr> {
    let bytes = path.as_os_str().as_bytes();
    let has_names = cfg!(any(target_os = "linux", target_os = "android"));
    if bytes.contains(&0) && !(has_names && bytes[0] == 0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path of a socket contains no NUL"));
    }
    SockAddr::unix(path)
}
