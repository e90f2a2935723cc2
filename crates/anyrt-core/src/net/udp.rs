//! UDP.

use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::panic::Location;

use super::ToAddresses;
use super::io::leaf;
use super::resolve::first;
use super::tcp::internet;
use crate::current::handle::Handle;
use crate::current::sockets::{Datagram, DatagramSocket};

/// A UDP socket. Any number of tasks may send and receive at once.
#[derive(Debug)]
pub struct UdpSocket {
    io: Box<dyn Datagram>,
}

impl UdpSocket {
    /// Binds to the first address that is free.
    ///
    /// # Errors
    ///
    /// Of the resolver, naming the name; or of the last attempt, as the system tells it.
    ///
    /// # Panics
    ///
    /// Outside of any runtime.
    #[track_caller]
    pub fn bind(address: impl ToAddresses) -> impl Future<Output = io::Result<UdpSocket>> {
        let called = Location::caller();
        async move {
            let handle = Handle::current_for(called);
            first(address.to_addresses().await?, |address| {
                ready(std::net::UdpSocket::bind(address).and_then(|socket| adopt(&handle, socket)))
            })
            .await
        }
    }

    /// Adopts a bound std socket; sets it to non-blocking mode.
    ///
    /// # Errors
    ///
    /// When the runtime cannot adopt it.
    ///
    /// # Panics
    ///
    /// Outside of any runtime.
    #[track_caller]
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        adopt(&Handle::current(), socket)
    }

    /// Sends one datagram; the number of bytes sent.
    ///
    /// # Errors
    ///
    /// Of the system.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was sent.
    #[track_caller]
    pub fn send_to(&self, bytes: &[u8], to: SocketAddr) -> impl Future<Output = io::Result<usize>> {
        let called = Location::caller();
        async move { leaf(true, called, self.io.send_to(bytes, to)).await }
    }

    /// Receives one datagram, cut to the buffer's length; the number of bytes and the sender.
    ///
    /// # Errors
    ///
    /// Of the system.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no datagram is lost.
    #[track_caller]
    pub fn recv_from(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<(usize, SocketAddr)>> {
        let called = Location::caller();
        async move { leaf(true, called, self.io.recv_from(buffer)).await }
    }

    /// The address that it is bound to.
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

fn adopt(handle: &Handle, socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
    Ok(UdpSocket { io: handle.runtime().datagram(DatagramSocket::Udp(socket))? })
}
