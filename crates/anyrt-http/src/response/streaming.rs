//! Responses whose body is made piece by piece.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyrt::BoxError;
use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt};
use http_body::Frame;
use sync_wrapper::SyncWrapper;

use crate::base::contained::let_go;

/// A response whose body is sent piece by piece, as the pieces are made: from a stream, or from an iterator that may
/// block.
///
/// Pieces are bytes or text, or `Result`s of them; an error breaks the response off, which the client notices. While they are
/// sent, what the handler asked for in the lifetime of the request stays open. A client that leaves ends
/// it: the stream is dropped, the iterator when it is done with its piece. A stream that waits beside `anyrt::stopping()` may
/// say farewell when the server stops. One that never waits gives others a turn after some pieces.
///
/// ```
/// use anyrt_http::Streaming;
/// use std::io::{BufRead, BufReader};
///
/// // An iterator is pulled in the thread pool, in batches.
/// fn lines() -> std::io::Result<impl Iterator<Item = std::io::Result<String>> + Send> {
///     Ok(BufReader::new(std::fs::File::open("Cargo.toml")?).lines())
/// }
///
/// fn download() -> Result<Streaming, anyrt_http::HttpError> {
///     let lines = lines().map_err(|error| {
///         anyrt_http::HttpError::from(http::StatusCode::NOT_FOUND).source(error)
///     })?;
///     Ok(Streaming::blocking(lines))
/// }
///
/// async fn count() -> Streaming {
///     Streaming::new(futures_util::stream::iter(0..3).map(|number| format!("{number}\n")))
/// }
/// # use futures_util::StreamExt;
/// # let _ = (download, count);
/// ```
///
/// It has no content type by itself: `([(CONTENT_TYPE, "text/csv")], Streaming::new(..))`.
pub struct Streaming(Body);

impl Streaming {
    /// The pieces of a stream.
    pub fn new<S, K>(pieces: S) -> Self
    where
        S: Stream + Send + 'static,
        S::Item: Piece<K>,
        K: 'static,
    {
        Streaming(body(pieces.map(Piece::piece)))
    }

    /// The pieces of an iterator, which is pulled in the thread pool, in batches: see `anyrt::iterate_blocking`.
    pub fn blocking<I, K>(pieces: I) -> Self
    where
        I: IntoIterator + Send + 'static,
        I::IntoIter: Send,
        I::Item: Piece<K> + Send,
        K: 'static,
    {
        Streaming::new(anyrt::iterate_blocking(pieces))
    }
}

impl IntoResponse for Streaming {
    fn into_response(self) -> Response {
        Response::new(self.0)
    }
}

/// A piece of a response's body.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a piece of a response's body",
    label = "neither bytes or text nor a `Result` of these"
)]
pub trait Piece<K> {
    #[doc(hidden)]
    fn piece(self) -> Result<Bytes, BoxError>;
}

/// Marks pieces that are bytes or text.
#[derive(Debug)]
pub enum Always {}

/// Marks pieces that are `Result`s.
#[derive(Debug)]
pub enum Sometimes {}

impl<T: Into<Bytes>> Piece<Always> for T {
    fn piece(self) -> Result<Bytes, BoxError> {
        Ok(self.into())
    }
}

impl<T: Into<Bytes>, E: Into<BoxError>> Piece<Sometimes> for Result<T, E> {
    fn piece(self) -> Result<Bytes, BoxError> {
        self.map(Into::into).map_err(Into::into)
    }
}

/// A body of a stream. After an error it has ended.
pub(crate) fn body(pieces: impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static) -> Body {
    Body::new(Pieces(SyncWrapper::new(Some(Box::pin(pieces)))))
}

/// None when it has ended: a stream is not polled again then.
struct Pieces<S>(SyncWrapper<Option<Pin<Box<S>>>>);

impl<S> http_body::Body for Pieces<S>
where
    S: Stream<Item = Result<Bytes, BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let pieces = self.0.get_mut();
        let Some(stream) = pieces else { return Poll::Ready(None) };
        let polled = stream.as_mut().poll_next(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            // All that it had to give was given.
            let_go(pieces.take());
        }
        polled.map_ok(Frame::data)
    }
}

impl fmt::Debug for Streaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming").finish_non_exhaustive()
    }
}
