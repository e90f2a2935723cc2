//! WT: what a framework relies on that runs plain functions in threads.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;

use anyrt_core::{
    BlockingPool, CancelScope, CapacityLimiter, Handle, Run, RunError, Runtime, StartError, asyncify,
    checkpoint, from_thread, run_blocking, task_group,
};
use futures::FutureExt as _;

use crate::by_hand::ByHand;
use crate::counting::Counter;
use crate::double::{Double, Jobs};
use crate::late::a_job_ends_late;

pub(crate) async fn wt_01_a_job_takes_a_token_of_the_default_limiter_and_gives_its_value_or_panic() {
    let limiter = Handle::current().limiter().clone();
    let seen = limiter.clone();
    let value = run_blocking(move || (seen.borrowed(), seen.total())).await;
    assert_eq!(value, (1, 40));
    let panicked = AssertUnwindSafe(run_blocking(|| panic!("expected: boom")).into_future()).catch_unwind();
    let text = panicked.await.expect_err("it panicked").downcast::<String>().expect("a text");
    assert!(text.contains("expected: boom"), "{text}");
    assert_eq!(limiter.borrowed(), 0);
    a_job_ends_late().await;
}

pub(crate) async fn wt_02_a_job_is_not_left_alone_by_a_cancelled_caller() {
    let (got, after) = (Counter::new(), Counter::new());
    let left = CancelScope::new()
        .run(async |scope| {
            let ended = Counter::new();
            let (ends, cancels) = (ended.clone(), scope.clone());
            let call = asyncify(move |value: u32| {
                cancels.cancel_with("while it runs");
                ends.add();
                value
            });
            assert_eq!((call(42).await, ended.get()), (42, 1));
            got.add();
            checkpoint().await;
            after.add();
        })
        .await;
    left.expect_err("cancelled");
    assert_eq!((got.get(), after.get()), (1, 0), "the result first, the cancellation at the next checkpoint");
    a_job_ends_late().await;
}

pub(crate) async fn wt_18_of_sixty_jobs_forty_run_and_twenty_wait_while_the_loop_serves_others() {
    let limiter = Handle::current().limiter().clone();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let (begun, ended) = (Counter::new(), Counter::new());
    task_group(async |group| {
        for _ in 0..60 {
            let (wait, begun, ended) = (wait.clone(), begun.clone(), ended.clone());
            group.spawn(async move {
                run_blocking(move || {
                    begun.add();
                    let _ = wait.lock().expect("nobody panics").recv();
                })
                .await;
                ended.add();
            });
        }
        while begun.get() < 40 || limiter.waiting() < 20 {
            checkpoint().await;
        }
        let others = Counter::new();
        for _ in 0..100 {
            let others = others.clone();
            group.spawn(async move {
                checkpoint().await;
                others.add();
            });
        }
        while others.get() < 100 {
            checkpoint().await;
        }
        assert_eq!((limiter.borrowed(), limiter.waiting()), (40, 20));
        assert_eq!((begun.get(), ended.get()), (40, 0));
        drop(go);
    })
    .await
    .expect("no child fails");
    assert_eq!((limiter.borrowed(), ended.get()), (0, 60));
    a_job_ends_late().await;
}

pub(crate) async fn rule_57_a_call_without_a_limit_waits_for_no_token() {
    let limiter = Handle::current().limiter().clone();
    limiter.set_total(0);
    assert_eq!(run_blocking(|| 1).unlimited().await, 1);
    let ran = Counter::new();
    let runs = ran.clone();
    let left = CancelScope::new()
        .run(async |scope| {
            scope.cancel_with("before it asks");
            run_blocking(move || _ = runs.add()).unlimited().await;
        })
        .await;
    left.expect_err("cancelled");
    assert_eq!(ran.get(), 0, "it is a checkpoint all the same");
    limiter.set_total(1);
    a_job_ends_late().await;
}

pub(crate) fn rule_48_a_job_that_the_pool_drops_or_refuses_is_an_error(runtime: Arc<dyn Runtime>) {
    // Once only: a runtime that was shut down starts no second run.
    let both = [Jobs::Dropped, Jobs::Panics].map(|jobs| (jobs, Double::of(runtime.clone()).with_jobs(jobs)));
    Run::on(runtime)
        .run(async move {
            for (jobs, double) in both {
                let inside = Run::on(Arc::new(double)).embed(async move {
                    let (limiter, dropped) = (CapacityLimiter::new(1), Counter::new());
                    let local = dropped.on_drop();
                    let refused = run_blocking(move || drop(local)).limiter(&limiter).try_start().await;
                    match jobs {
                        Jobs::Panics => {
                            assert!(matches!(refused, Err(StartError::NoThread(_))), "{refused:?}")
                        }
                        _ => assert!(matches!(refused, Err(StartError::Dropped)), "{refused:?}"),
                    }
                    assert_eq!((limiter.borrowed(), dropped.get()), (0, 1));
                    // It holds nothing any more.
                    let left = CancelScope::new().run(async |scope| {
                        scope.cancel_with("after it");
                        checkpoint().await;
                    });
                    left.await.expect_err("cancelled");
                });
                inside.await.expect("nothing is left at its root");
            }
        })
        .expect("the run ends well");
}

pub(crate) fn rule_58_a_runtime_is_told_while_threads_work_and_not_while_they_wait(
    runtime: Arc<dyn Runtime>,
) {
    let double = Arc::new(Double::of(runtime.clone()));
    Run::on(runtime)
        .run(async move {
            let (sees, jobs) = (double.clone(), double.clone());
            let inside = Run::on(double).embed(async move {
                let rests = |jobs: &Arc<Double>| {
                    let jobs = jobs.clone();
                    async move {
                        while jobs.working_now() > 0 {
                            checkpoint().await;
                        }
                    }
                };
                assert_eq!(jobs.working_now(), 0);
                let told = run_blocking(move || {
                    let mut told = vec![sees.working_now()];
                    from_thread::run(rests(&sees)).expect("it is not cancelled");
                    told.push(sees.working_now());
                    from_thread::spawn(rests(&sees)).expect("the run goes on").wait().expect("it ends");
                    told.push(sees.working_now());
                    told
                });
                assert_eq!(told.await, [1, 1, 1], "while it works");
                rests(&jobs).await;
            });
            inside.await.expect("nothing is left at its root");
        })
        .expect("the run ends well");
}

pub(crate) fn rt_obligation_jobs_in_its_own_pool_run_once_to_their_end_on_other_threads(
    runtime: Arc<dyn Runtime>,
) {
    const JOBS: usize = 8;
    let native = runtime.blocking().is_some();
    let run = Run::on(runtime).blocking_pool(BlockingPool::Native);
    let ended = run.run(async {
        let (here, ran, together) = (thread::current().id(), Counter::new(), Arc::new(Barrier::new(JOBS)));
        let there = task_group(async |group| {
            let calls: Vec<_> = (0..JOBS)
                .map(|_| {
                    let (ran, together) = (ran.clone(), together.clone());
                    let job = run_blocking(move || {
                        // None waits for another to end.
                        together.wait();
                        ran.add();
                        thread::current().id()
                    });
                    group.spawn(job.into_future())
                })
                .collect();
            let mut there = Vec::new();
            for call in calls {
                there.push(call.await.expect("it ends"));
            }
            there
        });
        let there = there.await.expect("no child fails");
        assert!(there.iter().all(|thread| *thread != here));
        assert_eq!((ran.get(), Handle::current().blocking_threads()), (JOBS, 0));
        // Nobody waits for these, and they run.
        let (limiter, (tell, told)) = (CapacityLimiter::new(JOBS), mpsc::channel());
        for number in 0..JOBS {
            let (tell, (go, wait)) = (tell.clone(), mpsc::channel::<()>());
            let left = CancelScope::new()
                .run(async |scope| {
                    let cancels = scope.clone();
                    let job = run_blocking(move || {
                        cancels.cancel_with("while it runs");
                        let _ = wait.recv();
                        tell.send(number).expect("somebody listens");
                    });
                    job.limiter(&limiter).abandon_on_cancel().await;
                })
                .await;
            left.expect_err("cancelled");
            drop(go);
        }
        drop(tell);
        let mut ran = run_blocking(move || told.iter().collect::<Vec<_>>()).await;
        ran.sort_unstable();
        assert!(ran.into_iter().eq(0..JOBS));
        a_job_ends_late().await;
    });
    match ended {
        Ok(()) => assert!(native),
        Err(error) => assert!(!native && matches!(error, RunError::NoNativePool { .. }), "{error}"),
    }
}

pub(crate) fn rule_54_after_the_end_of_the_run_a_blocking_call_is_an_error(runtime: Arc<dyn Runtime>) {
    let refused = |handle: Handle| {
        let dropped = Counter::new();
        let local = dropped.on_drop();
        let call = handle.run_blocking(move || drop(local)).try_start();
        let error = futures::executor::block_on(call).expect_err("the run has ended");
        assert!(matches!(error, StartError::RunEnded), "{error}");
        assert_eq!((dropped.get(), handle.limiter().borrowed()), (1, 0));
    };
    let handle = Run::on(runtime)
        .run(async {
            let inner = anyrt_core::embed(async {
                run_blocking(|| ()).await;
                Handle::current()
            });
            refused(inner.await.expect("nothing is left at its root"));
            a_job_ends_late().await;
            Handle::current()
        })
        .expect("the run ends well");
    refused(handle);
}

/// A burst of jobs is left to a task of the runtime, which notifies the threads when its pushers have passed. Where
/// that task never comes, because a pusher blocks the thread that polls both, the jobs run all the same.
pub(crate) async fn rule_58_a_job_runs_although_the_poll_that_submits_it_goes_on_to_block() {
    const ROUNDS: usize = 20;
    let ran = Counter::new();
    for _ in 0..ROUNDS {
        let ran = ran.clone();
        task_group(async |group| {
            for number in 0..8 {
                let ran = ran.clone();
                group.spawn(async move {
                    for _ in 0..8 {
                        run_blocking(|| ()).await;
                    }
                    if number % 4 == 0 {
                        let (tell, told) = mpsc::channel();
                        let mut call = ByHand::new(run_blocking(move || tell.send(42)).into_future());
                        // It may have ended at once.
                        let _ = call.poll();
                        assert_eq!(told.recv(), Ok(42));
                        ran.add();
                    }
                });
            }
        })
        .await
        .expect("no child fails");
    }
    assert_eq!(ran.get(), 2 * ROUNDS);
    a_job_ends_late().await;
}
