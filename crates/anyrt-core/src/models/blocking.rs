//! The pool's wake-ups, and the caller of a job against the end of its closure.

use std::future::IntoFuture;
use std::pin::pin;

use loom::thread;

use super::stage::{Count, check, drive, on_stage, poll_once};
use crate::blocking::{CapacityLimiter, run_blocking};

#[test]
fn two_jobs_come_at_once() {
    check("two_jobs_come_at_once", || {
        on_stage(async |handle| {
            let ran = Count::default();
            let (one, two) = (ran.clone(), ran.clone());
            let other = handle.clone();
            let second = thread::spawn(move || {
                other.enter(|| drive(run_blocking(move || one.add()).into_future()));
            });
            run_blocking(move || two.add()).await;
            second.join().unwrap();
            assert_eq!(ran.get(), 2);
            handle.0.shared.pool.end();
            assert_eq!(handle.blocking_threads(), 0);
        });
    });
}

#[test]
fn a_job_comes_while_the_thread_of_the_last_one_becomes_idle() {
    check("a_job_comes_while_the_thread_of_the_last_one_becomes_idle", || {
        on_stage(async |handle| {
            run_blocking(|| ()).await;
            run_blocking(|| ()).await;
            handle.0.shared.pool.end();
            assert_eq!(handle.blocking_threads(), 0);
        });
    });
}

#[test]
fn jobs_come_from_two_threads_to_one_that_becomes_idle() {
    check("jobs_come_from_two_threads_to_one_that_becomes_idle", || {
        on_stage(async |handle| {
            run_blocking(|| ()).await;
            let other = handle.clone();
            let second = thread::spawn(move || other.enter(|| drive(run_blocking(|| ()).into_future())));
            run_blocking(|| ()).await;
            second.join().unwrap();
            handle.0.shared.pool.end();
            assert_eq!(handle.blocking_threads(), 0);
        });
    });
}

#[test]
fn one_token_serves_two_jobs() {
    check("one_token_serves_two_jobs", || {
        on_stage(async |handle| {
            let limiter = CapacityLimiter::new(1);
            let (other, shared) = (handle.clone(), limiter.clone());
            let second = thread::spawn(move || {
                other.enter(|| drive(run_blocking(|| ()).limiter(&shared).into_future()));
            });
            run_blocking(|| ()).limiter(&limiter).await;
            second.join().unwrap();
            handle.0.shared.pool.end();
            assert_eq!((limiter.borrowed(), limiter.waiting()), (0, 0));
        });
    });
}

#[test]
fn the_caller_is_dropped_while_the_closure_ends() {
    check("the_caller_is_dropped_while_the_closure_ends", || {
        on_stage(async |handle| {
            let limiter = CapacityLimiter::new(1);
            let (ran, dropped) = (Count::default(), Count::default());
            let (runs, value) = (ran.clone(), dropped.on_drop());
            let mut call = pin!(Some(
                run_blocking(move || {
                    runs.add();
                    value
                })
                .limiter(&limiter)
                .into_future()
            ));
            if let Some(call) = call.as_mut().as_pin_mut() {
                let _ = poll_once(call).await;
            }
            call.set(None);
            // The next call gets the token when the closure has ended, whether or not its caller waits.
            run_blocking(|| ()).limiter(&limiter).await;
            handle.0.shared.pool.end();
            assert_eq!((ran.get(), dropped.get()), (1, 1));
            assert_eq!((limiter.borrowed(), limiter.waiting()), (0, 0));
        });
    });
}
