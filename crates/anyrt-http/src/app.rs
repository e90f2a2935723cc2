//! The app: a router, limits, and what serves them.

pub(crate) mod graph;
pub(crate) mod layers;
pub(crate) mod lifespan;
pub(crate) mod listing;
pub(crate) mod router;
pub(crate) mod service;
pub(crate) mod startup;

use std::any::TypeId;
use std::sync::Arc;

use anyrt::BoxError;
use axum_core::extract::Request;
use bytes::Bytes;
use http::Method;
use tower_layer::Layer;
use tower_service::Service;

use self::layers::Next;
use self::lifespan::{LifespanFunction, Planned};
use self::router::{Flat, HasRouter, Router, building, verbs};
use self::service::AppService;
use crate::base::error::{Error, Result};
use crate::base::limits::Limits;
use crate::inject::arguments::{FromArgs, FromHead};
use crate::inject::core::Core;
use crate::inject::function::Function;
use crate::inject::handler::{Callable, Dispatch, Kind};
use crate::inject::provider::{Provide, Provider};
use crate::inject::registry::{Fake, Source};
use crate::inject::requirements::Need;
use crate::request::endpoint::Hosted;

/// Path operations, dependencies and limits. Put together with its methods, then served.
///
/// A mistake (a path that cannot be a route, a dependency that nothing provides) is kept, and
/// returned when the app is built: by [`into_service`](App::into_service) or one of the `serve`s.
///
/// ```no_run
/// use anyrt_http::{App, Dep, Json, Path};
///
/// struct Greeting(String);
///
/// // Async: on the event loop.
/// async fn hello(Path(name): Path<String>, greeting: Dep<Greeting>) -> String {
///     format!("{}, {name}!", greeting.0)
/// }
///
/// // Plain: in the thread pool, where it may block.
/// fn sum(Json(numbers): Json<Vec<u64>>) -> Json<u64> {
///     Json(numbers.iter().sum())
/// }
///
/// # async fn serve() -> anyrt_http::Result<()> {
/// App::new()
///     .get("/hello/{name}", hello)
///     .post("/sum", sum)
///     .provide_value(Greeting("Hello".into()))
///     .serve("127.0.0.1:8000")
///     .await
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use = "an app does nothing until it is served"]
pub struct App {
    router: Router,
    limits: Limits,
}

impl HasRouter for App {
    fn router(&mut self) -> &mut Router {
        &mut self.router
    }
}

building!(App);

impl App {
    /// An app without routes, with the default [`Limits`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Checks the app and makes the tower service of it.
    ///
    /// # Errors
    ///
    /// The first mistake: see [`Error`].
    ///
    /// [`Error::NeedsStart`] of an app that has a lifespan or dependencies of the app's lifetime: see
    /// [`run_with`](App::run_with).
    pub fn into_service(self) -> Result<AppService> {
        let (service, lifespans) = self.build()?;
        if lifespans.is_empty() && !service.core().sources.has_start() {
            return Ok(service);
        }
        Err(Error::NeedsStart)
    }

    /// Starts the app, runs `serve` with the tower service of it, for example mounted in an axum router, and then ends
    /// the app: its lifespans and the dependencies of the app's lifetime are around `serve`.
    ///
    /// ```no_run
    /// # async fn serve_it(service: anyrt_http::AppService) {}
    /// # async fn demo(app: anyrt_http::App) -> anyrt_http::Result<()> {
    /// app.run_with(async |service| serve_it(service).await).await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The first mistake: see [`Error`]; what refused to start; the error of a lifespan.
    ///
    /// # Panics
    ///
    /// Outside of any runtime, naming the cure; with the panic of `serve` or of a lifespan.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, what was started is ended before this is left.
    pub async fn run_with<T: Send>(self, serve: impl AsyncFnOnce(AppService) -> T) -> Result<T> {
        let (service, lifespans) = self.build()?;
        let core = Arc::clone(service.core());
        Box::pin(startup::around(core, lifespans, async |_| Ok(serve(service).await))).await
    }

    /// Checks the app, and puts its parts into their places.
    pub(crate) fn build(self) -> Result<(AppService, Vec<Planned>)> {
        let Flat { mut routes, mut sources, lifespans, layers, has_view } = self.router.flatten()?;
        graph::check(&mut routes, &mut sources, &lifespans)?;
        // A program that anyrt did not start may meet it first in a handler.
        let requests = has_view.then(Arc::default);
        let core = Core {
            routes,
            sources,
            limits: self.limits,
            requests,
            drops: Arc::default(),
            lane: Arc::default(),
        };
        core.log();
        Ok((AppService::new(core, &layers), lifespans))
    }
}
