//! RM: futures with scopes in them that are moved, shared, and kept.

use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::Poll;

use anyrt_core::{
    CancelScope, EffectiveDeadline, Event, Mutex, checkpoint, current_deadline, finally, is_cancelled,
    move_on_after, move_on_at, now, shield, sleep, task_group,
};
use futures::FutureExt;
use futures::future::{BoxFuture, pending};

use crate::by_hand::ByHand;
use crate::counting::Counter;
use crate::time::{A_MOMENT, AN_HOUR, Stopwatch};

pub(crate) async fn rm_01_a_future_that_is_timed_out_again_and_again_finishes() {
    let mut future = pin!(CancelScope::new().run(async |_| {
        sleep(A_MOMENT * 3).await;
        "value"
    }));
    let watch = Stopwatch::start();
    let mut timeouts = 0;
    let result = loop {
        match move_on_after(A_MOMENT, &mut future).await {
            Some(result) => break result,
            None => timeouts += 1,
        }
    };
    watch.has_run_for(A_MOMENT * 3);
    assert_eq!(result.expect("nobody cancelled it"), "value");
    assert!(timeouts >= 1, "it was interrupted on the way");
}

/// What a timeout does to a future that outlives it: a group's children and the work of a `finally`
/// are gone by the first one, a shield is waited for.
pub(crate) async fn rm_02_a_timed_out_group_finally_or_shield_has_a_defined_outcome() {
    // The group's child was cut short by the first timeout. Polled again in a scope that is not
    // cancelled, the group has ended, and its body with it.
    let drops = Counter::new();
    let local = drops.on_drop();
    {
        let mut group = pin!(task_group(async move |group| {
            group.spawn(async move {
                let _local = local;
                pending::<()>().await;
            });
            "body"
        }));
        assert!(move_on_after(A_MOMENT, &mut group).await.is_none());
        assert_eq!(drops.get(), 1, "the child had ended when the timeout returned");
        let again = move_on_after(AN_HOUR, &mut group).await.expect("it does not wait");
        assert_eq!(again.expect("no child failed"), "body");
    }

    // The work of the `finally` was dropped and its clean-up ran, once; it has no value to return.
    let cleaned = Counter::new();
    let clean_up = cleaned.clone();
    {
        let mut guarded = pin!(finally(pending::<()>(), async move |_| {
            checkpoint().await;
            clean_up.add();
        }));
        for _ in 0..3 {
            assert!(move_on_after(A_MOMENT / 3, &mut guarded).await.is_none());
            assert_eq!(cleaned.get(), 1);
        }
    }

    // The shield is waited for.
    let watch = Stopwatch::start();
    let mut shielded = pin!(shield(async {
        sleep(A_MOMENT).await;
        "value"
    }));
    assert_eq!(move_on_after(A_MOMENT / 3, &mut shielded).await, Some("value"));
    watch.has_run_for(A_MOMENT);
}

pub(crate) async fn rm_03_of_two_tasks_that_share_a_future_one_is_cancelled_and_the_other_served() {
    let value = task_group(async |group| {
        let release = Arc::new(Event::new());
        let released = Arc::clone(&release);
        let begun = Arc::new(Event::new());
        let first_began = Arc::clone(&begun);
        let shared = async move {
            let result = CancelScope::new()
                .run(async |_| {
                    first_began.set();
                    released.wait().await;
                    checkpoint().await;
                    "value"
                })
                .await;
            result.expect("nobody cancelled it")
        }
        .boxed()
        .shared();
        let first = group.spawn(shared.clone());
        begun.wait().await;
        let second = group.spawn(shared);
        first.cancel_with("only this one");
        assert!(first.await.expect_err("it was cancelled").is_cancelled());
        release.set();
        second.await.expect("it was not cancelled")
    })
    .await;
    assert_eq!(value.expect("no child fails"), "value");

    // A taker leaves its queue in the cancelled scope, and comes back for the one who is left.
    let lock = Arc::new(Mutex::new(()));
    let guard = lock.lock().await;
    let wanted = Arc::clone(&lock);
    let shared = async move { CancelScope::new().run(async |_| drop(wanted.lock().await)).await.is_ok() }
        .boxed()
        .shared();
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut second = ByHand::new(shared.clone());
    let mut first = ByHand::new(scope.run(async move |_| shared.await));
    assert!(second.poll().is_pending() && first.poll().is_pending());
    handle.cancel_with("only this one");
    assert!(first.poll().is_ready());
    drop(first);
    let woken = second.wakes();
    assert!(woken > 0, "nobody else will poll it");
    assert!(second.poll().is_pending(), "it waits for the lock again");
    drop(guard);
    assert!(second.wakes() > woken);
    assert!(second.poll().is_ready());
}

pub(crate) async fn rm_04_a_future_that_was_begun_goes_on_in_another_task() {
    // With the deadline of its new parent ..
    let soon = now() + AN_HOUR;
    let release = Arc::new(Event::new());
    let begun = begun(Arc::clone(&release)).await;
    let moved = task_group(async move |group| {
        let child = group.spawn(move_on_at(soon, begun));
        release.set();
        child.await.expect("the child ends")
    })
    .await
    .expect("no child fails");
    assert_eq!(moved, Some(Some(soon)));

    // .. and with its cancellation.
    let never = Arc::new(Event::new());
    let future = self::begun(never).await;
    let dropped = Counter::new();
    let local = dropped.on_drop();
    let ended = task_group(async move |group| {
        let child = group.spawn(async move {
            let _local = local;
            future.await
        });
        child.cancel_with("in its new task");
        child.await.expect_err("it was cancelled")
    })
    .await
    .expect("no child fails");
    assert!(ended.is_cancelled());
    assert_eq!(dropped.get(), 1);
}

/// A future with scopes in it, polled once here, under a deadline that it leaves behind. It returns
/// the deadline that it sees in the end.
async fn begun(release: Arc<Event>) -> BoxFuture<'static, Option<std::time::Instant>> {
    let mut future = async move {
        let result = CancelScope::new()
            .run(async |_| {
                let inner = CancelScope::new().run(async |_| {
                    release.wait().await;
                    checkpoint().await;
                    match current_deadline() {
                        EffectiveDeadline::At(deadline) => Some(deadline),
                        _ => None,
                    }
                });
                inner.await.expect("nobody cancels the inner one")
            })
            .await;
        result.expect("nobody cancels the outer one")
    }
    .boxed();
    let here = CancelScope::new().timeout(A_MOMENT);
    let polled = here.run(async |_| futures::poll!(&mut future).is_pending()).await;
    assert!(polled.expect("in time"));
    future
}

pub(crate) async fn rm_05_a_shield_dropped_on_another_thread_releases_its_hold() {
    let scope = CancelScope::new();
    let handle = scope.handle();
    let (hand_over, handed) = mpsc::channel::<BoxFuture<'static, ()>>();
    let run = scope.run(async move |scope| {
        let mut shielded = shield(pending::<()>()).boxed();
        assert!(futures::poll!(&mut shielded).is_pending());
        scope.cancel_with("while the shield is begun");
        hand_over.send(shielded).expect("somebody takes it");
        pending::<()>().await;
    });
    let mut run = ByHand::new(run);
    assert!(run.poll().is_pending(), "the shield alone keeps it");
    let shielded = handed.recv().expect("it was handed over");
    assert!(handle.is_cancelled());
    let woken = run.wakes();
    let elsewhere = std::thread::Builder::new().spawn(move || drop(shielded)).expect("a thread");
    elsewhere.join().expect("dropping it does not panic");
    assert!(run.wakes() > woken, "the end of the last hold wakes it");
    let Poll::Ready(result) = run.poll() else { panic!("nothing holds it any more") };
    assert_eq!(result.expect_err("it was cancelled").reason(), Some("while the shield is begun"));
}

pub(crate) async fn rm_06_a_shield_switched_on_in_a_body_that_returns_leaves_no_hold() {
    let mut run = ByHand::new(CancelScope::new().run(async |outer| {
        outer.cancel_with("before the shield");
        let inner = CancelScope::new().run(async |inner| inner.set_shield(true)).await;
        assert!(inner.is_ok());
        assert!(is_cancelled(), "the shield ended with its scope");
        checkpoint().await;
    }));
    // A hold that ended during the poll may ask for one more of them, and wakes for it; no other does.
    let mut polled = run.poll();
    if polled.is_pending() {
        assert_eq!(run.wakes(), 1, "something still holds it");
        polled = run.poll();
    }
    assert!(matches!(polled, Poll::Ready(Err(_))), "something still holds it");
}

pub(crate) async fn rule_18_a_future_that_outlives_a_cancelled_scope_is_not_cancelled_any_more() {
    let inner = CancelScope::new();
    let handle = inner.handle();
    let mut kept = ByHand::new(inner.run(async |_| pending::<()>().await));
    let outer = CancelScope::new()
        .run(async |scope| {
            assert!(kept.poll().is_pending());
            scope.cancel_with("the outer one");
            assert!(handle.is_cancelled(), "it stands in the cancelled scope");
            checkpoint().await;
        })
        .await;
    outer.expect_err("it was cancelled");
    assert!(!handle.is_cancelled(), "the scope around it is gone, and its cancellation with it");
    assert!(kept.poll().is_pending());
}
