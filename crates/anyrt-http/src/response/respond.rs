//! Responses of what handlers return; the usual types without an allocation for their headers.

use std::any::Any;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};

use super::header_pool;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The response that axum-core makes of it. Which type it is, is known when this is compiled.
pub(crate) fn respond<T: IntoResponse + 'static>(value: T) -> Response {
    let mut value = Some(value);
    let any: &mut dyn Any = &mut value;
    if let Some(text) = any.downcast_mut::<Option<&'static str>>() {
        return with(TEXT, text.take().unwrap_or_default());
    }
    if let Some(text) = any.downcast_mut::<Option<String>>() {
        return with(TEXT, text.take().unwrap_or_default());
    }
    if let Some(bytes) = any.downcast_mut::<Option<Bytes>>() {
        return with(BYTES, bytes.take().unwrap_or_default());
    }
    if let Some(bytes) = any.downcast_mut::<Option<Vec<u8>>>() {
        return with(BYTES, bytes.take().unwrap_or_default());
    }
    match value {
        Some(value) => value.into_response(),
        None => unreachable!("taken above, where it is returned"),
    }
}

/// A response with one header.
pub(crate) fn with(content_type: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.headers_mut() = header_pool::take();
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use axum_core::response::IntoResponse;
    use bytes::Bytes;
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    use super::respond;

    /// Status, headers and body are those that axum-core gives.
    fn same<T: IntoResponse + Clone + 'static>(value: T) {
        let (ours, theirs) = (respond(value.clone()), value.into_response());
        assert_eq!((ours.status(), ours.headers()), (theirs.status(), theirs.headers()));
        let whole = |response: axum_core::response::Response| {
            response.into_body().collect().now_or_never().expect("at once").expect("a body").to_bytes()
        };
        assert_eq!(whole(ours), whole(theirs));
    }

    #[test]
    fn the_response_is_that_of_axum_core() {
        same("text");
        same("text".to_owned());
        same(Bytes::from_static(b"bytes"));
        same(b"bytes".to_vec());
        same(());
        same((http::StatusCode::CREATED, "made"));
        same(http::StatusCode::NO_CONTENT);
    }
}
