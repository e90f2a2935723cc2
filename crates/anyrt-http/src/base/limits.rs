//! Every limit of the layer, in one place.

use std::time::Duration;

/// The limits a server keeps, each with a default that is on.
///
/// Times are kept by one coarse clock for the whole server: a limit acts at the latest when it has
/// passed, and up to an eighth of the shortest limit (at most half a second) before.
///
/// | field | default | what happens beyond it |
/// |---|---|---|
/// | `first_byte` | 5 s | a client that has sent nothing since it was accepted: the connection is closed |
/// | `head` | 10 s | a head that is not whole, counted from its first byte, and on a new connection from the accept on, TLS and the choice of the protocol included: closed |
/// | `handshake` | 10 s | a TLS handshake that is not done: closed |
/// | `handshakes` | 256 | TLS handshakes at once: those beyond wait, under their clock |
/// | `idle` | 60 s | a connection that is kept alive and waits for its next request: closed |
/// | `headers` | 100 | 431, and the connection is closed |
/// | `header_size` | 96 KiB | a head, or trailers, with more bytes: 431, and the connection is closed |
/// | `uri` | 8 KiB | 414 |
/// | `body` | 2 MiB | 413, and the rest of the body is not read: the connection is closed, see `linger` |
/// | `body_idle` | 30 s | a handler that waits for its body, and no byte comes: 408, closed |
/// | `body_rate` | 240 bytes a second | a body that comes slower while the handler waits for it: 408, closed |
/// | `body_grace` | 5 s | so long the handler waits before `body_rate` counts |
/// | `linger` | 1 s | a client that still sends what will not be read, on a connection that was told to close: closed |
/// | `linger_size` | 64 KiB | the bytes that are read of that meanwhile: closed |
/// | `write_stall` | 30 s | a client that takes no byte of what is to be sent: closed |
/// | `buffer` | 400 KiB | of one connection, read or to be written: no more is read, or made |
/// | `pipelined` | 1 | requests of one HTTP/1 connection in flight: the next is begun when the one before is answered |
/// | `streams` | 200 | requests of one HTTP/2 connection in flight: those beyond are refused |
/// | `pending_resets` | 20 | streams that an HTTP/2 client has reset before they were begun: the connection is ended |
/// | `error_resets` | 1,024 | streams that the server has reset for an HTTP/2 client's errors: the connection is ended |
/// | `control_frames` | 10,000 a second | frames of HTTP/2 that carry no request (`SETTINGS`, `PING`, `PRIORITY`, `RST_STREAM`, unknown ones): closed |
/// | `ping_every` | 20 s | an HTTP/2 connection is asked whether it lives |
/// | `ping_timeout` | 10 s | and if there is no answer: closed |
/// | `connections` | 20,000 | those beyond wait to be accepted |
/// | `queue_factor` | 10 | plain handlers that wait for the thread pool, as a multiple of its tokens: 503 with `Retry-After` |
/// | `queue_time` | 5 s | a plain handler that has waited so long for the thread pool: 503 with `Retry-After` |
/// | `shutdown` | 30 s | of a server that was told to stop: what still runs is cancelled |
/// | `teardown` | 10 s | after that: what still cleans up is no longer waited for |
///
/// ```
/// let mut limits = anyrt_http::Limits::default();
/// limits.body = 64 * 1024;
/// let app = anyrt_http::App::new().limits(limits);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// How long a client that was accepted may take to send its first byte.
    pub first_byte: Duration,
    /// How long a request's head may take from its first byte to its end; on a new connection from the
    /// moment it was accepted, whatever comes before the head included.
    pub head: Duration,
    /// How long a TLS handshake may take, within [`head`](Limits::head).
    pub handshake: Duration,
    /// The most TLS handshakes at once. Zero is taken as one.
    pub handshakes: usize,
    /// How long a connection may wait for its next request.
    pub idle: Duration,
    /// The most header lines a request may have.
    pub headers: usize,
    /// The most bytes a request's head may have; at least 8 KiB.
    pub header_size: usize,
    /// The most bytes the target of a request (path and query) may have.
    pub uri: usize,
    /// The largest request body that [`Json`](crate::Json), [`Form`](crate::Form), `Bytes` and
    /// `String` read, in bytes. A handler that takes the body as a stream counts by itself.
    pub body: usize,
    /// How long a handler that reads its body may wait for the next byte of it.
    pub body_idle: Duration,
    /// The bytes a second that a body must come with, over the time that the handler waits for it.
    /// Zero: no such limit.
    pub body_rate: u64,
    /// How long a handler waits for its body before [`body_rate`](Limits::body_rate) counts.
    pub body_grace: Duration,
    /// How long a connection that closes with a part of a request unread still takes what its client sends, so
    /// that the client can read its answer.
    pub linger: Duration,
    /// How many bytes it takes meanwhile, and drops.
    pub linger_size: usize,
    /// How long a client may take no byte of a response.
    pub write_stall: Duration,
    /// The most bytes that are kept of one connection in each direction; at least 8 KiB. A single piece
    /// of a response may be larger, and is then the only one.
    pub buffer: usize,
    /// The most requests of one HTTP/2 connection at once.
    pub streams: u32,
    /// How many streams an HTTP/2 client may have reset before they were begun (CVE-2023-44487).
    pub pending_resets: usize,
    /// How many streams the server may have reset for errors of an HTTP/2 client.
    pub error_resets: usize,
    /// How many frames without a request an HTTP/2 client may send in a second.
    pub control_frames: u32,
    /// How often an HTTP/2 client is asked whether it lives.
    pub ping_every: Duration,
    /// How long it may take to answer.
    pub ping_timeout: Duration,
    /// The most connections at once, of all listeners of a server. Zero is taken as one.
    pub connections: usize,
    /// How many plain handlers may wait for the thread pool, as a multiple of the limiter's tokens.
    pub queue_factor: usize,
    /// How long a plain handler may wait for the thread pool.
    pub queue_time: Duration,
    /// How long a server that was told to stop waits for the requests it has begun.
    pub shutdown: Duration,
    /// How long it then waits for the clean-up of the requests that it has cancelled.
    pub teardown: Duration,
}

/// What axum-core's extractors keep when they are not told otherwise: equal, so that the default
/// costs no request extension.
pub(crate) const DEFAULT_BODY: usize = 2 * 1024 * 1024;

/// hyper's own number. Setting it costs an allocation a request, so that it is set only if it differs.
pub(crate) const DEFAULT_HEADERS: usize = 100;

/// What hyper does not accept less of.
pub(crate) const LEAST_BUFFER: usize = 8 * 1024;

impl Limits {
    /// The shortest time that is kept by the coarse clock.
    pub(crate) fn shortest(&self) -> Duration {
        [
            self.first_byte,
            self.head,
            self.handshake,
            self.idle,
            self.body_idle,
            self.body_grace,
            self.write_stall,
        ]
        .into_iter()
        .min()
        .unwrap_or_default()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            first_byte: Duration::from_secs(5),
            head: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            handshakes: 256,
            idle: Duration::from_secs(60),
            headers: DEFAULT_HEADERS,
            header_size: 96 * 1024,
            uri: 8 * 1024,
            body: DEFAULT_BODY,
            body_idle: Duration::from_secs(30),
            body_rate: 240,
            body_grace: Duration::from_secs(5),
            linger: Duration::from_secs(1),
            linger_size: 64 * 1024,
            write_stall: Duration::from_secs(30),
            buffer: 400 * 1024,
            streams: 200,
            pending_resets: 20,
            error_resets: 1024,
            control_frames: 10_000,
            ping_every: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
            connections: 20_000,
            queue_factor: 10,
            queue_time: Duration::from_secs(5),
            shutdown: Duration::from_secs(30),
            teardown: Duration::from_secs(10),
        }
    }
}
