//! The other way round: an axum `Router`, as it is, served by us on any runtime.
//! `cargo run --example host_axum -- --backend async-std`
//!
//! On smol by default: axum brings no runtime of its own into this, so its handlers run on smol's
//! threads, and use anyrt where they would have used tokio.

#[path = "arguments.rs"]
mod arguments;
#[path = "client.rs"]
mod client;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyrt::net::TcpListener;
use anyrt::runtime::Handle;
use anyrt::sync::Event;
use anyrt::{Backend, BoxError};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;

use self::arguments::{Arguments, exit_code};

const USAGE: &str = "\
usage: host_axum [--backend NAME] [--serve] [--port N]

  --backend NAME   smol if not given; tokio, tokio-current-thread, smol or async-std
  --serve          keep running, for curl; else it asks itself and ends
  --port N         with --serve 8000 if not given; 0 takes a free one";

fn main() -> ExitCode {
    let asked = match Arguments::read(USAGE) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let backend = asked.backend.unwrap_or(Backend::Smol);
    let ended = anyrt::Run::on(backend).name("host").run(program(asked));
    exit_code("host_axum", ended.unwrap_or_else(|not_started| Err(not_started.into())))
}

async fn program(asked: Arguments) -> Result<(), BoxError> {
    let listener = TcpListener::from_std(asked.listen()?)?;
    let address = listener.local_addr()?;
    println!("axum on {}", Handle::current().runtime().name());

    anyrt::try_task_group(async |tg| {
        let stop = Event::new();
        tg.named("server").try_spawn(anyrt_http::serve_until(listener, router(), stop.wait()));
        if asked.serve {
            println!("http://{address}/hello/you; Ctrl-C ends it");
            anyrt::signal::shutdown().await?;
        } else {
            ask(address).await?;
        }
        stop.set();
        Ok(())
    })
    .await?;
    Ok(())
}

/// axum throughout: its routes, its extractors, its state.
fn router() -> Router {
    Router::new()
        .route("/hello/{name}", get(hello))
        .route("/blocking", get(blocking))
        .route("/late", get(late))
        .with_state("Hello")
}

async fn hello(State(greeting): State<&'static str>, Path(name): Path<String>) -> String {
    format!("{greeting}, {name}: on {}", this_thread())
}

/// axum knows async handlers only: what blocks goes to the pool by hand.
async fn blocking() -> String {
    anyrt::run_blocking(|| format!("blocking, on {}", this_thread())).await
}

/// Time is the runtime's on which we are.
async fn late() -> Result<&'static str, (StatusCode, &'static str)> {
    let an_hour = anyrt::sleep(Duration::from_secs(3600));
    match anyrt::move_on_after(Duration::from_millis(50), an_hour).await {
        Some(()) => Ok("an hour has passed"),
        None => Err((StatusCode::GATEWAY_TIMEOUT, "not within 50 ms")),
    }
}

fn this_thread() -> String {
    thread::current().name().unwrap_or("a thread without a name").to_owned()
}

async fn ask(address: SocketAddr) -> Result<(), BoxError> {
    client::show(address, "/hello/Ada", 200, "Hello, Ada: on ").await?;
    client::show(address, "/blocking", 200, "blocking, on host-blocking-").await?;
    client::show(address, "/late", 504, "not within").await?;
    client::show(address, "/nowhere", 404, "").await
}
