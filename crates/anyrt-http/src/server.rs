//! The server: where it listens, what it serves, until when.

pub(crate) mod accepted;
pub(crate) mod connection;
pub(crate) mod deadlines;
pub(crate) mod exchange;
pub(crate) mod frames;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod incoming_body;
pub(crate) mod lifecycle;
pub(crate) mod listening;
#[cfg(unix)]
pub(crate) mod per_core;
mod serve_app;
pub(crate) mod shared;
pub(crate) mod stats;
pub(crate) mod stream;
pub(crate) mod timer;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod transport;
pub(crate) mod validate;

use std::fmt;
use std::future::Future;
#[cfg(unix)]
use std::io;
#[cfg(unix)]
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use anyrt::net::TcpListener;
#[cfg(unix)]
use anyrt::net::UnixListener;
use anyrt::sync::Event;
use anyrt::{BoxError, Either, race};
use axum_core::extract::Request;
use bytes::Bytes;
use futures_util::FutureExt;
use tower_service::Service;

use self::listening::{ListenAt, Listening};
use self::stats::Served;
#[cfg(feature = "tls")]
use self::tls::Tls;
use crate::app::lifespan::Planned;
use crate::app::service::AppService;
use crate::app::startup;
use crate::base::error::{Error, Result};
use crate::base::limits::Limits;
use crate::request::endpoint::{Host, Hosted};
use crate::request::on_disconnect::Disconnect;

/// A server to be: what it serves, where it listens (any number of places), until when.
///
/// ```no_run
/// use anyrt_http::App;
///
/// # async fn serve() -> anyrt_http::Result<()> {
/// let served = App::new()
///     .get("/", async || "hello")
///     .server()
///     .bind("127.0.0.1:8000")
///     .bind("[::1]:8000")
///     .serve()
///     .await?;
/// println!("{served}");
/// # Ok(())
/// # }
/// ```
#[must_use = "a server does nothing until `serve` is awaited"]
pub struct Server {
    what: Result<What>,
    limits: Limits,
    on_disconnect: Disconnect,
    places: Vec<(ListenAt, Secured)>,
    /// Ctrl-C or SIGTERM, unless told otherwise.
    stop: Stop,
}

/// Whether a listener speaks TLS.
#[derive(Debug, Default, Clone)]
struct Secured(#[cfg(feature = "tls")] Option<Tls>);

impl Secured {
    fn over(self, listening: Listening) -> Listening {
        #[cfg(feature = "tls")]
        let listening = listening.with(self.0);
        listening
    }
}

/// What is served.
enum What {
    /// Between its start and its end.
    App(AppService, Vec<Planned>),
    Service(Arc<dyn Host>),
}

impl Server {
    /// A server of any tower service, such as an axum `Router`.
    pub fn new<S, B>(service: S) -> Server
    where
        S: Service<Request, Response = http::Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Server::of(Ok(What::Service(Arc::new(Hosted::new(service)))), Limits::default())
    }

    fn of(what: Result<What>, limits: Limits) -> Server {
        Server { what, limits, on_disconnect: Disconnect::default(), places: Vec::new(), stop: None }
    }

    /// Listens at a TCP address.
    pub fn bind(self, address: &str) -> Self {
        self.at(ListenAt::Address(address.to_owned()))
    }

    /// Listens by a TCP listener.
    pub fn listener(self, listener: TcpListener) -> Self {
        self.at(ListenAt::Tcp(listener))
    }

    /// Listens at the path of a Unix socket. A file that a server left behind which is gone is
    /// replaced; at the end the file is removed.
    #[cfg(unix)]
    pub fn unix(self, path: impl Into<PathBuf>) -> Self {
        self.at(ListenAt::Path(path.into()))
    }

    /// Listens by a Unix listener, whose file is left to its owner.
    #[cfg(unix)]
    pub fn unix_listener(self, listener: UnixListener) -> Self {
        self.at(ListenAt::Unix(listener))
    }

    /// The listener that was named last speaks TLS.
    ///
    /// # Panics
    ///
    /// If none was named.
    #[cfg(feature = "tls")]
    #[track_caller]
    pub fn tls(mut self, tls: Tls) -> Self {
        let Some((_, secured)) = self.places.last_mut() else {
            panic!("`tls` belongs to a listener: call `bind` or one of the others before it")
        };
        secured.0 = Some(tls);
        self
    }

    fn at(mut self, place: ListenAt) -> Self {
        self.places.push((place, Secured::default()));
        self
    }

    /// Sets the limits; the limits of the app do not count any more for what the server itself does.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What becomes of a request whose client leaves, unless its route says otherwise.
    ///
    /// With [`Disconnect::Detach`] a client that ends only its sending side (a half-close) is
    /// answered; with the default it has left.
    pub fn on_disconnect(mut self, disconnect: Disconnect) -> Self {
        self.on_disconnect = disconnect;
        self
    }

    /// Stops when `stop` is ready, and no more on Ctrl-C or SIGTERM.
    pub fn until(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Some(Box::pin(stop));
        self
    }

    /// Serves until it is told to stop, then ends gracefully: no new connections, what was begun is
    /// finished; after [`Limits::shutdown`] what still runs is cancelled, and after
    /// [`Limits::teardown`] it is no longer waited for.
    ///
    /// # Errors
    ///
    /// The first mistake of the app; [`Error::Listen`] if it cannot listen at one of the places;
    /// [`Error::Signal`] if the signals cannot be waited for.
    ///
    /// # Panics
    ///
    /// Outside of any runtime, naming the cure.
    ///
    /// # Cancel safety
    ///
    /// As [`App::serve`](crate::App::serve).
    pub async fn serve(self) -> Result<Served> {
        let what = self.what?;
        let mut listening = Vec::new();
        for (place, secured) in self.places {
            listening.push(secured.over(place.listen().await?));
        }
        let (limits, on_disconnect, stop) = (self.limits, self.on_disconnect, told(self.stop));
        what.around(async move |Hosting(host), failing| {
            lifecycle::run(listening, host, limits, on_disconnect, either(stop, failing)).await
        })
        .await
    }

    /// As [`serve`](Server::serve), with a thread and a runtime of its own for each core, which share
    /// nothing but the addresses (`SO_REUSEPORT`): the system spreads the connections over them.
    ///
    /// They are runtimes of the kind that is running, with one thread each. Handlers that wait for the
    /// thread pool have one of their own a core, and each core has the limits for itself; start and
    /// end of an app run where this is awaited. Connections are spread by number, not by work: worth
    /// it where they are many and requests short.
    ///
    /// # Errors
    ///
    /// As [`serve`](Server::serve); [`Error::Listen`] also for a listener that was given as it is, or a
    /// Unix socket: those cannot be shared.
    ///
    /// # Panics, cancel safety
    ///
    /// As [`serve`](Server::serve); dropped by foreign code, the cores are told to stop, and not waited for.
    #[cfg(unix)]
    pub async fn serve_per_core(self) -> Result<Served> {
        let what = self.what?;
        let mut parts: Vec<per_core::Part> = Vec::new();
        for (place, secured) in self.places {
            let ListenAt::Address(address) = place else {
                let source =
                    io::Error::new(io::ErrorKind::Unsupported, "cores share addresses only: use `bind`");
                return Err(Error::Listen { address: format!("{place:?}"), source });
            };
            for (core, socket) in per_core::sockets(&address).await?.into_iter().enumerate() {
                if parts.len() <= core {
                    parts.push(Vec::new());
                }
                let secured = secured.clone();
                parts[core].push((socket, Box::new(move |listening| secured.over(listening))));
            }
        }
        let (limits, on_disconnect, stop) = (self.limits, self.on_disconnect, told(self.stop));
        what.around(async move |Hosting(host), failing| {
            let tell = Event::new();
            let work = per_core::Work { host, limits, on_disconnect };
            let serving = async {
                let served = per_core::serve(parts, work, tell.clone()).await;
                tell.set();
                served
            };
            let stopping = async {
                // Also when this is cancelled: the cores are waited for.
                let _told = SetOnDrop(tell.clone());
                match race(either(stop, failing), tell.wait()).await {
                    Either::Left(stopped) => stopped,
                    Either::Right(()) => Ok(()),
                }
            };
            let (served, stopped) = anyrt::join(serving, stopping).await;
            stopped.and(served)
        })
        .await
    }
}

/// Tells the cores, whatever ended the wait.
#[cfg(unix)]
struct SetOnDrop(Event);

#[cfg(unix)]
impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// What answers, in a type without a lifetime of its own: a closure that takes it is general enough.
struct Hosting(Arc<dyn Host>);

impl What {
    /// Serves it, an app between its start and its end. The event is set when a lifespan ends by itself.
    async fn around(self, serve: impl AsyncFnOnce(Hosting, Event) -> Result<Served>) -> Result<Served> {
        match self {
            What::Service(host) => serve(Hosting(host), Event::new()).await,
            What::App(service, lifespans) => {
                let core = Arc::clone(service.core());
                startup::around(core, lifespans, async move |failing| {
                    serve(Hosting(Arc::new(service)), failing).await
                })
                .await
            }
        }
    }
}

type Stop = Option<Pin<Box<dyn Future<Output = ()> + Send>>>;

async fn told(stop: Stop) -> Result<()> {
    match stop {
        Some(stop) => stop.map(Ok).await,
        None => told_to_stop().await,
    }
}

/// A lifespan that ends by itself stops the server, too.
async fn either(stop: impl Future<Output = Result<()>> + Send, failing: Event) -> Result<()> {
    match race(stop, failing.wait()).await {
        Either::Left(stopped) => stopped,
        Either::Right(()) => Ok(()),
    }
}

/// Ready on Ctrl-C or SIGTERM.
pub(crate) async fn told_to_stop() -> Result<()> {
    anyrt::signal::shutdown().await.map(drop).map_err(Error::Signal)
}

/// Serves any tower service, such as an axum `Router`, until Ctrl-C or SIGTERM, on whatever runtime
/// this runs. Limits, ends and failures are those of [`App::serve`](crate::App::serve).
///
/// # Errors
///
/// [`Error::Signal`] if the signals cannot be waited for.
///
/// # Panics
///
/// Outside of any runtime, naming the cure.
///
/// # Cancel safety
///
/// As [`App::serve`](crate::App::serve).
pub async fn serve<S, B>(listener: TcpListener, service: S) -> Result<()>
where
    S: Service<Request, Response = http::Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Server::new(service).listener(listener).serve().await.map(drop)
}

/// Serves any tower service, until `stop` is ready.
///
/// # Errors
///
/// None at present.
///
/// # Panics
///
/// Outside of any runtime, naming the cure.
///
/// # Cancel safety
///
/// As [`App::serve`](crate::App::serve).
pub async fn serve_until<S, B>(
    listener: TcpListener,
    service: S,
    stop: impl Future<Output = ()> + Send,
) -> Result<()>
where
    S: Service<Request, Response = http::Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    run(listener, Arc::new(Hosted::new(service)), Limits::default(), stop.map(Ok)).await
}

/// Serves by one listener.
pub(crate) async fn run(
    listener: TcpListener,
    host: Arc<dyn Host>,
    limits: Limits,
    stop: impl Future<Output = Result<()>> + Send,
) -> Result<()> {
    let listening = vec![ListenAt::Tcp(listener).listen().await?];
    lifecycle::run(listening, host, limits, Disconnect::default(), stop).await.map(drop)
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("places", &self.places)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
