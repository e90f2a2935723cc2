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

use super::service::{AppFuture, boxed};
use crate::inject::context::RequestContext;
use crate::request::arrival::Arrival;
use crate::request::endpoint::{Answer, answered};
use crate::request::endpoint::{Host, Hosted};
use crate::request::home::Home;
use crate::response::problem::internal;

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
/// It takes any request body, also one that a layer has put around the request's: one that counts, limits or decodes it.
/// A layer sees HEAD as it came; the path operation of GET answers it, and its body is taken away outside of all layers.
///
/// A layer that drops its future cancels the request, which is brought to its end elsewhere: its teardowns run.
#[derive(Clone)]
pub struct Next(Arc<dyn Host>);

impl<B> Service<http::Request<B>> for Next
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
        // A body of axum-core's type is not put into a box again.
        let mut request = request.map(boxed);
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

/// Takes through the layers what is behind them for one request.
#[derive(Clone)]
pub(crate) struct Carried(Arc<Mutex<Option<Behind>>>);

/// What is behind the layers.
enum Behind {
    /// A path operation.
    Operation(Box<RequestContext>),
    /// What the router says by itself: which methods there are, that it has not this one, or why it refuses.
    Answer(Box<Response>),
}

impl Carried {
    pub(crate) fn operation(context: RequestContext) -> Self {
        Carried::new(Behind::Operation(Box::new(context)))
    }

    pub(crate) fn answer(response: Response) -> Self {
        Carried::new(Behind::Answer(Box::new(response)))
    }

    fn new(behind: Behind) -> Self {
        Carried(Arc::new(Mutex::new(Some(behind))))
    }

    fn take(&self) -> Option<Behind> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The innermost host of a route with layers.
pub(crate) struct Endpoint;

impl Host for Endpoint {
    fn call(&self, mut request: Request, _: &Arrival) -> Answer {
        let carried = request.extensions_mut().remove::<Carried>();
        match carried.and_then(|carried| carried.take()) {
            Some(Behind::Operation(context)) => RequestContext::call(request, *context),
            Some(Behind::Answer(response)) => answered(*response),
            None => {
                tracing::error!("a layer calls its service twice for one request, or with another request");
                answered(internal())
            }
        }
    }
}

/// What the layers of the app are around when a request is refused before it is looked at.
#[derive(Clone)]
pub(crate) struct Refused(Carried);

impl Refused {
    pub(crate) fn new(response: Response) -> Self {
        Refused(Carried::answer(response))
    }

    /// The answer to a request that was refused.
    pub(crate) fn of(request: &mut Request) -> Option<Answer> {
        let Refused(carried) = request.extensions_mut().remove()?;
        request.extensions_mut().insert(carried);
        Some(Endpoint.call(std::mem::take(request), &Arrival::at(Home::ROOT)))
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").finish_non_exhaustive()
    }
}
