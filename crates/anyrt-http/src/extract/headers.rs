//! The request's headers, and its cookies, as values.

use std::ops::Deref;

use axum_core::extract::FromRequestParts;
use http::header::COOKIE;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::query;
use crate::response::problem::{Invalid, Problem};

/// The request's headers, read into a value by serde: `x-request-id` into a field `x_request_id`. A header that comes in
/// several lines is a list, if one is asked for, a line each.
///
/// ```
/// use anyrt_http::Headers;
///
/// #[derive(serde::Deserialize)]
/// struct Asked {
///     x_request_id: Option<u64>,
///     #[serde(default)]
///     x_forwarded_for: Vec<String>,
/// }
///
/// async fn hops(Headers(asked): Headers<Asked>) -> String {
///     format!("{:?} came over {} proxies", asked.x_request_id, asked.x_forwarded_for.len())
/// }
/// # let _ = anyrt_http::App::new().get("/", hops);
/// ```
///
/// Refused with 422 when it does not fit. A header that is no text is left out; all of them as they came are
/// `http::HeaderMap`, which is an argument, too.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<T>(pub T);

impl<S, T> FromRequestParts<S> for Headers<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Invalid;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Invalid> {
        let lines = parts
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().replace('-', "_"), value.to_str().ok()?)));
        query::named(lines, "header").map(Headers)
    }
}

/// The request's cookies, read into a value by serde, by their names. One that comes several times is a list, if one is
/// asked for.
///
/// ```
/// use anyrt_http::Cookies;
///
/// #[derive(serde::Deserialize)]
/// struct Visit {
///     session: Option<String>,
/// }
///
/// async fn hello(Cookies(visit): Cookies<Visit>) -> String {
///     format!("hello, {}", visit.session.as_deref().unwrap_or("stranger"))
/// }
/// # let _ = anyrt_http::App::new().get("/", hello);
/// ```
///
/// Values are taken as they are, without the quotes around them if there are some. Refused with 422 when they do not fit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cookies<T>(pub T);

impl<S, T> FromRequestParts<S> for Cookies<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Invalid;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Invalid> {
        let mut cookies = Vec::new();
        // HTTP/2 may bring them in several lines (RFC 9113, 8.2.3).
        for line in parts.headers.get_all(COOKIE) {
            let line = line.to_str().map_err(|_| Problem::new("cookie", "not a text"))?;
            for cookie in line.split(';') {
                let Some((name, value)) = cookie.split_once('=') else { continue };
                let value = value.trim();
                let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                cookies.push((name.trim().to_owned(), bare.unwrap_or(value)));
            }
        }
        query::named(cookies.into_iter(), "cookie").map(Cookies)
    }
}

macro_rules! holds_a_value {
    ($($name:ident)*) => {$(
        impl<T> Deref for $name<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.0
            }
        }
    )*};
}
holds_a_value!(Headers Cookies);
