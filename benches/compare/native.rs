//! The peers: native runtimes, and crates that do the same on any of them.

#[cfg(feature = "async-std")]
mod async_std;
mod portable;
#[cfg(feature = "smol")]
mod smol;
#[cfg(feature = "tokio")]
mod tokio;

use anyrt::Backend;

use crate::pair::Pair;
use crate::station::Orders;

/// All pairs of the backends that are compiled in.
pub(crate) fn pairs() -> Vec<Pair> {
    let mut pairs = Vec::new();
    #[cfg(feature = "tokio")]
    for backend in [Backend::TokioCurrentThread, Backend::Tokio] {
        pairs.extend(tokio::pairs(backend));
    }
    #[cfg(feature = "smol")]
    pairs.extend(smol::pairs(Backend::Smol));
    #[cfg(feature = "async-std")]
    pairs.extend(async_std::pairs(Backend::AsyncStd));
    for backend in [Backend::TokioCurrentThread, Backend::Tokio, Backend::Smol, Backend::AsyncStd] {
        if backend.is_enabled() {
            pairs.extend(portable::pairs(backend));
        }
    }
    pairs
}

/// Fills orders on the native runtime itself, until there are no more.
pub(crate) fn drive(backend: Backend, orders: Orders) {
    match backend {
        #[cfg(feature = "tokio")]
        Backend::TokioCurrentThread | Backend::Tokio => tokio::drive(backend, orders),
        #[cfg(feature = "smol")]
        Backend::Smol => smol::drive(orders),
        #[cfg(feature = "async-std")]
        Backend::AsyncStd => async_std::drive(orders),
        // A backend without pairs has no station.
        _ => drop(orders),
    }
}
