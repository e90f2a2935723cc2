//! Services that call tokio themselves, on any runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::runtime::{Builder, Handle, Runtime};
use tower_service::Service;

/// Lets a service that calls tokio (reqwest, sqlx on tokio, axum's WebSocket) be hosted on smol and
/// async-std.
///
/// While the service, its future or its body is polled or dropped, a tokio runtime is entered: the one
/// that is there already, else one in the background of the process, with one thread, which is
/// started with the first call and never ended. What the service spawns runs there, and is neither
/// cancelled nor waited for by anybody here.
///
/// The price, off tokio: a thread, an allocation for a response's body, two accesses to a thread-local
/// a poll, and for every event of tokio's reactor or timer a wake-up from its thread to ours.
///
/// ```
/// use anyrt_http::{App, tokio_compat};
/// use axum_core::extract::Request;
/// # #[derive(Clone)]
/// # struct CallsTokio;
/// # impl tower_service::Service<Request> for CallsTokio {
/// #     type Response = axum_core::response::Response;
/// #     type Error = std::convert::Infallible;
/// #     type Future = std::future::Ready<Result<Self::Response, Self::Error>>;
/// #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
/// #         std::task::Poll::Ready(Ok(()))
/// #     }
/// #     fn call(&mut self, _: Request) -> Self::Future { unimplemented!() }
/// # }
///
/// let app = App::new().nest_service("/old", tokio_compat(CallsTokio));
/// ```
pub fn tokio_compat<S>(service: S) -> TokioCompat<S> {
    TokioCompat { service }
}

/// See [`tokio_compat`].
#[derive(Clone)]
pub struct TokioCompat<S> {
    service: S,
}

/// Calls `run` with a tokio runtime entered.
fn entered<T>(run: impl FnOnce() -> T) -> T {
    if Handle::try_current().is_ok() {
        return run();
    }
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("anyrt-tokio-compat").enable_all();
        match builder.build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("the background runtime of `tokio_compat` cannot be started: {error}"),
        }
    });
    let _entered = runtime.enter();
    run()
}

impl<S, R, B> Service<Request<R>> for TokioCompat<S>
where
    S: Service<Request<R>, Response = Response<B>>,
    B: Body,
{
    type Response = Response<TokioBody<B>>;
    type Error = S::Error;
    type Future = TokioFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        entered(|| self.service.poll_ready(cx))
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        TokioFuture { inner: Some(entered(|| self.service.call(request))) }
    }
}

pin_project! {
    /// The future of [`TokioCompat`].
    pub struct TokioFuture<F> {
        #[pin]
        inner: Option<F>,
    }

    impl<F> PinnedDrop for TokioFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            entered(|| this.project().inner.set(None));
        }
    }
}

impl<F, B, E> Future for TokioFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<TokioBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(inner) = self.project().inner.as_pin_mut() else { return Poll::Pending };
        let response = ready!(entered(|| inner.poll(cx)))?;
        Poll::Ready(Ok(response.map(|body| TokioBody { inner: Some(body) })))
    }
}

pin_project! {
    /// The body of a response of [`TokioCompat`].
    pub struct TokioBody<B> {
        #[pin]
        inner: Option<B>,
    }

    impl<B> PinnedDrop for TokioBody<B> {
        fn drop(this: Pin<&mut Self>) {
            entered(|| this.project().inner.set(None));
        }
    }
}

impl<B: Body> Body for TokioBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Some(inner) = self.project().inner.as_pin_mut() else { return Poll::Ready(None) };
        entered(|| inner.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl<S> fmt::Debug for TokioCompat<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioCompat").finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for TokioFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioFuture").finish_non_exhaustive()
    }
}

impl<B> fmt::Debug for TokioBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioBody").finish_non_exhaustive()
    }
}
