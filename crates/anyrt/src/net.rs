//! TCP and Unix streams and listeners, and UDP sockets, of whichever runtime is current.
//!
//! They read and write by the traits of the crate `futures`. What a backend implements is here, too.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

#[doc(inline)]
pub use anyrt_core::net::*;

/// The addresses of `host`, by the system's resolver in a thread of the pool.
///
/// # Errors
///
/// Those of the resolver; `NotFound` when it knows no address.
///
/// # Panics
///
/// Outside of any runtime, naming the caller and the cure.
///
/// # Cancel safety
///
/// Cancelled, the caller goes at once and the look-up ends by itself.
#[track_caller]
pub fn resolve(host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> {
    crate::init();
    anyrt_core::net::resolve(host, port)
}
