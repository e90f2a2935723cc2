//! The app: routes, dependencies and limits, put together and checked.

use std::any::{TypeId, type_name};
use std::collections::hash_map::Entry;
use std::future::Future;
use std::sync::Arc;

use anyrt::BoxError;
use anyrt::net::TcpListener;
use axum_core::extract::Request;
use bytes::Bytes;
use futures_util::FutureExt;
use http::Method;
use tower_service::Service;

use crate::arguments::{FromArgs, FromHead};
use crate::error::{Error, Result};
use crate::graph;
use crate::handler::{Callable, Dispatch, Kind};
use crate::host::{Hosted, Nested};
use crate::limits::Limits;
use crate::operation::Operation;
use crate::provider::{Provide, Source, Sources};
use crate::routes::{Routes, Target};
use crate::service::{AppService, Core};
use crate::{operation, provider, server};

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
    routes: Routes,
    sources: Sources,
    limits: Limits,
    /// The first mistake.
    mistake: Option<Error>,
}

macro_rules! verbs {
    ($($name:ident $method:ident),*) => {$(
        #[doc = concat!("Adds a path operation for ", stringify!($method), ".")]
        ///
        /// An `async` function runs on the event loop, a plain one in the thread pool. It takes up to
        /// sixteen extractors and [`Dep`](crate::Dep)s, of which the last may consume the body.
        pub fn $name<H, A, M, K>(self, path: &str, handler: H) -> Self
        where
            H: Callable<A> + Send + Sync + 'static,
            A: FromArgs<M> + 'static,
            H::Output: Kind<K>,
            K: Dispatch<H::Output> + 'static,
            M: 'static,
        {
            self.operation(Method::$method, path, operation::Function::<H, A, M, K>::new(handler))
        }
    )*};
}

impl App {
    /// An app without routes, with the default [`Limits`].
    pub fn new() -> Self {
        Self::default()
    }

    verbs!(get GET, post POST, put PUT, patch PATCH, delete DELETE);

    fn operation(mut self, method: Method, path: &str, operation: impl Operation + 'static) -> Self {
        let added = self.routes.add(method, path, Box::new(operation));
        self.note(added);
        self
    }

    /// Hosts any tower service, such as an axum `Router`, under a path. The service sees the path
    /// without the prefix.
    pub fn nest_service<S, B>(mut self, prefix: &str, service: S) -> Self
    where
        S: Service<Request, Response = http::Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let prefix = prefix.trim_end_matches('/');
        if prefix.contains(['{', '}']) {
            let reason = "the prefix of a nested service has no parameters".to_owned();
            self.note(Err(Error::Route { path: prefix.to_owned(), reason }));
            return self;
        }
        let host = Arc::new(Nested::new(prefix.to_owned(), Hosted::new(service)));
        for path in [prefix.to_owned(), format!("{prefix}/"), format!("{prefix}/{{*rest}}")] {
            if !path.is_empty() {
                let added = self.routes.insert(&path, Target::Hosted(host.clone()));
                self.note(added);
            }
        }
        self
    }

    /// Says how a dependency is made: by an `async` function, or by a plain one in the thread pool.
    ///
    /// Its arguments are extractors that leave the body alone, and other [`Dep`](crate::Dep)s. It
    /// returns a [`Dependency`](crate::Dependency) or a `Result` of one, whose error is the response
    /// that refuses the request. It is called at most once a request, when the first function asks;
    /// what it asks for is made before it, in the order of its arguments.
    pub fn provide<H, A, M, K>(mut self, provider: H) -> Self
    where
        H: Callable<A> + Send + Sync + 'static,
        A: FromHead<M> + 'static,
        H::Output: Provide<K>,
        K: 'static,
        M: 'static,
    {
        type Value<R, K> = <R as Provide<K>>::Value;
        let source = Source::Provider(Box::new(provider::Function::<H, A, M, K>::new(provider)));
        self.source(TypeId::of::<Value<H::Output, K>>(), type_name::<Value<H::Output, K>>(), source);
        self
    }

    /// Gives a value as a dependency, shared by all requests. It may be of any type.
    pub fn provide_value<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.source(TypeId::of::<T>(), type_name::<T>(), Source::Value(Arc::new(value)));
        self
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
    pub fn into_service(self) -> Result<AppService> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        graph::check(&self.routes, &self.sources)?;
        // A program that anyrt did not start may meet it first in a handler.
        anyrt::init();
        for (method, path, operation) in self.routes.operations() {
            let place = if operation.blocking() { "thread pool" } else { "event loop" };
            tracing::info!(%method, path, handler = operation.name(), place, "route");
        }
        Ok(AppService::new(Core { routes: self.routes, sources: self.sources, limits: self.limits }))
    }

    /// Serves on this address until Ctrl-C or SIGTERM, then ends gracefully: no new connections, what
    /// was begun is finished, and after [`Limits::shutdown`] what still runs is cancelled.
    ///
    /// # Errors
    ///
    /// The first mistake, before a socket is opened; [`Error::Listen`] if the address cannot be used.
    ///
    /// # Panics
    ///
    /// Outside of any runtime, naming the cure.
    ///
    /// # Cancel safety
    ///
    /// Dropped or cancelled, it closes the listener and cancels all requests; what holds in them is
    /// brought to an end by the enclosing scope.
    pub async fn serve(self, address: &str) -> Result<()> {
        let service = self.into_service()?;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| Error::Listen { address: address.to_owned(), source })?;
        let limits = service.limits().clone();
        server::run(listener, Arc::new(service), limits, server::told_to_stop()).await
    }

    /// Serves on a listener until `stop` is ready, then ends as [`serve`](App::serve) does.
    ///
    /// # Errors
    ///
    /// The first mistake: see [`Error`].
    ///
    /// # Panics
    ///
    /// Outside of any runtime, naming the cure.
    ///
    /// # Cancel safety
    ///
    /// As [`serve`](App::serve).
    pub async fn serve_until(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<()> {
        let service = self.into_service()?;
        let limits = service.limits().clone();
        server::run(listener, Arc::new(service), limits, stop.map(Ok)).await
    }

    fn source(&mut self, kind: TypeId, name: &'static str, source: Source) {
        match self.sources.entry(kind) {
            Entry::Vacant(free) => drop(free.insert(source)),
            Entry::Occupied(_) => self.note(Err(Error::ProvidedTwice(name))),
        }
    }

    fn note(&mut self, added: Result<()>) {
        if let (Err(mistake), None) = (added, &self.mistake) {
            self.mistake = Some(mistake);
        }
    }
}
