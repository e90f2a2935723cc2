//! Routers: path operations, providers and layers that are put together, and nest.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use anyrt::BoxError;
use axum_core::extract::Request;
use bytes::Bytes;
use http::Method;
use tower_layer::Layer;
use tower_service::Service;

use super::layers::{Endpoint, Layering, Next};
use super::lifespan::{LifespanFunction, Planned};
use crate::base::error::{Error, Result};
use crate::inject::arguments::{FromArgs, FromHead};
use crate::inject::function::Function;
use crate::inject::handler::{Callable, Dispatch, Kind};
use crate::inject::operation::{Mounted, Operation};
use crate::inject::provider::{Provide, Provider};
use crate::inject::registry::{Fake, Source, Sources};
use crate::inject::requirements::Need;
use crate::inject::routes::{Operated, Routes};
use crate::request::endpoint::{Host, Hosted};

/// A part of an app: path operations with what they need, to be [nested](Router::nest) under a prefix or
/// [merged](Router::merge) into an [`App`](crate::App) or another router.
///
/// ```
/// use anyrt_http::{App, Dep, Dependency, HttpError, Path, Router};
/// use http::{HeaderMap, StatusCode};
///
/// struct Admin;
/// impl Dependency for Admin {}
///
/// async fn admin(headers: HeaderMap) -> Result<Admin, HttpError> {
///     match headers.get("authorization") {
///         Some(_) => Ok(Admin),
///         None => Err(HttpError::from(StatusCode::UNAUTHORIZED)),
///     }
/// }
///
/// async fn remove(Path(id): Path<u64>) -> String {
///     format!("{id} is gone")
/// }
///
/// let items = Router::new().delete("/{id}", remove).require::<Admin>().provide(admin);
/// let app = App::new().nest("/items", items);
/// # drop(app);
/// ```
#[derive(Default)]
#[must_use = "a router does nothing until an app takes it"]
pub struct Router {
    routes: Vec<Declared>,
    pub(crate) nested: Vec<(String, Router)>,
    pub(crate) needs: Vec<Need>,
    pub(crate) layers: Vec<Layering>,
    sources: Vec<(TypeId, &'static str, Source)>,
    pub(crate) fakes: Vec<(TypeId, &'static str, Fake)>,
    pub(crate) lifespans: Vec<Planned>,
    /// What answers where nothing else here does.
    fallback: Option<Box<dyn Operation>>,
    pub(crate) has_view: bool,
    /// The first mistake.
    mistake: Option<Error>,
}

struct Declared {
    method: Option<Method>,
    path: String,
    operation: Box<dyn Operation>,
    /// Its path is meant to the letter: under a prefix, `/` is not the prefix itself.
    exact: bool,
}

/// A router whose parts are in their places.
pub(crate) struct Flat {
    pub(crate) routes: Routes,
    pub(crate) sources: Sources,
    /// Outer ones first.
    pub(crate) lifespans: Vec<Planned>,
    /// The layers around everything, outermost first.
    pub(crate) layers: Vec<Layering>,
    pub(crate) has_view: bool,
}

impl Router {
    /// A router without routes.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn operation(&mut self, method: Method, path: &str, operation: impl Operation + 'static) {
        self.routes.push(Declared {
            method: Some(method),
            path: path.to_owned(),
            operation: Box::new(operation),
            exact: false,
        });
    }

    pub(crate) fn answers_the_rest(&mut self, operation: impl Operation + 'static) {
        if self.fallback.replace(Box::new(operation)).is_some() {
            let reason = "a router has one fallback".to_owned();
            self.note(Err(Error::Route { path: "/{*rest}".to_owned(), reason }));
        }
    }

    pub(crate) fn hosted(&mut self, prefix: &str, host: impl Host + 'static) {
        let prefix = prefix.trim_end_matches('/');
        let host: Arc<dyn Host> = Arc::new(host);
        for (path, rest) in
            [(prefix.to_owned(), false), (format!("{prefix}/"), false), (format!("{prefix}/{{*rest}}"), true)]
        {
            let operation = Box::new(Mounted::new(Arc::clone(&host), rest));
            self.routes.push(Declared { method: None, path, operation, exact: true });
        }
    }

    pub(crate) fn source(&mut self, kind: TypeId, name: &'static str, source: Source) {
        self.sources.push((kind, name, source));
    }

    pub(crate) fn note(&mut self, added: Result<()>) {
        if let (Err(mistake), None) = (added, &self.mistake) {
            self.mistake = Some(mistake);
        }
    }

    /// Puts all parts into their places.
    pub(crate) fn flatten(mut self) -> Result<Flat> {
        let layers: Vec<_> = std::mem::take(&mut self.layers).into_iter().rev().collect();
        let mut flat = Flat {
            layers,
            routes: Routes::default(),
            sources: Sources::default(),
            lifespans: Vec::new(),
            has_view: false,
        };
        let mut fakes = Vec::new();
        self.flatten_into(&mut flat, &mut fakes, "", &[], &[])?;
        for (kind, name, fake) in fakes {
            if !flat.sources.replace(kind, fake) {
                return Err(Error::NothingToOverride(name));
            }
        }
        Ok(flat)
    }

    /// `needs` and `layers` come from the routers around, outer ones first; the layers of the app itself are around
    /// everything, also around what is not found, and not among them.
    fn flatten_into(
        self,
        flat: &mut Flat,
        fakes: &mut Vec<(TypeId, &'static str, Fake)>,
        prefix: &str,
        needs: &[Need],
        layers: &[Layering],
    ) -> Result<()> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        let needs = [needs, &self.needs].concat();
        // A layer that was added later is around the earlier ones.
        let layers: Vec<_> = layers.iter().cloned().chain(self.layers.into_iter().rev()).collect();
        let shared: Option<Arc<[Need]>> = (!needs.is_empty()).then(|| needs.as_slice().into());
        let layered = (!layers.is_empty()).then(|| around(&layers, Arc::new(Endpoint)));
        flat.lifespans.extend(self.lifespans);
        flat.has_view |= self.has_view;
        for (kind, name, source) in self.sources {
            match flat.sources.add(kind, source) {
                // What a lifespan of an outer router gives goes before that of an inner one.
                Err(Source::Lifespan { .. }) => {}
                Err(_) => return Err(Error::ProvidedTwice(name)),
                Ok(()) => {}
            }
        }
        fakes.extend(self.fakes);
        let operated = |method, operation| Operated {
            method,
            operation,
            needs: shared.clone(),
            layered: layered.clone(),
            guarded: false,
            watched: false,
        };
        for Declared { method, path, operation, exact } in self.routes {
            if !(path.starts_with('/') || exact && path.is_empty()) {
                return Err(Error::Route { path, reason: "a path starts with `/`".to_owned() });
            }
            // Under a prefix, `/` is the prefix itself; without one there is nothing before it.
            let path = match &*path {
                "" if prefix.is_empty() => continue,
                "/" if !prefix.is_empty() && !exact => prefix.to_owned(),
                path => format!("{prefix}{path}"),
            };
            flat.routes.add(&path, operated(method, operation))?;
        }
        if let Some(fallback) = self.fallback {
            flat.routes.add_fallback(prefix, operated(None, fallback))?;
        }
        for (below, router) in self.nested {
            router.flatten_into(flat, fakes, &format!("{prefix}{below}"), &needs, &layers)?;
        }
        Ok(())
    }
}

/// Layers around a host, the first outermost.
pub(crate) fn around(layers: &[Layering], host: Arc<dyn Host>) -> Arc<dyn Host> {
    layers.iter().rev().fold(host, |host, layer| layer(host))
}

/// Lets a type have the methods that put a router together.
pub(crate) trait HasRouter {
    fn router(&mut self) -> &mut Router;
}

impl HasRouter for Router {
    fn router(&mut self) -> &mut Router {
        self
    }
}

macro_rules! verbs {
    ($($name:ident $method:ident),*) => {$(
        #[doc = concat!("Adds a path operation for ", stringify!($method), ".")]
        ///
        /// An `async` function runs on the event loop, a plain one in the thread pool. It takes up to
        /// sixteen extractors and [`Dep`](crate::Dep)s, of which the last may consume the body.
        /// [`Configure`](crate::Configure) has its settings.
        pub fn $name<H, A, M, K>(self, path: &str, handler: H) -> Self
        where
            H: Callable<A> + Send + Sync + 'static,
            A: FromArgs<M> + 'static,
            H::Output: Kind<K>,
            K: Dispatch<H::Output> + 'static,
            M: 'static,
        {
            self.on(Method::$method, path, handler)
        }
    )*};
}

/// The methods of [`Router`] and [`App`](crate::App).
macro_rules! building {
    ($builder:ty) => {
        impl $builder {
            verbs!(get GET, post POST, put PUT, patch PATCH, delete DELETE, head HEAD, options OPTIONS);

            /// Adds a path operation for any method, also one of your own. GET answers HEAD, and every path
            /// OPTIONS, unless they have an operation of their own.
            pub fn on<H, A, M, K>(mut self, method: Method, path: &str, handler: H) -> Self
            where
                H: Callable<A> + Send + Sync + 'static,
                A: FromArgs<M> + 'static,
                H::Output: Kind<K>,
                K: Dispatch<H::Output> + 'static,
                M: 'static,
            {
                let operation = Function::<H, A, M, K>::operation(handler);
                self.router().operation(method, path, operation);
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
                self.router().hosted(prefix, Hosted::new(service));
                self
            }

            /// Answers, with any method, what nothing else below this router's prefix does: a 404 of your own. The status is
            /// what the function returns. What the layers of a router are around, its fallback is, too; without one, what is
            /// not found is answered outside of them, inside of those of the app.
            ///
            /// Of nested routers the innermost that has a fallback answers. A path that exists with other methods is 405 all
            /// the same.
            ///
            /// ```
            /// use anyrt_http::{App, Router};
            /// use http::{StatusCode, Uri};
            ///
            /// async fn no_such_page(uri: Uri) -> (StatusCode, String) {
            ///     (StatusCode::NOT_FOUND, format!("there is no {}", uri.path()))
            /// }
            ///
            /// let api = Router::new().get("/items", async || "items").fallback(async || StatusCode::NOT_FOUND);
            /// let app = App::new().nest("/api", api).fallback(no_such_page);
            /// # drop(app);
            /// ```
            pub fn fallback<H, A, M, K>(mut self, handler: H) -> Self
            where
                H: Callable<A> + Send + Sync + 'static,
                A: FromArgs<M> + 'static,
                H::Output: Kind<K>,
                K: Dispatch<H::Output> + 'static,
                M: 'static,
            {
                let operation = Function::<H, A, M, K>::operation(handler);
                self.router().answers_the_rest(operation);
                self
            }

            /// Adds the routes of a router, each under this prefix, which may have parameters. Its layers and
            /// [requirements](Self::require) are around its own routes alone; its providers give to everyone; its lifespan
            /// runs inside of this one's.
            pub fn nest(mut self, prefix: &str, router: Router) -> Self {
                let prefix = prefix.trim_end_matches('/');
                if prefix.is_empty() || prefix.starts_with('/') {
                    self.router().nested.push((prefix.to_owned(), router));
                } else {
                    let reason = "a prefix starts with `/`".to_owned();
                    self.router().note(Err(Error::Route { path: prefix.to_owned(), reason }));
                }
                self
            }

            /// Adds the routes of a router as they are; otherwise as [`nest`](Self::nest).
            pub fn merge(self, router: Router) -> Self {
                self.nest("", router)
            }

            /// Says how a dependency is made: by an `async` function, or by a plain one in the thread pool.
            ///
            /// Its arguments are extractors that leave the body alone, and other [`Dep`](crate::Dep)s. It
            /// returns a [`Dependency`](crate::Dependency), a [`Teardown`](crate::Teardown) with what undoes the value, or a
            /// `Result` of one, whose error is the response that refuses the request. It is called at most once a
            /// request, when the first function asks; what it asks for is made before it, one after the other, in the order
            /// of its arguments. [`Configure`](crate::Configure) has its settings.
            pub fn provide<H, A, M, K>(mut self, provider: H) -> Self
            where
                H: Callable<A> + Send + Sync + 'static,
                A: FromHead<M> + 'static,
                H::Output: Provide<K>,
                K: 'static,
                M: 'static,
            {
                let provider: Arc<dyn Provider> = Arc::new(Function::<H, A, M, K>::provider(provider));
                let (kind, name) = provider.makes();
                self.router().source(kind, name, Source::of(provider));
                self
            }

            /// Gives a value as a dependency, shared by all requests. It may be of any type.
            pub fn provide_value<T: Send + Sync + 'static>(mut self, value: T) -> Self {
                let source = Source::Value(Arc::new(value));
                self.router().source(TypeId::of::<T>(), std::any::type_name::<T>(), source);
                self
            }

            /// Puts another provider in place of the one that makes a type: for tests. Lifetime and
            /// [`max_concurrency`](crate::Configure::max_concurrency) stay those of the original, whose own arguments are not
            /// looked at.
            ///
            /// That nothing makes such a type is a mistake, found when the app is built.
            pub fn override_with<H, A, M, K>(mut self, provider: H) -> Self
            where
                H: Callable<A> + Send + Sync + 'static,
                A: FromHead<M> + 'static,
                H::Output: Provide<K>,
                K: 'static,
                M: 'static,
            {
                let provider: Arc<dyn Provider> = Arc::new(Function::<H, A, M, K>::provider(provider));
                let (kind, name) = provider.makes();
                self.router().fakes.push((kind, name, Fake::Provider(provider)));
                self
            }

            /// Puts a value in place of a dependency: for tests. Otherwise as [`override_with`](Self::override_with).
            pub fn override_value<T: Send + Sync + 'static>(mut self, value: T) -> Self {
                let fake = Fake::Value(Arc::new(value));
                self.router().fakes.push((TypeId::of::<T>(), std::any::type_name::<T>(), fake));
                self
            }

            /// Makes a dependency before every path operation here and in the routers nested here, whether it asks for it
            /// or not: a check that may refuse the request.
            pub fn require<T: Send + Sync + 'static>(mut self) -> Self {
                self.router().needs.push(Need::of::<T>());
                self
            }

            /// Puts a tower layer around the routes here and in the routers nested here; around those that were added before.
            /// It is around all that these routes answer, also around what they say by themselves: OPTIONS, that a method is
            /// not allowed (a preflight of CORS has the layers of the path operation that it asks for), and the
            /// [`fallback`](Self::fallback). A layer of the app is around everything, also around what is not found, and
            /// what is refused because of its target or its `Host`; not around what cannot be parsed.
            pub fn layer<L, B>(mut self, layer: L) -> Self
            where
                L: Layer<Next> + Send + Sync + 'static,
                L::Service: Service<Request, Response = http::Response<B>> + Clone + Send + 'static,
                <L::Service as Service<Request>>::Error: Into<BoxError>,
                <L::Service as Service<Request>>::Future: Send,
                B: http_body::Body<Data = Bytes> + Send + 'static,
                B::Error: Into<BoxError>,
            {
                self.router().layers.push(crate::app::layers::layering(layer));
                self
            }

            /// Runs `lifespan` around all requests: what it does before [`Lifespan::serve`](crate::Lifespan::serve) is the start-up, what it does
            /// after it the shutdown, all in one task. The state that it serves is a [`Dep`](crate::Dep) for everyone.
            ///
            /// See [`Lifespan`](crate::Lifespan).
            pub fn lifespan<S, L, A>(mut self, lifespan: L) -> Self
            where
                S: Send + Sync + 'static,
                L: LifespanFunction<S, A>,
            {
                let router = self.router();
                let source = Source::Lifespan { name: std::any::type_name::<S>(), given: Default::default() };
                router.source(TypeId::of::<S>(), std::any::type_name::<S>(), source);
                router.lifespans.push(Planned::new(lifespan));
                self
            }
        }
    };
}
pub(crate) use {building, verbs};

building!(Router);

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.routes.iter().map(|route| &route.path);
        f.debug_struct("Router")
            .field("routes", &paths.collect::<Vec<_>>())
            .field("nested", &self.nested)
            .finish_non_exhaustive()
    }
}
