//! Server-sent events.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyrt::time::Sleep;
use anyrt::{BoxError, sleep};
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;

use super::streaming::{Always, Sometimes, body};

/// A response of server-sent events (`text/event-stream`), one for each item of a stream: [`SseEvent`]s, or `Result`s of
/// them, of which an error ends the response.
///
/// While no event comes, a comment keeps the connection alive, every 15 s ([`keep_alive`](Sse::keep_alive)).
/// A client that leaves ends the stream.
///
/// ```
/// use anyrt_http::{Sse, SseEvent};
/// use futures_util::stream;
///
/// async fn report() -> Sse {
///     let steps = stream::iter(1..=3).then(async |step| {
///         anyrt::sleep(std::time::Duration::from_secs(1)).await;
///         SseEvent::data(format!("step {step} of 3")).event("progress")
///     });
///     Sse::new(steps)
/// }
/// # use futures_util::StreamExt;
/// # let _ = report;
/// ```
pub struct Sse {
    events: Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>,
    keep_alive: KeepAlive,
}

/// How a stream of events is kept alive while no event comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeepAlive {
    /// By a comment after so long a time without an event; 15 s by default.
    Every(Duration),
    /// Not at all.
    Off,
}

impl Sse {
    /// The events of a stream.
    pub fn new<S, K>(events: S) -> Self
    where
        S: Stream + Send + 'static,
        S::Item: IntoEvent<K>,
    {
        let events = events.map(|event| event.into_event().map(|event| Bytes::from(event.0)));
        Sse { events: Box::pin(events), keep_alive: KeepAlive::Every(Duration::from_secs(15)) }
    }

    /// How it is kept alive.
    pub fn keep_alive(mut self, keep_alive: KeepAlive) -> Self {
        self.keep_alive = keep_alive;
        self
    }
}

impl IntoResponse for Sse {
    fn into_response(self) -> Response {
        const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
        let body = match self.keep_alive {
            KeepAlive::Every(period) => body(KeptAlive { events: self.events, period, quiet: None }),
            KeepAlive::Off => body(self.events),
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        // Proxies that gather a response before they send it on are told not to.
        headers.insert(BUFFERING, HeaderValue::from_static("no"));
        response
    }
}

struct KeptAlive {
    events: Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>,
    period: Duration,
    /// Runs while no event comes.
    quiet: Option<Pin<Box<Sleep>>>,
}

impl Stream for KeptAlive {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Poll::Ready(event) = this.events.as_mut().poll_next(cx) {
            this.quiet = None;
            return Poll::Ready(event);
        }
        let period = this.period;
        let quiet = this.quiet.get_or_insert_with(|| Box::pin(sleep(period)));
        if quiet.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.quiet = None;
        Poll::Ready(Some(Ok(Bytes::from_static(b": keep-alive\n\n"))))
    }
}

/// One event: lines of `field: value`, as they are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent(String);

impl SseEvent {
    /// An event with this data, which may have several lines.
    pub fn data(data: impl fmt::Display) -> Self {
        SseEvent("\n".to_owned()).lines("data", &data.to_string())
    }

    /// An event with a value as JSON.
    ///
    /// # Errors
    ///
    /// When it cannot be serialised.
    pub fn json(data: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_string(data).map(SseEvent::data)
    }

    /// A comment, which clients do not see.
    pub fn comment(text: impl fmt::Display) -> Self {
        SseEvent("\n".to_owned()).lines("", &text.to_string())
    }

    /// Its kind: the name that clients listen for.
    pub fn event(self, kind: impl fmt::Display) -> Self {
        self.line("event", &kind.to_string())
    }

    /// Its id, which a client that comes back tells as `Last-Event-ID`.
    pub fn id(self, id: impl fmt::Display) -> Self {
        self.line("id", &id.to_string())
    }

    /// How long a client waits before it comes back.
    pub fn retry(self, after: Duration) -> Self {
        self.line("retry", &after.as_millis().to_string())
    }

    /// A field of one line. What would end the line, and begin another field, is a space.
    fn line(self, field: &str, value: &str) -> Self {
        self.lines(field, &value.replace(['\r', '\n', '\0'], " "))
    }

    /// Lines of one field, before the empty line at the end.
    fn lines(mut self, field: &str, value: &str) -> Self {
        self.0.pop();
        // All three ways of ending a line.
        for line in value.replace("\r\n", "\n").split(['\r', '\n']) {
            self.0 += field;
            self.0 += ": ";
            self.0 += line;
            self.0.push('\n');
        }
        self.0.push('\n');
        self
    }
}

/// What the stream of [`Sse`] is made of.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a server-sent event",
    label = "neither an `SseEvent` nor a `Result` of one"
)]
pub trait IntoEvent<K> {
    #[doc(hidden)]
    fn into_event(self) -> Result<SseEvent, BoxError>;
}

impl IntoEvent<Always> for SseEvent {
    fn into_event(self) -> Result<SseEvent, BoxError> {
        Ok(self)
    }
}

impl<E: Into<BoxError>> IntoEvent<Sometimes> for Result<SseEvent, E> {
    fn into_event(self) -> Result<SseEvent, BoxError> {
        self.map_err(Into::into)
    }
}

impl fmt::Debug for Sse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sse").field("keep_alive", &self.keep_alive).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::SseEvent;

    #[test]
    fn an_event_is_lines_and_an_empty_one() {
        assert_eq!(SseEvent::data("one").0, "data: one\n\n");
        let event =
            SseEvent::data("one\ntwo\r\nthree\rfour").event("news").id(7).retry(Duration::from_secs(2));
        let lines = "data: one\ndata: two\ndata: three\ndata: four\nevent: news\nid: 7\nretry: 2000\n\n";
        assert_eq!(event.0, lines);
        assert_eq!(SseEvent::comment("still here").0, ": still here\n\n");
        assert_eq!(SseEvent::json(&[1, 2]).expect("numbers").0, "data: [1,2]\n\n");
    }

    #[test]
    fn nobody_smuggles_a_field_into_a_line() {
        assert_eq!(SseEvent::data("x").event("a\ndata: b").0, "data: x\nevent: a data: b\n\n");
    }
}
