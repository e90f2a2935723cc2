//! A runtime of one's own as a backend: `cargo run --example own_runtime`
//!
//! `tests/own_runtime.rs` is a complete one, from the public API alone: a thread for each task, one for
//! all timers. It supplies mechanism only; groups, cancellation, the pool and the HTTP layer come with it.

#[path = "arguments.rs"]
mod arguments;
#[path = "client.rs"]
mod client;
#[path = "../tests/own_runtime.rs"]
mod own_runtime;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyrt::net::TcpListener;
use anyrt::runtime::Handle;
use anyrt::sync::Event;
use anyrt::{BoxError, Run};
use anyrt_http::{App, Path};

use self::arguments::{Arguments, exit_code};
use self::own_runtime::ThreadPerTask;

const USAGE: &str = "\
usage: own_runtime [--serve] [--port N]

  --serve    keep running, for curl; else it asks itself and ends
  --port N   with --serve 8000 if not given; 0 takes a free one";

fn main() -> ExitCode {
    match Arguments::read(USAGE) {
        Ok(asked) => exit_code("own_runtime", on_our_own(asked)),
        Err(code) => code,
    }
}

/// `anyrt::run` knows the runtimes that come with anyrt; this is what it stands on.
fn on_our_own(asked: Arguments) -> Result<(), BoxError> {
    let runtime = ThreadPerTask::start()?;
    Run::on(runtime).name("own").run(program(asked))?
}

async fn program(asked: Arguments) -> Result<(), BoxError> {
    println!("on {}", Handle::current().runtime().name());
    tasks().await?;
    server(asked).await
}

/// Two that sum up and one that would take an hour: cancelled when the time is up, with its group.
async fn tasks() -> Result<(), BoxError> {
    let sum = anyrt::try_task_group(async |tg| {
        let one = tg.spawn(async { (1..=50).sum::<u32>() });
        let other = tg.spawn(async { (51..=100).sum::<u32>() });
        Ok(one.await? + other.await?)
    })
    .await?;
    println!("two tasks, each a thread: {sum}");

    let endless = anyrt::task_group(async |tg| {
        tg.spawn(anyrt::sleep(Duration::from_secs(3600)));
    });
    let waited = anyrt::fail_after(Duration::from_millis(20), endless).await;
    match (sum, waited) {
        (5050, Err(late)) => println!("an hour's task: {late}"),
        (_, waited) => {
            return Err(format!("the sum is {sum} and not 5050, or nothing was late: {waited:?}").into());
        }
    }
    Ok(())
}

async fn server(asked: Arguments) -> Result<(), BoxError> {
    let app = App::new().get("/async/{name}", on_the_loop).get("/plain/{name}", in_the_pool);
    let listener = TcpListener::from_std(asked.listen()?)?;
    let address = listener.local_addr()?;
    anyrt::try_task_group(async |tg| {
        let stop = Event::new();
        tg.named("server").try_spawn(app.serve_until(listener, stop.wait()));
        if asked.serve {
            println!("http://{address}/async/you and http://{address}/plain/you; Ctrl-C ends it");
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

async fn on_the_loop(Path(name): Path<String>) -> String {
    format!("Hello, {name}: async, on the thread {}", this_thread())
}

fn in_the_pool(Path(name): Path<String>) -> String {
    format!("Hello, {name}: plain, on the thread {}", this_thread())
}

fn this_thread() -> String {
    thread::current().name().unwrap_or("without a name").to_owned()
}

async fn ask(address: SocketAddr) -> Result<(), BoxError> {
    client::show(address, "/async/Ada", 200, "Hello, Ada: async, on the thread task").await?;
    client::show(address, "/plain/Ada", 200, "Hello, Ada: plain, on the thread own-blocking-").await?;
    client::show(address, "/nowhere", 404, r#"{"detail":"Not Found"}"#).await
}
