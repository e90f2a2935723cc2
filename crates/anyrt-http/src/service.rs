//! The built app: a tower service, cheap to clone.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyrt::BoxError;
use axum_core::body::Body;
use axum_core::extract::Request;
use axum_core::response::Response;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, HeaderValue};
use http::{Method, StatusCode};
use http_body::Body as _;

use crate::attended::{Attended, Home};
use crate::context::RequestContext;
use crate::disconnect::Arrival;
use crate::host::Host;
use crate::limits::Limits;
use crate::operation::Answer;
use crate::problem::detail;
use crate::provider::Sources;
use crate::routes::{Routes, Target};

/// What all requests to an app share.
pub(crate) struct Core {
    pub(crate) routes: Routes,
    pub(crate) sources: Sources,
    pub(crate) limits: Limits,
}

/// A built and checked [`App`](crate::App): a tower service that any tower server can call, for
/// example as a nested service of an axum router.
///
/// Inside a tokio program that anyrt did not start, plain functions run in anyrt's thread pool, and
/// the rest on that tokio.
///
/// # Cancel safety
///
/// Dropping the future of a call cancels the handler: it is dropped at its next await, except for
/// what holds in it (a shield, a task group, a clean-up of `anyrt::finally`), which a task of its own
/// brings to an end.
#[derive(Clone)]
pub struct AppService(Arc<Core>);

impl AppService {
    pub(crate) fn new(core: Core) -> Self {
        AppService(Arc::new(core))
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }
}

impl Host for AppService {
    fn call(&self, request: Request, arrival: &Arrival) -> Answer {
        let core = &self.0;
        let Some((route, parameters)) = core.routes.find(request.uri().path()) else {
            return refusal(detail(StatusCode::NOT_FOUND, "Not Found"));
        };
        let operations = match core.routes.target(route) {
            Target::Operations(operations) => operations,
            Target::Hosted(host) => return host.call(request, arrival),
        };
        let Some(operation) = operations.find(request.method()) else {
            let mut response = detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            response.headers_mut().insert(ALLOW, operations.allow.clone());
            return refusal(response);
        };
        let head = *request.method() == Method::HEAD;
        let answer = operation.call(request, RequestContext::new(Arc::clone(core), route, parameters));
        if head { Box::pin(async move { without_body(answer.await) }) } else { answer }
    }
}

fn refusal(response: Response) -> Answer {
    Box::pin(std::future::ready(response))
}

/// The answer to HEAD: the length stays, the body goes.
fn without_body(mut response: Response) -> Response {
    let length = response.body().size_hint().exact();
    if let (Some(length), false) = (length, response.headers().contains_key(CONTENT_LENGTH)) {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.map(|_| Body::empty())
}

impl<B> tower_service::Service<http::Request<B>> for AppService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = AppFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> AppFuture {
        let arrival = Arrival::default();
        let answer = Host::call(self, request.map(boxed), &arrival);
        AppFuture(Attended::new(answer, Home::Root, arrival.said()))
    }
}

/// The body in axum-core's type. An empty one costs no allocation.
pub(crate) fn boxed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() { Body::empty() } else { Body::new(body) }
}

/// The future of a call of [`AppService`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct AppFuture(Attended);

impl Future for AppFuture {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx).map(Ok)
    }
}

impl fmt::Debug for AppService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppService").field("routes", &self.0.routes).finish_non_exhaustive()
    }
}
