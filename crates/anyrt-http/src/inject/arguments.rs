//! Arguments: what a path operation or a provider may ask for, and how they are gathered.

use std::future::Future;

use axum_core::body::Body;
use axum_core::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use http_body::Body as _;

use super::client::Client;
use super::context::RequestContext;
use super::dependency::{Argument, ArgumentKind, Dep, Fresh};
use crate::base::limits::DEFAULT_BODY;
use crate::request::background::Background;
use crate::request::body;
use crate::request::reply::ResponseHeaders;
use crate::response::header_pool;
use crate::response::problem::Findings;
use crate::response::problem::internal;

/// Marks arguments that are made from the request's head, by axum-core's `FromRequestParts`.
#[derive(Debug)]
pub enum ViaParts {}

/// Marks arguments that may take the request's body, by axum-core's `FromRequest`.
#[derive(Debug)]
pub enum ViaRequest {}

/// Marks arguments that are dependencies.
#[derive(Debug)]
pub enum ViaDep {}

/// Marks arguments that are made from the request's context.
#[derive(Debug)]
pub enum ViaContext {}

/// Marks nothing: with a second way in which any type could be an argument, and none is, the compiler names the type
/// and not the extractor that it could have been.
#[derive(Debug)]
pub enum ViaNothing {}

/// Implemented for nothing.
#[doc(hidden)]
pub trait NoArgument: Sized + Send {
    fn never(&self) -> std::convert::Infallible;
}

/// An argument that can stand anywhere: an extractor that leaves the body alone, or a
/// [`Dep`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an argument that a path operation or provider can take here",
    label = "neither an extractor of the request's head nor a `Dep`",
    note = "only the LAST argument of a path operation may consume the body (`Json`, `Form`, `Bytes`, `String`, `Request`)"
)]
pub trait Extract<M>: Sized + Send {
    /// Says what the argument is, for the check when the app is built.
    #[doc(hidden)]
    fn describe() -> Argument;

    /// Makes the argument, or the response that refuses the request.
    fn extract(
        parts: &mut Parts,
        context: &RequestContext,
    ) -> impl Future<Output = Result<Self, Response>> + Send;
}

impl<T> Extract<ViaParts> for T
where
    T: FromRequestParts<RequestContext> + Send,
{
    fn describe() -> Argument {
        Argument::extractor::<T>()
    }

    async fn extract(parts: &mut Parts, context: &RequestContext) -> Result<Self, Response> {
        T::from_request_parts(parts, context).await.map_err(IntoResponse::into_response)
    }
}

impl<T: NoArgument> Extract<ViaNothing> for T {
    fn describe() -> Argument {
        Argument::extractor::<T>()
    }

    async fn extract(_: &mut Parts, _: &RequestContext) -> Result<Self, Response> {
        Err(internal())
    }
}

/// What needs no body can be the last argument, too.
macro_rules! anywhere {
    ([$($generics:tt)*] $type:ty, $via:ident, $describe:expr, |$parts:ident, $context:ident| $make:expr) => {
        impl<$($generics)*> Extract<$via> for $type {
            fn describe() -> Argument {
                $describe
            }

            async fn extract($parts: &mut Parts, $context: &RequestContext) -> Result<Self, Response> {
                $make
            }
        }

        impl<$($generics)*> ExtractLast<$via> for $type {
            fn describe() -> Argument {
                $describe
            }

            async fn extract_last(mut parts: Parts, _: Body, $context: &RequestContext) -> Result<Self, Response> {
                let made = {
                    let $parts = &mut parts;
                    $make
                };
                header_pool::keep(parts.headers);
                made
            }
        }
    };
}

anywhere! { [T: Send + Sync + 'static] Dep<T>, ViaDep, Argument::dependency::<T>(),
|parts, context| Dep::find(parts, context).await }
anywhere! { [T: Send + Sync + 'static] Fresh<T>, ViaDep, Argument::dependency::<T>(),
|parts, context| Fresh::find(parts, context).await }
anywhere! { [] Background, ViaContext, Argument::context::<Background>(ArgumentKind::Context),
|_parts, context| Ok(context.background()) }
anywhere! { [] ResponseHeaders, ViaContext, Argument::context::<ResponseHeaders>(ArgumentKind::Context),
|_parts, context| Ok(context.response_headers()) }
anywhere! { [] Client, ViaContext, Argument::context::<Client>(ArgumentKind::Client),
|_parts, context| Ok(Client::of(context)) }

/// The last argument of a path operation, which may take the body.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an argument that a path operation can take",
    label = "neither an extractor nor a `Dep`",
    note = "an extractor implements `FromRequestParts`, or `FromRequest` to take the body, from axum-core"
)]
pub trait ExtractLast<M>: Sized + Send {
    /// Says what the argument is, for the check when the app is built.
    #[doc(hidden)]
    fn describe() -> Argument;

    /// Makes the argument, or the response that refuses the request.
    fn extract_last(
        parts: Parts,
        body: Body,
        context: &RequestContext,
    ) -> impl Future<Output = Result<Self, Response>> + Send;
}

/// What needs no body leaves the head's memory for the response.
impl<T> ExtractLast<ViaParts> for T
where
    T: FromRequestParts<RequestContext> + Send,
{
    fn describe() -> Argument {
        Argument::extractor::<T>()
    }

    async fn extract_last(mut parts: Parts, _: Body, context: &RequestContext) -> Result<Self, Response> {
        let made = T::from_request_parts(&mut parts, context).await.map_err(IntoResponse::into_response);
        header_pool::keep(parts.headers);
        made
    }
}

impl<T> ExtractLast<ViaRequest> for T
where
    T: FromRequest<RequestContext> + Send,
{
    fn describe() -> Argument {
        Argument::extractor::<T>()
    }

    async fn extract_last(parts: Parts, body: Body, context: &RequestContext) -> Result<Self, Response> {
        let limit = context.limits().body;
        let body = match reading::<T>() {
            Reading::AsItIs => body,
            Reading::Whole if body.is_end_stream() => body,
            Reading::Whole => Body::from(body::read(body, limit).await?),
            Reading::Within => {
                body::must_be_within(&body, limit)?;
                body
            }
        };
        let mut request = Request::from_parts(parts, body);
        if limit != DEFAULT_BODY && !request.body().is_end_stream() {
            DefaultBodyLimit::max(limit).apply(&mut request);
        }
        T::from_request(request, context).await.map_err(IntoResponse::into_response)
    }
}

/// How an extractor of others reads the body.
enum Reading {
    /// Not known: a stream, or anything.
    AsItIs,
    /// To its end, and nothing else: done for it, so that what is wrong is told as everywhere.
    Whole,
    /// To its end, up to the limit, when it has looked at the head.
    Within,
}

/// By its name: an extractor has no other sign.
fn reading<T>() -> Reading {
    let name = std::any::type_name::<T>();
    let name = name.split_once('<').map_or(name, |(name, _)| name);
    match name {
        "bytes::bytes::Bytes" | "bytes::bytes_mut::BytesMut" | "alloc::string::String" => Reading::Whole,
        "axum::json::Json" | "axum::form::Form" | "axum::extract::raw_form::RawForm" => Reading::Within,
        _ => Reading::AsItIs,
    }
}

/// The arguments of a path operation, as a tuple. Only the last may take the body.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are not arguments that a path operation can take",
    note = "each must be an extractor or a `Dep`; only the LAST may consume the body"
)]
pub trait FromArgs<M>: Sized + Send {
    /// Says what the arguments are, for the check when the app is built.
    #[doc(hidden)]
    fn describe() -> Vec<Argument>;

    /// Makes the arguments in their order.
    fn from_request(
        parts: Parts,
        body: Body,
        context: &RequestContext,
    ) -> impl Future<Output = Result<Self, Response>> + Send;
}

/// The arguments of a provider, as a tuple. None may take the body.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are not arguments that a provider can take",
    note = "each must be an extractor of the request's head or a `Dep`; none may consume the body"
)]
pub trait FromHead<M>: Sized + Send {
    /// Says what the arguments are, for the check when the app is built.
    #[doc(hidden)]
    fn describe() -> Vec<Argument>;

    /// Makes the arguments in their order.
    fn from_head(
        parts: &mut Parts,
        context: &RequestContext,
    ) -> impl Future<Output = Result<Self, Response>> + Send;
}

impl FromArgs<()> for () {
    fn describe() -> Vec<Argument> {
        Vec::new()
    }

    async fn from_request(parts: Parts, _: Body, _: &RequestContext) -> Result<Self, Response> {
        header_pool::keep(parts.headers);
        Ok(())
    }
}

impl FromHead<()> for () {
    fn describe() -> Vec<Argument> {
        Vec::new()
    }

    async fn from_head(_: &mut Parts, _: &RequestContext) -> Result<Self, Response> {
        Ok(())
    }
}

macro_rules! from_request {
    ([$($argument:ident $marker:ident),*] $last:ident $last_marker:ident) => {
        #[allow(non_snake_case, reason = "the type's name serves as the value's")]
        impl<$($argument, $marker,)* $last, $last_marker> FromArgs<($($marker,)* $last_marker,)>
            for ($($argument,)* $last,)
        where
            $($argument: Extract<$marker>,)*
            $last: ExtractLast<$last_marker>,
        {
            fn describe() -> Vec<Argument> {
                vec![$($argument::describe(),)* $last::describe()]
            }

            #[allow(unused_mut, reason = "not read when there is only one argument")]
            async fn from_request(
                mut parts: Parts,
                body: Body,
                context: &RequestContext,
            ) -> Result<Self, Response> {
                let mut findings = Findings::default();
                $(let $argument = findings.keep($argument::extract(&mut parts, context).await)?;)*
                let $last = findings.keep($last::extract_last(parts, body, context).await)?;
                match ($($argument,)* $last,) {
                    ($(Some($argument),)* Some($last),) => Ok(($($argument,)* $last,)),
                    _ => Err(findings.into_response()),
                }
            }
        }

        #[allow(non_snake_case, reason = "the type's name serves as the value's")]
        impl<$($argument, $marker,)* $last, $last_marker> FromHead<($($marker,)* $last_marker,)>
            for ($($argument,)* $last,)
        where
            $($argument: Extract<$marker>,)*
            $last: Extract<$last_marker>,
        {
            fn describe() -> Vec<Argument> {
                vec![$($argument::describe(),)* $last::describe()]
            }

            async fn from_head(parts: &mut Parts, context: &RequestContext) -> Result<Self, Response> {
                let mut findings = Findings::default();
                $(let $argument = findings.keep($argument::extract(parts, context).await)?;)*
                let $last = findings.keep($last::extract(parts, context).await)?;
                match ($($argument,)* $last,) {
                    ($(Some($argument),)* Some($last),) => Ok(($($argument,)* $last,)),
                    _ => Err(findings.into_response()),
                }
            }
        }
    };
}
crate::base::arity::for_each_list!(from_request);
