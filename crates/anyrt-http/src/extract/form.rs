//! A form as a value.

use std::ops::Deref;

use axum_core::extract::{FromRequest, Request};
use axum_core::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::query;
use crate::inject::context::RequestContext;
use crate::request::body;

/// A URL-encoded form in the request's body, read into a value by serde, as [`Query`](crate::Query) reads a query: a key that
/// comes several times is a list.
///
/// Refused with 415 without the content type `application/x-www-form-urlencoded`, 413 beyond
/// [`Limits::body`](crate::Limits::body), and 422 when it does not fit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned> FromRequest<RequestContext> for Form<T> {
    type Rejection = Response;

    async fn from_request(request: Request, context: &RequestContext) -> Result<Self, Response> {
        const FORM: &str = "application/x-www-form-urlencoded";
        body::must_be(&request, FORM, |kind| kind == FORM)?;
        let bytes = body::read(request.into_body(), context.limits().body).await?;
        query::pairs(&bytes, "body").map(Form).map_err(IntoResponse::into_response)
    }
}

impl<T> Deref for Form<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
