//! Inside an axum program that exists: our path operations, mounted beside axum's own.
//! `cargo run --example embed_in_axum`
//!
//! An app is a tower service, so axum takes it like any other. It runs on the tokio that is there: async
//! functions on its threads, plain ones in anyrt's pool. That is also why this is the one example besides
//! `embed_in_tokio` that knows only tokio.

#[path = "arguments.rs"]
mod arguments;
#[path = "client.rs"]
mod client;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;

use anyrt::BoxError;
use anyrt::sync::Event;
use anyrt_http::{App, AppService, Dep, Path};
use axum::Router;
use axum::routing::get;

use self::arguments::{Arguments, exit_code};

const USAGE: &str = "\
usage: embed_in_axum [--serve] [--port N]

  --serve    keep running, for curl; else it asks itself and ends
  --port N   with --serve 8000 if not given; 0 takes a free one";

#[tokio::main]
async fn main() -> ExitCode {
    match Arguments::read(USAGE) {
        Ok(asked) => exit_code("embed_in_axum", program(asked).await),
        Err(code) => code,
    }
}

async fn program(asked: Arguments) -> Result<(), BoxError> {
    let router = Router::new()
        .route("/", get(|| async { format!("axum's own, on {}", this_thread()) }))
        .nest_service("/ours", ours()?);

    let socket = asked.listen()?;
    socket.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(socket)?;
    let address = listener.local_addr()?;

    // Nothing of anyrt has to be started: its functions find the tokio that runs this.
    anyrt::try_task_group(async |tg| {
        let stop = Event::new();
        let serving = axum::serve(listener, router).with_graceful_shutdown(stop.wait());
        tg.named("axum").try_spawn(serving.into_future());
        if asked.serve {
            println!("http://{address}/ is axum's, http://{address}/ours/async/you is ours; Ctrl-C ends it");
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

/// What is mounted: as in an app that stands alone.
fn ours() -> Result<AppService, BoxError> {
    struct Greeting(&'static str);

    async fn on_the_loop(Path(name): Path<String>, greeting: Dep<Greeting>) -> String {
        format!("{}, {name}: async, on {}", greeting.0, this_thread())
    }
    fn in_the_pool(Path(name): Path<String>, greeting: Dep<Greeting>) -> String {
        format!("{}, {name}: plain, on {}", greeting.0, this_thread())
    }

    Ok(App::new()
        .get("/async/{name}", on_the_loop)
        .get("/plain/{name}", in_the_pool)
        .provide_value(Greeting("Hello"))
        .into_service()?)
}

fn this_thread() -> String {
    thread::current().name().unwrap_or("a thread without a name").to_owned()
}

async fn ask(address: SocketAddr) -> Result<(), BoxError> {
    let expected = [
        ("/", 200, "axum's own, on tokio-"),
        ("/ours/async/Ada", 200, "Hello, Ada: async, on tokio-"),
        ("/ours/plain/Ada", 200, "Hello, Ada: plain, on anyrt-blocking-"),
        ("/ours/nowhere", 404, r#"{"detail":"Not Found"}"#),
    ];
    for (path, status, begin) in expected {
        client::show(address, path, status, begin).await?;
    }
    Ok(())
}
