//! Any error, as a response that tells nothing of it.

use std::fmt;

use anyrt::BoxError;
use axum_core::response::{IntoResponse, Response};

use super::http_error::HttpError;

/// Any error, for handlers, providers and teardowns whose errors are not the client's business: `?` takes all of them.
///
/// An [`HttpError`] stays what it is, with its status and text. Whatever else comes is answered with 500, says nothing of
/// itself to the client, is logged, and told to the teardowns ([`Outcome::source`](crate::Outcome::source)).
///
/// ```
/// use anyrt_http::{AnyError, HttpError, Path};
/// use http::StatusCode;
///
/// fn page(Path(name): Path<String>) -> Result<String, AnyError> {
///     if name.contains('/') {
///         return Err(HttpError::new(StatusCode::NOT_FOUND, "there is no such page").into());
///     }
///     let text = std::fs::read_to_string(format!("pages/{name}"))?;
///     let lines: usize = text.lines().next().unwrap_or_default().parse()?;
///     Ok(format!("{lines} lines"))
/// }
/// # let _ = anyrt_http::App::new().get("/{name}", page);
/// ```
///
/// It is no `std::error::Error` itself, so that it can be made of each of them.
pub struct AnyError(BoxError);

impl<E: Into<BoxError>> From<E> for AnyError {
    fn from(error: E) -> Self {
        AnyError(error.into())
    }
}

impl From<AnyError> for HttpError {
    fn from(AnyError(error): AnyError) -> Self {
        match error.downcast::<HttpError>() {
            Ok(error) => *error,
            Err(error) => HttpError::internal(error),
        }
    }
}

impl IntoResponse for AnyError {
    fn into_response(self) -> Response {
        HttpError::from(self).into_response()
    }
}

impl fmt::Debug for AnyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for AnyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
