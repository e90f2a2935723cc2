//! A tokio program whose clock is paused: the limits of anyrt see it, and it stands still while blocking jobs run.

use std::future::{Future, IntoFuture, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyrt_core::net::resolve;
use anyrt_core::{
    Handle, Run, fail_after, from_thread, iterate_blocking, move_on_at, now, run_blocking, sleep, task_group,
};
use anyrt_tokio::find;
use futures::StreamExt as _;
use tokio::runtime::{Builder, Runtime};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Runs `test` in a run that is embedded in a tokio program; how many threads tokio has started.
fn inside<F>(runtime: &Runtime, test: F) -> F::Output
where
    F: Future,
{
    runtime.block_on(async {
        let run = Run::on(find().expect("it is entered"));
        run.embed(test).await.expect("nothing is left at its root")
    })
}

fn paused() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime")
}

fn works() {
    thread::sleep(Duration::from_millis(30));
}

#[test]
fn a_limit_around_a_blocking_job_does_not_fire_while_it_runs() {
    inside(&paused(), async {
        for _ in 0..3 {
            let call = run_blocking(works).abandon_on_cancel().into_future();
            fail_after(MINUTE, call).await.expect("the clock stands still");
            // And goes on afterwards.
            let before = now();
            sleep(HOUR).await;
            assert!(now() - before >= HOUR);
        }
        let found = fail_after(MINUTE, resolve("localhost", 80)).await.expect("the clock stands still");
        found.expect("it resolves");
        let items = iterate_blocking((0..3).inspect(|_| works())).collect::<Vec<_>>();
        assert_eq!(fail_after(MINUTE, items).await.expect("the clock stands still"), [0, 1, 2]);
    });
}

#[test]
fn several_jobs_are_waited_for_by_one_thread_of_tokio() {
    let started = Arc::new(AtomicUsize::new(0));
    let (counts, seen) = (started.clone(), started.clone());
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .on_thread_start(move || _ = counts.fetch_add(1, Ordering::SeqCst))
        .build()
        .expect("a runtime");
    inside(&runtime, async move {
        let all = task_group(async |group| {
            for _ in 0..8 {
                group.spawn(run_blocking(works).abandon_on_cancel().into_future());
            }
        });
        fail_after(MINUTE, all).await.expect("the clock stands still").expect("no child fails");
        assert_eq!(seen.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_clock_that_is_not_paused_costs_no_thread_of_tokio() {
    let started = Arc::new(AtomicUsize::new(0));
    let counts = started.clone();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .on_thread_start(move || _ = counts.fetch_add(1, Ordering::SeqCst))
        .build()
        .expect("a runtime");
    inside(&runtime, async {
        for _ in 0..100 {
            run_blocking(|| ()).await;
        }
    });
    assert_eq!(started.load(Ordering::SeqCst), 0);
}

#[test]
fn a_job_that_waits_for_async_code_lets_the_clock_go_on() {
    inside(&paused(), async {
        let before = now();
        let call = run_blocking(|| {
            from_thread::run(sleep(HOUR)).expect("it is not cancelled");
            works();
            let slept = from_thread::spawn(sleep(HOUR)).expect("the run goes on");
            slept.wait().expect("it is not cancelled");
            works();
        });
        let limit = HOUR * 2 + MINUTE;
        fail_after(limit, call.abandon_on_cancel().into_future()).await.expect("no longer than it sleeps");
        assert!(now() - before >= HOUR * 2);
    });
}

#[test]
fn of_nested_limits_the_one_that_is_due_first_answers_a_thousand_times() {
    const APART: Duration = Duration::from_micros(200);
    inside(&paused(), async {
        let began = real_now();
        for round in 0..1_000_u32 {
            let at = now() + Duration::from_millis(5) + APART * (round % 7);
            assert_eq!(move_on_at(at + APART, move_on_at(at, pending::<()>())).await, Some(None), "{round}");
            let at = now() + Duration::from_millis(5) + APART * (round % 7);
            assert_eq!(move_on_at(at, move_on_at(at + APART, pending::<()>())).await, None, "{round}");
            let at = now() + Duration::from_millis(5);
            assert_eq!(move_on_at(at, move_on_at(at, pending::<()>())).await, None, "{round}");
        }
        assert!(real_now() - began < MINUTE, "the clock is paused");
        assert!(Handle::try_current().is_ok());
    });
}

fn real_now() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "that of the system is meant")]
    Instant::now()
}
