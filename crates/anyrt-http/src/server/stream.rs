//! The stream under hyper: a runtime's TCP stream, and the notice that the client left.
//!
//! hyper reads a socket while it wants a request or a body, and not while a handler or a streaming
//! response is pending: a client that leaves then would go unnoticed. So hyper's own probing is
//! switched off (`half_close`), and this stream reads ahead: in `poll_flush`, which hyper calls at
//! the end of each of its rounds, after its own read, and only while the server waits for its own.
//! What comes early (a pipelined request, a body that no handler has asked for yet) is kept, up to a bound,
//! and given to hyper's next read.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};

use super::connection::Connection;
use super::deadlines::Which;
use super::frames::{Frames, PREFACE};
use super::transport::Transport;

/// How much is read ahead at most. A client that sends more and then leaves is noticed when the
/// handler is done.
const AHEAD: usize = 16 * 1024;

thread_local! {
    /// Where a read lands before it is copied to hyper's buffer, which is not initialised: a copy of
    /// what came is cheaper than zeroing what could come, and needs no unsafe code.
    static LANDING: RefCell<Box<[u8]>> = RefCell::new(vec![0; AHEAD].into());
}

/// What was read ahead and not yet given to hyper. Empty, and without memory, nearly always.
#[derive(Debug, Default)]
struct Ahead(Vec<u8>);

impl Ahead {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn room(&self) -> usize {
        AHEAD - self.0.len()
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Gives at most `most` bytes, the earliest first.
    fn give(&mut self, most: usize, take: impl FnOnce(&[u8])) {
        let count = most.min(self.0.len());
        take(&self.0[..count]);
        if count == self.0.len() {
            self.0 = Vec::new();
        } else {
            self.0.drain(..count);
        }
    }
}

/// The last three bytes of what came: enough to see whether a head ended there.
#[derive(Debug, Default)]
struct LastBytes([u8; 3]);

impl LastBytes {
    fn are_followed_by(&mut self, bytes: &[u8]) {
        for &byte in &bytes[bytes.len().saturating_sub(3)..] {
            self.0 = [self.0[1], self.0[2], byte];
        }
    }

    /// An empty line; its end may be a lone LF.
    fn end_a_head(&self) -> bool {
        self.0 == *b"\n\r\n" || self.0[1..] == *b"\n\n"
    }
}

/// What is left of a connection that was closed by us.
#[derive(Debug)]
struct Lingering {
    bytes: usize,
    time: Pin<Box<anyrt::time::Sleep>>,
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// A connection as hyper sees it.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Transport,
    ahead: Ahead,
    /// The last bytes that hyper was given.
    given: LastBytes,
    /// The client has ended its sending, and is still to be answered.
    half_closed: bool,
    /// The clock of a client that takes nothing is running.
    stalled: bool,
    /// For HTTP/2.
    frames: Option<Box<Frames>>,
    /// Our side is closed.
    closed: bool,
    /// Then what the client still sends is dropped.
    lingering: Option<Box<Lingering>>,
    connection: Arc<Connection>,
}

impl Wire {
    pub(crate) fn new(stream: Transport, connection: Arc<Connection>) -> Self {
        Wire {
            stream,
            ahead: Ahead::default(),
            given: LastBytes::default(),
            half_closed: false,
            stalled: false,
            frames: None,
            closed: false,
            lingering: None,
            connection,
        }
    }

    /// The client said by other means that it speaks HTTP/2.
    #[cfg(feature = "tls")]
    pub(crate) fn speaks_http2(&mut self) {
        self.frames = Some(Box::new(Frames::new()));
    }

    /// Which protocol the client speaks. What was read to know it is given to hyper's first reads.
    pub(crate) fn poll_protocol(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Protocol>> {
        loop {
            let seen = &self.ahead.0;
            let most = seen.len().min(PREFACE.len());
            if seen[..most] != PREFACE[..most] {
                return Poll::Ready(Ok(Protocol::Http1));
            }
            if most == PREFACE.len() {
                let mut frames = Box::new(Frames::new());
                frames.take(seen, self.connection.watch().time());
                self.frames = Some(frames);
                return Poll::Ready(Ok(Protocol::Http2));
            }
            let room = self.ahead.room();
            match ready!(self.land(cx, room, |wire, bytes| wire.ahead.keep(bytes)))? {
                // hyper reads the end once more.
                0 => return Poll::Ready(Ok(Protocol::Http1)),
                _ => self.connection.bytes_came(),
            }
        }
    }

    /// Whether the client sends more frames without a request than it may.
    fn floods(&mut self, bytes: &[u8]) -> bool {
        let Some(frames) = &mut self.frames else { return false };
        let limit = self.connection.limits().control_frames;
        frames.take(bytes, self.connection.watch().time()) > limit
    }

    /// Reads once, at most `most` bytes, and hands them to `take`.
    fn land(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        take: impl FnOnce(&mut Self, &[u8]),
    ) -> Poll<io::Result<usize>> {
        LANDING.with_borrow_mut(|landing| {
            let most = most.min(landing.len());
            let count = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut landing[..most]))?;
            take(self, &landing[..count]);
            Poll::Ready(Ok(count))
        })
    }

    /// Starts the clock of a client that takes nothing, and stops it when it does.
    fn wait_for_client<T>(&mut self, poll: Poll<T>) -> Poll<T> {
        let watch = self.connection.watch();
        if poll.is_pending() {
            watch.start(Which::Writing, self.connection.limits().write_stall);
            self.stalled = true;
        } else if self.stalled {
            watch.clear(Which::Writing);
            self.stalled = false;
        }
        poll
    }

    /// Drops what the client still sends, up to a bound. A close at once would be a reset, which destroys what
    /// the client has not read of its answer.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(lingering) = self.lingering.as_mut().filter(|lingering| lingering.bytes > 0) else {
                return Poll::Ready(());
            };
            let most = lingering.bytes;
            match self.land(cx, most, |_, _| {}) {
                Poll::Ready(Ok(count @ 1..)) => {
                    if let Some(lingering) = &mut self.lingering {
                        lingering.bytes -= count;
                    }
                }
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        match &mut self.lingering {
            Some(lingering) => lingering.time.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }

    /// Looks whether the client is still there; `Pending` is good news.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        while self.ahead.room() > 0 && !self.half_closed {
            let room = self.ahead.room();
            match ready!(self.land(cx, room, |wire, bytes| wire.ahead.keep(bytes))) {
                Ok(0) if self.connection.sending_ended() => self.half_closed = true,
                Ok(0) => {
                    return Poll::Ready(io::Error::new(ErrorKind::ConnectionReset, "the client left"));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(error),
            }
        }
        Poll::Pending
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        if self.ahead.is_empty() {
            let mut flooded = false;
            let count = ready!(self.land(cx, room, |wire, bytes| {
                flooded = wire.floods(bytes);
                wire.given.are_followed_by(bytes);
                buffer.put_slice(bytes);
            }))?;
            if flooded {
                return Poll::Ready(Err(io::Error::other("too many frames that carry no request")));
            }
            if count > 0 {
                self.connection.bytes_came();
            }
            return Poll::Ready(Ok(()));
        }
        self.connection.bytes_came();
        let Wire { ahead, given, .. } = &mut *self;
        ahead.give(room, |bytes| {
            given.are_followed_by(bytes);
            buffer.put_slice(bytes);
        });
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wait_for_client(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wait_for_client(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        ready!(self.wait_for_client(poll))?;
        self.connection.flushed(self.ahead.is_empty() && !self.given.end_a_head());
        if self.frames.is_none()
            && self.connection.is_waiting()
            && let Poll::Ready(error) = self.poll_gone(cx)
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed {
            let poll = Pin::new(&mut self.stream).poll_close(cx);
            ready!(self.wait_for_client(poll))?;
            self.closed = true;
            if self.connection.leaves_unread() && !self.half_closed {
                let limits = self.connection.limits();
                let (bytes, time) = (limits.linger_size, anyrt::sleep(limits.linger));
                self.lingering = Some(Box::new(Lingering { bytes, time: Box::pin(time) }));
            }
        }
        self.poll_linger(cx).map(Ok)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Whatever ended the connection; but what breaks off in the middle must not look like an end.
        if !self.closed && !self.connection.is_in_the_middle() {
            self.stream.say_goodbye();
        }
        self.connection.stream_gone();
    }
}

#[cfg(test)]
mod tests {
    use super::{AHEAD, Ahead, LastBytes};

    fn given(ahead: &mut Ahead, most: usize) -> Vec<u8> {
        let mut given = Vec::new();
        ahead.give(most, |bytes| given.extend_from_slice(bytes));
        given
    }

    #[test]
    fn what_is_kept_is_given_in_order_and_its_memory_freed() {
        let mut ahead = Ahead::default();
        ahead.keep(b"abc");
        ahead.keep(b"de");
        assert_eq!(ahead.room(), AHEAD - 5);
        assert_eq!(given(&mut ahead, 2), b"ab");
        ahead.keep(b"f");
        assert_eq!(given(&mut ahead, 9), b"cdef");
        assert!(ahead.is_empty());
        assert_eq!(ahead.0.capacity(), 0);
    }

    #[test]
    fn a_head_ends_with_an_empty_line_however_it_came() {
        let ends = |pieces: &[&str]| {
            let mut last = LastBytes::default();
            pieces.iter().for_each(|piece| last.are_followed_by(piece.as_bytes()));
            last.end_a_head()
        };
        assert!(ends(&["GET / HTTP/1.1\r\n\r\n"]) && ends(&["GET / HTTP/1.1\n\n"]));
        assert!(ends(&["GET / HTTP/1.1\r\n", "\r", "\n"]) && ends(&["GET /\r\n\r", "\n"]));
        assert!(!ends(&["GET / HTTP/1.1\r\n"]) && !ends(&["GET / HTTP/1.1\r\n\r\n", "G"]) && !ends(&[]));
    }
}
