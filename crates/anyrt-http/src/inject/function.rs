//! A function with what was found out about it: what stands behind a path operation, and behind a provider.

use std::marker::PhantomData;
use std::sync::Arc;

use super::arguments::{FromArgs, FromHead};
use super::configure::Settings;
use super::dependency::Argument;
use super::handler::Callable;

/// A function with the types that its detection found. `A` are its arguments, `M` and `K` the markers of these and of its kind.
pub(crate) struct Function<H, A, M, K> {
    pub(super) function: Arc<H>,
    pub(super) name: &'static str,
    pub(super) settings: Settings,
    pub(super) arguments: Vec<Argument>,
    found: PhantomData<fn(A, M, K)>,
}

impl<H: Callable<A>, A, M, K> Function<H, A, M, K> {
    /// A path operation, whose last argument may take the body.
    pub(crate) fn operation(function: H) -> Self
    where
        A: FromArgs<M>,
    {
        Function::with(function, A::describe())
    }

    /// A provider, whose arguments leave the body alone.
    pub(crate) fn provider(function: H) -> Self
    where
        A: FromHead<M>,
    {
        Function::with(function, A::describe())
    }

    fn with(function: H, arguments: Vec<Argument>) -> Self {
        let (name, settings) = (function.name(), function.settings());
        Function { function: Arc::new(function), name, settings, arguments, found: PhantomData }
    }
}
