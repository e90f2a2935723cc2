//! Who runs the app, and may look into it.

use anyrt_http::{Dependency, HttpError, Router};
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};

/// The view of what runs, for the operator alone.
pub(crate) fn view() -> Router {
    Router::new().view("/").require::<Operator>().provide(operator)
}

struct Operator;

impl Dependency for Operator {}

/// Asks neither the database nor the thread pool, so that there is a view when both are stuck.
async fn operator(headers: HeaderMap) -> Result<Operator, HttpError> {
    match headers.get(AUTHORIZATION) {
        // `operator:secret`, so that the README can show it.
        Some(shown) if shown == "Basic b3BlcmF0b3I6c2VjcmV0" => Ok(Operator),
        _ => Err(HttpError::new(StatusCode::UNAUTHORIZED, "this is for the operator")
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"))),
    }
}
