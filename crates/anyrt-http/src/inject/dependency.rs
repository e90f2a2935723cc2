//! Dependencies: values that path operations ask for by type.

use std::any::{TypeId, type_name};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use axum_core::response::Response;
use http::request::Parts;

use super::context::RequestContext;
use crate::response::problem::internal;

/// A value that a provider may return: what [`Dep`] then finds.
///
/// The trait has nothing that must be implemented. It tells a value from a future and from a `Result`, so that
/// one verb, [`App::provide`](crate::App::provide), takes providers of every kind:
///
/// ```
/// struct User(String);
/// impl anyrt_http::Dependency for User {}
/// ```
///
/// A value of a foreign type comes in by [`App::provide_value`](crate::App::provide_value), in a
/// [`Teardown`](crate::Teardown), or in a struct of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not marked as something that a provider returns",
    label = "needs `impl anyrt_http::Dependency for ..`",
    note = "write `impl anyrt_http::Dependency for YourType {{}}`; wrap a foreign type in a struct, or use `provide_value`"
)]
pub trait Dependency: Send + Sync + 'static {
    /// Whether dropping a value is quick, wherever that is: it frees memory, and neither waits nor blocks.
    ///
    /// What a plain function made, and what was made from it, is dropped in the thread pool when the request is over: a
    /// connection that says goodbye to its server would keep an event loop from all others. That costs a job of the pool
    /// for each request, all its values together. A type which owns texts and numbers need not go there, and says so:
    ///
    /// ```
    /// struct User { name: String, roles: Vec<String> }
    /// impl anyrt_http::Dependency for User {
    ///     const DROPS_ANYWHERE: bool = true;
    /// }
    /// ```
    ///
    /// A type that has nothing to drop does not go there either. The same for one provider:
    /// [`Configure::drop_here`](crate::Configure::drop_here).
    const DROPS_ANYWHERE: bool = false;
}

/// A dependency, found by its type: what [`App::provide`](crate::App::provide) or
/// [`App::provide_value`](crate::App::provide_value) told the app to give.
///
/// It is shared: one value a request, and with `provide_value` or of the lifetime
/// [`App`](crate::Lifetime::App) one value for all. Clones are cheap.
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

    pub(crate) fn shared(value: Arc<T>) -> Self {
        Dep(value)
    }

    /// The value from the registry, the cache or its provider, in this order.
    pub(crate) async fn find(parts: &mut Parts, context: &RequestContext) -> Result<Self, Response> {
        find(false, parts, context).await.map(Dep)
    }
}

async fn find<T>(fresh: bool, parts: &mut Parts, context: &RequestContext) -> Result<Arc<T>, Response>
where
    T: Send + Sync + 'static,
{
    let (kind, sources) = (TypeId::of::<T>(), &context.core().sources);
    let value = match sources.ready(kind) {
        Some(value) => value,
        None => sources.find(kind, fresh, parts, context).await?,
    };
    value.downcast().map_err(|_| {
        tracing::error!(dependency = type_name::<T>(), "nothing provides this dependency");
        internal()
    })
}

/// As [`Dep`], made for this argument alone: neither taken from the request nor shared with later arguments.
///
/// A value that is the app's ([`provide_value`](crate::App::provide_value), [`Lifetime::App`](crate::Lifetime::App)) is the
/// same all the same.
pub struct Fresh<T: Send + Sync + 'static>(Arc<T>);

impl<T: Send + Sync + 'static> Fresh<T> {
    /// A dependency made by hand, for calling a path operation in a test.
    pub fn new(value: T) -> Self {
        Fresh(Arc::new(value))
    }

    pub(crate) async fn find(parts: &mut Parts, context: &RequestContext) -> Result<Self, Response> {
        find(true, parts, context).await.map(Fresh)
    }
}

macro_rules! holds_a_value {
    ($name:ident) => {
        impl<T: Send + Sync + 'static> Deref for $name<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.0
            }
        }

        impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.0).finish()
            }
        }
    };
}
holds_a_value!(Dep);
holds_a_value!(Fresh);

impl<T: Send + Sync + 'static> Clone for Dep<T> {
    fn clone(&self) -> Self {
        Dep(Arc::clone(&self.0))
    }
}

/// What an argument is, for the check when the app is built.
#[derive(Debug, Clone, Copy)]
#[doc(hidden)]
pub struct Argument {
    pub(crate) name: &'static str,
    pub(crate) is: ArgumentKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(hidden)]
pub enum ArgumentKind {
    Dependency(TypeId),
    /// Something of the request's head or body.
    Extractor,
    /// Something of the request's context: background tasks, the response's headers.
    Context,
    /// The client, who may leave.
    Client,
}

impl Argument {
    pub(crate) fn extractor<T>() -> Self {
        Argument { name: type_name::<T>(), is: ArgumentKind::Extractor }
    }

    pub(crate) fn dependency<T: 'static>() -> Self {
        Argument { name: type_name::<T>(), is: ArgumentKind::Dependency(TypeId::of::<T>()) }
    }

    pub(crate) fn context<T>(is: ArgumentKind) -> Self {
        Argument { name: type_name::<T>(), is }
    }
}
