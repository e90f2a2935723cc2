//! Providers: functions that make dependencies, async or plain.

use std::any::{TypeId, type_name};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::needs_drop;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use anyrt::blocking::CapacityLimiter;
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;

use super::admission;
use super::admission::Then;
use super::arguments::FromHead;
use super::configure::Settings;
use super::context::RequestContext;
use super::dependency::{Argument, Dep, Dependency};
use super::function::Function;
use super::handler::Callable;
use super::teardown::{Teardown, UndoOf};
use crate::base::kind::{Async, Blocking};
use crate::base::lifetime::Lifetime;
use crate::request::undo::Entry;
use crate::request::value::Value;

/// A provider, whatever its arguments.
pub(crate) trait Provider: Send + Sync {
    /// Its name: the function's path, or what it was given.
    fn name(&self) -> &'static str;

    /// The type it makes, and its name as the compiler says it.
    fn makes(&self) -> (TypeId, &'static str);

    /// What it asks for.
    fn arguments(&self) -> &[Argument];

    /// Whether it runs in the thread pool.
    fn blocking(&self) -> bool;

    /// Whether what it makes has to be undone.
    fn undoes(&self) -> bool;

    /// Whether the drop of what it makes may block.
    fn drop_may_block(&self) -> bool;

    /// What was set at the function.
    fn settings(&self) -> &Settings;

    /// Gathers its arguments, first of all other dependencies, waits for a place, and calls it.
    fn call<'a>(
        &'a self,
        parts: &'a mut Parts,
        context: &'a RequestContext,
        rules: &'a Rules,
    ) -> Providing<'a>;
}

pub(crate) type Providing<'a> = Pin<Box<dyn Future<Output = Result<Value, Response>> + Send + 'a>>;

/// What holds for a dependency, whatever provides it.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) lifetime: Lifetime,
    /// How many there may be at once.
    pub(crate) limiter: Option<CapacityLimiter>,
    /// It is made from what a plain function made, and may hold on to that.
    pub(crate) from_pool: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { lifetime: Lifetime::Request, limiter: None, from_pool: false }
    }
}

/// What a provider has made.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "passed on, and nowhere kept")]
pub struct Made<T: Send + Sync + 'static> {
    value: T,
    undo: Option<UndoOf<T>>,
}

/// What a provider gives at last: a value, a [`Teardown`], or a result of one of them.
///
/// Implemented for every [`Dependency`] (marker [`Plain`]), for `Teardown<T>` (marker [`Undoable`]) and for
/// `Result<T, E>` of these (markers [`Fallible`]); an error is the response that refuses the request.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a provider can return",
    label = "neither a `Dependency` or `Teardown` nor a `Result` of one, nor a future of these",
    note = "write `impl anyrt_http::Dependency for YourType {{}}`; an error must be a response (`IntoResponse`)"
)]
pub trait Provided<K>: Sized {
    /// The type that [`Dep`](crate::Dep) finds.
    type Value: Send + Sync + 'static;

    /// Whether the value has to be undone.
    #[doc(hidden)]
    const UNDOES: bool = false;

    /// Whether the drop of the value may block.
    #[doc(hidden)]
    fn drop_may_block() -> bool {
        needs_drop::<Self::Value>() && !is_memory(TypeId::of::<Self::Value>())
    }

    /// The value, or the response that refuses the request.
    #[doc(hidden)]
    fn provided(self) -> Result<Made<Self::Value>, Response>;
}

/// Types that free memory when they are dropped, and do nothing else.
fn is_memory(kind: TypeId) -> bool {
    macro_rules! is_one_of {
        ($($memory:ty),*) => { [$(TypeId::of::<$memory>()),*].contains(&kind) };
    }
    is_one_of!(String, Box<str>, Arc<str>, Vec<u8>, Vec<String>, Bytes, PathBuf)
}

/// Marks values that a provider returns as they are.
#[derive(Debug)]
pub enum Plain {}

/// Marks values that come with what undoes them.
#[derive(Debug)]
pub enum Undoable {}

/// Marks values that a provider returns in a `Result`.
#[derive(Debug)]
pub struct Fallible<K>(PhantomData<K>);

impl<T: Dependency> Provided<Plain> for T {
    type Value = T;

    fn drop_may_block() -> bool {
        needs_drop::<T>() && !T::DROPS_ANYWHERE
    }

    fn provided(self) -> Result<Made<T>, Response> {
        Ok(Made { value: self, undo: None })
    }
}

impl<T: Send + Sync + 'static> Provided<Undoable> for Teardown<T> {
    type Value = T;
    const UNDOES: bool = true;

    fn provided(self) -> Result<Made<T>, Response> {
        Ok(Made { value: self.value, undo: Some(self.undo) })
    }
}

impl<T: Provided<K>, K, E: IntoResponse> Provided<Fallible<K>> for Result<T, E> {
    type Value = T::Value;
    const UNDOES: bool = T::UNDOES;

    fn drop_may_block() -> bool {
        T::drop_may_block()
    }

    fn provided(self) -> Result<Made<T::Value>, Response> {
        self.map_err(IntoResponse::into_response)?.provided()
    }
}

/// Tells by what a provider returns where it runs, and what it makes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a provider can return",
    label = "neither a `Dependency` or `Teardown` nor a `Result` of one, nor a future of these",
    note = "write `impl anyrt_http::Dependency for YourType {{}}`; an error must be a response (`IntoResponse`)"
)]
pub trait Provide<K>: Sized {
    /// The type that [`Dep`](crate::Dep) finds.
    type Value: Send + Sync + 'static;

    /// Whether the provider runs in the thread pool.
    const BLOCKING: bool;

    /// Whether the value has to be undone.
    #[doc(hidden)]
    const UNDOES: bool;

    /// Whether the drop of the value may block.
    #[doc(hidden)]
    fn drop_may_block() -> bool;

    /// Calls the provider where it belongs: a plain function in the thread pool, unless it was said to run inline.
    #[doc(hidden)]
    fn run<H, A>(
        provider: &Arc<H>,
        arguments: A,
        inline: bool,
        context: &RequestContext,
    ) -> impl Future<Output = Result<Made<Self::Value>, Response>> + Send
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
    const BLOCKING: bool = false;
    const UNDOES: bool = <F::Output as Provided<K>>::UNDOES;

    fn drop_may_block() -> bool {
        <F::Output as Provided<K>>::drop_may_block()
    }

    async fn run<H, A>(
        provider: &Arc<H>,
        arguments: A,
        _: bool,
        _: &RequestContext,
    ) -> Result<Made<Self::Value>, Response>
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
    const BLOCKING: bool = true;
    const UNDOES: bool = R::UNDOES;

    fn drop_may_block() -> bool {
        <R as Provided<K>>::drop_may_block()
    }

    async fn run<H, A>(
        provider: &Arc<H>,
        arguments: A,
        inline: bool,
        context: &RequestContext,
    ) -> Result<Made<Self::Value>, Response>
    where
        H: Callable<A, Output = Self> + Send + Sync + 'static,
        A: Send + 'static,
    {
        if inline {
            return provider.invoke(arguments).provided();
        }
        let provider = Arc::clone(provider);
        admission::run(context, Then::More, move || provider.invoke(arguments).provided()).await?
    }
}

impl<H, A, M, K> Provider for Function<H, A, M, K>
where
    H: Callable<A> + Send + Sync + 'static,
    H::Output: Provide<K>,
    A: FromHead<M> + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn makes(&self) -> (TypeId, &'static str) {
        type Value<R, K> = <R as Provide<K>>::Value;
        (TypeId::of::<Value<H::Output, K>>(), type_name::<Value<H::Output, K>>())
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn blocking(&self) -> bool {
        <H::Output as Provide<K>>::BLOCKING && !self.settings.inline
    }

    fn undoes(&self) -> bool {
        <H::Output as Provide<K>>::UNDOES
    }

    fn drop_may_block(&self) -> bool {
        <H::Output as Provide<K>>::drop_may_block() && !self.settings.drop_here
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn call<'a>(
        &'a self,
        parts: &'a mut Parts,
        context: &'a RequestContext,
        rules: &'a Rules,
    ) -> Providing<'a> {
        Box::pin(async move {
            let arguments = A::from_head(parts, context).await?;
            let token = match &rules.limiter {
                // The token goes along with the request, to the task that undoes the value.
                Some(limiter) => Some(limiter.acquire().await.detach()),
                None => None,
            };
            let (function, inline) = (&self.function, self.settings.inline);
            let run = <H::Output as Provide<K>>::run(function, arguments, inline, context);
            let Made { value, undo } = run.await?;
            let (value, mut token) = (Arc::new(value), token);
            // What is the app's is dropped with the app.
            if rules.lifetime != Lifetime::App
                && self.drop_may_block()
                && (self.blocking() || rules.from_pool)
            {
                // The token is given back when the value is dropped.
                context.keep(Arc::clone(&value) as Value, token.take());
            }
            if undo.is_some() || token.is_some() {
                let made = Dep::shared(Arc::clone(&value));
                let undo = undo.map(|undo| Box::new(move |outcome| undo(made, outcome)) as _);
                context.push(rules.lifetime, Entry { name: self.makes().1, undo, token });
            }
            Ok(value as Value)
        })
    }
}

impl fmt::Debug for dyn Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Provider").field(&self.name()).finish()
    }
}
