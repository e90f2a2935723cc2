//! The side of anyrt in the campaign against Trio: reads programs, one a line, runs each, writes what its tasks
//! told. `run` starts it; README.md says what is compared.

mod interpreter;
mod program;
mod seeded;
mod time;
mod world;

use std::env;
use std::io::{self, BufRead, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use anyrt::runtime::Runtime;
use anyrt::{BoxError, Run};
use serde::Deserialize;

use self::program::Program;
use self::seeded::Seeded;
use self::time::{Clock, Timeless};
use self::world::{Entry, World};

/// How long a program that is stuck is waited for: on a clock that does not make anybody wait.
const A_MOMENT: Duration = Duration::from_millis(1);

#[derive(Deserialize)]
struct Order {
    /// Of the order in which the tasks are polled, where that can be chosen.
    schedule: u64,
    program: Program,
}

fn main() -> Result<(), BoxError> {
    let backend = env::args().nth(1).ok_or("on which backend?")?;
    let mut answers = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let Order { schedule, program } = serde_json::from_str(&line?)?;
        // It is lent to tasks, and this process ends with the campaign.
        let told = run(&backend, schedule, Box::leak(Box::new(program)))?;
        serde_json::to_writer(&mut answers, &told)?;
        answers.write_all(b"\n")?;
        answers.flush()?;
    }
    Ok(())
}

fn run(backend: &str, schedule: u64, program: &'static Program) -> Result<Vec<Entry>, BoxError> {
    let clock = Clock::new();
    let world = Arc::new(World::new(program, clock.clone()));
    let one = NonZeroUsize::new(1);
    let inner = match backend {
        "seeded" => None,
        "tokio-current-thread" => Some(anyrt_tokio::current_thread("oracle")?),
        "tokio" => Some(anyrt_tokio::multi_thread(one, "oracle")?),
        "smol" => Some(anyrt_smol::executor(one, "oracle")?),
        "async-std" => Some(anyrt_async_std::runtime()),
        other => return Err(format!("no backend is called {other}").into()),
    };
    let jumps = inner.is_some();
    let runtime: Arc<dyn Runtime> = match inner {
        Some(inner) => Arc::new(Timeless { inner, clock: clock.clone() }),
        None => Arc::new(Seeded::new(clock.clone(), schedule)),
    };
    let main = interpreter::run(world.clone());
    let ended = Run::on(runtime).shutdown_timeout(A_MOMENT).run(async move {
        if jumps {
            jump_meanwhile(&clock, main).await;
        } else {
            main.await;
        }
    });
    let mut told = world.take_log();
    if let Err(error) = ended {
        told.push(Entry::of_the_run(&error));
    }
    Ok(told)
}

/// On a runtime that does not know of the clock: moves it on whenever everybody waits.
async fn jump_meanwhile(clock: &Clock, main: impl Future<Output = ()>) {
    let jumps = async {
        loop {
            anyrt::testing::wait_all_tasks_blocked().await;
            if !clock.jump() {
                clock.give_up();
            }
        }
    };
    let mut main = std::pin::pin!(main);
    let mut jumps = std::pin::pin!(jumps);
    std::future::poll_fn(|cx| match main.as_mut().poll(cx) {
        std::task::Poll::Pending => jumps.as_mut().poll(cx).map(|()| ()),
        ready => ready,
    })
    .await;
}
