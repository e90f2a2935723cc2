//! Clean-up: what a scope runs at its end, and the grace that a clean-up may be given.

use std::panic::{AssertUnwindSafe, panic_any};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyrt_core::{
    BoxError, CancelScope, Cause, Event, Exit, Run, Runtime, checkpoint, finally, is_cancelled, local_group,
    move_on_after, shield, sleep, task_group, try_task_group,
};
use futures::FutureExt;
use futures::future::pending;

use crate::by_hand::ByHand;
use crate::counting::Counter;
use crate::endings::Failure;
use crate::time::{A_MOMENT, AN_HOUR, Stopwatch};
use crate::warnings::Warnings;

/// What happened, in its order.
#[derive(Debug, Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, entry: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry.into());
    }

    fn entries(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A clean-up that awaits, then notes its name and what it was told.
    fn clean_up(
        &self,
        name: &'static str,
    ) -> impl FnOnce(Exit) -> futures::future::BoxFuture<'static, ()> + use<> {
        let diary = self.clone();
        move |exit| {
            Box::pin(async move {
                checkpoint().await;
                assert!(!is_cancelled(), "it is shielded");
                let told = match exit {
                    Exit::Finished => "finished".to_owned(),
                    Exit::Failed => "failed".to_owned(),
                    Exit::Cancelled(cancelled) => format!("{:?}", cancelled.cause()),
                    Exit::Panicked => "panicked".to_owned(),
                    _ => "something new".to_owned(),
                };
                diary.note(format!("{name}: {told}"));
            })
        }
    }
}

pub(crate) async fn exit_clean_ups_run_in_reverse_order_and_are_told_the_end() {
    let diary = Diary::default();
    let noted = diary.clone();
    let result = CancelScope::new()
        .run(async move |scope| {
            scope.on_exit(noted.clean_up("first"));
            checkpoint().await;
            scope.on_exit(noted.clean_up("second"));
            noted.note("body");
            7
        })
        .await;
    assert_eq!(result.expect("nobody cancelled it"), 7);
    assert_eq!(diary.entries(), ["body", "second: finished", "first: finished"]);
}

pub(crate) async fn exit_clean_ups_run_in_a_scope_that_is_cancelled_itself() {
    let diary = Diary::default();
    let noted = diary.clone();
    let result = CancelScope::new()
        .timeout(A_MOMENT)
        .run(async move |scope| {
            scope.on_exit(noted.clean_up("clean-up"));
            pending::<()>().await;
        })
        .await;
    assert_eq!(result.expect_err("its deadline passed").cause(), Cause::Deadline);
    assert_eq!(diary.entries(), ["clean-up: Deadline"]);
}

pub(crate) async fn exit_clean_ups_run_before_the_scope_around_is_left() {
    let diary = Diary::default();
    let noted = diary.clone();
    let result = CancelScope::new()
        .run(async move |outer| {
            let inner = CancelScope::new();
            let ended = inner
                .run(async |inner| {
                    inner.on_exit(noted.clean_up("inner"));
                    outer.cancel_with("all of it");
                    pending::<()>().await;
                })
                .await;
            noted.note(format!("after the inner scope: {ended:?}"));
        })
        .await;
    assert_eq!(result.expect_err("it was cancelled").reason(), Some("all of it"));
    assert_eq!(diary.entries(), ["inner: Explicit"], "and nothing after the inner scope");
}

pub(crate) async fn exit_clean_ups_hold_what_is_around_before_they_begin() {
    let diary = Diary::default();
    let noted = diary.clone();
    let result = CancelScope::new()
        .run(async move |outer| {
            let mut inner = Box::pin(CancelScope::new().run(async |inner| {
                inner.on_exit(noted.clean_up("inner"));
                pending::<()>().await;
            }));
            assert!(futures::poll!(inner.as_mut()).is_pending());
            outer.cancel_with("all of it");
            // Who waits goes on in a cancelled scope only while something holds it.
            let set = Event::new();
            set.set();
            set.wait().await;
            noted.note("the body goes on");
            inner.await
        })
        .await;
    assert_eq!(result.expect_err("it was cancelled").reason(), Some("all of it"));
    assert_eq!(diary.entries(), ["the body goes on", "inner: Explicit"]);
}

pub(crate) async fn exit_clean_ups_that_are_nested_run_innermost_first() {
    let diary = Diary::default();
    let noted = diary.clone();
    let result = CancelScope::new()
        .run(async move |outer| {
            outer.on_exit(noted.clean_up("outer scope"));
            let note = noted.clone();
            let work = async {
                CancelScope::new()
                    .run(async |inner| {
                        inner.on_exit(noted.clean_up("inner scope"));
                        let note = noted.clone();
                        finally(pending::<()>(), async |_| {
                            checkpoint().await;
                            note.note("inner finally");
                        })
                        .await;
                    })
                    .await
            };
            outer.cancel_with("all of it");
            finally(work, async |_| {
                checkpoint().await;
                note.note("outer finally");
            })
            .await
        })
        .await;
    result.map(drop).expect_err("it was cancelled");
    let order = ["inner finally", "inner scope: Explicit", "outer finally", "outer scope: Explicit"];
    assert_eq!(diary.entries(), order);
}

pub(crate) async fn exit_clean_ups_run_when_the_body_panics_and_the_panic_goes_on() {
    let diary = Diary::default();
    let noted = diary.clone();
    let run = CancelScope::new().run(async move |scope| {
        scope.on_exit(noted.clean_up("first"));
        scope.on_exit(async |_| panic_any("of a clean-up"));
        scope.on_exit(noted.clean_up("third"));
        checkpoint().await;
        panic_any("of the body");
    });
    let payload = AssertUnwindSafe(run).catch_unwind().await.map(drop).expect_err("it panicked");
    assert_eq!(payload.downcast_ref(), Some(&"of the body"), "the first panic goes on");
    assert_eq!(diary.entries(), ["third: panicked", "first: panicked"]);
}

pub(crate) async fn exit_a_clean_up_that_panics_is_heard_after_the_others_have_run() {
    let diary = Diary::default();
    let noted = diary.clone();
    let run = CancelScope::new().run(async move |scope| {
        scope.on_exit(noted.clean_up("first"));
        scope.on_exit(async |_| panic_any("of a clean-up"));
    });
    let payload = AssertUnwindSafe(run).catch_unwind().await.map(drop).expect_err("it panicked");
    assert_eq!(payload.downcast_ref(), Some(&"of a clean-up"));
    assert_eq!(diary.entries(), ["first: finished"]);
}

pub(crate) async fn exit_clean_ups_of_a_group_run_when_its_children_have_ended() {
    let diary = Diary::default();
    let noted = diary.clone();
    let result = task_group(async move |group| {
        group.cancel_scope().on_exit(noted.clean_up("group"));
        let note = noted.clone();
        group.spawn(async move {
            checkpoint().await;
            note.note("child");
        });
        7
    })
    .await;
    assert_eq!(result.expect("nothing failed"), 7);
    assert_eq!(diary.entries(), ["child", "group: finished"]);

    let diary = Diary::default();
    let noted = diary.clone();
    let result = task_group(async move |group| {
        group.cancel_scope().on_exit(noted.clean_up("group"));
        group.try_spawn(async { Err::<(), _>(Failure("boom")) });
        pending::<()>().await;
    })
    .await;
    assert_eq!(result.expect_err("a child failed").downcast_ref(), Some(&Failure("boom")));
    assert_eq!(diary.entries(), ["group: failed"]);
}

pub(crate) async fn exit_clean_ups_of_a_borrowing_scope_hold_what_is_around_it() {
    let diary = Diary::default();
    let noted = diary.clone();
    let passed = move_on_after(A_MOMENT, async move {
        let _ = local_group(async |children| {
            children.cancel_scope().on_exit(noted.clean_up("scope"));
            children.spawn(pending::<()>());
        })
        .await;
        noted.note("after the scope");
    })
    .await;
    assert_eq!(passed, None);
    assert_eq!(diary.entries(), ["scope: finished"], "its body had ended, and a child was cut short");
}

pub(crate) async fn exit_an_outer_cancel_while_cleaning_up_goes_to_the_outer_scope() {
    let after = Counter::new();
    let passed = after.clone();
    let result = CancelScope::new()
        .run(async move |outer| {
            let _ = CancelScope::new()
                .run(async |inner| {
                    inner.on_exit(async move |_| {
                        outer.cancel_with("from the clean-up");
                        checkpoint().await;
                    });
                    inner.cancel_with("inner");
                    checkpoint().await;
                })
                .await;
            passed.add();
        })
        .await;
    assert_eq!(result.expect_err("the outer one").reason(), Some("from the clean-up"));
    assert_eq!(after.get(), 0);
}

pub(crate) fn exit_clean_ups_of_a_scope_that_is_dropped_run_at_the_root(runtime: Arc<dyn Runtime>) {
    let diary = Diary::default();
    let noted = diary.clone();
    Run::on(runtime)
        .run(async move {
            let before = noted.clone();
            let mut dropped = ByHand::new(CancelScope::new().run(async move |scope| {
                scope.on_exit(before.clean_up("scope"));
                pending::<()>().await;
            }));
            assert!(dropped.poll().is_pending());
            dropped.drop_future();

            // One that was dropped on the way goes on where it was.
            let (begun, release) = (Event::new(), Event::new());
            let (begins, released, midway) = (begun.clone(), release.clone(), noted.clone());
            let mut dropped = ByHand::new(CancelScope::new().run(async move |scope| {
                scope.on_exit(midway.clean_up("after it"));
                scope.on_exit(async move |_| {
                    begins.set();
                    released.wait().await;
                    midway.note("midway");
                });
            }));
            assert!(dropped.poll().is_pending());
            assert!(begun.is_set());
            dropped.drop_future();
            release.set();

            // And one that comes too late runs all the same.
            let scope = CancelScope::new();
            let handle = scope.handle();
            scope.run(async |_| ()).await.expect("nobody cancelled it");
            handle.on_exit(noted.clean_up("late"));
        })
        .expect("the run ends well");
    let mut entries = diary.entries();
    entries.sort();
    assert_eq!(entries, ["after it: finished", "late: finished", "midway", "scope: Dropped"]);
}

pub(crate) fn exit_a_clean_up_that_outlives_its_grace_is_cancelled_and_named(runtime: Arc<dyn Runtime>) {
    let warnings = Warnings::of("anyrt::grace");
    let told = warnings.clone();
    // The root is polled on this thread, so this is where it warns.
    warnings.catch(|| {
        Run::on(runtime)
            .run(async move {
                let watch = Stopwatch::start();
                let value = finally(async { 7 }, async |_| sleep(AN_HOUR).await).within(A_MOMENT).await;
                watch.has_run_for(A_MOMENT);
                assert_eq!((value, told.caught().len()), (7, 1), "{:?}", told.caught());
                assert!(told.caught()[0].contains(file!()), "{:?}", told.caught());

                assert_eq!(shield(sleep(AN_HOUR)).within(A_MOMENT).await, None);
                let value =
                    finally(async { 8 }, async |_| sleep(AN_HOUR).await).within(A_MOMENT).owned().await;
                assert_eq!((value, told.caught().len()), (8, 3));

                let scope = CancelScope::new().run(async |scope| {
                    scope.on_exit_within(A_MOMENT, async |_| sleep(AN_HOUR).await);
                    9
                });
                assert_eq!((scope.await.ok(), told.caught().len()), (Some(9), 4));

                // In time, nothing is told.
                let value = finally(async { 1 }, async |_| checkpoint().await).within(AN_HOUR).await;
                assert_eq!((value, shield(async { 2 }).within(AN_HOUR).await), (1, Some(2)));
                assert_eq!(told.caught().len(), 4);
            })
            .expect("the run ends well");
    });
}

pub(crate) fn exit_a_shield_that_is_held_beyond_its_grace_is_named_once(runtime: Arc<dyn Runtime>) {
    let warnings = Warnings::of("anyrt::grace");
    let told = warnings.clone();
    warnings.catch(|| {
        Run::on(runtime)
            .run(async move {
                let done = shield(async {
                    shield(async {
                        sleep(A_MOMENT).await;
                        assert_eq!(told.caught().len(), 1, "while it is held");
                    })
                    .await;
                    "held"
                })
                .within(Duration::ZERO)
                .await;
                assert_eq!(done, Some("held"), "no checkpoint follows");
                assert_eq!(told.caught().len(), 1, "{:?}", told.caught());
            })
            .expect("the run ends well");
    });
}

pub(crate) async fn exit_a_grace_counts_in_a_cancelled_scope_too() {
    let result = CancelScope::new()
        .run(async |scope| {
            scope.cancel_with("now");
            finally(pending::<()>(), async |_| sleep(AN_HOUR).await).within(Duration::ZERO).await;
        })
        .await;
    assert_eq!(result.expect_err("it was cancelled").reason(), Some("now"));
}

pub(crate) async fn exit_the_clean_up_of_a_finally_is_told_how_the_work_ended() {
    let diary = Diary::default();
    assert_eq!(finally(async { 7 }, diary.clean_up("value")).await, 7);
    assert_eq!(finally(async { 7 }, diary.clean_up("owned value")).owned().await, 7);

    // What the work returned is for its caller to judge.
    let failed = finally(async { Err::<(), _>(Failure("no")) }, diary.clean_up("error")).await;
    assert_eq!(failed, Err(Failure("no")));

    let panics = || async { panic_any(Failure("a panic")) };
    let work = AssertUnwindSafe(finally(panics(), diary.clean_up("panic")));
    assert!(work.catch_unwind().await.is_err());
    let work = AssertUnwindSafe(finally(panics(), diary.clean_up("owned panic")).within(AN_HOUR).owned());
    assert!(work.catch_unwind().await.is_err());

    let cut = CancelScope::new().run(async |scope| {
        scope.cancel();
        finally(pending::<()>(), diary.clean_up("cut")).within(AN_HOUR).await;
    });
    assert!(cut.await.is_err());
    let cut = CancelScope::new().run(async |scope| {
        scope.cancel();
        finally(pending::<()>(), diary.clean_up("owned cut")).owned().await;
    });
    assert!(cut.await.is_err());

    let expected = [
        "value: finished",
        "owned value: finished",
        "error: finished",
        "panic: panicked",
        "owned panic: panicked",
        "cut: Explicit",
        "owned cut: Explicit",
    ];
    assert_eq!(diary.entries(), expected);
}

/// What a task may be made of: work that ends in a type with a `dyn` in it, and a closure as clean-up.
pub(crate) async fn exit_a_finally_of_fallible_work_is_spawned() {
    async fn work() -> Result<u32, BoxError> {
        checkpoint().await;
        Ok(7)
    }
    let diary = Diary::default();
    let (direct, inside) = (diary.clean_up("direct"), diary.clone());
    let sum = try_task_group(async |group| {
        let direct = group.try_spawn(finally(work(), async move |exit| direct(exit).await));
        let inside = group.try_spawn(async move {
            // Both borrow from the task around.
            finally(work(), async |exit| inside.clean_up("inside")(exit).await).await
        });
        let owned = group.try_spawn(finally(work(), async |_| checkpoint().await).within(AN_HOUR).owned());
        Ok(direct.await? + inside.await? + owned.await?)
    })
    .await;
    assert_eq!(sum.expect("nothing failed"), 21);
    assert_eq!(diary.entries().len(), 2);
}

pub(crate) async fn exit_within_and_owned_are_said_before_the_first_poll() {
    let mut shielded = shield(Box::pin(pending::<()>()));
    assert!(futures::poll!(&mut shielded).is_pending());
    assert!(std::panic::catch_unwind(AssertUnwindSafe(move || shielded.owned())).is_err());

    let clean_up = |_| -> futures::future::Ready<()> { unreachable!("the work has not ended") };
    let mut guarded = finally(Box::pin(pending::<()>()), clean_up);
    assert!(futures::poll!(&mut guarded).is_pending());
    assert!(std::panic::catch_unwind(AssertUnwindSafe(move || guarded.owned())).is_err());
}
