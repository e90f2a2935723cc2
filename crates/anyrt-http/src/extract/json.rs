//! JSON, in requests and responses.

use std::ops::{Deref, DerefMut};

use axum_core::extract::{FromRequest, Request};
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::inject::context::RequestContext;
use crate::request::body;
use crate::response::problem::{Invalid, JSON, Problem, detail};
use crate::response::respond::with;

/// A value as JSON: the request's body as an argument, the response's as what is returned.
///
/// As an argument, refused with 415 without a JSON content type, 413 beyond
/// [`Limits::body`](crate::Limits::body), and 422 when it is not JSON or does not fit, with the place
/// of the fault. As a response, a value that cannot be serialised is a 500.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<RequestContext> for Json<T> {
    type Rejection = Response;

    async fn from_request(request: Request, context: &RequestContext) -> Result<Self, Response> {
        body::must_be(&request, "application/json", |kind| {
            kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
        })?;
        let bytes = body::read(request.into_body(), context.limits().body).await?;
        parse(&bytes).map(Json).map_err(IntoResponse::into_response)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Invalid> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (at, inner) = (error.path(), error.inner());
        Problem::new("body", inner).along(at).in_text(inner.line(), inner.column())
    })?;
    json.end().map_err(|error| Problem::new("body", &error).in_text(error.line(), error.column()))?;
    Ok(value)
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(json) => with(JSON, json),
            Err(error) => {
                tracing::error!(%error, "a response could not be serialised");
                detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
        }
    }
}

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Json<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
