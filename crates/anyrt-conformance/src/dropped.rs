//! RD: what becomes of groups, shields and clean-ups that foreign code drops.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use anyrt_core::{
    CancelScope, Either, Event, Exit, GroupError, Run, Runtime, checkpoint, finally, race, shield, task_group,
};
use futures::FutureExt;
use futures::future::{Either as First, pending, select};

use crate::by_hand::ByHand;
use crate::counting::Counter;
use crate::endings::{Failure, failures};
use crate::time::A_MOMENT;
use crate::warnings::Warnings;

/// A group whose child says that it has begun, and whose clean-up awaits before it counts.
fn group_with_a_clean_up(begun: Event, cleaned: Counter) -> impl Future<Output = Result<(), GroupError>> {
    task_group(async move |group| {
        group.spawn(finally(
            async move {
                begun.set();
                pending::<()>().await;
            },
            async move |_| {
                checkpoint().await;
                checkpoint().await;
                cleaned.add();
            },
        ));
        pending::<()>().await;
    })
}

pub(crate) async fn rd_01_a_group_that_a_select_drops_is_waited_for_by_the_group_around() {
    let cleaned = Counter::new();
    let counted = cleaned.clone();
    let value = task_group(async move |_| {
        let inside = Event::new();
        let inner = group_with_a_clean_up(inside.clone(), counted);
        match select(Box::pin(inner), inside.wait()).await {
            First::Left((ended, _)) => panic!("it ended by itself: {ended:?}"),
            First::Right(((), inner)) => drop(inner),
        }
        "body"
    })
    .await;
    assert_eq!(value.expect("no child fails"), "body");
    assert_eq!(cleaned.get(), 1, "the outer group waited for the clean-up");
}

pub(crate) async fn rd_02_the_error_and_the_panic_of_an_orphan_reach_the_group_around() {
    let result = task_group(async |_| {
        drop_a_group_of(async |release| {
            shield(release.wait()).await;
            Err::<(), _>(Failure("orphan"))
        })
        .await;
    })
    .await;
    assert_eq!(failures(&result.expect_err("the orphan failed")), ["orphan"]);

    let result = AssertUnwindSafe(task_group(async |_| {
        drop_a_group_of(async |release| {
            shield(release.wait()).await;
            panic!("orphan");
            #[expect(unreachable_code, reason = "it says of what type the child is")]
            Ok::<(), Failure>(())
        })
        .await;
    }))
    .catch_unwind()
    .await;
    assert_eq!(result.expect_err("the orphan panicked").downcast_ref(), Some(&"orphan"));
}

/// Drops a group whose only child is in `child`, then sets the event that `child` was given.
async fn drop_a_group_of<F, Fut>(child: F)
where
    F: FnOnce(Event) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let (inside, release) = (Event::new(), Event::new());
    let (entered, released) = (inside.clone(), release.clone());
    let mut inner = ByHand::new(task_group(async move |inner| {
        inner.try_spawn(async move {
            let child = child(released);
            entered.set();
            child.await
        });
        pending::<()>().await;
    }));
    assert!(inner.poll().is_pending());
    inside.wait().await;
    checkpoint().await;
    inner.drop_future();
    release.set();
}

pub(crate) fn rd_03_a_dropped_finally_does_not_clean_up_and_an_owned_one_does(runtime: Arc<dyn Runtime>) {
    let (in_place, owned, works) = (Counter::new(), Counter::new(), Counter::new());
    let (counted, owned_counts, work) = (in_place.clone(), owned.clone(), works.on_drop());
    let seen = owned.clone();
    let warnings = Warnings::of("anyrt_core::scope::finally");
    let told = warnings.clone();
    // The root is polled on this thread, so this is where it warns.
    warnings.catch(|| {
        Run::on(runtime)
            .run(async move {
                let mut dropped = ByHand::new(finally(pending::<()>(), async move |_| {
                    counted.add();
                }));
                assert!(dropped.poll().is_pending());
                dropped.drop_future();
                assert_eq!(told.caught().len(), 1, "{:?}", told.caught());

                let work = async move {
                    let _local = work;
                    pending::<()>().await;
                };
                let mut dropped = ByHand::new(
                    finally(work, async move |_| {
                        checkpoint().await;
                        owned_counts.add();
                    })
                    .owned(),
                );
                assert!(dropped.poll().is_pending());
                dropped.drop_future();
                assert_eq!(told.caught().len(), 1, "this one has lost nothing: {:?}", told.caught());
                // Before the run ends: its end would cancel the work as well.
                while seen.get() == 0 {
                    checkpoint().await;
                }
            })
            .expect("the run ends well");
    });
    assert_eq!(in_place.get(), 0, "it was dropped with its owner");
    assert_eq!(works.get(), 1, "the work was cancelled");
    assert_eq!(owned.get(), 1, "the run waited for its clean-up");
}

pub(crate) async fn rd_04_the_losers_of_a_race_have_cleaned_up_when_it_returns() {
    let cleaned = Counter::new();
    let counted = cleaned.clone();
    let loser = finally(pending::<()>(), async move |_| {
        checkpoint().await;
        counted.add();
    });
    let won = race(loser, async {
        checkpoint().await;
        7
    })
    .await;
    assert_eq!(won, Either::Right(7));
    assert_eq!(cleaned.get(), 1);
}

pub(crate) fn rule_39_an_owned_shield_goes_on_at_the_root(runtime: Arc<dyn Runtime>) {
    let finished = Counter::new();
    let counted = finished.clone();
    Run::on(runtime)
        .run(async move {
            let release = Event::new();
            let released = release.clone();
            let mut dropped = ByHand::new(
                shield(async move {
                    released.wait().await;
                    checkpoint().await;
                    counted.add();
                })
                .owned(),
            );
            assert!(dropped.poll().is_pending());
            dropped.drop_future();
            release.set();
        })
        .expect("the run ends well");
    assert_eq!(finished.get(), 1, "the run waited for it, and did not cancel it");
}

pub(crate) fn rule_39_what_is_owned_keeps_its_limit_at_the_root(runtime: Arc<dyn Runtime>) {
    let cleaned = Counter::new();
    let counted = cleaned.clone();
    let warnings = Warnings::of("anyrt::grace");
    let told = warnings.clone();
    // What goes on at the root is polled on the threads of the runtime too: only the counts are looked at there.
    warnings.catch(|| {
        Run::on(runtime)
            .run(async move {
                let guard = counted.on_drop();
                let limited = async move {
                    let _guard = guard;
                    pending::<()>().await;
                };
                let mut dropped = ByHand::new(shield(limited).within(A_MOMENT).owned());
                assert!(dropped.poll().is_pending());
                dropped.drop_future();

                let guard = counted.on_drop();
                let clean_up = async move |exit| {
                    let _guard = guard;
                    assert!(matches!(exit, Exit::Cancelled(_)), "{exit:?}");
                    pending::<()>().await;
                };
                let mut dropped = ByHand::new(finally(pending::<()>(), clean_up).within(A_MOMENT).owned());
                assert!(dropped.poll().is_pending());
                dropped.drop_future();
                assert_eq!((counted.get(), told.caught().len()), (0, 0), "nothing is over yet");
            })
            .expect("the run ends well");
    });
    assert_eq!(cleaned.get(), 2, "the run waited for both until their time was over");
}

pub(crate) async fn rule_39_an_owned_shield_and_clean_up_in_place_are_as_the_others() {
    assert_eq!(shield(async { 7 }).owned().await, 7);
    let cleaned = Counter::new();
    let counted = cleaned.clone();
    let value = finally(
        async {
            checkpoint().await;
            7
        },
        async move |_| {
            counted.add();
        },
    )
    .owned();
    assert_eq!((value.await, cleaned.get()), (7, 1));

    // In a cancelled scope both are finished before it is left.
    let steps = Counter::new();
    for owned in [shield_and_clean_up(&steps), clean_up_after_pending(&steps)] {
        let before = steps.get();
        let result = anyrt_core::CancelScope::new()
            .run(async |scope| {
                scope.cancel_with("at once");
                owned.await;
            })
            .await;
        assert!(result.is_err());
        assert_eq!(steps.get(), before + 1);
    }

    // Dropped without a poll, nothing was begun.
    let never = steps.clone();
    drop(
        finally(async {}, async move |_| {
            never.add();
        })
        .owned(),
    );
    // What is dropped leaves its scope at once, with its hold.
    let left = anyrt_core::CancelScope::new()
        .run(async |scope| {
            let never = Event::new();
            let mut dropped = ByHand::new(
                shield({
                    let never = never.clone();
                    async move { never.wait().await }
                })
                .owned(),
            );
            assert!(dropped.poll().is_pending());
            dropped.drop_future();
            scope.cancel_with("no shield is left in here");
            let _sets = crate::endings::SetsOnDrop(Arc::new(never));
            pending::<()>().await;
        })
        .await;
    assert!(left.is_err());
    assert_eq!(steps.get(), 2);
}

fn shield_and_clean_up(steps: &Counter) -> futures::future::BoxFuture<'static, ()> {
    let steps = steps.clone();
    Box::pin(async move {
        shield(async move {
            checkpoint().await;
            steps.add();
        })
        .owned()
        .await;
        checkpoint().await;
    })
}

fn clean_up_after_pending(steps: &Counter) -> futures::future::BoxFuture<'static, ()> {
    let steps = steps.clone();
    Box::pin(
        finally(pending::<()>(), async move |_| {
            checkpoint().await;
            steps.add();
        })
        .owned(),
    )
}

pub(crate) async fn rule_39_a_group_that_outlived_its_scope_and_is_dropped_is_waited_for_by_the_group_around()
{
    let cleaned = Counter::new();
    let counted = cleaned.clone();
    let value = task_group(async move |_| {
        let inside = Event::new();
        let mut inner = Box::pin(group_with_a_clean_up(inside.clone(), counted));
        // It is begun in a scope that ends before it.
        let scope = CancelScope::new();
        let begun = scope.run(async |_| match select(inner.as_mut(), inside.wait()).await {
            First::Left((ended, _)) => panic!("it ended by itself: {ended:?}"),
            First::Right(((), _)) => "begun",
        });
        let begun = begun.await.expect("nobody cancels it");
        drop(inner);
        begun
    })
    .await;
    assert_eq!(value.expect("no child fails"), "begun");
    assert_eq!(cleaned.get(), 1, "the outer group waited for the clean-up");
}
