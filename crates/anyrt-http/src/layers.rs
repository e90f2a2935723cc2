//! Tower layers around path operations.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use anyrt::BoxError;
use axum_core::extract::Request;
use axum_core::response::Response;
use bytes::Bytes;
use tower_layer::Layer;
use tower_service::Service;

use crate::context::RequestContext;
use crate::disconnect::Arrival;
use crate::host::{Host, Hosted};
use crate::operation::{Answer, answered};
use crate::request::internal;
use crate::service::AppFuture;

/// Puts a layer around a host.
pub(crate) type Layering = Arc<dyn Fn(Arc<dyn Host>) -> Arc<dyn Host> + Send + Sync>;

pub(crate) fn layering<L, B>(layer: L) -> Layering
where
    L: Layer<Next> + Send + Sync + 'static,
    L::Service: Service<Request, Response = http::Response<B>> + Clone + Send + 'static,
    <L::Service as Service<Request>>::Error: Into<BoxError>,
    <L::Service as Service<Request>>::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Arc::new(move |host| Arc::new(Layered(Hosted::new(layer.layer(Next(host))))))
}

/// What a layer is around: a tower service that calls the next layer, or at last the path operation.
///
/// A layer that drops its future cancels the request, which is brought to its end elsewhere: its teardowns run.
#[derive(Clone)]
pub struct Next(Arc<dyn Host>);

impl Service<Request> for Next {
    type Response = Response;
    type Error = Infallible;
    type Future = AppFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> AppFuture {
        let arrival = Arrival::taken_along(&mut request);
        let answer = self.0.call(request, &arrival);
        AppFuture::inner(answer, arrival)
    }
}

/// A layer, through which a request takes along where it is at home.
struct Layered<H>(H);

impl<H: Host> Host for Layered<H> {
    fn call(&self, mut request: Request, arrival: &Arrival) -> Answer {
        arrival.take_along(&mut request);
        self.0.call(request, arrival)
    }
}

/// Takes a request's context through its layers.
#[derive(Clone)]
pub(crate) struct Carried(Arc<Mutex<Option<RequestContext>>>);

impl Carried {
    pub(crate) fn new(context: RequestContext) -> Self {
        Carried(Arc::new(Mutex::new(Some(context))))
    }
}

/// The innermost host of a route with layers: its path operation, which the request's context knows.
pub(crate) struct Endpoint;

impl Host for Endpoint {
    fn call(&self, mut request: Request, _: &Arrival) -> Answer {
        let carried = request.extensions_mut().remove::<Carried>();
        let context = carried
            .and_then(|Carried(carried)| carried.lock().unwrap_or_else(PoisonError::into_inner).take());
        match context {
            Some(context) => RequestContext::call(request, context),
            None => {
                tracing::error!("a layer calls its service twice for one request, or with another request");
                answered(internal())
            }
        }
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").finish_non_exhaustive()
    }
}
