//! Signals, on every backend. A signal reaches all who listen in the process: one test at a time.
#![cfg(unix)]

#[path = "../http/client.rs"]
mod client;
mod http;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyrt::signal::{Signal, Signals};
use anyrt::{Backend, CancelScope, checkpoint, task_group};

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn send(signal: &str, process: u32) {
    let sent = Command::new("kill").arg(signal).arg(process.to_string()).status();
    assert!(sent.expect("`kill` is there").success());
}

/// Sends it to this process, and waits until it has arrived there.
async fn raise(signal: &str, receiver: &Signals) {
    let before = receiver.pending();
    send(signal, std::process::id());
    while receiver.pending() == before {
        checkpoint().await;
    }
}

#[test]
fn rt_12_signals_are_received_in_order_and_receiving_is_cancelled() {
    let _alone = alone();
    for backend in Backend::enabled() {
        anyrt::run_on(*backend, async {
            let both = Signals::of(&[Signal::Interrupt, Signal::Terminate]).expect("the system lets us");
            let one = Signals::of(&[Signal::Terminate]).expect("the system lets us");
            raise("-TERM", &both).await;
            raise("-INT", &both).await;
            raise("-TERM", &both).await;
            let received = [both.recv().await, both.recv().await, both.recv().await];
            assert_eq!(received, [Signal::Terminate, Signal::Interrupt, Signal::Terminate], "{backend}");
            assert_eq!((one.recv().await, one.recv().await), (Signal::Terminate, Signal::Terminate));
            assert_eq!((both.pending(), one.pending()), (0, 0), "{backend}");

            let scope = CancelScope::new();
            let handle = scope.handle();
            let received = task_group(async |group| {
                let receiving = async |_| both.recv().await;
                group.spawn(async move { handle.cancel_with("nobody sends one") });
                scope.run(receiving).await
            });
            assert!(received.await.expect("no child fails").is_err(), "{backend}: the block is cancelled");
            raise("-INT", &both).await;
            assert_eq!(both.recv().await, Signal::Interrupt, "{backend}: what came later is not lost");
        });
    }
}

/// The program of the next test: it prints its tree when it is told to, for as long as somebody reads.
#[test]
#[ignore = "run by the test that sends it the signal"]
fn a_program_that_waits() {
    let backend = std::env::var("SIGNALLED").expect("the backend").parse().expect("a backend");
    anyrt::run_on(backend, async {
        let _prints = anyrt::observe::print_tasks_on_sigusr1().expect("the system lets us");
        anyrt::spawn(std::future::pending::<()>());
        anyrt::testing::wait_all_tasks_blocked().await;
        eprintln!("ready");
        // Nobody ends it, should the test fail.
        anyrt::sleep(std::time::Duration::from_secs(60)).await;
    });
}

#[test]
fn sigusr1_prints_the_tree_of_a_program_that_waits() {
    for backend in Backend::enabled() {
        let mut program = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "a_program_that_waits", "--ignored", "--nocapture"])
            .env("SIGNALLED", backend.name())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("this test starts again");
        let mut told = BufReader::new(program.stderr.take().expect("piped")).lines();
        let mut line = || told.next().expect("it goes on").expect("text");
        while line() != "ready" {}
        for _ in 0..2 {
            send("-USR1", program.id());
            let mut head = line();
            while head.is_empty() {
                head = line();
            }
            assert!(head.starts_with("run `") && head.contains("2 tasks"), "{backend}: {head}");
            let tree = [line(), line()];
            assert!(tree[0].contains("main#1: "), "{backend}: {tree:?}");
            assert!(tree[1].contains("Pending<()>#2: waits"), "{backend}: {tree:?}");
        }
        program.kill().expect("it runs");
        program.wait().expect("it ends");
    }
}
