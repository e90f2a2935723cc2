//! The query string as a value.

use std::ops::Deref;

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::response::problem::{Invalid, Problem};

/// The query string, read into a value by serde: `?page=2&tag=new` into a struct with these fields.
///
/// A key that comes several times is a list, at the top level; so is one that comes once, if a list is asked for:
///
/// ```
/// use anyrt_http::Query;
///
/// #[derive(serde::Deserialize)]
/// struct Search {
///     page: Option<u32>,
///     #[serde(default)]
///     tag: Vec<String>,
/// }
///
/// // `?page=2&tag=new&tag=used`, `?tag=new`, and nothing at all.
/// async fn search(Query(search): Query<Search>) -> String {
///     format!("page {:?}, {} tags", search.page, search.tag.len())
/// }
/// # let _ = anyrt_http::App::new().get("/search", search);
/// ```
///
/// Where serde asks what a value is, and does not say what it wants, everything in a query is text: so inside of
/// `#[serde(flatten)]` and of untagged enums a number is refused, with a 422 that names the cure: take two arguments,
/// `Query<Page>` and `Query<Rest>`, which each read the whole query, or give the field a `deserialize_with` that reads text.
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
    let pairs = serde_html_form::Deserializer::new(form_urlencoded::parse(text));
    serde_path_to_error::deserialize(pairs)
        .map_err(|error| Problem::new(part, told(error.inner())).along(error.path()).into())
}

/// As [`pairs`], of names and values that come one by one.
pub(crate) fn named<'a, T: DeserializeOwned>(
    values: impl Iterator<Item = (String, &'a str)>,
    part: &str,
) -> Result<T, Invalid> {
    pairs(form_urlencoded::Serializer::new(String::new()).extend_pairs(values).finish().as_bytes(), part)
}

/// What is wrong, in words that help.
fn told(error: &serde_html_form::de::Error) -> String {
    let told = error.to_string();
    if told == "unsupported value" {
        return "it is given several times, and is no list".to_owned();
    }
    let wanted = told.strip_prefix("invalid type: string ").and_then(|rest| rest.rsplit_once(", expected "));
    let is_no_text = |wanted: &str| {
        matches!(wanted, "a boolean" | "f32" | "f64") || wanted.starts_with(['i', 'u']) && wanted.len() <= 5
    };
    match wanted {
        // A type that asks for a number reads it from the text: here serde did not say which it wants.
        Some((_, wanted)) if is_no_text(wanted) => format!(
            "{told}: inside of a flattened or untagged type all values are texts; \
             read it with an argument of its own, or by a `deserialize_with` that reads text"
        ),
        _ => told,
    }
}

impl<T> Deref for Query<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
