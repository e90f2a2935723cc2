//! TG: task groups.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use anyrt_core::{
    BoxError, CancelScope, Cause, Event, GroupError, Run, Runtime, TaskContext, checkpoint, current_task,
    move_on_after, shield, task_group, task_local, try_task_group,
};
use futures::FutureExt;
use futures::future::pending;

use crate::by_hand::ByHand;
use crate::counting::{Counter, count_polls};
use crate::double::Double;
use crate::endings::{Failure, SetsOnDrop, fails_after, failures};
use crate::time::{A_MOMENT, Stopwatch};

pub(crate) async fn tg_01_all_children_finish_before_the_block_is_left() {
    let finished = Counter::new();
    let counted = finished.clone();
    let value = task_group(async move |group| {
        let release = Arc::new(Event::new());
        for _ in 0..5 {
            let (released, finished) = (Arc::clone(&release), counted.clone());
            group.spawn(async move {
                released.wait().await;
                checkpoint().await;
                finished.add();
            });
        }
        release.set();
        "body"
    })
    .await;
    assert_eq!(value.expect("no child fails"), "body");
    assert_eq!(finished.get(), 5);
}

pub(crate) async fn tg_02_spawn_returns_before_the_child_runs() {
    thread_local!(static SPAWNING: Cell<bool> = const { Cell::new(false) });

    task_group(async |group| {
        SPAWNING.set(true);
        // It may run at once, but on another thread, not inside the call.
        let child = group.spawn(async { SPAWNING.get() });
        SPAWNING.set(false);
        assert!(!child.await.expect("the child ends"), "it was polled inside the call of spawn");
    })
    .await
    .expect("no child fails");
}

pub(crate) async fn tg_03_a_child_spawns_siblings_into_its_group() {
    let finished = Counter::new();
    let counted = finished.clone();
    task_group(async move |group| {
        let siblings = group.clone();
        group.spawn(async move {
            // By now the body may have ended: the group waits for these as well.
            let grandsiblings = siblings.clone();
            siblings.spawn(async move {
                checkpoint().await;
                grandsiblings.spawn(async move {
                    checkpoint().await;
                    counted.add();
                });
            });
        });
    })
    .await
    .expect("no child fails");
    assert_eq!(finished.get(), 1);
}

pub(crate) async fn tg_06_spawning_after_exit_is_an_error_and_drops_the_future() {
    let group = task_group(async |group| {
        group.spawn(async {});
        group
    })
    .await
    .expect("no child fails");
    refuses_children(&group).await;
}

pub(crate) async fn tg_07_spawning_after_an_exit_with_an_error_is_an_error() {
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    try_task_group(async move |group| {
        *keep.lock().expect("not poisoned") = Some(group);
        Err::<(), BoxError>(Failure("boom").into())
    })
    .await
    .expect_err("the body failed");
    let group = kept.lock().expect("not poisoned").take().expect("the body ran");
    refuses_children(&group).await;
}

pub(crate) async fn tg_09_an_empty_group_returns_the_value_of_its_body() {
    assert_eq!(task_group(async |_| 7).await.expect("nothing fails"), 7);
    let tried = try_task_group(async |_| Ok::<_, BoxError>(7)).await;
    assert_eq!(tried.expect("nothing fails"), 7);
}

pub(crate) async fn tg_10_an_empty_group_is_no_cancellation_point() {
    let result = CancelScope::new()
        .run(async |scope| {
            scope.cancel("before the group");
            task_group(async |_| 7).await.expect("nothing fails")
        })
        .await;
    assert_eq!(result.expect("nothing was interrupted"), 7);
}

pub(crate) async fn tg_11_a_group_with_an_idle_child_in_a_cancelled_scope_exits_cleanly() {
    let ran = Counter::new();
    let child = ran.clone();
    let result = CancelScope::new()
        .run(async move |scope| {
            scope.cancel("before the group");
            task_group(async move |group| {
                group.spawn(async move {
                    child.add();
                });
                "body"
            })
            .await
            .expect("no child fails")
        })
        .await;
    assert_eq!(result.expect("nothing was interrupted"), "body");
    assert_eq!(ran.get(), 1);
}

pub(crate) async fn tg_12_an_error_of_a_child_cancels_the_sleeping_host() {
    let drops = Counter::new();
    let local = drops.on_drop();
    let result = task_group(async move |group| {
        let _local = local;
        group.try_spawn(async { Err::<(), _>(Failure("boom")) });
        pending::<()>().await;
    })
    .await;
    let error = result.expect_err("a child failed");
    assert_eq!((error.len(), failures(&error)), (1, vec!["boom"]), "{error}");
    assert_eq!(drops.get(), 1);
}

pub(crate) async fn tg_13_an_error_of_a_child_cancels_its_siblings() {
    let drops = Counter::new();
    let counted = drops.clone();
    let result = task_group(async move |group| {
        for _ in 0..3 {
            let local = counted.on_drop();
            group.spawn(async move {
                let _local = local;
                pending::<()>().await;
            });
        }
        group.try_spawn(async { Err::<(), _>(Failure("boom")) });
    })
    .await;
    let error = result.expect_err("a child failed");
    assert_eq!((error.len(), failures(&error)), (1, vec!["boom"]), "{error}");
    assert_eq!(drops.get(), 3);
}

pub(crate) async fn tg_14_an_error_of_the_host_cancels_the_children() {
    let drops = Counter::new();
    let counted = drops.clone();
    let seen = Arc::new(Mutex::new(None));
    let see = Arc::clone(&seen);
    let result = try_task_group(async move |group| {
        let local = counted.on_drop();
        let child = group.spawn(async move {
            let _local = local;
            pending::<()>().await;
        });
        *see.lock().expect("not poisoned") = Some(child);
        Err::<(), BoxError>(Failure("host").into())
    })
    .await;
    let error = result.expect_err("the host failed");
    assert_eq!((error.len(), failures(&error)), (1, vec!["host"]), "{error}");
    assert_eq!(drops.get(), 1);
    let child = seen.lock().expect("not poisoned").take().expect("the body ran");
    let ended = child.await.expect_err("the child was cancelled");
    assert_eq!(ended.cancelled().map(|cancelled| cancelled.cause()), Some(Cause::SiblingFailed));
}

pub(crate) async fn tg_16_a_single_error_comes_back_as_itself() {
    let result = task_group(async |group| {
        group.try_spawn(async { Err::<(), _>(Failure("boom")) });
    })
    .await;
    let error = result.expect_err("a child failed");
    assert_eq!(error.len(), 1);
    assert_eq!(error.to_string(), Failure("boom").to_string(), "it is displayed as itself");
    assert_eq!(error.downcast::<Failure>().expect("it is itself"), Failure("boom"));
}

pub(crate) async fn tg_17_several_errors_come_in_order_of_occurrence() {
    let result = task_group(async |group| {
        let second_may = Arc::new(Event::new());
        group.named("later").try_spawn(fails_after(Arc::clone(&second_may), "second"));
        let first = group.named("earlier").try_spawn(async { Err::<(), _>(Failure("first")) });
        shield(async {
            assert!(first.await.is_err());
            second_may.set();
        })
        .await;
    })
    .await;
    let error = result.expect_err("two children failed");
    assert_eq!((error.len(), failures(&error)), (2, vec!["first", "second"]), "{error}");
    for (child, name) in error.iter().zip(["earlier", "later"]) {
        assert!(child.task_name().is_some_and(|task| task.starts_with(name)), "{child:?} is of {name}");
    }

    let result = try_task_group(async |group| {
        let interrupted = Arc::new(Event::new());
        let sets = SetsOnDrop(Arc::clone(&interrupted));
        group.spawn(async move {
            let _sets = sets;
            pending::<()>().await;
        });
        group.try_spawn(fails_after(interrupted, "child"));
        Err::<(), BoxError>(Failure("body").into())
    })
    .await;
    let error = result.expect_err("the body failed");
    assert_eq!(failures(&error), ["body", "child"], "the body failed first");
    assert_eq!(error.first().expect("two errors").task_name(), None, "it is not a child");
}

pub(crate) async fn tg_19_nested_groups_give_nested_errors() {
    let result = task_group(async |outer| {
        let outer_may = Arc::new(Event::new());
        let inner_ended = Arc::clone(&outer_may);
        outer.try_spawn(async move {
            let result = task_group(async |inner| {
                let second_may = Arc::new(Event::new());
                inner.try_spawn(fails_after(Arc::clone(&second_may), "inner second"));
                inner.try_spawn(async move {
                    second_may.set();
                    Err::<(), _>(Failure("inner first"))
                });
            })
            .await;
            inner_ended.set();
            result
        });
        outer.try_spawn(fails_after(outer_may, "outer"));
    })
    .await;
    let error = result.expect_err("children failed");
    assert_eq!(error.len(), 2, "{error}");
    assert_eq!(failures(&error), ["outer"]);
    let inner = error.iter().find_map(|child| child.error().downcast_ref::<GroupError>());
    let mut inner = failures(inner.expect("the inner group is one member"));
    inner.sort_unstable();
    assert_eq!(inner, ["inner first", "inner second"]);
}

pub(crate) async fn tg_20_of_cancellations_only_a_single_one_leaves() {
    let drops = Counter::new();
    let counted = drops.clone();
    let result = task_group(async move |group| {
        for _ in 0..3 {
            let local = counted.on_drop();
            group.spawn(async move {
                let _local = local;
                pending::<()>().await;
            });
        }
        group.cancel("enough");
        pending::<()>().await;
    })
    .await;
    let error = result.expect_err("the body was interrupted");
    assert!(error.is_cancelled());
    assert_eq!(error.iter().count(), 0, "no members: {error}");
    assert_eq!(error.cancelled().and_then(|cancelled| cancelled.reason()), Some("enough"));
    assert_eq!(drops.get(), 3);
}

pub(crate) async fn tg_21_cancelled_members_never_stand_beside_errors() {
    let result = task_group(async |group| {
        for _ in 0..3 {
            group.spawn(pending::<()>());
        }
        group.try_spawn(async { Err::<(), _>(Failure("boom")) });
        pending::<()>().await;
    })
    .await;
    let error = result.expect_err("a child failed");
    assert!(!error.is_cancelled());
    assert_eq!((error.len(), error.iter().count()), (1, 1), "{error}");
    assert_eq!(failures(&error), ["boom"]);
}

pub(crate) async fn tg_22_cancelling_a_group_is_no_error_of_a_child() {
    let drops = Counter::new();
    let local = drops.on_drop();
    let finished = task_group(async move |group| {
        group.spawn(async move {
            let _local = local;
            pending::<()>().await;
        });
        group.cancel("enough");
        "value"
    })
    .await;
    assert_eq!(finished.expect("the body finished"), "value");
    assert_eq!(drops.get(), 1);

    let interrupted = task_group(async |group| {
        group.spawn(pending::<()>());
        group.cancel("enough");
        checkpoint().await;
    })
    .await;
    let error = interrupted.expect_err("the body was dropped");
    assert!(error.is_cancelled());
    assert_eq!(error.cancelled().map(|cancelled| cancelled.cause()), Some(Cause::Explicit));
}

pub(crate) async fn tg_23_a_new_child_of_a_cancelled_group_starts_and_stops_at_its_first_checkpoint() {
    let steps = Counter::new();
    let child = steps.clone();
    task_group(async move |group| {
        group.cancel("before the child");
        group.spawn(async move {
            child.add();
            checkpoint().await;
            child.add();
        });
    })
    .await
    .expect("the body finished");
    assert_eq!(steps.get(), 1);
}

pub(crate) async fn tg_24_a_group_cancelled_twice_and_two_groups_in_sequence() {
    for reason in ["in the first group", "in the second group"] {
        let result = task_group(async |group| {
            group.spawn(pending::<()>());
            group.cancel(reason);
            group.cancel("again");
            pending::<()>().await;
        })
        .await;
        let error = result.expect_err("the body was interrupted");
        assert_eq!(error.cancelled().and_then(|cancelled| cancelled.reason()), Some(reason));
    }
    checkpoint().await;
}

pub(crate) async fn tg_26_cancelling_a_group_whose_children_have_ended_is_harmless() {
    let result = task_group(async |group| {
        let child = group.spawn(async { 7 });
        let value = child.await.expect("the child ends");
        group.cancel("too late");
        (group, value)
    })
    .await;
    let (group, value) = result.expect("the body finished");
    assert_eq!(value, 7);
    group.cancel("far too late");
    checkpoint().await;
}

pub(crate) async fn tg_28_an_outer_timeout_applies_to_the_children() {
    let watch = Stopwatch::start();
    let drops = Counter::new();
    let local = drops.on_drop();
    let result = move_on_after(A_MOMENT, async move {
        task_group(async move |group| {
            group.spawn(async move {
                let _local = local;
                pending::<()>().await;
            });
        })
        .await
    })
    .await;
    assert!(result.is_none());
    assert_eq!(drops.get(), 1);
    watch.has_run_for(A_MOMENT);
}

task_local! {
    static COLOUR: &'static str;
}

pub(crate) async fn tg_29_a_child_gets_a_copy_of_the_context_of_its_spawner() {
    let seen = COLOUR
        .scope("host", async {
            task_group(async |group| {
                let by_host = group.spawn(async { COLOUR.get() });
                let siblings = group.clone();
                let spawner = group.spawn(COLOUR.scope("spawner", async move {
                    let by_spawner = siblings.spawn(async {
                        let seen = COLOUR.get();
                        let own = COLOUR.scope("its own", async { COLOUR.get() }).await;
                        (seen, own)
                    });
                    let seen = by_spawner.await.expect("the child ends");
                    (seen, COLOUR.get())
                }));
                let by_host = by_host.await.expect("the child ends");
                (by_host, spawner.await.expect("the child ends"), COLOUR.get())
            })
            .await
            .expect("no child fails")
        })
        .await;
    assert_eq!(seen, ("host", (("spawner", "its own"), "spawner"), "host"));
}

pub(crate) async fn tg_30_an_explicit_context_is_used_instead() {
    let captured = COLOUR.scope("captured", async { TaskContext::capture() }).await;
    let seen = COLOUR
        .scope("host", async {
            task_group(async move |group| {
                let captured = group.named("one").with_context(captured).spawn(async { COLOUR.get() });
                let empty = group
                    .named("two")
                    .with_context(TaskContext::empty())
                    .spawn(async { COLOUR.try_with(|colour| *colour).is_err() });
                (captured.await.expect("the child ends"), empty.await.expect("the child ends"))
            })
            .await
            .expect("no child fails")
        })
        .await;
    assert_eq!(seen, ("captured", true));
}

/// The analogue of a native cancellation is somebody else who drops the future of the host.
pub(crate) async fn tg_32_a_host_dropped_in_the_tick_of_its_own_cancel_cancels_its_children() {
    let result = task_group(async |around| {
        let drops = Counter::new();
        let ended = Arc::new(Event::new());
        let (local, sets) = (drops.on_drop(), SetsOnDrop(Arc::clone(&ended)));
        let scope = CancelScope::new();
        let handle = scope.handle();
        let host = scope.run(async move |_| {
            task_group(async move |group| {
                group.spawn(async move {
                    let _locals = (local, sets);
                    pending::<()>().await;
                });
                pending::<()>().await;
            })
            .await
        });
        let mut host = ByHand::new(host);
        assert!(host.poll().is_pending());
        handle.cancel("in the same tick");
        host.drop_future();
        ended.wait().await;
        assert_eq!(drops.get(), 1);
        assert!(!around.scope().is_cancelled());
        checkpoint().await;
        "goes on"
    })
    .await;
    assert_eq!(result.expect("nothing else was cancelled"), "goes on");
}

pub(crate) async fn tg_33_errors_are_not_kept_alive_by_the_group() {
    /// An error that shares something.
    #[derive(Debug)]
    struct Shares(#[expect(dead_code, reason = "it is there to be kept alive")] Arc<()>);

    impl std::fmt::Display for Shares {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "shares")
        }
    }

    impl std::error::Error for Shares {}

    let token = Arc::new(());
    let kept = Arc::new(Mutex::new(None));
    let (shared, keep) = (Arc::clone(&token), Arc::clone(&kept));
    let result = task_group(async move |group| {
        let child = group.try_spawn(async move { Err::<(), _>(Shares(shared)) });
        *keep.lock().expect("not poisoned") = Some((group, child));
    })
    .await;
    assert_eq!(Arc::strong_count(&token), 2, "the error has it");
    drop(result);
    assert_eq!(Arc::strong_count(&token), 1, "neither the group nor the child's handle has it");
    assert!(kept.lock().expect("not poisoned").is_some());
}

pub(crate) async fn tg_34_a_panic_of_a_child_is_resumed_in_the_host() {
    let started = Counter::new();
    let drops = Counter::new();
    let (sibling, counted) = (started.clone(), drops.clone());
    let host = AssertUnwindSafe(async move {
        task_group(async move |group| {
            let local = counted.on_drop();
            group.spawn(async move {
                let _local = local;
                sibling.add();
                pending::<()>().await;
            });
            group.spawn(async { std::panic::resume_unwind(Box::new("the child's own")) as () });
            pending::<()>().await;
        })
        .await
    });
    let panic = host.catch_unwind().await.map(|_| ()).expect_err("it is resumed");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the child's own"), "as it was");
    assert_eq!((started.get(), drops.get()), (1, 1), "the sibling was cancelled first");
}

pub(crate) fn tg_35_a_runtime_that_refuses_a_task_is_reported_to_the_spawner(runtime: Arc<dyn Runtime>) {
    let refusing = Arc::new(Double::of(runtime));
    let refuse = Arc::clone(&refusing);
    Run::new(refusing).run(async move {
        let polls = Counter::new();
        let drops = Counter::new();
        let (child_polls, local) = (polls.clone(), drops.on_drop());
        let _ = task_group(async move |group| {
            refuse.refuse_tasks();
            let child = group.spawn(count_polls(&child_polls, async move {
                let _local = local;
            }));
            let ended = child.await.expect_err("it was never started");
            assert!(ended.is_not_started(), "{ended}");
        })
        .await;
        assert_eq!((polls.get(), drops.get()), (0, 1), "it was dropped without a poll");
    });
}

pub(crate) async fn tg_37_the_parent_of_a_child_is_the_host_and_not_the_spawner() {
    task_group(async |around| {
        // In a task of its own, so that the host is certain to be one.
        let host = around.spawn(async {
            let host = current_task().expect("a task").id();
            let parents = task_group(async |group| {
                let siblings = group.clone();
                let spawner = group.spawn(async move {
                    let sibling = siblings.spawn(async { current_task().and_then(|task| task.parent()) });
                    (current_task().and_then(|task| task.parent()), sibling.await.expect("it ends"))
                });
                spawner.await.expect("it ends")
            })
            .await
            .expect("no child fails");
            assert_eq!(parents, (Some(host), Some(host)));
        });
        host.await.expect("its assertions hold");
    })
    .await
    .expect("no child fails");
}

pub(crate) async fn tg_38_a_child_is_named_after_its_function_unless_it_is_named() {
    async fn reads_its_own_name() -> String {
        current_task().expect("a task").name().to_string()
    }

    task_group(async |group| {
        let default = group.spawn(reads_its_own_name());
        let default = default.await.expect("the child ends");
        assert!(default.contains("reads_its_own_name"), "the default name is {default:?}");

        let named = group.named("by hand").spawn(reads_its_own_name());
        assert_eq!(named.name(), "by hand");
        assert_eq!(named.await.expect("the child ends"), "by hand");
    })
    .await
    .expect("no child fails");
}

pub(crate) async fn rule_27_the_group_waits_for_grandchildren_that_come_while_it_waits() {
    let finished = Counter::new();
    let counted = finished.clone();
    let mut host = ByHand::new(task_group(async move |group| {
        spawn_another(group, 10, counted);
    }));
    // The body ends at once: all of them but the first are spawned while the group waits.
    while host.poll().is_pending() {
        checkpoint().await;
    }
    assert_eq!(finished.get(), 10);
}

pub(crate) async fn rule_35_the_host_does_not_spin_while_a_shielded_child_keeps_the_group() {
    let release = Arc::new(Event::new());
    let released = Arc::clone(&release);
    let begun = Arc::new(Event::new());
    let child_begun = Arc::clone(&begun);
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut host = ByHand::new(scope.run(async move |_| {
        task_group(async move |group| {
            group.spawn(async move {
                shield(async {
                    child_begun.set();
                    released.wait().await;
                })
                .await;
            });
        })
        .await
    }));
    assert!(host.poll().is_pending());
    begun.wait().await;
    handle.cancel("while the group waits");
    assert!(host.poll().is_pending(), "the shielded child keeps it");
    let before = host.wakes();
    for _ in 0..100 {
        checkpoint().await;
    }
    assert_eq!(host.wakes(), before, "nothing wakes the host while nothing changes");
    release.set();
    while host.poll().is_pending() {
        checkpoint().await;
    }
    assert!(host.wakes() > before, "the end of the child does");
}

pub(crate) async fn rule_37_a_child_belongs_to_the_group_and_not_to_the_scope_of_its_spawner() {
    let value = task_group(async |group| {
        let release = Arc::new(Event::new());
        let released = Arc::clone(&release);
        let spawner = group.clone();
        let mut child = None;
        let result = CancelScope::new()
            .run(async |scope| {
                child = Some(spawner.spawn(async move {
                    released.wait().await;
                    checkpoint().await;
                    "alive"
                }));
                scope.cancel("the spawner's scope");
                checkpoint().await;
            })
            .await;
        assert!(result.is_err());
        release.set();
        child.expect("it was spawned").await.expect("it was not cancelled")
    })
    .await;
    assert_eq!(value.expect("no child fails"), "alive");
}

/// A child that spawns the next one, `left` times, each of them after a checkpoint.
fn spawn_another(group: anyrt_core::TaskGroup, left: usize, finished: Counter) {
    if left > 0 {
        let next = group.clone();
        group.spawn(async move {
            checkpoint().await;
            finished.add();
            spawn_another(next, left - 1, finished);
        });
    }
}

/// A closed group: the handle says so, and the future is dropped without a poll.
async fn refuses_children(group: &anyrt_core::TaskGroup) {
    assert!(group.is_closed());
    let polls = Counter::new();
    let drops = Counter::new();
    let local = drops.on_drop();
    let child = group.spawn(count_polls(&polls, async move {
        let _local = local;
    }));
    assert_eq!(drops.get(), 1, "the future is dropped at once");
    let ended = child.await.expect_err("the group is closed");
    assert!(ended.is_not_started(), "{ended}");
    assert_eq!(polls.get(), 0);
}
