//! A client for tests: the app itself, without a socket.

use std::any::{TypeId, type_name};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyrt::sync::Event;
use anyrt::{TaskGroup, TaskHandle};
use axum_core::body::Body;
use axum_core::extract::Request;
use axum_core::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::app::service::{AppFuture, AppService};
use crate::app::{graph, startup};
use crate::base::causes::chain;
use crate::base::error::{Error, Result};
use crate::inject::arguments::FromHead;
use crate::inject::function::Function;
use crate::inject::handler::Callable;
use crate::inject::provider::{Provide, Provider};
use crate::inject::registry::Fake;
use crate::request::after::After;
use crate::request::arrival::Arrival;
use crate::request::home::{AFTER, Home, Owner, spawn};
use crate::response::problem::JSON;

impl App {
    /// A client for tests: awaited, it starts the app, with its lifespans and the dependencies of its lifetime, and gives a
    /// [`TestClient`] for as many requests as you like; with one of the methods, it makes one request.
    ///
    /// ```no_run
    /// use anyrt_http::{App, Background, TooLate};
    ///
    /// async fn hello(background: Background) -> Result<&'static str, TooLate> {
    ///     background.add(async { println!("has run when the test goes on") })?;
    ///     Ok("hello")
    /// }
    ///
    /// # anyrt::run(async {
    /// assert_eq!(App::new().get("/", hello).test().get("/").await.text(), "hello");
    ///
    /// let client = App::new().get("/", hello).test().await;
    /// assert_eq!(client.get("/").await.status(), 200);
    /// assert_eq!(client.get("/nowhere").await.status(), 404);
    /// client.close().await.unwrap();
    /// # });
    /// ```
    pub fn test(self) -> Test {
        Test(self)
    }
}

/// An app that is about to be tested; see [`App::test`].
#[derive(Debug)]
#[must_use = "await it for a client, or make a request"]
pub struct Test(App);

/// Requests of both kinds of clients.
macro_rules! requests {
    ($($name:ident $method:ident),*) => {$(
        #[doc = concat!("A request with the method ", stringify!($method), ".")]
        pub fn $name(&self, path: &str) -> TestRequest {
            self.request(Method::$method, path)
        }
    )*};
}

macro_rules! only_requests {
    ($($name:ident $method:ident),*) => {$(
        #[doc = concat!("The one request of this test, with the method ", stringify!($method), ".")]
        pub fn $name(self, path: &str) -> TestRequest {
            self.request(Method::$method, path)
        }
    )*};
}

impl Test {
    only_requests!(get GET, post POST, put PUT, patch PATCH, delete DELETE, head HEAD, options OPTIONS);

    /// The one request of this test.
    pub fn request(self, method: Method, path: &str) -> TestRequest {
        TestRequest::new(Target::Only(Box::new(self.0)), method, path)
    }

    /// Starts the app.
    ///
    /// # Errors
    ///
    /// The first mistake: see [`Error`]; what refused to start.
    ///
    /// # Panics
    ///
    /// Outside of any runtime, naming the cure.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it ends what it has started.
    pub async fn start(self) -> Result<TestClient> {
        let (service, lifespans) = self.0.build()?;
        let (stop, up) = (Event::new(), Event::new());
        let group = Arc::new(std::sync::OnceLock::new());
        let core = Arc::clone(service.core());
        let running = {
            let (stop, up, group) = (stop.clone(), up.clone(), Arc::clone(&group));
            async move {
                let ended = startup::around(core, lifespans, async |failing| {
                    let requests = async |requests: TaskGroup| {
                        let _ = group.set(requests.clone());
                        up.set();
                        anyrt::race(stop.wait(), failing.wait()).await;
                        requests.cancel_after_with(Duration::MAX, "the app is ending");
                    };
                    let ended = anyrt::task_group(requests).await;
                    ended.map_err(|error| Error::Lifespan(error.into()))
                })
                .await;
                up.set();
                Ended(ended)
            }
        };
        let mut client = TestClient { service, stop, running: Some(anyrt::spawn(running)), group: None };
        up.wait().await;
        match group.get() {
            Some(group) => client.group = Some(group.clone()),
            None => client.end().await?,
        }
        Ok(client)
    }
}

/// Not a `Result`, whatever it is.
struct Ended(Result<()>);

impl IntoFuture for Test {
    type Output = TestClient;
    type IntoFuture = Pin<Box<dyn Future<Output = TestClient> + Send>>;

    /// # Panics
    ///
    /// With a mistake of the app, or what refused to start; [`start`](Test::start) has an error instead.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async {
            match self.start().await {
                Ok(client) => client,
                Err(error) => panic!("the app does not start: {}", chain(&error)),
            }
        })
    }
}

/// A client of an app that has started, without a socket between them.
///
/// A response is there when its body is whole and the request has done what it had to do after it: background
/// tasks and teardowns. Dropped, it tells the app to end and does not wait; [`close`](TestClient::close) does.
pub struct TestClient {
    service: AppService,
    stop: Event,
    running: Option<TaskHandle<Ended>>,
    /// None when the app did not start.
    group: Option<TaskGroup>,
}

impl TestClient {
    requests!(get GET, post POST, put PUT, patch PATCH, delete DELETE, head HEAD, options OPTIONS);

    /// A request.
    pub fn request(&self, method: Method, path: &str) -> TestRequest {
        let started = Started { service: self.service.clone(), group: self.group.clone() };
        TestRequest::new(Target::Started(started), method, path)
    }

    /// Puts another provider in place of the one that makes a type, for the requests that ask from now on. Otherwise as
    /// [`App::override_with`].
    ///
    /// # Errors
    ///
    /// When nothing makes such a type, or what the provider asks for is not there, needs itself at last
    /// ([`Error::Cycle`]), or does not live long enough: the whole is checked as when the app was built. A dependency of the app's lifetime is made by
    /// now: override it before the start.
    pub fn override_with<H, A, M, K>(&self, provider: H) -> Result<()>
    where
        H: Callable<A> + Send + Sync + 'static,
        A: FromHead<M> + 'static,
        H::Output: Provide<K>,
        K: 'static,
        M: 'static,
    {
        let provider: Arc<dyn Provider> = Arc::new(Function::<H, A, M, K>::provider(provider));
        let (kind, name) = provider.makes();
        self.stand_in(kind, name, Fake::Provider(provider))
    }

    /// Puts a value in place of a dependency, for the requests that ask from now on.
    ///
    /// # Errors
    ///
    /// As [`override_with`](TestClient::override_with).
    pub fn override_value<T: Send + Sync + 'static>(&self, value: T) -> Result<()> {
        self.stand_in(TypeId::of::<T>(), type_name::<T>(), Fake::Value(Arc::new(value)))
    }

    fn stand_in(&self, kind: TypeId, name: &'static str, fake: Fake) -> Result<()> {
        let sources = &self.service.core().sources;
        if sources.get(kind).is_none() {
            return Err(Error::NothingToOverride(name));
        }
        sources.put_fake(kind, fake, |fakes| graph::check_fakes(fakes, sources))
    }

    /// Takes back what was overridden by this client.
    pub fn clear_overrides(&self) {
        self.service.core().sources.clear_fakes();
    }

    /// Ends the app: waits for what requests have left to do, undoes the dependencies of the app's lifetime, ends the lifespans.
    ///
    /// # Errors
    ///
    /// That of a lifespan.
    ///
    /// # Panics
    ///
    /// With the panic of a lifespan.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it goes on by itself.
    pub async fn close(mut self) -> Result<()> {
        self.stop.set();
        self.end().await
    }

    async fn end(&mut self) -> Result<()> {
        match self.running.take() {
            Some(running) => match running.await {
                Ok(Ended(result)) => result,
                Err(ended) => match ended.into_panic() {
                    Some(panic) => std::panic::resume_unwind(panic),
                    None => Ok(()),
                },
            },
            None => Ok(()),
        }
    }
}

impl Drop for TestClient {
    fn drop(&mut self) {
        self.stop.set();
    }
}

/// An app that runs.
#[derive(Clone)]
struct Started {
    service: AppService,
    group: Option<TaskGroup>,
}

enum Target {
    Started(Started),
    Only(Box<App>),
}

/// A request that is put together; awaited, it is sent.
#[must_use = "a request is sent when it is awaited"]
pub struct TestRequest {
    target: Target,
    request: Request,
}

impl TestRequest {
    /// # Panics
    ///
    /// When `path` is not a path: the mistake of a test.
    fn new(target: Target, method: Method, path: &str) -> Self {
        let request = http::Request::builder().method(method).uri(path).body(Body::empty());
        match request {
            Ok(request) => TestRequest { target, request },
            Err(error) => panic!("`{path}` is not a path: {error}"),
        }
    }

    /// Adds a header.
    ///
    /// # Panics
    ///
    /// When it is none: the mistake of a test.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                self.request.headers_mut().append(name, value);
                self
            }
            _ => panic!("`{name}: {value}` is not a header"),
        }
    }

    /// The body.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    /// A value as JSON, with its content type.
    ///
    /// # Panics
    ///
    /// When it cannot be serialised: the mistake of a test.
    pub fn json(mut self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => {
                self.request.headers_mut().insert(CONTENT_TYPE, JSON);
                self.body(json)
            }
            Err(error) => panic!("the body is not JSON: {error}"),
        }
    }

    /// Sends the request, and gives the response with a body that is not read yet: for streams. Dropping it is leaving.
    ///
    /// # Panics
    ///
    /// Of the one request of a [`Test`]: with a mistake of the app, or what refused to start. Such an app is told to end when
    /// the response is there: take a [`TestClient`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the client has left.
    pub async fn open(self) -> Response {
        let TestRequest { target, request } = self;
        match target {
            Target::Started(started) => started.send(request).await.0,
            Target::Only(app) => {
                let client = app.test().await;
                let started = Started { service: client.service.clone(), group: client.group.clone() };
                started.send(request).await.0
            }
        }
    }
}

impl IntoFuture for TestRequest {
    type Output = TestResponse;
    type IntoFuture = Pin<Box<dyn Future<Output = TestResponse> + Send>>;

    /// # Panics
    ///
    /// When the body breaks off. Of the one request of a [`Test`]: with a mistake of the app, what refused to start, or the
    /// error of its lifespan.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async {
            let TestRequest { target, request } = self;
            match target {
                Target::Started(started) => started.whole(request).await,
                Target::Only(app) => {
                    let client = app.test().await;
                    let started = Started { service: client.service.clone(), group: client.group.clone() };
                    let response = started.whole(request).await;
                    if let Err(error) = client.close().await {
                        panic!("the app does not end well: {}", chain(&error));
                    }
                    response
                }
            }
        })
    }
}

impl Started {
    async fn send(self, request: Request) -> (Response, Option<Arc<TestHome>>) {
        let home = self.group.map(|group| Arc::new(TestHome::new(group)));
        let arrival = Arrival::at(home.clone().map_or(Home::ROOT, |home| Home::of(home)));
        let Ok(response) = AppFuture::new(&self.service, request, arrival).await;
        (response, home)
    }

    async fn whole(self, request: Request) -> TestResponse {
        let (response, home) = self.send(request).await;
        let (parts, body) = response.into_parts();
        let body = match body.collect().await {
            Ok(whole) => whole.to_bytes(),
            Err(error) => panic!("the response's body broke off: {}", chain(&error)),
        };
        if let Some(home) = home
            && home.has_after.load(Ordering::Acquire)
        {
            home.done.wait().await;
        }
        TestResponse { status: parts.status, headers: parts.headers, body }
    }
}

/// Where a request of a test goes on.
#[derive(Debug)]
struct TestHome {
    group: TaskGroup,
    /// Something was left to be done.
    has_after: AtomicBool,
    /// It is done.
    done: Event,
}

impl TestHome {
    fn new(group: TaskGroup) -> Self {
        TestHome { group, has_after: AtomicBool::new(false), done: Event::new() }
    }
}

impl Owner for TestHome {
    fn group(&self) -> &TaskGroup {
        &self.group
    }

    fn begin(&self, after: After) {
        self.has_after.store(true, Ordering::Release);
        let told = Told(self.done.clone());
        spawn(&self.group, AFTER, async move {
            let _told = told;
            after.run().await;
        });
    }
}

/// The word that all is done, also when it was cancelled.
struct Told(Event);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// A response, whole.
#[derive(Debug, Clone)]
pub struct TestResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl TestResponse {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// A header's text; empty if it is not there, or no text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body.
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The body as text.
    ///
    /// # Panics
    ///
    /// When it is not UTF-8.
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.body) {
            Ok(text) => text,
            Err(error) => panic!("the body is no text: {error}"),
        }
    }

    /// The body, read from JSON.
    ///
    /// # Panics
    ///
    /// When it is not JSON, or does not fit.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("the body is not what was asked for: {error}: {}", self.text()),
        }
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient").field("service", &self.service).finish_non_exhaustive()
    }
}

impl fmt::Debug for TestRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestRequest").field("request", &self.request).finish_non_exhaustive()
    }
}
