//! The app of the tour, kept running, for `curl`: `cargo run --example serve -- --backend smol`
//!
//! The log says at the start which path operation runs where, and later what went wrong. Ctrl-C or
//! SIGTERM ends it gracefully: what was begun is finished.

#[path = "app/app.rs"]
mod app;
#[path = "arguments.rs"]
mod arguments;

use std::process::ExitCode;

use anyrt::BoxError;
use anyrt::net::TcpListener;
use anyrt::runtime::Handle;

use self::arguments::{Arguments, keep_running};

const USAGE: &str = "\
usage: serve [--backend NAME] [--port N]

  --backend NAME   tokio, tokio-current-thread, smol or async-std; else what ANYRT_BACKEND names, else tokio
  --port N         8000 if not given; 0 takes a free one";

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_target(false).init();
    keep_running("serve", USAGE, |run| run, serve)
}

async fn serve(asked: Arguments) -> Result<(), BoxError> {
    let listener = TcpListener::from_std(asked.listen()?)?;
    let address = listener.local_addr()?;
    let app = anyrt::run_blocking(app::app).await?;
    let backend = Handle::current().runtime().name();
    println!("http://{address} on {backend}; Ctrl-C ends it. Try: curl http://{address}/");
    app.serve_until(listener, told_to_stop()).await?;
    println!("ended");
    Ok(())
}

/// [`App::serve`](anyrt_http::App::serve) does this by itself; here it says so.
async fn told_to_stop() {
    match anyrt::signal::shutdown().await {
        Ok(()) => println!("ending: what was begun is finished first"),
        Err(error) => eprintln!("serve: cannot wait for signals, so it ends at once: {error}"),
    }
}
