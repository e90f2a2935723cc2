//! Reading a request's body whole, up to a limit.

use axum_core::body::Body;
use axum_core::extract::Request;
use axum_core::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::base::causes::{among_causes, chain};
use crate::response::problem::detail;

/// A body that comes too slowly.
#[derive(Debug, thiserror::Error)]
#[error("the body came too slowly")]
pub(crate) struct TooSlow;

/// Refuses a request whose content type is missing or another.
pub(crate) fn must_be(
    request: &Request,
    wanted: &str,
    fits: impl FnOnce(&str) -> bool,
) -> Result<(), Response> {
    let given = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = given.and_then(|given| given.split(';').next()).unwrap_or_default();
    if fits(&kind.trim().to_ascii_lowercase()) {
        return Ok(());
    }
    let text = match given {
        Some(given) => format!("expected the content type `{wanted}`, not `{given}`"),
        None => format!("expected the content type `{wanted}`"),
    };
    Err(detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text))
}

/// Refuses a body that says it is longer than the limit, unread.
pub(crate) fn must_be_within(body: &Body, limit: usize) -> Result<(), Response> {
    if body.size_hint().lower() > limit as u64 { Err(too_large(limit)) } else { Ok(()) }
}

/// The whole body, if it is within the limit. One that says it is longer is refused unread.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, Response> {
    must_be_within(&body, limit)?;
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if among_causes::<LengthLimitError>(&*error) => Err(too_large(limit)),
        Err(error) if among_causes::<TooSlow>(&*error) => {
            Err(detail(StatusCode::REQUEST_TIMEOUT, "the body came too slowly"))
        }
        Err(error) => {
            tracing::debug!(error = chain(&*error), "a request's body broke off");
            Err(detail(StatusCode::BAD_REQUEST, "the body could not be read to its end"))
        }
    }
}

fn too_large(limit: usize) -> Response {
    detail(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body is larger than {limit} bytes"))
}
