//! Dependencies: values that path operations ask for by type.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use axum_core::response::Response;
use http::StatusCode;
use http::request::Parts;

use crate::context::RequestContext;
use crate::problem::detail;
use crate::provider::Source;

/// A dependency in the cache or the registry: an `Arc<T>` whose type is found again by `TypeId`.
pub(crate) type Value = Arc<dyn Any + Send + Sync>;

/// A value that a provider may return: what [`Dep`] then finds.
///
/// The trait has nothing to implement. It tells a value from a future and from a `Result`, so that
/// one verb, [`App::provide`](crate::App::provide), takes providers of every kind:
///
/// ```
/// struct User(String);
/// impl anyrt_http::Dependency for User {}
/// ```
///
/// A value of a foreign type comes in by [`App::provide_value`](crate::App::provide_value), or in a
/// struct of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not marked as something that a provider returns",
    label = "needs `impl anyrt_http::Dependency for ..`",
    note = "write `impl anyrt_http::Dependency for YourType {{}}`; wrap a foreign type in a struct, or use `provide_value`"
)]
pub trait Dependency: Send + Sync + 'static {}

/// A dependency, found by its type: what [`App::provide`](crate::App::provide) or
/// [`App::provide_value`](crate::App::provide_value) told the app to give.
///
/// It is shared: one value a request, and with `provide_value` one value for all. Clones are cheap.
pub struct Dep<T: Send + Sync + 'static>(Arc<T>);

impl<T: Send + Sync + 'static> Dep<T> {
    /// A dependency made by hand, for calling a path operation in a test.
    pub fn new(value: T) -> Self {
        Dep(Arc::new(value))
    }

    /// The shared value itself.
    pub fn into_inner(self) -> Arc<T> {
        self.0
    }

    /// The value from the registry, the cache or its provider, in this order.
    pub(crate) async fn find(parts: &mut Parts, context: &RequestContext) -> Result<Self, Response> {
        let kind = TypeId::of::<T>();
        let value = match context.core().sources.get(&kind) {
            Some(Source::Value(value)) => Arc::clone(value),
            Some(Source::Provider(provider)) => match context.cached(kind) {
                Some(value) => value,
                None => {
                    let value = provider.call(parts, context).await?;
                    context.cache(kind, Arc::clone(&value));
                    value
                }
            },
            None => return Err(missing::<T>()),
        };
        value.downcast().map(Dep).map_err(|_| missing::<T>())
    }
}

/// The check when the app is built leaves one way to come here: an extractor that asks for what
/// it did not declare.
fn missing<T>() -> Response {
    tracing::error!(dependency = type_name::<T>(), "nothing provides this dependency");
    detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

impl<T: Send + Sync + 'static> Deref for Dep<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Send + Sync + 'static> Clone for Dep<T> {
    fn clone(&self) -> Self {
        Dep(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for Dep<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dep").field(&self.0).finish()
    }
}

/// What an argument is, for the check when the app is built.
#[derive(Debug, Clone, Copy)]
#[doc(hidden)]
pub struct Argument {
    pub(crate) name: &'static str,
    pub(crate) dependency: Option<TypeId>,
}

impl Argument {
    pub(crate) fn extractor<T>() -> Self {
        Argument { name: type_name::<T>(), dependency: None }
    }

    pub(crate) fn dependency<T: 'static>() -> Self {
        Argument { name: type_name::<T>(), dependency: Some(TypeId::of::<T>()) }
    }
}
