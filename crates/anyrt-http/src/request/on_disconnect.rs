//! What becomes of a request whose client leaves: the route says it, the connection does it.

/// What becomes of a request whose client leaves before it is answered.
///
/// A handler that asks by [`Client`](crate::Client) learns of it in every case, as far as it still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Disconnect {
    /// It is cancelled: dropped at its next await, but for what holds in it.
    #[default]
    Cancel,
    /// It goes on. A client that ended only its sending side is still answered.
    Detach,
    /// As `Detach`, of a handler that looks for it: that ends early by itself.
    Notify,
}
