//! Providers: functions that make dependencies, async or plain.

use std::any::{TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::arguments::FromHead;
use crate::context::RequestContext;
use crate::dependency::{Argument, Dependency, Value};
use crate::handler::{Async, Blocking, Callable};

/// Where each dependency comes from.
pub(crate) type Sources = HashMap<TypeId, Source>;

/// Where a dependency comes from.
pub(crate) enum Source {
    /// A value that all requests share.
    Value(Value),
    /// A function that makes one for each request that asks.
    Provider(Box<dyn Provider>),
}

/// A provider, whatever its arguments.
pub(crate) trait Provider: Send + Sync {
    /// The provider's path, as the compiler names it.
    fn name(&self) -> &'static str;

    /// The type it makes, as the compiler names it.
    fn makes(&self) -> &'static str;

    /// What it asks for.
    fn arguments(&self) -> &[Argument];

    /// Gathers its arguments, first of all other dependencies, and calls it.
    fn call<'a>(&'a self, parts: &'a mut Parts, context: &'a RequestContext) -> Providing<'a>;
}

type Providing<'a> = Pin<Box<dyn Future<Output = Result<Value, Response>> + Send + 'a>>;

/// What a provider gives at last: a value, or a result of one.
///
/// Implemented for every [`Dependency`] (marker [`Plain`]) and for `Result<T, E>` of one (marker
/// [`Fallible`]); an error is the response that refuses the request.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a provider can return",
    label = "neither a `Dependency` nor a `Result` of one, nor a future of these",
    note = "write `impl anyrt_http::Dependency for YourType {{}}`; an error must be a response (`IntoResponse`)"
)]
pub trait Provided<K>: Sized {
    /// The type that [`Dep`](crate::Dep) finds.
    type Value: Dependency;

    /// The value, or the response that refuses the request.
    fn provided(self) -> Result<Self::Value, Response>;
}

/// Marks values that a provider returns as they are.
#[derive(Debug)]
pub enum Plain {}

/// Marks values that a provider returns in a `Result`.
#[derive(Debug)]
pub enum Fallible {}

impl<T: Dependency> Provided<Plain> for T {
    type Value = T;

    fn provided(self) -> Result<T, Response> {
        Ok(self)
    }
}

impl<T: Dependency, E: IntoResponse> Provided<Fallible> for Result<T, E> {
    type Value = T;

    fn provided(self) -> Result<T, Response> {
        self.map_err(IntoResponse::into_response)
    }
}

/// Tells by what a provider returns where it runs, and what it makes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a provider can return",
    label = "neither a `Dependency` nor a `Result` of one, nor a future of these",
    note = "write `impl anyrt_http::Dependency for YourType {{}}`; an error must be a response (`IntoResponse`)"
)]
pub trait Provide<K>: Sized {
    /// The type that [`Dep`](crate::Dep) finds.
    type Value: Dependency;

    /// Calls the provider where it belongs: a plain function in the thread pool.
    fn run<H, A>(
        provider: &Arc<H>,
        arguments: A,
    ) -> impl Future<Output = Result<Self::Value, Response>> + Send
    where
        H: Callable<A, Output = Self> + Send + Sync + 'static,
        A: Send + 'static;
}

impl<F, K> Provide<(Async, K)> for F
where
    F: Future + Send,
    F::Output: Provided<K>,
{
    type Value = <F::Output as Provided<K>>::Value;

    async fn run<H, A>(provider: &Arc<H>, arguments: A) -> Result<Self::Value, Response>
    where
        H: Callable<A, Output = Self> + Send + Sync + 'static,
        A: Send + 'static,
    {
        let running = provider.invoke(arguments);
        running.await.provided()
    }
}

impl<R, K> Provide<(Blocking, K)> for R
where
    R: Provided<K>,
{
    type Value = R::Value;

    async fn run<H, A>(provider: &Arc<H>, arguments: A) -> Result<Self::Value, Response>
    where
        H: Callable<A, Output = Self> + Send + Sync + 'static,
        A: Send + 'static,
    {
        let provider = Arc::clone(provider);
        anyrt::run_blocking(move || provider.invoke(arguments).provided()).await
    }
}

/// A provider with the types that its detection found.
pub(crate) struct Function<H, A, M, K> {
    function: Arc<H>,
    arguments: Vec<Argument>,
    found: PhantomData<fn(A, M, K)>,
}

impl<H, A, M, K> Function<H, A, M, K>
where
    A: FromHead<M>,
{
    pub(crate) fn new(function: H) -> Self {
        Function { function: Arc::new(function), arguments: A::describe(), found: PhantomData }
    }
}

impl<H, A, M, K> Provider for Function<H, A, M, K>
where
    H: Callable<A> + Send + Sync + 'static,
    H::Output: Provide<K>,
    A: FromHead<M> + 'static,
{
    fn name(&self) -> &'static str {
        type_name::<H>()
    }

    fn makes(&self) -> &'static str {
        type_name::<<H::Output as Provide<K>>::Value>()
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn call<'a>(&'a self, parts: &'a mut Parts, context: &'a RequestContext) -> Providing<'a> {
        Box::pin(async move {
            let arguments = A::from_head(parts, context).await?;
            let value = <H::Output as Provide<K>>::run(&self.function, arguments).await?;
            Ok(Arc::new(value) as Value)
        })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Value(_) => f.write_str("Value"),
            Source::Provider(provider) => f.debug_tuple("Provider").field(&provider.name()).finish(),
        }
    }
}
