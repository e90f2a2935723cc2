//! CK: checkpoints, and how a cancellation is delivered at them.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use anyrt_core::channel;
use anyrt_core::{
    CancelScope, CapacityLimiter, Event, Mutex, ScopeHandle, Semaphore, checkpoint, checkpoint_if_cancelled,
    fail_after, now, run_blocking, sleep, task_group, yield_shielded,
};

use crate::by_hand::ByHand;
use crate::counting::{Counter, count_polls};
use crate::time::{A_MOMENT, compute};

pub(crate) async fn ck_01_a_checkpoint_returns_and_lets_another_task_run() {
    let polls = Counter::new();
    count_polls(&polls, checkpoint()).await;
    assert_eq!(polls.get(), 2, "it yields exactly once");

    let ran = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&ran);
    task_group(async move |group| {
        let child = group.spawn(async move { set.store(true, Ordering::SeqCst) });
        // On a runtime with one thread this ends only if the checkpoint gives the thread away.
        while !child.is_finished() {
            checkpoint().await;
        }
        assert!(ran.load(Ordering::SeqCst));
    })
    .await
    .expect("no child fails");
}

pub(crate) async fn ck_02_a_checkpoint_in_a_cancelled_scope_never_returns() {
    never_returns_once_cancelled(async |_| checkpoint().await).await;
}

pub(crate) async fn ck_04_checkpoint_if_cancelled_yields_only_when_cancelled() {
    let polls = Counter::new();
    count_polls(&polls, checkpoint_if_cancelled()).await;
    assert_eq!(polls.get(), 1, "it does not yield");

    never_returns_once_cancelled(async |_| checkpoint_if_cancelled().await).await;
}

pub(crate) async fn ck_05_a_shielded_yield_yields_and_always_returns() {
    let polls = Counter::new();
    count_polls(&polls, yield_shielded()).await;
    assert_eq!(polls.get(), 2, "it yields exactly once");

    let inside = Counter::new();
    let polls = inside.clone();
    let result = CancelScope::new()
        .run(async move |scope| {
            scope.cancel_with("before the yield");
            count_polls(&polls, yield_shielded()).await;
            7
        })
        .await;
    assert_eq!(result.expect("the yield is not interrupted"), 7);
    assert_eq!(inside.get(), 2, "it yields in a cancelled scope, too");
}

pub(crate) async fn ck_06_sleeping_for_no_time_is_a_full_checkpoint() {
    let polls = Counter::new();
    count_polls(&polls, sleep(Duration::ZERO)).await;
    assert_eq!(polls.get(), 2, "it yields exactly once");

    never_returns_once_cancelled(async |_| sleep(Duration::ZERO).await).await;
}

pub(crate) async fn ck_07_who_cancels_its_own_scope_runs_on_to_the_next_checkpoint() {
    let steps = Counter::new();
    let inside = steps.clone();
    let result = CancelScope::new()
        .run(async move |scope| {
            scope.cancel_with("by the body itself");
            inside.add();
            // A ready future is no checkpoint.
            std::future::ready(()).await;
            inside.add();
            checkpoint().await;
            inside.add();
        })
        .await;
    assert!(result.is_err());
    assert_eq!(steps.get(), 2);
}

pub(crate) async fn ck_09_waiting_for_a_set_event_still_looks_at_the_cancellation() {
    let event = Event::new();
    event.set();
    event.wait().await;

    never_returns_once_cancelled(async |_| {
        let event = Event::new();
        event.set();
        event.wait().await;
    })
    .await;
}

pub(crate) async fn ck_10_what_a_cancelled_scope_awaits_changes_nothing() {
    let lock = Arc::new(Mutex::new(()));
    let taken = Arc::clone(&lock);
    never_returns_once_cancelled(async move |_| drop(taken.lock().await)).await;
    assert!(lock.try_lock().is_ok(), "the lock is free");

    let semaphore = Arc::new(Semaphore::new(1));
    let taken = Arc::clone(&semaphore);
    never_returns_once_cancelled(async move |_| drop(taken.acquire().await)).await;
    assert_eq!(semaphore.available(), 1);

    let limiter = CapacityLimiter::new(1);
    let taken = limiter.clone();
    never_returns_once_cancelled(async move |_| drop(taken.acquire().await)).await;
    assert_eq!((limiter.borrowed(), limiter.waiting()), (0, 0));

    let (sender, receiver) = channel::bounded::<u32>(1);
    let from = sender.clone();
    never_returns_once_cancelled(async move |_| {
        let _ = from.send(1).await;
    })
    .await;
    assert!(receiver.try_recv().is_err(), "nothing was sent");

    assert!(sender.try_send(2).is_ok());
    let to = receiver.clone();
    never_returns_once_cancelled(async move |_| {
        let _ = to.recv().await;
    })
    .await;
    assert_eq!(receiver.try_recv().ok(), Some(2), "nothing was received");

    let jobs = Counter::new();
    let job = jobs.clone();
    never_returns_once_cancelled(async move |_| {
        run_blocking(move || job.add()).await;
    })
    .await;
    // The pool is first come, first served: had the job been taken, it would run before this one.
    run_blocking(|| ()).await;
    assert_eq!(jobs.get(), 0, "the job was not taken");
}

pub(crate) async fn ck_11_a_deadline_that_passed_while_computing_is_seen_at_the_next_checkpoint() {
    // Each of these would be ready without a wait.
    stops_at_the_first_await(async || checkpoint().await).await;
    stops_at_the_first_await(async || checkpoint_if_cancelled().await).await;
    stops_at_the_first_await(async || sleep(Duration::ZERO).await).await;
    stops_at_the_first_await(async || drop(Mutex::new(()).lock().await)).await;
    stops_at_the_first_await(async || {
        let event = Event::new();
        event.set();
        event.wait().await;
    })
    .await;
}

pub(crate) async fn ck_13_cancelling_a_scope_whose_task_has_finished_wakes_nobody() {
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut run = ByHand::new(scope.run(async |_| checkpoint().await));
    assert!(run.poll().is_pending());
    assert!(matches!(run.poll(), Poll::Ready(Ok(()))));
    let before = run.wakes();
    handle.cancel_with("too late");
    assert_eq!(run.wakes(), before);
}

/// Runs `wait` in a scope that is cancelled already: it is begun, and what is behind it never runs.
async fn never_returns_once_cancelled(wait: impl AsyncFnOnce(ScopeHandle)) {
    let begun = Counter::new();
    let passed = Counter::new();
    let (before, after) = (begun.clone(), passed.clone());
    let result = CancelScope::new()
        .run(async move |scope| {
            scope.cancel_with("before the wait");
            before.add();
            wait(scope).await;
            after.add();
        })
        .await;
    assert!(result.is_err(), "the scope was left by its cancellation");
    assert_eq!((begun.get(), passed.get()), (1, 0));
}

/// Computes for longer than its deadline, then awaits `wait`, which must not return.
async fn stops_at_the_first_await(wait: impl AsyncFnOnce()) {
    let passed = Counter::new();
    let after = passed.clone();
    let work = pin!(async move {
        let began = now();
        while now() < began + A_MOMENT {
            compute(A_MOMENT);
        }
        wait().await;
        after.add();
    });
    fail_after(A_MOMENT / 2, work).await.expect_err("the deadline has passed");
    assert_eq!(passed.get(), 0, "not even one await later");
}
