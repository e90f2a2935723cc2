//! Timers and sockets on async-io, the reactor that smol and async-std share: what the backends of anyrt for these two have in
//! common.
//!
//! Mechanism and nothing else: a backend that stands on async-io answers the methods of [`Runtime`](anyrt_core::Runtime) with the
//! functions of the same names, and brings its own executor. Timers and sockets belong to the one reactor of the process, and
//! work wherever they are made and polled, also after the runtime that made them was shut down.
#![forbid(unsafe_code)]

mod datagram;
mod listener;
mod stream;
mod timer;

use std::io;
use std::pin::Pin;
use std::time::Instant;

use anyrt_core::net::{self, Address, DatagramSocket, ListenerSocket, StreamSocket};

use self::datagram::Datagram;
use self::listener::Listener;
use self::stream::Stream;
use self::timer::Timer;

/// A timer; see [`Runtime::timer`](anyrt_core::Runtime::timer).
pub fn timer(deadline: Instant) -> Pin<Box<dyn anyrt_core::Timer>> {
    Box::pin(Timer::new(deadline))
}

/// Connects; see [`Runtime::connect`](anyrt_core::Runtime::connect).
///
/// # Errors
///
/// Of the system.
pub async fn connect(address: &Address) -> io::Result<Box<dyn net::Stream>> {
    Ok(Box::new(Stream::connect(address).await?))
}

/// Adopts a listener; see [`Runtime::listen`](anyrt_core::Runtime::listen).
///
/// # Errors
///
/// Of the system; [`Unsupported`](io::ErrorKind::Unsupported) for a kind of socket that this crate does not know.
pub fn listen(socket: ListenerSocket) -> io::Result<Box<dyn net::Listener>> {
    Ok(Box::new(Listener::adopt(socket)?))
}

/// Adopts a stream; see [`Runtime::stream`](anyrt_core::Runtime::stream).
///
/// # Errors
///
/// As [`listen`].
pub fn stream(socket: StreamSocket) -> io::Result<Box<dyn net::Stream>> {
    Ok(Box::new(Stream::adopt(socket)?))
}

/// Adopts a datagram socket; see [`Runtime::datagram`](anyrt_core::Runtime::datagram).
///
/// # Errors
///
/// As [`listen`].
pub fn datagram(socket: DatagramSocket) -> io::Result<Box<dyn net::Datagram>> {
    Ok(Box::new(Datagram::adopt(socket)?))
}
