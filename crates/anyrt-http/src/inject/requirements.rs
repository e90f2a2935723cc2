//! What a router asks for before the path operations under it: dependencies whose values are not used there.

use std::fmt;

use axum_core::response::Response;
use http::request::Parts;

use super::context::RequestContext;
use super::dependency::{Argument, Dep};
use super::guarded::Work;

/// A dependency that has to be there.
#[derive(Clone, Copy)]
pub(crate) struct Need {
    pub(crate) argument: Argument,
    find: for<'a> fn(&'a mut Parts, &'a RequestContext) -> Work<'a, Result<(), Response>>,
}

impl Need {
    pub(crate) fn of<T: Send + Sync + 'static>() -> Need {
        Need {
            argument: Argument::dependency::<T>(),
            find: |parts, context| Box::pin(async { Dep::<T>::find(parts, context).await.map(drop) }),
        }
    }

    pub(crate) fn find<'a>(
        &self,
        parts: &'a mut Parts,
        context: &'a RequestContext,
    ) -> Work<'a, Result<(), Response>> {
        (self.find)(parts, context)
    }
}

impl fmt::Debug for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Need").field(&self.argument.name).finish()
    }
}
