//! The application that a tutorial would end with: users and their items in SQLite, pictures that become
//! thumbnails, a slow report that is told step by step, a log that is written behind the client's back.
//!
//! `cargo run --example items -- --backend smol`, then the `curl` lines of the README beside this file.

#[path = "../arguments.rs"]
mod arguments;

mod app;
mod audit;
mod operator;
mod picture;
mod report;
mod shop;
mod store;
#[cfg(test)]
mod tests;
mod user;

use std::process::ExitCode;

use anyrt::BoxError;
use anyrt::net::TcpListener;
use anyrt::runtime::Handle;

use self::arguments::{Arguments, keep_running};

const USAGE: &str = "\
usage: items [--backend NAME] [--port N]

  --backend NAME   tokio, tokio-current-thread, smol or async-std; else what ANYRT_BACKEND names, else tokio
  --port N         8000 if not given; 0 takes a free one";

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_target(false).with_writer(std::io::stderr).init();
    keep_running("items", USAGE, |run| run, serve)
}

async fn serve(asked: Arguments) -> Result<(), BoxError> {
    // Everything that the app writes is in here, and goes with it.
    let directory = anyrt::run_blocking(tempfile::tempdir).await?;
    let listener = TcpListener::from_std(asked.listen()?)?;
    let address = listener.local_addr()?;
    println!("http://{address} on {}; Ctrl-C ends it", Handle::current().runtime().name());
    app::app(directory.path()).serve_until(listener, told_to_stop()).await?;
    println!("ended");
    Ok(())
}

/// [`App::serve`](anyrt_http::App::serve) does this by itself; here it says so.
async fn told_to_stop() {
    match anyrt::signal::shutdown().await {
        Ok(()) => println!("ending: what was begun is finished first"),
        Err(error) => eprintln!("items: cannot wait for signals, so it ends at once: {error}"),
    }
}
