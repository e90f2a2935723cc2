//! The view of an app: a page, and the JSON that it shows.

mod state;

use std::convert::Infallible;

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;

use self::state::Snapshot;
use crate::app::App;
use crate::app::router::{HasRouter, Router};
use crate::extract::json::Json;
use crate::inject::context::RequestContext;

const PAGE: &str = include_str!("view/page.html");

/// Its script and its style, by their hashes; its own origin to fetch from; and nothing else. `tests/view/run` says the
/// hashes of a page that was changed.
const POLICY: HeaderValue = HeaderValue::from_static(concat!(
    "default-src 'none'; connect-src 'self'; ",
    "script-src 'sha256-syb2JBqzE/uGhaJc6fXFTrbhaIOc3hcLEcw35F43JTQ='; ",
    "style-src 'sha256-YxI3jGmnFIjemQrE+BW9g6L4v42egNVsN+DYEhauCHg='; ",
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
));

/// What is true a moment later is something else.
const NEVER_CACHED: (HeaderName, HeaderValue) = (CACHE_CONTROL, HeaderValue::from_static("no-store"));

const AS_IT_SAYS: (HeaderName, HeaderValue) = (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

macro_rules! viewed {
    ($($builder:ty),*) => {$(
        impl $builder {
            #[doc = include_str!("view/README.md")]
            pub fn view(mut self, path: &str) -> Self {
                self.router().has_view = true;
                let path = path.trim_end_matches('/');
                let root = if path.is_empty() { "/" } else { path };
                self.get(root, page).get(&format!("{path}/state.json"), state)
            }
        }
    )*};
}
viewed!(App, Router);

/// The page.
async fn page() -> Response {
    let headers = [
        NEVER_CACHED,
        AS_IT_SAYS,
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, PAGE).into_response()
}

/// What runs, as JSON. On the event loop, so that it is answered when all threads of the pool are taken.
async fn state(Now(state): Now) -> Response {
    ([NEVER_CACHED, AS_IT_SAYS], Json(state)).into_response()
}

/// What runs when the request comes.
struct Now(Snapshot);

impl FromRequestParts<RequestContext> for Now {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, context: &RequestContext) -> Result<Self, Infallible> {
        Ok(Now(Snapshot::now(context)))
    }
}
