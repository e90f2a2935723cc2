//! Every limit of the layer, in one place.

use std::time::Duration;

/// The limits a server keeps, each with a default that is on.
///
/// | field | default | what happens beyond it |
/// |---|---|---|
/// | `body` | 2 MiB | 413, and the rest of the body is not read |
/// | `head` | 30 s | the connection is closed |
/// | `headers` | 100 | 431, and the connection is closed |
/// | `shutdown` | 30 s | what still runs is cancelled |
///
/// ```
/// let mut limits = anyrt_http::Limits::default();
/// limits.body = 64 * 1024;
/// let app = anyrt_http::App::new().limits(limits);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// The largest request body that [`Json`](crate::Json), [`Form`](crate::Form), `Bytes` and
    /// `String` read, in bytes. A handler that takes the body as a stream counts by itself.
    pub body: usize,
    /// How long a client may take from the first moment the server waits for a request to the end
    /// of that request's head. On a connection that is kept alive this is also the idle time.
    pub head: Duration,
    /// The most header lines a request may have.
    pub headers: usize,
    /// How long a server that was told to stop waits for the requests it has begun.
    pub shutdown: Duration,
}

/// What axum-core's extractors keep when nobody tells them otherwise: equal, so that the default
/// costs no request extension.
pub(crate) const DEFAULT_BODY: usize = 2 * 1024 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body: DEFAULT_BODY,
            head: Duration::from_secs(30),
            headers: 100,
            shutdown: Duration::from_secs(30),
        }
    }
}
