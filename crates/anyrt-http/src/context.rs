//! The request context: what the arguments of one request share.

use std::any::TypeId;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::request::Parts;

use crate::dependency::Value;
use crate::limits::Limits;
use crate::routes::Parameters;
use crate::service::Core;

/// What the arguments of one request share: path parameters, the cache of dependencies, limits.
///
/// It is the state `S` of axum-core's `FromRequestParts<S>` and `FromRequest<S>`: an extractor of
/// your own that is generic over the state works in a path operation, and one for this type can ask
/// it.
pub struct RequestContext {
    core: Arc<Core>,
    route: usize,
    parameters: Parameters,
    cache: Mutex<Vec<(TypeId, Value)>>,
}

impl RequestContext {
    pub(crate) fn new(core: Arc<Core>, route: usize, parameters: Parameters) -> Self {
        RequestContext { core, route, parameters, cache: Mutex::default() }
    }

    /// The limits of the app.
    pub fn limits(&self) -> &Limits {
        &self.core.limits
    }

    /// The route's pattern, as it was given: `/items/{id}`.
    pub fn route(&self) -> &str {
        self.core.routes.pattern(self.route)
    }

    /// Name and text of each path parameter, still percent-encoded, in the order of the path.
    pub(crate) fn parameters<'a>(
        &'a self,
        parts: &'a Parts,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let path = parts.uri.path();
        let names = self.core.routes.names(self.route).iter().map(String::as_str);
        // A middleware that shortened the path leaves nothing to read: an empty text then.
        names.zip(self.parameters.iter().map(move |range| path.get(range).unwrap_or_default()))
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    pub(crate) fn cached(&self, kind: TypeId) -> Option<Value> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.iter().find(|(cached, _)| *cached == kind).map(|(_, value)| Arc::clone(value))
    }

    pub(crate) fn cache(&self, kind: TypeId, value: Value) {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).push((kind, value));
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext").field("route", &self.route()).finish_non_exhaustive()
    }
}
