//! Rule 80: a pool that is full, and the calls that wait for a thread of it.

use std::future::{Future, IntoFuture};
use std::sync::{Arc, mpsc};

use anyrt_core::{
    CancelScope, CapacityLimiter, Event, Handle, Run, Runtime, checkpoint, move_on_after, run_blocking,
    shield, task_group,
};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use crate::by_hand::ByHand;
use crate::counting::Counter;
use crate::double::{Double, Jobs};
use crate::late::a_job_ends_late;
use crate::time::A_MOMENT;

/// Runs `test` where no job begins before the test says so.
fn where_jobs_wait<F>(runtime: Arc<dyn Runtime>, test: impl FnOnce(Arc<Double>) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let double = Arc::new(Double::of(runtime.clone()).with_jobs(Jobs::Kept));
    Run::on(runtime)
        .run(async move {
            let inside = Run::on(double.clone()).embed(test(double));
            inside.await.expect("nothing is left at its root");
        })
        .expect("the run ends well");
}

pub(crate) fn rule_80_a_call_that_waits_for_a_thread_keeps_to_its_limit(runtime: Arc<dyn Runtime>) {
    where_jobs_wait(runtime, async |jobs| {
        let limiter = CapacityLimiter::new(1);
        let (ran, dropped) = (Counter::new(), Counter::new());
        let call = || {
            let (ran, local) = (ran.clone(), dropped.on_drop());
            run_blocking(move || {
                let _local = local;
                ran.add();
            })
            .limiter(&limiter)
        };
        assert_eq!(move_on_after(A_MOMENT, call().into_future()).await, None);
        assert_eq!((limiter.borrowed(), dropped.get()), (0, 1), "the token and the closure are back");
        assert_eq!(move_on_after(A_MOMENT, call().abandon_on_cancel().into_future()).await, None);
        assert_eq!((limiter.borrowed(), dropped.get()), (0, 2), "nothing is abandoned that has not begun");

        let by_hand = CancelScope::new();
        let handle = by_hand.handle();
        let (ended, ()) = futures::join!(by_hand.run(async |_| call().await), async {
            checkpoint().await;
            handle.cancel_with("by hand");
        });
        ended.expect_err("cancelled");

        // Who polls only what was woken polls it, because the cancellation wakes it.
        let mut calls: FuturesUnordered<_> = (0..1).map(|_| call().into_future()).collect();
        assert_eq!(move_on_after(A_MOMENT, calls.next()).await, None);
        assert_eq!(limiter.borrowed(), 0);
        drop(calls);
        jobs.run_kept();
        assert_eq!((ran.get(), dropped.get()), (0, 4));
    });
}

pub(crate) fn rule_80_a_job_that_has_begun_in_a_full_pool_is_waited_for(runtime: Arc<dyn Runtime>) {
    where_jobs_wait(runtime, async |jobs| {
        let ended = CancelScope::new().run(async |scope| {
            let cancels = scope.clone();
            let call = run_blocking(move || {
                cancels.cancel_with("while it runs");
                7
            });
            let (value, ()) = futures::join!(call.into_future(), async {
                checkpoint().await;
                jobs.run_kept();
            });
            value
        });
        assert_eq!(ended.await.expect("the value is there"), 7);
    });
}

pub(crate) fn rule_80_a_call_that_is_dropped_while_it_waits_for_a_thread_runs(runtime: Arc<dyn Runtime>) {
    where_jobs_wait(runtime, async |jobs| {
        let (limiter, ran) = (CapacityLimiter::new(1), Counter::new());
        let runs = ran.clone();
        let mut call = ByHand::new(run_blocking(move || _ = runs.add()).limiter(&limiter).into_future());
        assert!(call.poll().is_pending());
        call.drop_future();
        assert_eq!((ran.get(), limiter.borrowed()), (0, 1), "it was accepted, and nothing was cancelled");
        jobs.run_kept();
        assert_eq!((ran.get(), limiter.borrowed()), (1, 0));
    });
}

pub(crate) fn rule_80_a_call_that_left_a_full_pool_asks_again_when_a_shield_goes_up(
    runtime: Arc<dyn Runtime>,
) {
    where_jobs_wait(runtime, async |jobs| {
        let limiter = CapacityLimiter::new(1);
        let release = Event::new();
        let ended = CancelScope::new().run(async |outer| {
            let inner = CancelScope::new();
            let handle = inner.handle();
            let work = inner.run(async |_| {
                let held = async {
                    shield(release.wait()).await;
                };
                let call = async {
                    let value = run_blocking(|| 7).limiter(&limiter).await;
                    release.set();
                    value
                };
                futures::join!(held, call).1
            });
            let meddles = shield(async {
                checkpoint().await;
                assert_eq!(limiter.borrowed(), 1, "it waits for a thread");
                outer.cancel_with("from outside");
                while limiter.borrowed() > 0 {
                    checkpoint().await;
                }
                jobs.run_kept();
                handle.set_shield(true);
                while limiter.borrowed() == 0 {
                    checkpoint().await;
                }
                jobs.run_kept();
            });
            futures::join!(work, meddles).0
        });
        let value = ended.await.expect("the value was there before anything was dropped");
        assert_eq!(value.expect("shielded"), 7);
    });
}

pub(crate) async fn rule_80_where_no_thread_can_be_started_a_call_keeps_to_its_limit() {
    let (begins, begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let limiter = CapacityLimiter::new(2);
    let ran = Counter::new();
    task_group(async |group| {
        let tokens = limiter.clone();
        group.spawn(async move {
            let busy = run_blocking(move || {
                begins.send(()).expect("the test listens");
                released.recv().expect("the test says when");
            });
            busy.limiter(&tokens).await;
        });
        while begun.try_recv().is_err() {
            checkpoint().await;
        }
        let handle = Handle::current();
        handle.deny_blocking_threads(true);
        let runs = ran.clone();
        let waits = run_blocking(move || _ = runs.add()).limiter(&limiter);
        assert_eq!(move_on_after(A_MOMENT, waits.into_future()).await, None);
        assert_eq!(limiter.borrowed(), 1, "its token is back");
        handle.deny_blocking_threads(false);
        release.send(()).expect("the job waits for it");
    })
    .await
    .expect("no child fails");
    assert_eq!((ran.get(), limiter.borrowed()), (0, 0));
    a_job_ends_late().await;
}
