//! What runs, as a page: an app whose requests wait until they are told to go on, and its view.
//!
//! `cargo run --example view -- --backend smol`, then open http://127.0.0.1:8000/_anyrt (operator, secret), and in a terminal:
//!
//! ```text
//! curl 127.0.0.1:8000/wait/7 & curl 127.0.0.1:8000/block & curl -N 127.0.0.1:8000/stream & curl 127.0.0.1:8000/mail/Ada
//! curl -X POST 127.0.0.1:8000/go
//! ```

#[path = "arguments.rs"]
mod arguments;
#[path = "items/operator.rs"]
mod operator;

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyrt::BoxError;
use anyrt::net::TcpListener;
use anyrt::runtime::Handle;
use anyrt::sync::Event;
use anyrt_http::{App, Background, Configure, Dep, Limits, Path, TooLate};
use axum_core::body::Body;
use futures::{FutureExt, StreamExt, stream};

use self::arguments::{Arguments, keep_running};

const USAGE: &str = "\
usage: view [--backend NAME] [--port N]

  --backend NAME   tokio, tokio-current-thread, smol or async-std; else what ANYRT_BACKEND names, else tokio
  --port N         8000 if not given; 0 takes a free one";

fn main() -> ExitCode {
    keep_running("view", USAGE, |run| run.blocking_limit(2), serve)
}

async fn serve(asked: Arguments) -> Result<(), BoxError> {
    let listener = TcpListener::from_std(asked.listen()?)?;
    let address = listener.local_addr()?;
    println!("http://{address}/_anyrt on {}; Ctrl-C ends it", Handle::current().runtime().name());
    let stop = async { drop(anyrt::signal::shutdown().await) };
    app().serve_until(listener, stop).await?;
    println!("ended");
    Ok(())
}

fn app() -> App {
    let mut limits = Limits::default();
    // One has time to look: nobody is turned away because all threads are taken.
    limits.queue_time = Duration::from_secs(3600);
    App::new()
        .limits(limits)
        .get("/wait/{*id}", wait.deadline(Duration::from_secs(3600)))
        .get("/block", block)
        .get("/stream", stream)
        .get("/mail/{name}", mail)
        .post("/go", go)
        .nest("/_anyrt", operator::view())
        .provide_value(Gate::default())
}

/// What all wait for: as tasks, or as threads.
#[derive(Default)]
struct Gate {
    open: Event,
    threads: Arc<(Mutex<bool>, Condvar)>,
}

async fn wait(Path(_id): Path<String>, gate: Dep<Gate>) -> &'static str {
    gate.open.wait().await;
    "it went on\n"
}

/// Plain: it blocks a thread of the pool.
fn block(gate: Dep<Gate>) -> &'static str {
    let (open, opened) = &*gate.threads;
    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
    while !*open {
        open = opened.wait(open).unwrap_or_else(PoisonError::into_inner);
    }
    "it went on\n"
}

async fn stream(gate: Dep<Gate>) -> Body {
    let last = async move {
        gate.open.wait().await;
        Ok::<_, Infallible>("it went on\n")
    };
    Body::from_stream(stream::once(async { Ok("it waits\n") }).chain(last.into_stream()))
}

async fn mail(
    Path(name): Path<String>,
    background: Background,
    gate: Dep<Gate>,
) -> Result<&'static str, TooLate> {
    background.named(&format!("mail to {name}")).add(async move { gate.open.wait().await })?;
    Ok("there will be mail\n")
}

async fn go(gate: Dep<Gate>) {
    gate.open.set();
    *gate.threads.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    gate.threads.1.notify_all();
}
