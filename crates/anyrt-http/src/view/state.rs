//! What runs in an app, as its view tells it.

use std::time::Duration;

use anyrt::observe::TaskTree;
use anyrt::runtime::Handle;
use anyrt::task::TaskId;
use serde::{Serialize, Serializer};

use crate::app::listing::{Listed, place};
use crate::inject::context::RequestContext;
use crate::inject::core::Core;
use crate::request::home::Home;
use crate::request::live::{Stage, Story};
use crate::server::connection::Connection;
use crate::server::stats::Served;

/// All that there is to see.
#[derive(Serialize)]
pub(super) struct Snapshot {
    routes: Vec<Listed>,
    /// The oldest first, without the one that asks.
    requests: Vec<Seen>,
    /// None where a server of others calls.
    server: Option<Counts>,
    pool: Pool,
    /// None outside of any runtime of ours.
    tasks: Option<TaskTree>,
    /// Circles of tasks that wait for each other.
    deadlocks: Vec<Vec<TaskId>>,
}

impl Snapshot {
    pub(super) fn now(context: &RequestContext) -> Snapshot {
        let (core, handle) = (context.core(), Handle::try_current().ok());
        let tasks = handle.as_ref().map(Handle::tasks);
        let live = core.requests.iter().flat_map(|requests| requests.all());
        let others = live.filter(|live| context.live().is_none_or(|own| !own.is(live)));
        Snapshot {
            routes: core.listing(),
            requests: others.map(|live| Seen::of(live.story(), core, handle.as_ref())).collect(),
            server: Counts::of(context.home()),
            pool: Pool::of(core),
            deadlocks: tasks.as_ref().map(TaskTree::deadlocks).unwrap_or_default(),
            tasks,
        }
    }
}

/// Calls of requests that have begun, when the pool is stuck: beyond the limit.
#[derive(Serialize)]
struct Pool {
    beyond: usize,
    most_beyond: usize,
    /// Threads of the pool then, at most.
    most_threads: usize,
}

impl Pool {
    fn of(core: &Core) -> Pool {
        let (beyond, most_beyond, most_threads) = core.lane.counts();
        Pool { beyond, most_beyond, most_threads }
    }
}

/// A request that is being answered.
#[derive(Serialize)]
struct Seen {
    number: u64,
    method: String,
    /// Without the query.
    path: String,
    /// The pattern; none for a path that no route has.
    route: Option<String>,
    handler: Option<&'static str>,
    /// Where the handler runs.
    place: Option<&'static str>,
    peer: Option<String>,
    /// `handling`, `sending` (the response), `after` (background tasks, teardowns).
    state: &'static str,
    client_left: bool,
    #[serde(serialize_with = "seconds")]
    age: Option<Duration>,
    /// Until the deadline of its route, by which there must be a response.
    #[serde(serialize_with = "seconds")]
    expires_in: Option<Duration>,
    /// The task that it is in.
    task: Option<TaskId>,
}

impl Seen {
    fn of(story: &Story, core: &Core, handle: Option<&Handle>) -> Seen {
        let route = story.route();
        let operation = route.map(|route| &core.routes.operated(route).operation);
        let age = handle.and_then(|handle| Some(handle.now().saturating_duration_since(story.since?)));
        let stage = story.stage();
        let deadline = operation.and_then(|operation| operation.settings().deadline);
        let deadline = deadline.filter(|_| stage == Stage::Handling);
        Seen {
            number: story.number,
            method: story.method.to_string(),
            path: story.path().to_owned(),
            route: route.map(|(pattern, _)| core.routes.pattern(pattern).to_owned()),
            handler: operation.map(|operation| operation.name()),
            place: operation.map(|operation| place(operation.blocking())),
            peer: story.peer.map(|peer| peer.to_string()),
            state: match stage {
                Stage::Handling => "handling",
                Stage::Sending => "sending",
                Stage::After => "after",
            },
            client_left: story.has_client_left(),
            expires_in: deadline.zip(age).map(|(deadline, age)| deadline.saturating_sub(age)),
            age,
            task: story.task(),
        }
    }
}

/// What the server has done so far.
#[derive(Serialize)]
struct Counts {
    connections: u64,
    accept_failures: u64,
    requests: u64,
    answered: u64,
    left: u64,
    /// Requests whose handler has not ended, also those whose client has left.
    handling: u64,
    stopping: bool,
}

impl Counts {
    fn of(home: &Home) -> Option<Counts> {
        let connection: &Connection = home.owned_by()?;
        let stopping = connection.server.is_stopping();
        let Served { connections, accept_failures, requests, answered, left, cut, .. } =
            connection.counters().served();
        Some(Counts { connections, accept_failures, requests, answered, left, handling: cut, stopping })
    }
}

fn seconds<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    span.map(|span| span.as_secs_f64()).serialize(serializer)
}
