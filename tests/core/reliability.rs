//! Blocking work under load, and at the end of a run. Each test prints figures (`--nocapture`).

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyrt::blocking::CapacityLimiter;
use anyrt::{Backend, CancelScope, Run, checkpoint, run_blocking, run_on, task_group};
use futures::FutureExt as _;

use self::warnings::Warnings;

#[path = "../../crates/anyrt-conformance/src/warnings.rs"]
mod warnings;

/// Random enough, and the same each time.
fn coin(number: usize) -> bool {
    (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63 == 0
}

#[test]
fn the_coin_is_fair() {
    let heads = (0..10_000).filter(|number| coin(*number)).count();
    assert!((4_800..5_200).contains(&heads), "{heads}");
}

#[test]
fn e10_ten_thousand_queued_jobs_of_which_half_are_cancelled_leave_the_counts_at_zero() {
    const JOBS: usize = 10_000;
    for backend in Backend::enabled() {
        let (ran, cancelled, counts) = run_on(*backend, async {
            let limiter = CapacityLimiter::new(0);
            let ran = Arc::new(AtomicUsize::new(0));
            let cancelled = task_group(async |group| {
                let calls: Vec<_> = (0..JOBS)
                    .map(|_| {
                        let (limiter, ran) = (limiter.clone(), ran.clone());
                        group.spawn(async move {
                            run_blocking(move || ran.fetch_add(1, SeqCst)).limiter(&limiter).await;
                        })
                    })
                    .collect();
                while limiter.waiting() < JOBS {
                    checkpoint().await;
                }
                // Half of these while jobs run, half before.
                let mut cancelled = 0;
                for (number, call) in calls.iter().enumerate().filter(|(number, _)| coin(*number)) {
                    if number >= JOBS / 2 {
                        limiter.set_total(8);
                    }
                    call.cancel_with("by the coin");
                    cancelled += 1;
                }
                cancelled
            })
            .await
            .expect("no child fails");
            (ran.load(SeqCst), cancelled, (limiter.borrowed(), limiter.waiting()))
        });
        println!(
            "{backend}: {JOBS} jobs queued, {cancelled} cancelled, {ran} ran, {counts:?} tokens out and callers waiting"
        );
        // Those cancelled before there was a token did not run; those that had one did.
        let before = (0..JOBS / 2).filter(|number| coin(*number)).count();
        assert!((JOBS - cancelled..=JOBS - before).contains(&ran), "{ran} ran, {cancelled} cancelled");
        assert_eq!(counts, (0, 0));
    }
}

#[test]
fn e11_twenty_thousand_jobs_of_which_half_panic_leave_the_counts_at_zero() {
    const JOBS: usize = 20_000;
    for backend in Backend::enabled() {
        let (panicked, counts, threads) = run_on(*backend, async {
            let panicked = Arc::new(AtomicUsize::new(0));
            task_group(async |group| {
                for worker in 0..20 {
                    let panicked = panicked.clone();
                    group.spawn(async move {
                        for number in worker * (JOBS / 20)..(worker + 1) * (JOBS / 20) {
                            // Without the hook: thousands of panics that are expected need no message.
                            let call = run_blocking(move || {
                                if coin(number) {
                                    resume_unwind(Box::new("by the coin"));
                                }
                            });
                            let ended = AssertUnwindSafe(call.into_future()).catch_unwind().await;
                            panicked.fetch_add(usize::from(ended.is_err()), SeqCst);
                        }
                    });
                }
            })
            .await
            .expect("no child fails");
            let handle = anyrt::current_handle();
            let counts = (handle.limiter().borrowed(), handle.limiter().waiting());
            (panicked.load(SeqCst), counts, handle.blocking_threads())
        });
        println!(
            "{backend}: {JOBS} jobs, {panicked} panicked, {threads} threads, {counts:?} tokens out and callers waiting"
        );
        assert_eq!(panicked, (0..JOBS).filter(|number| coin(*number)).count());
        assert_eq!(counts, (0, 0));
        assert!((1..=40).contains(&threads));
    }
}

#[test]
fn bursts_of_jobs_are_left_to_the_notifier_and_single_ones_are_not() {
    const JOBS: usize = 6_400;
    for backend in Backend::enabled() {
        for at_once in [1, 16, 64] {
            let did = run_on(*backend, async move {
                let calls = task_group(async move |group| {
                    for _ in 0..at_once {
                        group.spawn(async move {
                            for _ in 0..JOBS / at_once {
                                run_blocking(|| ()).await;
                            }
                        });
                    }
                });
                calls.await.expect("no child fails");
                anyrt::current_handle().blocking_statistics()
            });
            println!("{backend}, {at_once} at once: {did:?}");
            assert_eq!(did.jobs, JOBS as u64);
            if at_once == 1 {
                assert_eq!(did.deferred, 0, "a job alone waits for nobody");
            }
        }
    }
}

#[test]
fn e12_a_run_inside_a_task_is_refused_at_once_and_harms_nothing() {
    fn refused(outer: Backend) {
        for inner in Backend::enabled() {
            let payload = catch_unwind(|| run_on(*inner, async {})).expect_err("it would block the task");
            let text = payload.downcast_ref::<String>().expect("a text");
            // Both flavours of tokio are `tokio` to those who are asked where they are.
            let (asked, running) =
                (format!("a run on {inner} "), format!("inside a task of {}", outer.feature()));
            assert!(text.contains(&asked) && text.contains(&running) && text.contains("embed"), "{text}");
        }
    }
    for backend in Backend::enabled() {
        run_on(*backend, async {
            refused(*backend);
            anyrt::spawn(async { refused(*backend) }).await.expect("it ends");
            // Both still work.
            anyrt::sleep(Duration::from_millis(1)).await;
            assert_eq!(anyrt::spawn(run_blocking(|| 42).into_future()).await.expect("it ends"), 42);
        });
    }
}

#[test]
fn e13_a_run_ends_in_time_with_ten_thousand_tasks_and_a_hundred_blocked_threads() {
    const TASKS: usize = 10_000;
    const THREADS: usize = 100;
    const PATIENCE: Duration = Duration::from_millis(300);
    /// Of a machine with other work to do.
    const IN_TIME: Duration = Duration::from_secs(20);

    struct CountsDrop(Arc<AtomicUsize>);
    impl Drop for CountsDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    for backend in Backend::enabled() {
        let (dropped, begun) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let gate = Arc::new(Mutex::new(()));
        let shut = gate.lock().unwrap_or_else(PoisonError::into_inner);
        let warnings = Warnings::of("anyrt::blocking");
        let run = Run::on(*backend).name("ending").abandoned_patience(PATIENCE);
        let ends = warnings.catch(|| {
            run.blocking_limit(THREADS).run(async {
                for _ in 0..TASKS {
                    let counts = CountsDrop(dropped.clone());
                    drop(anyrt::spawn(async move {
                        let _counts = counts;
                        pending::<()>().await;
                    }));
                }
                for number in 0..THREADS {
                    let (gate, begun) = (gate.clone(), begun.clone());
                    drop(anyrt::spawn(async move {
                        let left = CancelScope::new().run(async |scope| {
                            let stuck = run_blocking(move || {
                                begun.fetch_add(1, SeqCst);
                                scope.cancel_with("its caller need not wait");
                                drop(gate.lock());
                            });
                            stuck.name(&format!("stuck-{number}")).abandon_on_cancel().await;
                        });
                        drop(left.await);
                    }));
                }
                while begun.load(SeqCst) < THREADS {
                    checkpoint().await;
                }
                now()
            })
        });
        let took = now() - ends.expect("the run ends well");
        let report = warnings.caught().concat();
        let named = (0..THREADS).filter(|number| report.contains(&format!("`stuck-{number}`"))).count();
        println!(
            "{backend}: ended after {took:.1?}, {} tasks dropped, {named} threads named",
            dropped.load(SeqCst)
        );
        assert_eq!((dropped.load(SeqCst), named), (TASKS, THREADS));
        assert!((PATIENCE..IN_TIME).contains(&took), "{took:?}");
        drop(shut);
    }
}

#[expect(clippy::disallowed_methods, reason = "after the end of the run there is none to ask")]
fn now() -> Instant {
    Instant::now()
}
