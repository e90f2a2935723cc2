//! The stages of a request that may have something to undo, or whose route has settings.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use anyrt::Cancelled;
use axum_core::response::Response;
use futures_util::FutureExt;
use http::StatusCode;

use super::context::RequestContext;
use crate::base::panics::report;
use crate::request::cut::unless_cut;
use crate::request::outcome::Outcome;
use crate::response::problem::{detail, internal};

/// A part of a request's work, by default all of it: arguments, handler and response.
pub(crate) type Work<'a, T = Response> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Stages 1 to 4 of a request that may have something to undo, or whose route has settings.
///
/// # Cancel safety
///
/// To be dropped by a cancelled scope only: what was made until then is undone.
pub(crate) async fn run_guarded(
    work: Work<'_>,
    context: &RequestContext,
    deadline: Option<Duration>,
) -> Response {
    let work = AssertUnwindSafe(async {
        // Of a route without a deadline it is the work and nothing more.
        anyrt::move_on_after(deadline, work).await
    })
    .catch_unwind();
    let cut = async |why: &Cancelled| context.undo_all(Outcome::cancelled(why)).await;
    let (response, outcome) = match unless_cut(work, cut).await {
        Ok(Some(response)) => {
            let outcome = Outcome::of(&response);
            (response, outcome)
        }
        Ok(None) => {
            let response = detail(StatusCode::SERVICE_UNAVAILABLE, "The request took too long");
            (response, Outcome::Cancelled("the deadline of the route passed".into()))
        }
        Err(panic) => {
            report(&*panic);
            (internal(), Outcome::panicked(&*panic))
        }
    };
    context.close(response, outcome).await
}
