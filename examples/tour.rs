//! A tour: one program, on tokio, smol and async-std in turn. `cargo run --example tour`
//!
//! On each of them it starts the app of `app/app.rs`, which stands on SQLite, on a free port; visits it
//! over the socket; and checks what it sees. No line of the program, nor of the app, knows on which
//! runtime it is: that is chosen in [`on`], and nowhere else.
//!
//! It ends with a table of what ran where, or with the backend and the check that failed, and 1.

#[path = "app/app.rs"]
mod app;
#[path = "client.rs"]
mod client;

use std::fmt::{Debug, Display};
use std::net::SocketAddr;
use std::process::{self, ExitCode};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;
use std::{io, thread};

use anyrt::net::TcpListener;
use anyrt::sync::Event;
use anyrt::{Backend, BoxError};
use serde_json::{Value, json};

use self::client::Client;

fn main() -> ExitCode {
    let mut reports = Vec::new();
    for backend in [Backend::Tokio, Backend::Smol, Backend::AsyncStd] {
        if !backend.is_enabled() {
            println!("{backend:<10} left out: the feature `{}` is off", backend.feature());
            continue;
        }
        match on(backend) {
            Ok(report) => reports.push((backend, report)),
            Err(failed) => {
                eprintln!("tour: on {backend}: {failed}");
                return ExitCode::FAILURE;
            }
        }
    }
    if reports.is_empty() {
        eprintln!("tour: no backend is compiled in: enable a feature: tokio, smol or async-std");
        return ExitCode::FAILURE;
    }
    print_table(&reports);
    ExitCode::SUCCESS
}

/// The tour on one backend.
fn on(backend: Backend) -> Result<Report, BoxError> {
    let watchdog = Watchdog::start(backend)?;
    let run = anyrt::Run::on(backend).name("tour");
    let (report, took) = run.run(tour(&watchdog))??;
    println!("{backend:<10} {} checks passed in {:.1} s", report.checks, took.as_secs_f64());
    Ok(report)
}

/// Starts the app, visits it, and ends it. How long that took is the second value.
async fn tour(watchdog: &Watchdog) -> Result<(Report, Duration), BoxError> {
    let begun = anyrt::now();
    // To fill the database is synchronous code, like all that has to do with SQLite.
    let app = anyrt::run_blocking(app::app).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let report = anyrt::try_task_group(async |tg| {
        // The server is a child of this block, which is left only when the server has ended. Should the
        // visit fail, the server is cancelled; should the server fail, the visit is.
        let stop = Event::new();
        tg.named("server").try_spawn(app.serve_until(listener, stop.wait()));
        let report = visit(address).await.inspect_err(|failed| watchdog.tell(failed))?;
        stop.set();
        Ok(report)
    })
    .await?;
    Ok((report, anyrt::now() - begun))
}

/// All that the tour shows, one thing after the other.
async fn visit(address: SocketAddr) -> Result<Report, BoxError> {
    let mut checks = Checks::default();
    let zones = step("the rows", rows(address, &mut checks)).await?;
    let requests = step("concurrent clients", crowd(address, &zones, &mut checks)).await?;
    step("dependencies", dependencies(address, &mut checks)).await?;
    step("errors", refusals(address, &mut checks)).await?;
    let client_left = step("a client that leaves", leave(address, &mut checks)).await?;
    let load = step("slow sync beside async", slow_beside_quick(address, &mut checks)).await?;
    let group_ended = step("a cancelled group", cancel_a_group(address, &mut checks)).await?;
    let threads = step("what ran where", threads(address, &mut checks)).await?;
    Ok(Report { checks: checks.0, rows: zones.len(), requests, client_left, load, group_ended, threads })
}

/// One part of the tour: it ends in time, and its errors say where they are from.
async fn step<T>(name: &str, part: impl Future<Output = Result<T, BoxError>>) -> Result<T, BoxError> {
    match anyrt::fail_after(Duration::from_secs(15), part).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("{name}: {error}").into()),
        Err(late) => Err(format!("{name}: {late}").into()),
    }
}

/// Ends the program should the tour of a backend not end by itself. A block of ours is left only when all
/// in it has ended; and what a check finds wrong may be just that something does not.
struct Watchdog(Sender<String>);

impl Watchdog {
    fn start(backend: Backend) -> io::Result<Watchdog> {
        let (tell, told) = mpsc::channel();
        let watch = move || {
            let mut failed = "it takes more than a minute".to_owned();
            let mut patience = Duration::from_secs(60);
            loop {
                match told.recv_timeout(patience) {
                    Ok(told) => (failed, patience) = (told, Duration::from_secs(3)),
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        eprintln!("tour: on {backend}: {failed}; and what was begun does not end");
                        process::exit(1);
                    }
                }
            }
        };
        thread::Builder::new().name("watchdog".to_owned()).spawn(watch)?;
        Ok(Watchdog(tell))
    }

    fn tell(&self, failed: &BoxError) {
        // It listens as long as we are there.
        let _ = self.0.send(failed.to_string());
    }
}

/// How many checks have passed.
#[derive(Default)]
struct Checks(usize);

impl Checks {
    fn equal<T: PartialEq + Debug>(
        &mut self,
        what: impl Display,
        found: T,
        wanted: T,
    ) -> Result<(), BoxError> {
        let holds = found == wanted;
        self.holds(what, holds, || format!("{found:?} and not {wanted:?}"))
    }

    fn holds(
        &mut self,
        what: impl Display,
        holds: bool,
        found: impl FnOnce() -> String,
    ) -> Result<(), BoxError> {
        self.0 += 1;
        if holds { Ok(()) } else { Err(format!("check failed: {what}: {}", found()).into()) }
    }
}

// The rows: everything in the file is in the table.

/// A zone as the app tells it.
struct Zone {
    name: String,
    latitude: f64,
    longitude: f64,
}

async fn rows(address: SocketAddr, checks: &mut Checks) -> Result<Vec<Zone>, BoxError> {
    let file = include_str!("app/zone1970.tab").lines().filter(|line| !line.starts_with('#'));
    let all = client::get(address, "/zones").await?.json()?;
    let zones: Vec<Zone> = all.as_array().into_iter().flatten().filter_map(zone).collect();
    checks.equal("zones in the table and in the file", zones.len(), file.count())?;

    let german = client::get(address, "/zones?country=DE").await?.json()?;
    checks.equal("the zones of Germany", names(&german), vec!["Europe/Berlin", "Europe/Zurich"])?;
    Ok(zones)
}

fn zone(json: &Value) -> Option<Zone> {
    Some(Zone {
        name: json["name"].as_str()?.to_owned(),
        latitude: json["latitude"].as_f64()?,
        longitude: json["longitude"].as_f64()?,
    })
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|item| item["name"].as_str()).collect()
}

// Concurrent clients: an async and a plain route, in turns.

/// How many requests were answered.
async fn crowd(address: SocketAddr, zones: &[Zone], checks: &mut Checks) -> Result<usize, BoxError> {
    const CLIENTS: usize = 16;
    // The children of a `local_group` may borrow: here, the zones.
    let answered = anyrt::try_local_group(async |group| {
        let clients: Vec<_> = zones
            .chunks(zones.len().div_ceil(CLIENTS).max(1))
            .map(|share| group.try_spawn(ask_for_each(address, share)))
            .collect();
        let mut answered = 0;
        for client in clients {
            answered += client.await?;
        }
        Ok(answered)
    })
    .await?;
    checks.equal("requests that were answered as they should", answered, 2 * zones.len())?;
    Ok(answered)
}

async fn ask_for_each(address: SocketAddr, zones: &[Zone]) -> Result<usize, BoxError> {
    let mut client = Client::connect(address).await?;
    let mut answered = 0;
    for Zone { name, latitude, longitude } in zones {
        let asked = format!("/nearest?latitude={latitude}&longitude={longitude}");
        let nearest = client.get(&asked).await?.json()?;
        let itself = client.get(&format!("/zones/{name}")).await?.json()?;
        answered += usize::from(nearest["zone"] == *name) + usize::from(itself["name"] == *name);
    }
    Ok(answered)
}

// Dependencies: a plain path operation asks for a plain one (the account), which asks for an async one
// (the visitor) and another plain one (the session).

async fn dependencies(address: SocketAddr, checks: &mut Checks) -> Result<(), BoxError> {
    let mut client = Client::connect(address).await?;
    for visits in [1, 2] {
        let reply = client.post("/places", &[("visitor", "Ada")], &place("Home")).await?;
        checks.equal("status of a place that is added", reply.status, 201)?;
        checks.equal("visits of Ada", &reply.json()?["visits"], &json!(visits))?;
        checks.equal("the zone of the place", &reply.json()?["zone"], &json!("Europe/London"))?;
    }
    Ok(())
}

fn place(name: &str) -> String {
    json!({ "name": name, "latitude": 51.48, "longitude": 0.0 }).to_string()
}

// Errors: each is JSON, and says what is wrong.

async fn refusals(address: SocketAddr, checks: &mut Checks) -> Result<(), BoxError> {
    let mut client = Client::connect(address).await?;
    let reply = client.get("/zones/Europe/Atlantis").await?;
    checks.equal("status of a zone that is not", reply.status, 404)?;
    let reply = client.get("/nowhere").await?;
    checks.equal("status of a path that is not", reply.status, 404)?;
    let reply = client.post("/zones", &[], "{}").await?;
    checks.equal("status of a method that is not", reply.status, 405)?;
    checks.equal("the methods that are allowed", reply.header("allow"), Some("GET, HEAD, OPTIONS"))?;
    let reply = client.post("/places", &[], &place("Nobody's")).await?;
    checks.equal("status without a visitor", reply.status, 401)?;
    let wrong = r#"{"name": "Pole", "latitude": "far north", "longitude": 0}"#;
    let reply = client.post("/places", &[("visitor", "Ada")], wrong).await?;
    checks.equal("status of a body that does not fit", reply.status, 422)?;
    checks.equal("where it does not fit", &reply.json()?["detail"][0]["loc"], &json!(["body", "latitude"]))
}

// A client that leaves: what it asked for is cancelled.

/// How long it took the server.
async fn leave(address: SocketAddr, checks: &mut Checks) -> Result<Duration, BoxError> {
    let (mut stays, mut leaves) = (Client::connect(address).await?, Client::connect(address).await?);
    for client in [&mut stays, &mut leaves] {
        client.send("GET", "/places/next", &[], "").await?;
    }
    watchers(address, json!({ "watching": 2, "left": 0 })).await?;
    let left_at = anyrt::now();
    drop(leaves);
    watchers(address, json!({ "watching": 1, "left": 1 })).await?;
    let took = anyrt::now() - left_at;

    let mut adds = Client::connect(address).await?;
    adds.post("/places", &[("visitor", "Grace")], &place("Harbour")).await?;
    checks.equal(
        "what the client that stayed got",
        &stays.reply().await?.json()?["name"],
        &json!("Harbour"),
    )?;
    Ok(took)
}

/// Asks until the app counts its watchers like this.
async fn watchers(address: SocketAddr, wanted: Value) -> Result<(), BoxError> {
    let mut client = Client::connect(address).await?;
    let mut found = Value::Null;
    let asking = async {
        let mut often = anyrt::interval(Duration::from_millis(1));
        while found != wanted {
            often.tick().await;
            found = client.get("/journal").await?.json()?["watchers"].take();
        }
        anyrt::ok(())
    };
    match anyrt::move_on_after(Duration::from_secs(5), asking).await {
        Some(asked) => asked,
        None => Err(format!("check failed: who waits for the next place: {found} and not {wanted}").into()),
    }
}

// 200 requests that block a thread each, and async ones beside them: those must not notice.

struct Load {
    slow_median: Duration,
    quick: usize,
    quick_p99: Duration,
}

async fn slow_beside_quick(address: SocketAddr, checks: &mut Checks) -> Result<Load, BoxError> {
    const SLOW: usize = 200;
    const QUICK_CLIENTS: usize = 4;
    let load = anyrt::try_task_group(async |tg| {
        let slow: Vec<_> = (0..SLOW).map(|_| tg.named("slow").try_spawn(ask_slow(address))).collect();
        let enough = Event::new();
        let quick: Vec<_> = (0..QUICK_CLIENTS)
            .map(|_| tg.named("quick").try_spawn(ask_quick(address, enough.clone())))
            .collect();
        let mut slow_took = Vec::new();
        for client in slow {
            slow_took.push(client.await?);
        }
        enough.set();
        let mut quick_took = Vec::new();
        for client in quick {
            quick_took.extend(client.await?);
        }
        Ok(Load {
            slow_median: quantile(&mut slow_took, 0.5),
            quick: quick_took.len(),
            quick_p99: quantile(&mut quick_took, 0.99),
        })
    })
    .await?;
    let Load { slow_median, quick, quick_p99 } = load;
    checks.holds("async p99 is a small fraction of the sync median", quick_p99 * 5 < slow_median, || {
        format!("{} beside {}", milliseconds(quick_p99), milliseconds(slow_median))
    })?;
    checks.holds("async requests beside the slow ones", quick >= 100, || format!("only {quick}"))?;
    Ok(load)
}

async fn ask_slow(address: SocketAddr) -> Result<Duration, BoxError> {
    let mut client = Client::connect(address).await?;
    timed(&mut client, "/slow/200").await
}

/// An async request every two milliseconds, until it is enough.
async fn ask_quick(address: SocketAddr, enough: Event) -> Result<Vec<Duration>, BoxError> {
    let mut client = Client::connect(address).await?;
    let mut often = anyrt::interval(Duration::from_millis(2));
    let mut took = Vec::new();
    while !enough.is_set() {
        often.tick().await;
        took.push(timed(&mut client, "/nearest?latitude=52.5&longitude=13.4").await?);
    }
    Ok(took)
}

async fn timed(client: &mut Client, path: &str) -> Result<Duration, BoxError> {
    let begun = anyrt::now();
    let reply = client.get(path).await?;
    if reply.status != 200 {
        return Err(format!("check failed: status of {path}: {}: {}", reply.status, reply.body).into());
    }
    Ok(anyrt::now() - begun)
}

fn quantile(values: &mut [Duration], part: f64) -> Duration {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
}

// A group is cancelled: a child that stands in a shield finishes what it began, the others end where
// they are, after their clean-up. The block is left when all of that is done.

/// What happened in the group, and in which order it has to.
#[derive(Clone, Default)]
struct Seen {
    begun: Event,
    cancelled: Event,
    added: Event,
    cleaned_up: Event,
    went_on: Event,
}

/// How long the group took to end.
async fn cancel_a_group(address: SocketAddr, checks: &mut Checks) -> Result<Duration, BoxError> {
    let seen = Seen::default();
    let mut cancelled_at = anyrt::now();
    let ended = anyrt::task_group(async |tg| {
        tg.try_spawn(add_shielded(address, seen.clone()));
        tg.spawn(wait_and_clean_up(seen.clone()));
        seen.begun.wait().await;
        cancelled_at = anyrt::now();
        tg.cancel_with("the tour has seen enough");
        seen.cancelled.set();
        // The body is cut short like any child.
        anyrt::sleep(Duration::from_secs(3600)).await;
    })
    .await;
    let took = anyrt::now() - cancelled_at;

    let cancelled = ended.is_err_and(|error| error.is_cancelled());
    checks.equal("the group says that it was cancelled", cancelled, true)?;
    checks.equal("the shield finished", seen.added.is_set(), true)?;
    checks.equal("the clean-up ran", seen.cleaned_up.is_set(), true)?;
    checks.equal("what came after the shield ran", seen.went_on.is_set(), false)?;
    let places = client::get(address, "/places").await?.json()?;
    checks.equal("the last place in the table", names(&places).last(), Some(&"Shielded"))?;
    Ok(took)
}

async fn add_shielded(address: SocketAddr, seen: Seen) -> Result<(), BoxError> {
    anyrt::shield(async {
        seen.begun.set();
        seen.cancelled.wait().await;
        // The group is cancelled now, and still: a connection, a request, a reply.
        let mut client = Client::connect(address).await?;
        client.post("/places", &[("visitor", "Ada")], &place("Shielded")).await?;
        seen.added.set();
        anyrt::ok(())
    })
    .await?;
    // Outside of the shield the next await is the last.
    anyrt::checkpoint().await;
    seen.went_on.set();
    Ok(())
}

async fn wait_and_clean_up(seen: Seen) {
    let an_hour = anyrt::sleep(Duration::from_secs(3600));
    let clean_up = async |_| {
        // It may await, although the group is cancelled.
        anyrt::sleep(Duration::from_millis(5)).await;
        seen.cleaned_up.set();
    };
    anyrt::finally(an_hour, clean_up).await;
}

// What ran where: as the app has noted it.

struct Threads {
    async_functions: Vec<String>,
    plain_functions: Vec<String>,
}

async fn threads(address: SocketAddr, checks: &mut Checks) -> Result<Threads, BoxError> {
    let journal = client::get(address, "/journal").await?.json()?;
    let seen = |kinds: [&str; 2]| {
        let lists = kinds.into_iter().filter_map(|kind| journal["threads"][kind].as_array());
        let mut names: Vec<_> = lists.flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        names.sort();
        names.dedup();
        names
    };
    let async_functions = seen(["async_handler", "async_dependency"]);
    let plain_functions = seen(["plain_handler", "plain_dependency"]);
    let seen_both = !async_functions.is_empty() && !plain_functions.is_empty();
    checks.equal("functions of both kinds were seen", seen_both, true)?;
    let both = async_functions.iter().find(|name| plain_functions.contains(name));
    checks.equal("a thread on which functions of both kinds ran", both, None)?;
    Ok(Threads { async_functions, plain_functions })
}

// The table.

struct Report {
    checks: usize,
    rows: usize,
    requests: usize,
    client_left: Duration,
    load: Load,
    group_ended: Duration,
    threads: Threads,
}

type Row = (&'static str, fn(&Report) -> String);

const TABLE: [Row; 9] = [
    ("async functions ran on", |report| several(&report.threads.async_functions)),
    ("plain functions ran on", |report| several(&report.threads.plain_functions)),
    ("zones in SQLite", |report| report.rows.to_string()),
    ("requests of 16 clients at once", |report| report.requests.to_string()),
    ("the client that left: cancelled in", |report| milliseconds(report.client_left)),
    ("200 slow sync requests: median", |report| milliseconds(report.load.slow_median)),
    ("async requests beside them", |report| report.load.quick.to_string()),
    ("  their p99", |report| milliseconds(report.load.quick_p99)),
    ("cancelled group, shield finished: in", |report| milliseconds(report.group_ended)),
];

fn print_table(reports: &[(Backend, Report)]) {
    println!();
    print_row("what ran where", reports.iter().map(|(backend, _)| backend.to_string()));
    for (name, value) in TABLE {
        print_row(name, reports.iter().map(|(_, report)| value(report)));
    }
}

fn print_row(name: &str, values: impl Iterator<Item = String>) {
    let values: String = values.map(|value| format!("{value:<22}")).collect();
    println!("{name:<38}{}", values.trim_end());
}

/// `40 x tour-blocking-*` for threads that differ in their number only.
fn several(threads: &[String]) -> String {
    let kinds = threads.iter().map(|name| name.trim_end_matches(|end: char| end.is_ascii_digit()));
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for kind in kinds {
        match counted.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => counted.push((kind, 1)),
        }
    }
    let texts = counted.iter().map(|(kind, count)| match count {
        1 => (*kind).to_owned(),
        _ => format!("{count} x {}", kind.trim_end_matches('-')),
    });
    texts.collect::<Vec<_>>().join(", ")
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
