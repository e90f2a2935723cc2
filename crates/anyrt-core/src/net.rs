//! TCP and Unix streams and listeners, and UDP sockets: std sockets, adopted by the runtime.
//!
//! The traits here are what a backend implements; the types that programs use add the rule of cancellation.

mod io;
mod resolve;
mod tcp;
mod udp;
#[cfg(unix)]
mod unix;

pub use resolve::{ToAddresses, resolve};
pub use tcp::{TcpListener, TcpStream};
pub use udp::UdpSocket;
#[cfg(unix)]
pub use unix::{UnixListener, UnixStream, connect_unix};

pub use crate::current::sockets::{
    Address, Datagram, DatagramSocket, Listener, ListenerSocket, Stream, StreamSocket,
};
