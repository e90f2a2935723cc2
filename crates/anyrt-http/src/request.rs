//! One request, from its dependencies to their teardown; `request/README.md` explains the stages.

mod after;
mod around;
mod background;
mod ending;
mod kept;
mod outcome;
mod reply;
mod teardown;
mod undo;

pub(crate) use after::After;
pub use around::{Give, Refusal};
pub(crate) use background::List;
pub use background::{
    Background, BackgroundEnded, BackgroundHandle, BackgroundOutput, BackgroundTask, TooLate,
};
pub(crate) use ending::{Ended, Waiter, at_end, telling, told as told_ended};
pub(crate) use kept::{Dropping, Drops, Kept, KeptList};
pub use outcome::{Failure, Outcome};
pub(crate) use outcome::{Source, message};
pub(crate) use reply::Reply;
pub use reply::ResponseHeaders;
pub(crate) use teardown::UndoOf;
pub use teardown::{Teardown, Undo, Undone};
pub(crate) use undo::{Entry, Stack, told};

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::time::Duration;

use anyrt::{Cancelled, TaskContext};
use axum_core::response::Response;
use futures_util::FutureExt;
use http::StatusCode;

use crate::attended::report;
use crate::context::RequestContext;
use crate::problem::detail;

/// A part of a request's work, by default all of it: arguments, handler and response.
pub(crate) type Work<'a, T = Response> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Stages 1 to 4 of a request that may have something to undo, or whose route has settings.
///
/// # Cancel safety
///
/// To be dropped by nobody but a cancelled scope: what was made until then is undone.
pub(crate) async fn attend(work: Work<'_>, context: &RequestContext, deadline: Option<Duration>) -> Response {
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

/// What a client is told of a fault of ours.
pub(crate) fn internal() -> Response {
    detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

/// The future, with the task-locals of its request in whatever task it goes on.
pub(crate) async fn keeping<F: Future>(mut locals: TaskContext, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| locals.run(|| future.as_mut().poll(cx))).await
}

/// Runs `work`; when it is cut short by a cancelled scope, `cut` runs, shielded, and this stays pending.
pub(crate) async fn unless_cut<T: Send>(
    work: impl Future<Output = T>,
    cut: impl AsyncFnOnce(&Cancelled),
) -> T {
    anyrt::finally(work, async |exit| {
        if let anyrt::Exit::Cancelled(why) = exit {
            cut(&why).await;
        }
    })
    .await
}
