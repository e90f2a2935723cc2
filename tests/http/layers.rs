//! Tower layers, as middleware has them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyrt::sync::Event;
use axum_core::extract::Request;
use axum_core::response::Response;
use http::header::HeaderValue;
use tower_layer::Layer;
use tower_service::Service;

use crate::log::Log;

/// Adds a header to each response; its service has a future of its own, as most middleware has.
#[derive(Clone)]
pub(crate) struct Tagging(pub(crate) &'static str);

impl<S> Layer<S> for Tagging {
    type Service = Tagged<S>;

    fn layer(&self, inner: S) -> Tagged<S> {
        Tagged(inner, self.0)
    }
}

#[derive(Clone)]
pub(crate) struct Tagged<S>(S, &'static str);

impl<S> Service<Request> for Tagged<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (answer, tag) = (self.0.call(request), self.1);
        Box::pin(async move {
            let mut response = answer.await?;
            response.headers_mut().append(tag, HeaderValue::from_static("yes"));
            Ok(response)
        })
    }
}

/// Hands on what it is given.
#[derive(Clone)]
pub(crate) struct Doubling;

impl<S> Layer<S> for Doubling {
    type Service = Tagged<Tagged<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        Tagged(Tagged(inner, "x-inner"), "x-outer")
    }
}

/// Drops the call after one poll, as a timeout does.
#[derive(Clone)]
pub(crate) struct Dropping;

impl<S> Layer<S> for Dropping {
    type Service = Dropped<S>;

    fn layer(&self, inner: S) -> Dropped<S> {
        Dropped(inner)
    }
}

#[derive(Clone)]
pub(crate) struct Dropped<S>(S);

impl<S> Service<Request> for Dropped<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let mut answer = Box::pin(self.0.call(request));
        Box::pin(std::future::poll_fn(move |cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            let mut response = Response::default();
            *response.status_mut() = http::StatusCode::REQUEST_TIMEOUT;
            Poll::Ready(Ok(response))
        }))
    }
}

/// Says that it waits, and waits before it hands on what is asked of one path.
#[derive(Clone)]
pub(crate) struct Waiting {
    pub(crate) path: &'static str,
    pub(crate) log: Log,
    pub(crate) go: Event,
}

impl<S> Layer<S> for Waiting {
    type Service = Waited<S>;

    fn layer(&self, inner: S) -> Waited<S> {
        Waited(inner, self.clone())
    }
}

#[derive(Clone)]
pub(crate) struct Waited<S>(S, Waiting);

impl<S> Service<Request> for Waited<S>
where
    S: Service<Request, Response = Response> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Waited(mut inner, Waiting { path, log, go }) = self.clone();
        Box::pin(async move {
            if request.uri().path() == path {
                log.say("waiting");
                go.wait().await;
            }
            inner.call(request).await
        })
    }
}
