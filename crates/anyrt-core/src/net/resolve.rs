//! Names to addresses.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};
use std::panic::Location;
use std::sync::OnceLock;

use crate::blocking::CapacityLimiter;
use crate::current::handle::Handle;

/// How many look-ups run at once: they have a limiter of their own, so that slow name servers take no token
/// from other calls.
const LOOK_UPS: usize = 4;

/// The addresses of `host`, by the system's resolver in a thread of the pool.
///
/// # Errors
///
/// Those of the resolver; `NotFound` when it knows no address.
///
/// # Panics
///
/// Outside of any runtime.
///
/// # Cancel safety
///
/// Cancelled, the caller goes at once and the look-up ends by itself.
#[track_caller]
pub fn resolve(host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> {
    static LIMITER: OnceLock<CapacityLimiter> = OnceLock::new();
    let called = Location::caller();
    async move {
        let limiter = LIMITER.get_or_init(|| CapacityLimiter::new(LOOK_UPS));
        let name = host.to_owned();
        let found = Handle::current_for(called)
            .run_blocking(move || (name.as_str(), port).to_socket_addrs().map(Vec::from_iter))
            .limiter(limiter)
            .abandon_on_cancel()
            .await
            .map_err(|error| match error.raw_os_error() {
                Some(_) => error,
                None => io::Error::new(error.kind(), format!("`{host}` does not resolve: {error}")),
            })?;
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("`{host}` has no address")));
        }
        Ok(found)
    }
}

/// What can be made into socket addresses: addresses, `"host:port"`, `("host", port)`.
#[async_trait::async_trait]
pub trait ToAddresses: Send {
    /// The addresses, in the order in which they are to be tried. Never none.
    ///
    /// # Errors
    ///
    /// When it is no address, or does not resolve.
    async fn to_addresses(self) -> io::Result<Vec<SocketAddr>>;
}

macro_rules! is_an_address {
    ($($type:ty),*) => {$(
        #[async_trait::async_trait]
        impl ToAddresses for $type {
            async fn to_addresses(self) -> io::Result<Vec<SocketAddr>> {
                Ok(vec![self.into()])
            }
        }
    )*};
}

is_an_address!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

#[async_trait::async_trait]
impl ToAddresses for &str {
    async fn to_addresses(self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = self.parse() {
            return Ok(vec![address]);
        }
        let parsed = self.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let Some((host, port)) = parsed else {
            let wrong = format!("`{self}` is no address: give `host:port`, as in `127.0.0.1:8000`");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, wrong));
        };
        resolve(host, port).await
    }
}

#[async_trait::async_trait]
impl ToAddresses for String {
    async fn to_addresses(self) -> io::Result<Vec<SocketAddr>> {
        self.as_str().to_addresses().await
    }
}

#[async_trait::async_trait]
impl ToAddresses for &String {
    async fn to_addresses(self) -> io::Result<Vec<SocketAddr>> {
        self.as_str().to_addresses().await
    }
}

#[async_trait::async_trait]
impl ToAddresses for (&str, u16) {
    async fn to_addresses(self) -> io::Result<Vec<SocketAddr>> {
        match self.0.parse::<IpAddr>() {
            Ok(ip) => Ok(vec![(ip, self.1).into()]),
            Err(_) => resolve(self.0, self.1).await,
        }
    }
}

/// Tries each address; the last error, if none will do.
///
/// The attempts borrow nothing, and the addresses are resolved before: else the compiler does not see
/// that the future is `Send`.
pub(super) async fn first<F, T>(
    addresses: Vec<SocketAddr>,
    mut attempt: impl FnMut(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut last = None;
    for address in addresses {
        match attempt(address).await {
            Ok(done) => return Ok(done),
            // As it is: with another text it would have lost the system's code.
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no address was given")))
}
