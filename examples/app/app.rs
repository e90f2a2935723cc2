//! The app of `tour` and `serve`: the time zones of the world, and places that visitors add.
//!
//! It is written once, and knows nothing of runtimes: no line of it names one. Functions that use SQLite
//! block, so they are plain `fn` and run in the thread pool; the others are `async` and run on the event
//! loop. Which is which, the layer sees by the type.

mod atlas;
mod database;
mod journal;
mod refusal;
mod table;
mod watchers;

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use anyrt::BoxError;
use anyrt_http::{App, Dep, Dependency, Json, Limits, Path, Query};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use self::atlas::{Atlas, Nearest, Position};
use self::database::{Database, Place, Session, ZoneOut, session};
use self::journal::{Journal, Kind};
use self::refusal::Refusal;
use self::watchers::{Counts, Watchers};

/// Makes the database, in a temporary file that goes with the app, and puts the app together.
///
/// It reads and writes files: call it by `run_blocking`.
pub(crate) fn app() -> Result<App, BoxError> {
    let (zones, countries) = (table::zones()?, table::countries()?);
    let mut limits = Limits::default();
    // Somebody who waits for the next place would otherwise keep the server from ending.
    limits.shutdown = Duration::from_secs(2);
    Ok(App::new()
        .get("/", index)
        .get("/zones", zones_of)
        .get("/zones/{*name}", zone)
        .get("/nearest", nearest)
        .get("/places", places)
        .post("/places", add_place)
        .get("/places/next", next_place)
        .get("/slow/{milliseconds}", slow)
        .get("/broken", broken)
        .get("/journal", what_ran_where)
        // One value for all requests.
        .provide_value(Atlas::of(&zones))
        .provide_value(Database::filled(&zones, &countries)?)
        .provide_value(Journal::default())
        .provide_value(Watchers::default())
        // One a request, made when the first function asks.
        .provide(session)
        .provide(visitor)
        .provide(account)
        .limits(limits))
}

async fn index() -> &'static str {
    include_str!("index.txt")
}

// Plain functions: in the thread pool.

#[derive(Deserialize)]
struct OfCountry {
    country: Option<String>,
}

fn zones_of(Query(asked): Query<OfCountry>, session: Dep<Session>) -> Result<Json<Vec<ZoneOut>>, Refusal> {
    let Some(country) = asked.country else { return Ok(Json(session.zones()?)) };
    let zones = session.zones_of(&country)?;
    if zones.is_empty() {
        let detail = format!("no country with a time zone has the code {country:?}; they are like DE and NZ");
        return Err(Refusal(StatusCode::NOT_FOUND, detail));
    }
    Ok(Json(zones))
}

fn zone(
    Path(name): Path<String>,
    session: Dep<Session>,
    journal: Dep<Journal>,
) -> Result<Json<ZoneOut>, Refusal> {
    journal.note(Kind::PlainHandler);
    let not_found = || Refusal(StatusCode::NOT_FOUND, format!("no time zone has the name {name:?}"));
    session.zone(&name)?.map(Json).ok_or_else(not_found)
}

fn places(session: Dep<Session>) -> Result<Json<Vec<Place>>, Refusal> {
    Ok(Json(session.places()?))
}

#[derive(Deserialize)]
struct NewPlace {
    name: String,
    latitude: f64,
    longitude: f64,
}

/// A place and how often its visitor has been here.
#[derive(Serialize)]
struct Added {
    #[serde(flatten)]
    place: Place,
    visits: i64,
}

fn add_place(
    account: Dep<Account>,
    session: Dep<Session>,
    atlas: Dep<Atlas>,
    watchers: Dep<Watchers>,
    Json(new): Json<NewPlace>,
) -> Result<(StatusCode, Json<Added>), Refusal> {
    let position = Position { latitude: new.latitude, longitude: new.longitude };
    let zone = nearest_to(&atlas, &position)?.zone.to_owned();
    let place = Place { name: new.name, position, zone, visitor: account.name.clone() };
    session.add(&place)?;
    watchers.tell(&place);
    Ok((StatusCode::CREATED, Json(Added { place, visits: account.visits })))
}

/// Stands for all that blocks a thread for a while: a large query, a C library, a slow disk.
fn slow(Path(milliseconds): Path<u16>, journal: Dep<Journal>) -> String {
    journal.note(Kind::PlainHandler);
    thread::sleep(Duration::from_millis(milliseconds.into()));
    format!("blocked a thread for {milliseconds} ms\n")
}

// Async functions: on the event loop.

async fn nearest(
    Query(here): Query<Position>,
    atlas: Dep<Atlas>,
    journal: Dep<Journal>,
) -> Result<Json<Nearest>, Refusal> {
    journal.note(Kind::AsyncHandler);
    nearest_to(&atlas, &here).map(Json)
}

fn nearest_to(atlas: &Atlas, here: &Position) -> Result<Nearest, Refusal> {
    let nowhere = || Refusal(StatusCode::UNPROCESSABLE_ENTITY, "this is no place on the earth".to_owned());
    if here.is_on_earth() { atlas.nearest(here).ok_or_else(nowhere) } else { Err(nowhere()) }
}

/// Waits for as long as the client does. It holds no thread, so thousands may wait.
async fn next_place(watchers: Dep<Watchers>) -> Result<Json<Place>, Refusal> {
    let ended = || Refusal(StatusCode::SERVICE_UNAVAILABLE, "the app ends".to_owned());
    watchers.next().await.map(Json).ok_or_else(ended)
}

/// Every program has its bad days: the client gets a 500, and the server lives.
async fn broken() -> &'static str {
    panic!("this path operation is broken, for you to see what happens then")
}

#[derive(Serialize)]
struct WhatRanWhere {
    threads: BTreeMap<Kind, BTreeSet<String>>,
    watchers: Counts,
}

async fn what_ran_where(journal: Dep<Journal>, watchers: Dep<Watchers>) -> Json<WhatRanWhere> {
    Json(WhatRanWhere { threads: journal.threads(), watchers: watchers.counts() })
}

// Dependencies: of both kinds too, and each may ask for the other.

/// Who asks.
struct Visitor(String);

impl Dependency for Visitor {}

async fn visitor(headers: HeaderMap, journal: Dep<Journal>) -> Result<Visitor, Refusal> {
    journal.note(Kind::AsyncDependency);
    match headers.get("visitor").map(|name| name.to_str()) {
        Some(Ok(name)) if !name.is_empty() => Ok(Visitor(name.to_owned())),
        _ => Err(Refusal(StatusCode::UNAUTHORIZED, "say who you are in a header `visitor`".to_owned())),
    }
}

/// What the database knows of who asks. It blocks, so it is plain; it asks for one that is async.
struct Account {
    name: String,
    visits: i64,
}

impl Dependency for Account {}

fn account(visitor: Dep<Visitor>, session: Dep<Session>, journal: Dep<Journal>) -> Result<Account, Refusal> {
    journal.note(Kind::PlainDependency);
    Ok(Account { name: visitor.0.clone(), visits: session.visit(&visitor.0)? })
}
