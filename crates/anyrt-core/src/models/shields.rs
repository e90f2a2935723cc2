//! A shield that goes up while what is inside is cancelled: it is in time or too late, and no waiter is left
//! waiting.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use loom::thread;

use super::stage::{Count, check, on_stage, poll_once, with_a_clock};
use crate::group::task_group;
use crate::scope::{CancelScope, finally};
use crate::tree::Cause;
use crate::wait::channel;
use crate::wait::primitives::Event;

/// Runs `inside` in two scopes, while the outer one is cancelled and the inner one is shielded. The event is
/// set after both, so whatever was shielded in time goes on.
fn shielded_while_cancelled<F>(name: &str, inside: fn(Event) -> F)
where
    F: Future<Output = ()> + 'static,
{
    check(name, move || {
        on_stage(async |_| {
            let (outer, inner) = (CancelScope::new(), CancelScope::new());
            let (cancels, shields) = (outer.handle(), inner.handle());
            let happens = Event::new();
            let told = happens.clone();
            thread::spawn(move || {
                cancels.cancel_with("now");
                shields.set_shield(true);
                told.set();
            });
            let ended = outer.run(async |_| inner.run(async |_| inside(happens).await).await).await;
            match ended {
                Ok(saved) => saved.expect("nobody cancels the inner one"),
                Err(cancelled) => assert_eq!(cancelled.reason(), Some("now")),
            }
        });
    });
}

#[test]
fn a_shield_goes_up_while_a_leaf_parks() {
    shielded_while_cancelled("a_shield_goes_up_while_a_leaf_parks", |event: Event| async move {
        event.wait().await
    });
}

#[test]
fn a_shield_goes_up_while_a_child_ends() {
    shielded_while_cancelled("a_shield_goes_up_while_a_child_ends", |event: Event| async move {
        let _ = task_group(async |tg| {
            let _ = tg.spawn(async move { event.wait().await }).await;
        })
        .await;
    });
}

#[test]
fn a_shield_goes_up_while_a_group_ends() {
    shielded_while_cancelled("a_shield_goes_up_while_a_group_ends", |event: Event| async move {
        let _ = task_group(async |tg| drop(tg.spawn(async move { event.wait().await }))).await;
    });
}

#[test]
fn a_shield_goes_up_while_a_child_is_being_started() {
    shielded_while_cancelled("a_shield_goes_up_while_a_child_is_being_started", |event: Event| async move {
        let _ = task_group(async |tg| {
            let _ = tg
                .start(async move |ready| {
                    event.wait().await;
                    ready.started(7);
                })
                .await;
        })
        .await;
    });
}

#[test]
fn a_shield_goes_up_while_the_work_of_a_clean_up_ends() {
    shielded_while_cancelled(
        "a_shield_goes_up_while_the_work_of_a_clean_up_ends",
        |event: Event| async move {
            finally(event.wait(), async |_| ()).await;
        },
    );
}

#[test]
fn a_shield_holds_before_anybody_sees_it() {
    check("a_shield_holds_before_anybody_sees_it", || {
        on_stage(async |_| {
            let (outer, inner) = (CancelScope::new(), CancelScope::new());
            let shields = inner.handle();
            let (seen, kept) = (Count::default(), Count::default());
            let _ = outer
                .run(async |outer| {
                    inner
                        .run(async |inner| {
                            outer.cancel_with("now");
                            thread::spawn(move || shields.set_shield(true));
                            if !inner.is_cancelled() {
                                seen.add();
                                yield_once().await;
                                kept.add();
                            }
                        })
                        .await
                })
                .await;
            assert_eq!(seen.get(), kept.get());
        });
    });
}

/// No leaf of ours.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn a_deadline_passes_while_its_scope_is_told_to_stop() {
    check("a_deadline_passes_while_its_scope_is_told_to_stop", || {
        with_a_clock(async |clock| {
            let scope = CancelScope::new().timeout(Duration::from_secs(1));
            let handle = scope.handle();
            thread::spawn(move || clock.pass());
            thread::spawn(move || handle.cancel_after_with(Duration::from_secs(7200), "no hurry"));
            let ended = scope.run(async |_| pending::<()>().await).await;
            assert_eq!(ended.unwrap_err().cause(), Cause::Deadline);
        });
    });
}

/// A task waits; another thread gives it something, and then cancels it: whenever it is polled, it was given
/// before the cancellation.
async fn given_and_then_cancelled<T>(
    waits: impl Future<Output = T>,
    gives: impl FnOnce() + 'static,
) -> Option<T> {
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut given = None;
    let _ = scope
        .run(async |_| {
            let mut waits = pin!(waits);
            assert!(poll_once(waits.as_mut()).await.is_pending());
            thread::spawn(move || {
                gives();
                handle.cancel_with("after");
            });
            given = Some(waits.await);
        })
        .await;
    given
}

#[test]
fn an_event_happens_before_who_waits_is_cancelled() {
    check("an_event_happens_before_who_waits_is_cancelled", || {
        on_stage(async |_| {
            let event = Event::new();
            let told = event.clone();
            given_and_then_cancelled(event.wait(), move || told.set()).await.unwrap();
        });
    });
}

#[test]
fn an_item_is_sent_before_who_receives_is_cancelled() {
    check("an_item_is_sent_before_who_receives_is_cancelled", || {
        on_stage(async |_| {
            let (sender, receiver) = channel::unbounded();
            let received =
                given_and_then_cancelled(receiver.recv(), move || sender.try_send(7).unwrap()).await;
            assert_eq!(received, Some(Ok(7)));
        });
    });
}

#[test]
fn the_only_item_is_sent_before_who_receives_is_cancelled() {
    check("the_only_item_is_sent_before_who_receives_is_cancelled", || {
        on_stage(async |_| {
            let (sender, mut receiver) = channel::oneshot();
            let received = given_and_then_cancelled(receiver.recv(), move || sender.send(7).unwrap()).await;
            assert_eq!(received, Some(Ok(7)));
        });
    });
}

#[test]
fn an_event_happens_after_who_waits_is_cancelled() {
    check("an_event_happens_after_who_waits_is_cancelled", || {
        on_stage(async |_| {
            let (event, heard) = (Event::new(), Count::default());
            let told = event.clone();
            let _ = CancelScope::new()
                .run(async |scope| {
                    let mut waits = pin!(event.wait());
                    assert!(poll_once(waits.as_mut()).await.is_pending());
                    thread::spawn(move || {
                        scope.cancel_with("before");
                        told.set();
                    });
                    // Not before the cancellation has woken it: a poll that has begun counts as before.
                    let mut slept = false;
                    poll_fn(|_| {
                        if std::mem::replace(&mut slept, true) { Poll::Ready(()) } else { Poll::Pending }
                    })
                    .await;
                    waits.await;
                    heard.add();
                })
                .await;
            assert_eq!(heard.get(), 0);
        });
    });
}
