//! The built app: a tower service, cheap to clone.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use anyrt::BoxError;
use axum_core::body::Body;
use axum_core::extract::Request;
use axum_core::response::Response;
use bytes::Bytes;
use http::header::{ALLOW, HeaderValue};
use http::{Method, StatusCode};

use super::layers::{Carried, Layering, Refused};
use super::router::around;
use crate::base::limits::Limits;
use crate::inject::context::RequestContext;
use crate::inject::core::Core;
use crate::inject::pattern::normal_form;
use crate::inject::routes::Operations;
use crate::request::arrival::Arrival;
use crate::request::endpoint;
use crate::request::endpoint::Host;
use crate::request::endpoint::{Answer, answered};
use crate::request::home::Home;
use crate::request::request_future::RequestFuture;
use crate::response::framed::{Framed, framed};
use crate::response::problem::detail;

/// A built and checked [`App`](crate::App): a tower service that any tower server can call, for
/// example as a nested service of an axum router.
///
/// Inside a tokio program that anyrt did not start, plain functions run in anyrt's thread pool, and
/// the rest on that tokio.
///
/// # Cancel safety
///
/// Dropping the future of a call cancels the handler: it is dropped at its next await, except for
/// what holds in it (a shield, a task group, a clean-up of `anyrt::finally`, a teardown), which a task of its own
/// brings to an end.
#[derive(Clone)]
pub struct AppService {
    core: Arc<Core>,
    /// With the layers of the app.
    host: Arc<dyn Host>,
    layered: bool,
}

impl AppService {
    pub(crate) fn new(core: Core, layers: &[Layering]) -> Self {
        let core = Arc::new(core);
        let host = around(layers, Arc::new(Routed(Arc::clone(&core))));
        AppService { core, host, layered: !layers.is_empty() }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.core.limits
    }
}

impl Host for AppService {
    fn call(&self, request: Request, arrival: &Arrival) -> Answer {
        match &self.core.requests {
            None => self.host.call(request, arrival),
            Some(requests) => requests.follow(&*self.host, request, arrival),
        }
    }

    fn refused(&self, mut request: Request, refusal: Response, arrival: &Arrival) -> Answer {
        if !self.layered {
            return answered(refusal);
        }
        request.extensions_mut().insert(Refused::new(refusal));
        Host::call(self, request, arrival)
    }

    fn has_view(&self) -> bool {
        self.core.requests.is_some()
    }
}

/// The routes of an app, without the layers around them.
struct Routed(Arc<Core>);

impl Host for Routed {
    fn call(&self, mut request: Request, arrival: &Arrival) -> Answer {
        let core = &self.0;
        if !request.extensions().is_empty()
            && let Some(answer) = Refused::of(&mut request)
        {
            return answer;
        }
        let mut found = core.routes.find(request.uri().path());
        if let Some(uri) = normal_form(request.uri()) {
            let normal = core.routes.find(uri.path());
            // A path comes as it was sent, unless it leads elsewhere as it is meant.
            if normal.map(|(route, _)| route) != found.map(|(route, _)| route) {
                (*request.uri_mut(), found) = (uri, normal);
            }
        }
        let Some((route, parameters)) = found else {
            if *request.method() == Method::OPTIONS && request.uri().path() == "*" {
                return answered(options(core.routes.allow()));
            }
            return answered(detail(StatusCode::NOT_FOUND, "Not Found"));
        };
        let operations = core.routes.operations(route);
        let Some((operation, operated)) = operations.find(request.method()) else {
            let answer = not_allowed(request.method(), operations);
            let Some(layers) = operations.layers(&request) else { return answered(answer) };
            request.extensions_mut().insert(Carried::answer(answer));
            return layers.call(request, arrival);
        };
        if let Some(leaving) = operated.operation.settings().leaving {
            arrival.on_disconnect(leaving);
        }
        let gone = operated.watched.then(|| arrival.gone().clone());
        let place = (route, operation);
        let mut context =
            RequestContext::new(Arc::clone(core), place, parameters, arrival.home().clone(), gone);
        if let Some(live) = arrival.live() {
            live.has_route(place);
            context.is_followed_by(live.clone());
        }
        match &operated.layered {
            None => operated.call(request, context),
            Some(layers) => {
                request.extensions_mut().insert(Carried::operation(context));
                layers.call(request, arrival)
            }
        }
    }
}

/// What a path says that has no operation for a method: which it has.
fn not_allowed(method: &Method, operations: &Operations) -> Response {
    if *method == Method::OPTIONS {
        return options(operations.allow.clone());
    }
    let mut response = detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response.headers_mut().insert(ALLOW, operations.allow.clone());
    response
}

fn options(allow: HeaderValue) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, allow);
    response
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
        let mut request = request.map(boxed);
        let arrival = Arrival::at(Home::taken_along(&mut request));
        AppFuture::new(self, request, arrival)
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
pub struct AppFuture {
    future: RequestFuture,
    /// Of the outermost one, whose response is made to fit: whether its method is HEAD.
    head: Option<bool>,
}

impl AppFuture {
    pub(crate) fn new(service: &AppService, request: Request, arrival: Arrival) -> Self {
        let head = Some(request.method() == Method::HEAD);
        let answer = endpoint::begin(service, request, &arrival);
        let (home, leaving) = arrival.into_parts();
        AppFuture { future: RequestFuture::new(answer, home, leaving), head }
    }

    /// Of a service that a layer calls.
    pub(crate) fn inner(answer: Answer, arrival: Arrival) -> Self {
        let (home, leaving) = arrival.into_parts();
        AppFuture { future: RequestFuture::inner(answer, home, leaving), head: None }
    }
}

impl Future for AppFuture {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.future.poll(cx));
        Poll::Ready(Ok(match self.head {
            Some(head) => framed(head, response).map(Framed::boxed),
            None => response,
        }))
    }
}

impl fmt::Debug for AppService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppService").field("routes", &self.core.routes).finish_non_exhaustive()
    }
}
