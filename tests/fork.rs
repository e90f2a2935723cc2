//! E17: a process that is forked off a run gets an error in place of a wait without end.
#![cfg(unix)]

use std::future::Future as _;
use std::process::Command;
use std::task::{Context, Poll, Waker};

use anyrt::blocking::StartError;
use anyrt::{Backend, Run, RunError, run_blocking};

/// What a forked process says at its end.
const AS_EXPECTED: i32 = 42;
const OTHERWISE: i32 = 1;

/// After how long a forked process that hangs is ended by a signal.
const PATIENCE: u32 = 20;

/// Runs `child` in a forked process; its exit status, none when it was ended by a signal.
fn forked(child: impl FnOnce() -> bool) -> Option<i32> {
    // SAFETY: the process has other threads, so the new one may call only what is safe in a signal handler, if it
    // must never hang. It may hang: the alarm ends it. It leaves by `_exit`, so nothing of the test runs on
    // in it; and what else it does in between is safe code on memory that is its own copy.
    #[expect(unsafe_code, reason = "there is no other way to fork")]
    unsafe {
        match libc::fork() {
            -1 => panic!("no process: {}", std::io::Error::last_os_error()),
            0 => {
                libc::alarm(PATIENCE);
                let expected = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
                libc::_exit(if matches!(expected, Ok(true)) { AS_EXPECTED } else { OTHERWISE })
            }
            process => {
                let mut status = 0;
                assert_eq!(libc::waitpid(process, &raw mut status, 0), process);
                libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status))
            }
        }
    }
}

fn backend() -> Backend {
    std::env::var("FORKS_ON").expect("named by the test").parse().expect("a backend")
}

/// Each of the tests below in a process of its own: a fork is none of the other tests' business.
fn alone(test: &str) {
    for backend in Backend::enabled() {
        let mut program = Command::new(std::env::current_exe().expect("this program"));
        program.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        program.env("FORKS_ON", backend.name());
        let output = program.output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.contains("1 passed"), "{backend}: {told}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn e17_a_run_in_a_process_that_was_forked_after_one_is_refused() {
    alone("program_that_forks_after_a_run");
}

#[test]
fn e17_a_blocking_call_in_a_process_that_was_forked_off_its_run_is_refused() {
    alone("program_that_forks_inside_a_run");
}

#[test]
fn e17_a_process_that_forks_before_its_first_run_may_run() {
    alone("program_that_forks_before_a_run");
}

#[test]
#[ignore = "a program of its own"]
fn program_that_forks_after_a_run() {
    Run::on(backend()).run(async { run_blocking(|| ()).await }).expect("the run ends well");
    let status = forked(|| matches!(anyrt::Run::on(backend()).run(async {}), Err(RunError::Forked(_))));
    assert_eq!(status, Some(AS_EXPECTED));
    Run::on(backend()).run(async { run_blocking(|| ()).await }).expect("the run ends well");
}

#[test]
#[ignore = "a program of its own"]
fn program_that_forks_inside_a_run() {
    // By a thread of the pool, so that none of them has its lock at that moment.
    let forks = || {
        forked(|| {
            let call = std::pin::pin!(run_blocking(|| ()).try_start());
            let polled = call.poll(&mut Context::from_waker(Waker::noop()));
            matches!(polled, Poll::Ready(Err(StartError::Forked(_))))
        })
    };
    let status = Run::on(backend()).run(async { run_blocking(forks).await }).expect("the run ends well");
    assert_eq!(status, Some(AS_EXPECTED));
}

#[test]
#[ignore = "a program of its own"]
fn program_that_forks_before_a_run() {
    let status = forked(|| anyrt::run_on(backend(), async { run_blocking(|| 42).await }) == 42);
    assert_eq!(status, Some(AS_EXPECTED));
}
