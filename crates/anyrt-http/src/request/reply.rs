//! What dependencies and handlers add to a response that they do not make.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum_core::response::Response;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Adds headers to the response, whichever function makes it. An argument of a path operation or a provider; all of one request
/// share it.
///
/// ```
/// use anyrt_http::{Dependency, ResponseHeaders};
/// use http::header::{CACHE_CONTROL, HeaderValue};
///
/// struct Uncached;
/// impl Dependency for Uncached {}
///
/// async fn uncached(headers: ResponseHeaders) -> Uncached {
///     headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
///     Uncached
/// }
/// # let _ = uncached;
/// ```
///
/// They replace the headers of the same name that the handler's response has. What is added after the response's head was sent
/// is lost.
#[derive(Clone)]
pub struct ResponseHeaders(Arc<Reply>);

impl ResponseHeaders {
    pub(crate) fn of(reply: Arc<Reply>) -> Self {
        ResponseHeaders(reply)
    }

    /// Sets a header, in place of any of the same name.
    pub fn insert(&self, name: HeaderName, value: HeaderValue) {
        self.0.lock().insert(name, value);
    }

    /// Adds a header beside others of the same name that were added here.
    pub fn append(&self, name: HeaderName, value: HeaderValue) {
        self.0.lock().append(name, value);
    }
}

/// The headers that were added.
#[derive(Default)]
pub(crate) struct Reply(Mutex<HeaderMap>);

impl Reply {
    fn lock(&self) -> std::sync::MutexGuard<'_, HeaderMap> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn apply(&self, response: &mut Response) {
        let added = std::mem::take(&mut *self.lock());
        // `extend` replaces the first of a name and appends the others.
        response.headers_mut().extend(added);
    }
}

impl fmt::Debug for ResponseHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResponseHeaders").field(&*self.0.lock()).finish()
    }
}
