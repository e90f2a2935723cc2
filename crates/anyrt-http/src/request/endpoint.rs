//! Hosting: tower services of other frameworks, under a path of the app or alone on a listener.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use anyrt::BoxError;
use axum_core::body::Body;
use axum_core::extract::Request;
use axum_core::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::uri::{PathAndQuery, Uri};
use tower_service::Service;

use super::arrival::Arrival;
use crate::base::contained::contained;
use crate::response::problem::detail;
use crate::response::problem::internal;

/// A request that is being answered: the one allocation that every request makes.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// An answer that is there already.
pub(crate) fn answered(response: Response) -> Answer {
    Box::pin(std::future::ready(response))
}

/// What answers requests: an app, or a service of another framework.
pub(crate) trait Host: Send + Sync {
    /// Begins to answer. `arrival` takes what the route says about a client that leaves.
    fn call(&self, request: Request, arrival: &Arrival) -> Answer;

    /// Begins to answer a request that was refused before anything looked at it.
    fn refused(&self, _: Request, refusal: Response, _: &Arrival) -> Answer {
        answered(refusal)
    }

    /// Whether it has a view, so that requests are followed.
    fn has_view(&self) -> bool {
        false
    }
}

/// Begins to answer; what panics already here, such as a service that is cloned, is a 500.
pub(crate) fn begin(host: &dyn Host, request: Request, arrival: &Arrival) -> Answer {
    contained(|| host.call(request, arrival)).unwrap_or_else(|_| answered(internal()))
}

/// As [`begin`], of a request that was refused.
pub(crate) fn begin_refused(
    host: &dyn Host,
    request: Request,
    refusal: Response,
    arrival: &Arrival,
) -> Answer {
    contained(|| host.refused(request, refusal, arrival)).unwrap_or_else(|_| answered(internal()))
}

/// A tower service as a [`Host`]: cloned for each request, as tower wants it.
pub(crate) struct Hosted<S>(Mutex<S>);

impl<S> Hosted<S> {
    pub(crate) fn new(service: S) -> Self {
        Hosted(Mutex::new(service))
    }
}

impl<S, B> Host for Hosted<S>
where
    S: Service<Request, Response = http::Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn call(&self, request: Request, _: &Arrival) -> Answer {
        let mut service = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            let answer = async {
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(request).await
            };
            match answer.await {
                Ok(response) => response.map(Body::new),
                Err(error) => {
                    let error: BoxError = error.into();
                    tracing::error!(%error, "a hosted service failed");
                    detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
                }
            }
        })
    }
}

/// The URI without the first bytes of its path: `/old/page?x=1` without 4 is `/page?x=1`, `/old` is `/`.
pub(crate) fn without_prefix(uri: &Uri, cut: usize) -> Option<Uri> {
    let full = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let rest = full.get(cut..)?;
    let path = if rest.starts_with('/') { rest.parse() } else { format!("/{rest}").parse() };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.ok()?);
    Uri::from_parts(parts).ok()
}

impl<S> fmt::Debug for Hosted<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosted").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::without_prefix;

    #[test]
    fn a_prefix_is_cut_and_the_query_stays() {
        let cut = |uri: &str| without_prefix(&uri.parse().ok()?, 4).map(|uri| uri.to_string());
        assert_eq!(cut("/old/page?x=1").as_deref(), Some("/page?x=1"));
        assert_eq!(cut("/old").as_deref(), Some("/"));
        assert_eq!(cut("/old?x=1").as_deref(), Some("/?x=1"));
        assert_eq!(cut("http://host/old/a").as_deref(), Some("http://host/a"));
        assert_eq!(cut("/ab"), None);
    }
}
