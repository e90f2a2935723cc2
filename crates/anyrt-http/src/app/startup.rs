//! Start and end of an app: its lifespans, and the dependencies of the app's lifetime.

use std::any::TypeId;
use std::sync::{Arc, Mutex, PoisonError};

use anyrt::TaskGroup;
use anyrt::sync::Event;
use axum_core::body::Body;
use axum_core::extract::Request;

use super::lifespan::{Begun, Planned};
use crate::base::causes::chain;
use crate::base::error::{Error, Result};
use crate::inject::context::RequestContext;
use crate::inject::core::Core;
use crate::inject::dependency::ArgumentKind;
use crate::request::cut::unless_cut;
use crate::request::outcome::Outcome;
use crate::request::undo::{Stack, told};

/// What has begun, and what has been made: undone in reverse.
#[derive(Default)]
struct Started(Vec<Part>);

enum Part {
    Lifespan(Begun),
    Made(Stack),
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
    tracing::info!(limit, "plain functions that run at once, at most; `Run::blocking_limit` sets it");
    if lifespans.is_empty() && !core.sources.has_start() {
        let served = Box::pin(serve(failing)).await;
        Box::pin(anyrt::shield(drop_all(core))).await;
        return served;
    }
    let served = anyrt::task_group(async |group| {
        let started = Mutex::new(Started::default());
        let core = &core;
        // In a box, and so below: what is around a future holds it twice, and these are large.
        let work = Box::pin(async {
            start(core, lifespans, &group, &failing, &started).await?;
            Box::pin(serve(failing.clone())).await
        });
        let served = unless_cut(work, async |why| {
            let started = std::mem::take(&mut *started.lock().unwrap_or_else(PoisonError::into_inner));
            core.drops_end().await;
            drop(started.end(Outcome::cancelled(why), true).await);
        })
        .await;
        let started = std::mem::take(&mut *started.lock().unwrap_or_else(PoisonError::into_inner));
        let outcome = match &served {
            Ok(_) => Outcome::Ok(http::StatusCode::OK),
            Err(error) => Outcome::failed(Arc::from(anyrt::BoxError::from(chain(error)))),
        };
        let ended = anyrt::shield(async {
            core.drops_end().await;
            started.end(outcome, true).await
        })
        .await;
        Served(served.and_then(|value| ended.map(|()| value)))
    })
    .await;
    Box::pin(anyrt::shield(drop_all(core))).await;
    match served {
        Ok(Served(result)) => result,
        Err(error) => Err(Error::Lifespan(error.into())),
    }
}

/// Drops what the app had for all its requests, when the last value of a request is dropped; if no clone of the app is left.
async fn drop_all(core: Arc<Core>) {
    core.drops_end().await;
    let (_, most, threads) = core.lane.counts();
    if most > 0 {
        tracing::info!(
            most,
            threads,
            "calls beyond the limit of the thread pool at once, and threads then, at most"
        );
    }
    if let Some(core) = Arc::into_inner(core) {
        anyrt::run_blocking(move || drop(core)).unlimited().name("the end of an app").await;
    }
}

impl Core {
    /// Waits for what requests have left to the pool to be dropped, as long as a teardown may take.
    async fn drops_end(&self) {
        anyrt::move_on_after(self.limits.teardown, self.drops.all()).await;
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
    let push = |part| started.lock().unwrap_or_else(PoisonError::into_inner).0.push(part);
    for planned in lifespans {
        for need in &planned.needs {
            if let ArgumentKind::Dependency(kind) = need.is
                && core.sources.is_to_start(kind)
            {
                make(core, kind, push).await?;
            }
        }
        let begun = planned.begin(group, failing, &core.sources);
        push(Part::Lifespan(begun.clone()));
        begun.serving(&core.sources).await?;
    }
    for kind in core.sources.to_start() {
        make(core, kind, push).await?;
    }
    Ok(())
}

/// Makes a dependency of the app's lifetime, if it is not there.
async fn make(core: &Arc<Core>, kind: TypeId, push: impl Fn(Part)) -> Result<()> {
    let (mut parts, _) = Request::new(Body::empty()).into_parts();
    let context = RequestContext::at_start(Arc::clone(core));
    let made = core.sources.find(kind, false, &mut parts, &context).await;
    push(Part::Made(context.into_stack()));
    made.map(drop).map_err(|refusal| Error::Start {
        by: core.sources.name(kind).to_owned(),
        reason: Outcome::of(&refusal).to_string(),
    })
}

impl Started {
    /// Undoes what was made and ends the lifespans, each when what came after it has ended. All of it, whatever fails;
    /// the first error counts.
    async fn end(self, mut outcome: Outcome, cut: bool) -> Result<()> {
        let mut ended = Ok(());
        for part in self.0.into_iter().rev() {
            match part {
                Part::Made(stack) => stack.undo(&mut outcome, |name, error| told(name, &error)).await,
                Part::Lifespan(lifespan) => ended = ended.and(lifespan.stop(cut).await),
            }
        }
        ended
    }
}
