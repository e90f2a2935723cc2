//! The outermost body of a response: what of it goes to the client, and how its sending ended.
//!
//! hyper trusts the code that makes a response: it sends whatever length a handler declared, over HTTP/2 content where
//! a status has none, and a panic in a body takes its connection along. Here a response is made to fit before anybody
//! sends it, the same over every protocol and in the test client.

use std::cell::OnceCell;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum_core::Error;
use axum_core::body::Body;
use axum_core::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::response::Parts;
use http_body::{Body as _, Frame, SizeHint};

use super::ended::{Ended, telling, told_ended};
use super::problem::detail;
use crate::base::causes::cause;
use crate::base::contained::{Panicked, contained, let_go};

/// After so many pieces in a row others have a turn: a body that is always ready does not keep the thread.
const IN_A_ROW: u32 = 64;

/// A response that can be sent. `head`: the request's method was HEAD.
///
/// One that cannot be sent is a 500, and a line in the log. What has no content (the answer to HEAD, 204, 205, 304) has
/// none, whatever its body is: it is let go unread.
pub(crate) fn framed(head: bool, response: Response) -> http::Response<Framed> {
    let (mut parts, body) = response.into_parts();
    let mut body = Framed::new(body);
    let Err(Unfit { why, told }) = fit(head, &mut parts, &mut body) else {
        return http::Response::from_parts(parts, body);
    };
    tracing::error!(status = parts.status.as_u16(), "a response is not sent, but a 500: {why}");
    body.finish(Ended::Refused(why.into()));
    framed(head, detail(StatusCode::INTERNAL_SERVER_ERROR, &told))
}

/// Why a response cannot be sent, and what the client is told.
struct Unfit {
    why: String,
    told: String,
}

impl Unfit {
    fn because(why: impl Into<String>) -> Self {
        Unfit { why: why.into(), told: "Internal Server Error".to_owned() }
    }
}

fn fit(head: bool, parts: &mut Parts, body: &mut Framed) -> Result<(), Unfit> {
    if parts.status.is_informational() {
        let told = format!("{} is not the status of an answer", parts.status.as_u16());
        return Err(Unfit { why: told.clone(), told });
    }
    if matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED) {
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.remove(TRANSFER_ENCODING);
        body.finish(Ended::Whole(None));
        return Ok(());
    }
    let known = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
    if let Some(Panicked(message)) = body.panicked.get() {
        return Err(Unfit::because(format!("its body panicked: {message}")));
    }
    let declared = declared(&mut parts.headers)?;
    if let (Some(declared), Some(known)) = (declared, known)
        && declared != known
        // What a GET would have has no body here.
        && !(head && known == 0)
    {
        let why = format!("it declares {declared} bytes, and its body has {known}");
        return Err(Unfit::because(why));
    }
    if declared.is_some() {
        // Of the two it would be the other one that counts.
        parts.headers.remove(TRANSFER_ENCODING);
    }
    if head {
        // A handler that gives no body may have answered HEAD by itself, with the headers that it wants.
        if let (None, Some(known @ 1..)) = (declared, known) {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(known));
        }
        body.finish(Ended::Whole(None));
        return Ok(());
    }
    body.left = declared.or(known);
    Ok(())
}

/// The length that the head declares.
fn declared(headers: &mut HeaderMap) -> Result<Option<u64>, Unfit> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(None) };
    let repeated = lengths.next().is_some();
    let digits = first.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let length = digits.and_then(|text| text.parse().ok());
    if repeated && headers.get_all(CONTENT_LENGTH).iter().any(|other| other != first) {
        return Err(Unfit::because("it declares several lengths"));
    }
    let Some(length) = length else {
        return Err(Unfit::because(format!("{first:?} is not a length")));
    };
    if repeated {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(Some(length))
}

/// A body that gives what was declared, and whose panic ends only its own response.
pub(crate) struct Framed {
    /// None when it was let go.
    body: Option<Body>,
    /// With what it panicked where there is no place for an error.
    panicked: OnceCell<Panicked>,
    /// How many bytes are still to come, if that is known.
    left: Option<u64>,
    /// Set when nothing more comes.
    ended: Option<Ended>,
    in_a_row: u32,
}

/// Why a body did not give what was declared.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the response's body panicked: {0}")]
    Panicked(Arc<str>),
    #[error("the response's body ended {0} bytes before the length that was declared")]
    Short(u64),
    #[error("the response's body failed: {text}")]
    Failed {
        text: String,
        /// Says with which code a stream of HTTP/2 is reset.
        source: Option<h2::Error>,
    },
}

impl Framed {
    fn new(body: Body) -> Self {
        Framed { body: Some(body), panicked: OnceCell::new(), left: None, ended: None, in_a_row: 0 }
    }

    /// In axum-core's type. An empty one costs no allocation.
    pub(crate) fn boxed(self) -> Body {
        if self.body.is_none() { Body::empty() } else { Body::new(self) }
    }

    /// How its sending has ended if it is dropped now.
    pub(crate) fn how(&self) -> Ended {
        match &self.ended {
            Some(ended) => ended.clone(),
            None if self.left == Some(0) || self.is_end_stream() => Ended::Whole(None),
            None => Ended::Left,
        }
    }

    /// Lets the body go, and tells those inside how its sending ended.
    pub(crate) fn finish(&mut self, ended: Ended) {
        if let Some(body) = self.body.take() {
            telling(ended.clone(), || let_go(body));
        }
        self.ended = Some(ended);
    }

    fn fails(&mut self, fault: Fault) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.ended = Some(match &fault {
            Fault::Panicked(message) => Ended::Panicked(Arc::clone(message)),
            fault => Ended::Failed(fault.to_string().into()),
        });
        Poll::Ready(Some(Err(Error::new(fault))))
    }

    /// The bytes of a piece that were declared.
    fn within(&mut self, mut bytes: Bytes) -> Bytes {
        let Some(left) = &mut self.left else { return bytes };
        let wanted = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
        *left -= wanted as u64;
        if wanted < bytes.len() {
            tracing::error!("a response's body is longer than was declared: the rest is not sent");
            bytes.truncate(wanted);
            self.ended = Some(Ended::Whole(None));
        }
        bytes
    }
}

impl http_body::Body for Framed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Some(Panicked(message)) = this.panicked.take() {
            return this.fails(Fault::Panicked(message));
        }
        let Some(body) = this.body.as_mut().filter(|_| this.ended.is_none()) else {
            return Poll::Ready(None);
        };
        if this.in_a_row == IN_A_ROW {
            this.in_a_row = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = match contained(|| Pin::new(body).poll_frame(cx)) {
            Ok(polled) => polled,
            Err(Panicked(message)) => return this.fails(Fault::Panicked(message)),
        };
        if polled.is_pending() {
            this.in_a_row = 0;
        }
        this.in_a_row += 1;
        match ready!(polled) {
            None => match this.left {
                Some(left @ 1..) => this.fails(Fault::Short(left)),
                _ => {
                    this.ended = Some(Ended::Whole(None));
                    Poll::Ready(None)
                }
            },
            Some(Ok(frame)) => Poll::Ready(match frame.into_data() {
                Ok(bytes) => {
                    let bytes = this.within(bytes);
                    if bytes.is_empty() && this.ended.is_some() { None } else { Some(Ok(Frame::data(bytes))) }
                }
                Err(frame) => {
                    if frame.is_trailers() {
                        // Nothing comes after them.
                        this.ended = Some(Ended::Whole(None));
                    }
                    Some(Ok(frame))
                }
            }),
            Some(Err(error)) => {
                let fault = contained(|| {
                    let source = cause::<h2::Error>(&error).and_then(h2::Error::reason).map(h2::Error::from);
                    Fault::Failed { text: error.to_string(), source }
                });
                let_go(error);
                this.fails(fault.unwrap_or_else(|Panicked(message)| Fault::Panicked(message)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        if let Some(ended) = &self.ended {
            return matches!(ended, Ended::Whole(_));
        }
        let Some(body) = &self.body else { return true };
        if self.panicked.get().is_some() || self.left.is_some_and(|left| left > 0) {
            return false;
        }
        contained(|| body.is_end_stream()).unwrap_or_else(|panicked| {
            let _ = self.panicked.set(panicked);
            false
        })
    }

    fn size_hint(&self) -> SizeHint {
        let Some(body) = self.body.as_ref().filter(|_| self.ended.is_none()) else {
            return SizeHint::with_exact(0);
        };
        if let Some(left) = self.left {
            return SizeHint::with_exact(left);
        }
        if self.panicked.get().is_some() {
            return SizeHint::default();
        }
        contained(|| body.size_hint()).unwrap_or_else(|panicked| {
            let _ = self.panicked.set(panicked);
            SizeHint::default()
        })
    }
}

impl Drop for Framed {
    fn drop(&mut self) {
        if self.body.is_some() {
            // A framed body inside of another one takes over what the outer one knows.
            let ended = told_ended().unwrap_or_else(|| self.how());
            self.finish(ended);
        }
    }
}

impl fmt::Debug for Framed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framed").field("left", &self.left).field("ended", &self.ended).finish_non_exhaustive()
    }
}
