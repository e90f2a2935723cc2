//! Start and end of an app: its lifespans, and the dependencies of the app's scope.

use std::sync::{Arc, Mutex, PoisonError};

use anyrt::TaskGroup;
use anyrt::sync::Event;
use axum_core::body::Body;
use axum_core::extract::Request;

use crate::context::RequestContext;
use crate::error::{Error, Result};
use crate::lifespan::{Begun, Planned};
use crate::request::{Outcome, Stack, told, unless_cut};
use crate::service::Core;

/// What has begun, and what has been made: undone in reverse.
#[derive(Default)]
struct Started {
    lifespans: Vec<Begun>,
    stack: Stack,
}

/// Starts what an app has to start, runs `serve`, and ends it all in reverse, whatever happened.
///
/// `serve` is given an event that is set when a lifespan ends by itself: then it should come to its end.
///
/// # Errors
///
/// What refused to start; an error of `serve`; an error of a lifespan.
///
/// # Panics
///
/// With the panic of `serve` or of a lifespan, when all has ended.
///
/// # Cancel safety
///
/// Cancelled, what was started is ended before this is dropped.
pub(crate) async fn around<T: Send>(
    core: Arc<Core>,
    lifespans: Vec<Planned>,
    serve: impl AsyncFnOnce(Event) -> Result<T>,
) -> Result<T> {
    let failing = Event::new();
    let limit = anyrt::current_handle().limiter().total();
    tracing::info!(limit, "plain functions that run at once, at most; `Builder::blocking_limit` sets it");
    if lifespans.is_empty() && !core.sources.has_start() {
        return Box::pin(serve(failing)).await;
    }
    let served = anyrt::task_group(async |group| {
        let started = Mutex::new(Started::default());
        // In a box, and so below: what is around a future holds it twice, and these are large.
        let work = Box::pin(async {
            start(&core, lifespans, &group, &failing, &started).await?;
            Box::pin(serve(failing.clone())).await
        });
        let served = unless_cut(work, async |why| {
            let started = std::mem::take(&mut *started.lock().unwrap_or_else(PoisonError::into_inner));
            drop(started.end(Outcome::cancelled(why), true).await);
        })
        .await;
        let started = std::mem::take(&mut *started.lock().unwrap_or_else(PoisonError::into_inner));
        let outcome = match &served {
            Ok(_) => Outcome::Ok(http::StatusCode::OK),
            Err(error) => Outcome::failed(Arc::from(anyrt::BoxError::from(error.to_string()))),
        };
        let ended = anyrt::shield(started.end(outcome, true)).await;
        Served(served.and_then(|value| ended.map(|()| value)))
    })
    .await;
    match served {
        Ok(Served(result)) => result,
        Err(error) => Err(Error::Lifespan(error.into())),
    }
}

/// Not a `Result`, whatever it is.
struct Served<T>(Result<T>);

async fn start(
    core: &Arc<Core>,
    lifespans: Vec<Planned>,
    group: &TaskGroup,
    failing: &Event,
    started: &Mutex<Started>,
) -> Result<()> {
    for planned in lifespans {
        let begun = planned.begin(group, failing);
        started.lock().unwrap_or_else(PoisonError::into_inner).lifespans.push(begun.clone());
        begun.serving(&core.sources).await?;
    }
    let (mut parts, _) = Request::new(Body::empty()).into_parts();
    for kind in core.sources.to_start() {
        let context = RequestContext::at_start(Arc::clone(core));
        let made = core.sources.find(kind, false, &mut parts, &context).await;
        started.lock().unwrap_or_else(PoisonError::into_inner).stack.append(context.into_stack());
        made.map_err(|refusal| Error::Start {
            by: core.sources.name(kind).to_owned(),
            reason: Outcome::of(&refusal).to_string(),
        })?;
    }
    Ok(())
}

impl Started {
    /// Undoes what was made, then ends the lifespans, each when those inside of it have ended. All of it, whatever fails;
    /// the first error counts.
    async fn end(self, mut outcome: Outcome, cut: bool) -> Result<()> {
        self.stack.undo(&mut outcome, |name, error| told(name, &error)).await;
        let mut ended = Ok(());
        for lifespan in self.lifespans.into_iter().rev() {
            ended = ended.and(lifespan.stop(cut).await);
        }
        ended
    }
}
