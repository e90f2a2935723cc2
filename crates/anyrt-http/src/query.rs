//! The query string as a value.

use std::ops::Deref;

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::{Invalid, Problem};

/// The query string, read into a value by serde: `?page=2&tag=new` into a struct with these fields.
///
/// Refused with 422 when it does not fit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<T>(pub T);

impl<S, T> FromRequestParts<S> for Query<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Invalid;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Invalid> {
        pairs(parts.uri.query().unwrap_or_default().as_bytes(), "query").map(Query)
    }
}

/// Reads `a=1&b=2`, of the query or of a form.
pub(crate) fn pairs<T: DeserializeOwned>(text: &[u8], part: &str) -> Result<T, Invalid> {
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text));
    serde_path_to_error::deserialize(pairs)
        .map_err(|error| Problem::new(part, error.inner()).along(error.path()).into())
}

impl<T> Deref for Query<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
