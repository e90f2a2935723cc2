//! An error for handlers and providers: a status, a text for the client, a source for the log.

use std::fmt;
use std::sync::Arc;

use anyrt::BoxError;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::problem::detail;
use super::source::Source;

/// An error that a path operation, a provider or a teardown returns: answered with its status and `{"detail": ..}`.
///
/// The source is not shown to the client: it is told to the teardowns ([`Outcome::source`](crate::Outcome::source)), and of an
/// error of the server (500 and above) to the log.
///
/// Ordinary errors become one with 500, by `?` or [`internal`](HttpError::internal); where `?` is to take any error, it is
/// [`AnyError`](crate::AnyError).
///
/// ```
/// use anyrt_http::HttpError;
/// use http::StatusCode;
///
/// fn read(path: &str) -> Result<String, HttpError> {
///     std::fs::read_to_string(path).map_err(|error| {
///         HttpError::new(StatusCode::NOT_FOUND, "there is no such page").source(error)
///     })
/// }
/// # assert!(read("/nowhere/at/all").is_err());
/// ```
#[derive(Debug)]
pub struct HttpError(Box<Told>);

#[derive(Debug)]
struct Told {
    status: StatusCode,
    detail: String,
    headers: HeaderMap,
    source: Option<Source>,
}

impl HttpError {
    /// An error with this status, and a text for the client.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        HttpError(Box::new(Told { status, detail: detail.into(), headers: HeaderMap::new(), source: None }))
    }

    /// 500, with the error that it comes from, of which the client is told nothing.
    ///
    /// ```
    /// use anyrt_http::HttpError;
    ///
    /// fn resolve(host: &str) -> Result<usize, HttpError> {
    ///     let found = std::net::ToSocketAddrs::to_socket_addrs(host).map_err(HttpError::internal)?;
    ///     Ok(found.count())
    /// }
    /// # assert!(resolve("nowhere").is_err());
    /// ```
    pub fn internal(source: impl Into<BoxError>) -> Self {
        HttpError::from(StatusCode::INTERNAL_SERVER_ERROR).source(source)
    }

    /// Adds a header to the response.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// Adds what it comes from.
    pub fn source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(Source(Arc::from(source.into())));
        self
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }
}

impl From<StatusCode> for HttpError {
    /// With the usual text of the status.
    fn from(status: StatusCode) -> Self {
        HttpError::new(status, status.canonical_reason().unwrap_or("Error"))
    }
}

/// Errors that are 500. All of them at once cannot be: an `HttpError` is one, too.
macro_rules! internal {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for HttpError {
            /// As [`HttpError::internal`].
            fn from(error: $error) -> Self {
                HttpError::internal(error)
            }
        }
    )*};
}
internal! {
    BoxError, std::io::Error, fmt::Error, std::num::ParseIntError, std::num::ParseFloatError, std::num::TryFromIntError,
    std::str::Utf8Error, std::string::FromUtf8Error, std::time::SystemTimeError, std::sync::mpsc::RecvError,
    serde_json::Error, anyrt::TimedOut, anyrt::Cancelled, anyrt::GroupError, anyrt::TaskEnded, anyrt::blocking::StartError,
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let Told { status, detail: text, headers, source } = *self.0;
        let mut response = detail(status, &text);
        response.headers_mut().extend(headers);
        if let Some(source) = source {
            if status.is_server_error() {
                tracing::error!(status = status.as_u16(), error = %source.0, "a request failed");
            }
            response.extensions_mut().insert(source);
        }
        response
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.status.as_u16(), self.0.detail)
    }
}

impl std::error::Error for HttpError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &*source.0 as _)
    }
}
