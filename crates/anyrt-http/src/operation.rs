//! Path operations: a handler together with what its detection found.

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use axum_core::extract::Request;
use axum_core::response::Response;

use crate::arguments::FromArgs;
use crate::context::RequestContext;
use crate::dependency::Argument;
use crate::handler::{Callable, Dispatch};

/// The one allocation that every request makes.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A path operation, whatever its arguments.
pub(crate) trait Operation: Send + Sync {
    /// The handler's path, as the compiler names it.
    fn name(&self) -> &'static str;

    /// Whether the handler runs in the thread pool.
    fn blocking(&self) -> bool;

    /// What it asks for.
    fn arguments(&self) -> &[Argument];

    /// Gathers the arguments, calls the handler and makes the response.
    fn call(&self, request: Request, context: RequestContext) -> Answer;
}

/// A handler with the types that its detection found.
pub(crate) struct Function<H, A, M, K> {
    function: Arc<H>,
    arguments: Vec<Argument>,
    found: PhantomData<fn(A, M, K)>,
}

impl<H, A, M, K> Function<H, A, M, K>
where
    A: FromArgs<M>,
{
    pub(crate) fn new(function: H) -> Self {
        Function { function: Arc::new(function), arguments: A::describe(), found: PhantomData }
    }
}

impl<H, A, M, K> Operation for Function<H, A, M, K>
where
    H: Callable<A> + Send + Sync + 'static,
    A: FromArgs<M> + 'static,
    K: Dispatch<H::Output>,
{
    fn name(&self) -> &'static str {
        type_name::<H>()
    }

    fn blocking(&self) -> bool {
        K::BLOCKING
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn call(&self, request: Request, context: RequestContext) -> Answer {
        let function = Arc::clone(&self.function);
        Box::pin(async move {
            match A::from_request(request, &context).await {
                Ok(arguments) => K::run(&function, arguments, context.limits()).await,
                Err(refusal) => refusal,
            }
        })
    }
}

impl fmt::Debug for dyn Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("handler", &self.name())
            .field("blocking", &self.blocking())
            .finish_non_exhaustive()
    }
}
