//! Jobs that are left to the notifier of the pool. No wait ends by itself here, so a job that is left
//! with all threads asleep is a deadlock, and loom reports it.

use super::stage::{Count, check_whole, in_a_run};
use crate::blocking::run_blocking;
use crate::current::handle::Handle;
use crate::wait::combine::join;

/// Two jobs of one poll; how many were accepted.
async fn burst(ran: &Count) -> usize {
    let job = || {
        let ran = ran.clone();
        run_blocking(move || ran.add()).unlimited().try_start()
    };
    let (one, two) = join(job(), job()).await;
    usize::from(one.is_ok()) + usize::from(two.is_ok())
}

/// One thread, a notifier that has been polled, and jobs that come in bursts: there is one order that leads to
/// this. No further thread can be started, so a thread that is not called is missed.
async fn prepare(handle: &Handle) {
    run_blocking(|| ()).await;
    handle.0.shared.pool.deny_threads(true);
    burst(&Count::default()).await;
}

/// Runs `burst` in a task, in every order once the pool is prepared; then the run ends. The first `keeps` of
/// its tasks are polled to their end. What was accepted has run; some of the orders must leave a job to the
/// notifier.
fn check_bursts<F: Future<Output = usize> + Send>(
    name: &str,
    keeps: usize,
    burst: impl Fn(Handle, Count) -> F + Copy + Send + Sync + 'static,
) {
    let deferred = Count::default();
    let counts = deferred.clone();
    let whole = check_whole(name, move || {
        in_a_run(keeps, async |handle| {
            loom::stop_exploring();
            let ran = Count::default();
            let (inner, counted) = (handle.clone(), ran.clone());
            let task = handle.spawn(async move {
                prepare(&inner).await;
                loom::explore();
                burst(inner, counted).await
            });
            let accepted = task.await.unwrap();
            loom::stop_exploring();
            handle.0.shared.pool.end();
            assert_eq!((ran.get(), handle.blocking_threads()), (accepted, 0));
            (0..handle.blocking_statistics().deferred).for_each(|_| counts.add());
        });
    });
    assert!(!whole || deferred.get() > 0, "no order leaves a job to the notifier");
}

#[test]
fn jobs_are_left_to_the_notifier() {
    check_bursts("jobs_are_left_to_the_notifier", usize::MAX, |_, ran| async move {
        let accepted = burst(&ran).await;
        assert_eq!(accepted, 2);
        accepted
    });
}

#[test]
fn the_run_ends_while_jobs_are_left_to_the_notifier() {
    check_bursts("the_run_ends_while_jobs_are_left_to_the_notifier", usize::MAX, |handle, ran| async move {
        let end = loom::thread::spawn(move || handle.0.shared.pool.retire());
        let accepted = burst(&ran).await;
        end.join().unwrap();
        accepted
    });
}

#[test]
fn the_notifier_is_dropped_while_jobs_are_left_to_it() {
    check_bursts("the_notifier_is_dropped_while_jobs_are_left_to_it", 1, |_, ran| async move {
        let accepted = burst(&ran).await;
        assert_eq!(accepted, 2);
        accepted
    });
}
