//! Handlers: which functions can be path operations, and where each kind of them runs.
//!
//! The bounds are split so that inference goes by bounds that ask nothing of the user
//! ([`Callable`], [`Kind`]), and each requirement fails on its own, with a message that names it.

use std::any::type_name;
use std::future::Future;
use std::sync::Arc;

use axum_core::response::{IntoResponse, Response};

use super::admission;
use super::admission::Then;
use super::configure::Settings;
use super::context::RequestContext;
use crate::base::kind::Async;
use crate::base::kind::Blocking;
use crate::response::header_pool;
use crate::response::respond::respond;

/// A function of up to sixteen arguments: `fn` items, closures, `async` closures, `fn` pointers.
///
/// It is implemented for all of these. Implement it for a type of your own to make objects of it that can be called:
///
/// ```
/// use anyrt_http::{App, Path, detection::Callable};
///
/// struct Greeter(String);
///
/// impl Callable<(Path<String>,)> for Greeter {
///     type Output = String;
///
///     // Plain, so it runs in the thread pool; with a future as output it would run on the event loop.
///     fn invoke(&self, (Path(name),): (Path<String>,)) -> String {
///         format!("{}, {name}", self.0)
///     }
/// }
///
/// let app = App::new().get("/hello/{name}", Greeter("Hello".into()));
/// # drop(app);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function that a path operation can be",
    label = "expected a function or closure of up to 16 arguments, callable more than once"
)]
pub trait Callable<Args> {
    /// What the function returns: a future if it is async.
    type Output;

    /// Calls the function.
    fn invoke(&self, args: Args) -> Self::Output;

    /// What was set at the function; see [`Configure`](crate::Configure).
    #[doc(hidden)]
    fn settings(&self) -> Settings {
        Settings::default()
    }

    /// The function's path, as the compiler names it, or the name it was given.
    #[doc(hidden)]
    fn name(&self) -> &'static str {
        type_name::<Self>()
    }
}

impl<Function, Output> Callable<()> for Function
where
    Function: Fn() -> Output,
{
    type Output = Output;

    fn invoke(&self, (): ()) -> Output {
        self()
    }
}

macro_rules! callable {
    ([$($argument:ident $marker:ident),*] $last:ident $last_marker:ident) => {
        impl<Function, Output, $($argument,)* $last> Callable<($($argument,)* $last,)> for Function
        where
            Function: Fn($($argument,)* $last) -> Output,
        {
            type Output = Output;

            #[allow(non_snake_case, reason = "the type's name serves as the value's")]
            fn invoke(&self, ($($argument,)* $last,): ($($argument,)* $last,)) -> Output {
                self($($argument,)* $last)
            }
        }
    };
}
crate::base::arity::for_each_list!(callable);

/// Tells by what a function returns of which kind it is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a path operation can return",
    label = "neither a future nor a response",
    note = "an async function returns `impl IntoResponse`, or a `Result` of two of them; a plain function the same"
)]
pub trait Kind<K> {}

impl<F: Future> Kind<Async> for F {}
impl<T: IntoResponse> Kind<Blocking> for T {}

/// Runs functions of one kind where they belong.
#[diagnostic::on_unimplemented(
    message = "a path operation cannot return `{R}`",
    note = "the future of an async function must be `Send`, and its output a response"
)]
pub trait Dispatch<R> {
    /// Whether functions of this kind run in the thread pool.
    const BLOCKING: bool;

    /// Calls the function, in the thread pool unless it was said to run inline, and makes a response of what it
    /// returns.
    #[doc(hidden)]
    fn run<H, A>(
        handler: &Arc<H>,
        args: A,
        inline: bool,
        context: &RequestContext,
    ) -> impl Future<Output = Response> + Send
    where
        H: Callable<A, Output = R> + Send + Sync + 'static,
        A: Send + 'static;
}

impl<R> Dispatch<R> for Async
where
    R: Future + Send,
    R::Output: IntoResponse + 'static,
{
    const BLOCKING: bool = false;

    async fn run<H, A>(handler: &Arc<H>, args: A, _: bool, _: &RequestContext) -> Response
    where
        H: Callable<A, Output = R> + Send + Sync + 'static,
        A: Send + 'static,
    {
        let running = handler.invoke(args);
        respond(running.await)
    }
}

impl<R> Dispatch<R> for Blocking
where
    R: IntoResponse + 'static,
{
    const BLOCKING: bool = true;

    async fn run<H, A>(handler: &Arc<H>, args: A, inline: bool, context: &RequestContext) -> Response
    where
        H: Callable<A, Output = R> + Send + Sync + 'static,
        A: Send + 'static,
    {
        if inline {
            return respond(handler.invoke(args));
        }
        let handler = Arc::clone(handler);
        // The making of the response may be as slow as the function: a large value turned to JSON.
        let headers = header_pool::take();
        let job = move || {
            let value = handler.invoke(args);
            header_pool::keep(headers);
            respond(value)
        };
        let answer = admission::run(context, Then::Nothing, job).await;
        answer.unwrap_or_else(|refusal| refusal)
    }
}
