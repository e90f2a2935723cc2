//! SH: shields, which keep an outer cancellation away, and nothing else.

use std::future::Future;
use std::sync::Arc;

use anyrt_core::{
    CancelScope, Cause, EffectiveDeadline, Event, LocalGroup, ScopeHandle, checkpoint, current_deadline,
    finally, is_cancelled, move_on_after, move_on_at, now, shield, sleep, task_group, wait_all_tasks_blocked,
};
use futures::future::pending;

use crate::counting::Counter;
use crate::time::{A_MOMENT, AN_HOUR, Stopwatch};

pub(crate) async fn sh_01_a_shielded_body_goes_on_while_the_outer_scope_is_cancelled() {
    let watch = Stopwatch::start();
    let result = CancelScope::new()
        .run(async |scope| {
            scope.cancel_with("outside of the shield");
            shield(async {
                checkpoint().await;
                sleep(A_MOMENT).await;
                checkpoint().await;
                "finished"
            })
            .await
        })
        .await;
    watch.has_run_for(A_MOMENT);
    assert_eq!(result.expect("no checkpoint follows the shield"), "finished");
}

pub(crate) async fn sh_02_the_first_checkpoint_after_the_shield_does_not_return() {
    let steps = Counter::new();
    let inside = steps.clone();
    let result = CancelScope::new()
        .run(async move |scope| {
            shield(async {
                scope.cancel_with("outside of the shield");
                checkpoint().await;
                inside.add();
            })
            .await;
            inside.add();
            checkpoint().await;
            inside.add();
        })
        .await;
    assert!(result.is_err());
    assert_eq!(steps.get(), 2);
}

pub(crate) async fn sh_03_a_shielded_scope_can_be_cancelled_itself() {
    let result = CancelScope::new()
        .shield(true)
        .run(async |scope| {
            scope.cancel_with("itself");
            checkpoint().await;
        })
        .await;
    assert_eq!(result.expect_err("it was cancelled").reason(), Some("itself"));
}

pub(crate) async fn sh_04_the_deadline_of_a_shielded_scope_fires() {
    let watch = Stopwatch::start();
    let result = CancelScope::new()
        .run(async |outer| {
            outer.cancel_with("outside of the shield");
            let result =
                CancelScope::new().shield(true).timeout(A_MOMENT).run(async |_| pending::<()>().await).await;
            result.expect_err("its own deadline passed").cause()
        })
        .await;
    watch.has_run_for(A_MOMENT);
    assert_eq!(result.expect("no checkpoint follows the shield"), Cause::Deadline);
}

pub(crate) async fn sh_05_a_scope_inside_a_shield_is_cancelled_on_its_own() {
    let result = CancelScope::new()
        .run(async |outer| {
            outer.cancel_with("outside of the shield");
            shield(async {
                let result = CancelScope::new()
                    .run(async |inner| {
                        checkpoint().await;
                        inner.cancel_with("inside of it");
                        checkpoint().await;
                    })
                    .await;
                checkpoint().await;
                result.expect_err("it was cancelled")
            })
            .await
        })
        .await;
    assert_eq!(result.expect("no checkpoint follows the shield").reason(), Some("inside of it"));
}

pub(crate) async fn sh_07_a_shield_switched_on_protects_until_it_is_switched_off() {
    let steps = Counter::new();
    let inside = steps.clone();
    let result = CancelScope::new()
        .run(async move |outer| {
            outer.cancel_with("before the shield");
            let _ = CancelScope::new()
                .run(async move |inner| {
                    assert!(is_cancelled());
                    inner.set_shield(true);
                    assert!(inner.is_shielded() && !is_cancelled());
                    checkpoint().await;
                    inside.add();
                    inner.set_shield(false);
                    assert!(!inner.is_shielded() && is_cancelled());
                    checkpoint().await;
                    inside.add();
                })
                .await;
        })
        .await;
    assert!(result.is_err());
    assert_eq!(steps.get(), 1);
}

pub(crate) async fn sh_08_a_shield_switched_on_while_a_cancellation_unwinds_does_not_trap_it() {
    // By a destructor ..
    let result = CancelScope::new()
        .run(async |outer| {
            let _ = CancelScope::new()
                .run(async |inner| {
                    let _shields = ShieldsOnDrop(inner);
                    outer.cancel_with("now");
                    pending::<()>().await;
                })
                .await;
        })
        .await;
    assert_eq!(result.expect_err("the outer one catches").reason(), Some("now"));

    // .. and by a clean-up that awaits.
    let result = CancelScope::new()
        .run(async |outer| {
            let _ = CancelScope::new()
                .run(async |inner| {
                    outer.cancel_with("now");
                    finally(pending::<()>(), async |_| {
                        inner.set_shield(true);
                        checkpoint().await;
                    })
                    .await;
                })
                .await;
        })
        .await;
    assert_eq!(result.expect_err("the outer one catches").reason(), Some("now"));
}

pub(crate) async fn sh_09_inside_a_shield_the_outer_deadlines_are_out_of_sight() {
    let soon = now() + AN_HOUR;
    let late = soon + AN_HOUR;
    let checked = move_on_at(soon, async {
        shield(async {
            assert!(matches!(current_deadline(), EffectiveDeadline::None));
        })
        .await;
        let own = CancelScope::new().shield(true).deadline(late);
        own.run(async |_| assert!(matches!(current_deadline(), EffectiveDeadline::At(at) if at == late)))
            .await
            .expect("in time");
        assert!(matches!(current_deadline(), EffectiveDeadline::At(at) if at == soon));
    })
    .await;
    assert!(checked.is_some());
}

pub(crate) async fn sh_10_a_pending_cancellation_is_out_of_sight_inside_a_shield() {
    let result = CancelScope::new()
        .run(async |scope| {
            scope.cancel_with("outside of the shield");
            assert!(is_cancelled());
            shield(async {
                assert!(!is_cancelled());
                checkpoint().await;
                assert!(!is_cancelled());
            })
            .await;
            assert!(is_cancelled());
        })
        .await;
    assert!(result.is_ok());
}

pub(crate) async fn sh_12_a_shielded_child_keeps_its_group_open() {
    let finished = Counter::new();
    let inside = finished.clone();
    let value = task_group(async move |group| {
        let release = Arc::new(Event::new());
        let released = Arc::clone(&release);
        group.spawn(async move {
            shield(async {
                released.wait().await;
                checkpoint().await;
            })
            .await;
            inside.add();
        });
        group.cancel_with("now");
        // So far the child cannot have ended.
        assert!(!group.is_closed());
        release.set();
        "body"
    })
    .await;
    assert_eq!(value.expect("the body ended by itself"), "body");
    assert_eq!(finished.get(), 1, "the child's shield was over first");
}

pub(crate) async fn sh_13_an_async_clean_up_completes_and_the_cancellation_goes_on() {
    let steps = Counter::new();
    let (work, clean_up, after) = (steps.clone(), steps.clone(), steps.clone());
    let result = CancelScope::new()
        .run(async move |scope| {
            let local = work.on_drop();
            finally(
                async {
                    let _local = local;
                    scope.cancel_with("at work");
                    checkpoint().await;
                    panic!("the checkpoint returned");
                },
                async move |_| {
                    assert_eq!(clean_up.get(), 1, "the work was dropped before its clean-up began");
                    checkpoint().await;
                    shield(checkpoint()).await;
                    clean_up.add();
                },
            )
            .await;
            after.add();
        })
        .await;
    assert_eq!(result.expect_err("the cancellation goes on").reason(), Some("at work"));
    assert_eq!(steps.get(), 2, "what follows the clean-up does not run");
}

pub(crate) async fn sh_15_of_three_scopes_two_are_cancelled_around_a_shielded_one() {
    let steps = Counter::new();
    let inside = steps.clone();
    let result = CancelScope::new()
        .run(async move |outer| {
            let after = inside.clone();
            let _ = CancelScope::new()
                .run(async move |middle| {
                    let shielded = CancelScope::new()
                        .shield(true)
                        .run(async |_| {
                            middle.cancel_with("middle");
                            outer.cancel_with("outer");
                            checkpoint().await;
                        })
                        .await;
                    assert!(shielded.is_ok());
                    inside.add();
                    checkpoint().await;
                    inside.add();
                })
                .await;
            checkpoint().await;
            after.add();
        })
        .await;
    assert_eq!(result.expect_err("the outermost one catches").reason(), Some("outer"));
    assert_eq!(steps.get(), 1, "no checkpoint after the shield returned");
}

pub(crate) async fn rule_24_a_shield_switched_off_wakes_who_sleeps_inside() {
    let result = CancelScope::new()
        .run(async |outer| {
            outer.cancel_with("before");
            let inner = CancelScope::new().shield(true);
            let handle = inner.handle();
            let asleep = inner.run(async |_| pending::<()>().await);
            // The scope is polled first, so that it sleeps when its shield goes.
            let _ = futures::join!(asleep, async move { handle.set_shield(false) });
        })
        .await;
    assert_eq!(result.expect_err("the outer one catches").reason(), Some("before"));
}

pub(crate) async fn rule_25_a_shield_in_the_host_does_not_protect_the_children() {
    let drops = Counter::new();
    let counted = drops.clone();
    let result = CancelScope::new()
        .run(async move |scope| {
            task_group(async move |group| {
                let local = counted.on_drop();
                let child = group.spawn(async move {
                    let _local = local;
                    pending::<()>().await;
                });
                scope.cancel_with("now");
                shield(async {
                    assert!(child.await.expect_err("the child was cancelled").is_cancelled());
                    counted.add();
                })
                .await;
            })
            .await
        })
        .await;
    assert_eq!(drops.get(), 2, "the shield saw the end of the child");
    drop(result);
}

pub(crate) async fn rule_22_a_timeout_inside_a_shield_fires() {
    let watch = Stopwatch::start();
    let result = shield(move_on_after(A_MOMENT, pending::<()>())).await;
    watch.has_run_for(A_MOMENT);
    assert_eq!(result, None);
}

/// What is inside an inner scope, in a task of its own, when in one step the outer one is cancelled and the inner
/// one shielded; whether it went on.
async fn step_around<F>(inside: impl FnOnce(Event, Counter) -> F + Send + 'static) -> (bool, usize)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (outer, inner) = (CancelScope::new(), CancelScope::new());
    let (cancels, shields) = (outer.handle(), inner.handle());
    let (event, went_on) = (Event::new(), Counter::new());
    let inside = inside(event.clone(), went_on.clone());
    let ended = task_group(async move |group| {
        let waits = group
            .spawn(async move { outer.run(async |_| inner.run(async |_| inside.await).await).await.is_ok() });
        wait_all_tasks_blocked().await;
        cancels.cancel_with("now");
        shields.set_shield(true);
        event.set();
        waits.await
    })
    .await;
    (ended.expect("nobody cancels the group").expect("nor the task"), went_on.get())
}

pub(crate) async fn rule_66_a_shield_in_the_step_of_the_cancellation_is_too_late_for_who_waits() {
    for _ in 0..20 {
        let alone = step_around(async |event: Event, went_on: Counter| {
            event.wait().await;
            went_on.add();
        });
        assert_eq!(alone.await, (false, 0));
        let in_a_group = step_around(async |event: Event, went_on: Counter| {
            let _ = task_group(async move |group| {
                group.spawn(async move {
                    event.wait().await;
                    went_on.add();
                });
            })
            .await;
        });
        assert_eq!(in_a_group.await, (false, 0));
        let in_a_borrowing_scope = step_around(async |event: Event, went_on: Counter| {
            let _ = scope_send(&event, &went_on).await;
        });
        assert_eq!(in_a_borrowing_scope.await, (false, 0));
    }
}

async fn scope_send(event: &Event, went_on: &Counter) {
    let _ = LocalGroup::sendable()
        .run(async |children| {
            children.spawn(async {
                event.wait().await;
                went_on.add();
            });
        })
        .await;
}

pub(crate) async fn rule_66_a_shield_in_the_step_of_the_cancellation_is_in_time_for_who_runs() {
    // By itself, after it was woken ..
    let (outer, inner) = (CancelScope::new(), CancelScope::new());
    let (cancels, shields) = (outer.handle(), inner.handle());
    let steps = Counter::new();
    let counts = steps.clone();
    let _ = outer
        .run(async move |_| {
            inner
                .run(async move |_| {
                    checkpoint().await;
                    cancels.cancel_with("now");
                    shields.set_shield(true);
                    checkpoint().await;
                    counts.add();
                })
                .await
        })
        .await;
    assert_eq!(steps.get(), 1);

    // .. after it was handed something before the cancellation ..
    let counts = steps.clone();
    task_group(async move |group| {
        let (outer, inner) = (CancelScope::new(), CancelScope::new());
        let (cancels, shields) = (outer.handle(), inner.handle());
        let event = Event::new();
        let told = event.clone();
        group.spawn(async move {
            let inside = async move || {
                told.wait().await;
                shields.set_shield(true);
                checkpoint().await;
                counts.add();
            };
            let _ = outer.run(async |_| inner.run(async |_| inside().await).await).await;
        });
        wait_all_tasks_blocked().await;
        event.set();
        cancels.cancel_with("now");
    })
    .await
    .expect("nobody cancels the group");
    assert_eq!(steps.get(), 2);

    // .. and by a thread, while it computes.
    let counts = steps.clone();
    let _ = CancelScope::new()
        .run(async move |outer| {
            CancelScope::new()
                .run(async move |inner| {
                    checkpoint().await;
                    let other = std::thread::Builder::new().name("shields".to_owned()).spawn(move || {
                        outer.cancel_with("now");
                        inner.set_shield(true);
                    });
                    other.expect("a thread").join().expect("it does not panic");
                    checkpoint().await;
                    counts.add();
                })
                .await
        })
        .await;
    assert_eq!(steps.get(), 3);
}

pub(crate) async fn rule_66_a_shield_taken_down_and_put_up_in_one_step_is_too_late_for_who_waits() {
    let (outer, inner) = (CancelScope::new(), CancelScope::new().shield(true));
    let (cancels, shields) = (outer.handle(), inner.handle());
    let ended = task_group(async move |group| {
        let waits = group.spawn(async move {
            outer.run(async |_| inner.run(async |_| pending::<()>().await).await).await.is_ok()
        });
        wait_all_tasks_blocked().await;
        cancels.cancel_with("now");
        shields.set_shield(false);
        shields.set_shield(true);
        waits.await
    })
    .await;
    assert!(!ended.expect("nobody cancels the group").expect("nor the task"), "it waited without a shield");
}

/// Shields a scope when it is dropped.
struct ShieldsOnDrop(ScopeHandle);

impl Drop for ShieldsOnDrop {
    fn drop(&mut self) {
        self.0.set_shield(true);
    }
}
