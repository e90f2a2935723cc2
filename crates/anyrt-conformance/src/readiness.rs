//! ST: children that say when they are ready; and services.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use anyrt_core::{
    CancelScope, Cause, Event, Ready, TaskGroup, TaskStatus, checkpoint, current_task, is_cancelled, shield,
    task_group,
};
use futures::FutureExt;
use futures::future::pending;

use crate::by_hand::ByHand;
use crate::counting::Counter;
use crate::endings::{Failure, fails_after, failures};

pub(crate) async fn st_01_start_returns_what_the_child_is_ready_with() {
    let after = Counter::new();
    let counted = after.clone();
    let value = task_group(async move |group| {
        group
            .start(async move |ready| {
                checkpoint().await;
                ready.started(7);
                checkpoint().await;
                counted.add();
            })
            .await
            .expect("it says that it is ready")
    })
    .await;
    assert_eq!(value.expect("no child fails").0, 7);
    assert_eq!(after.get(), 1, "the child went on, and the group waited for it");
}

pub(crate) async fn st_02_ready_without_a_value_is_unit() {
    task_group(async |group| {
        let ((), _) = group.start(async |ready| ready.started(())).await.expect("it says that it is ready");
    })
    .await
    .expect("no child fails");
}

pub(crate) async fn st_03_a_child_that_ends_without_being_ready_is_an_error_of_the_starter() {
    let value = task_group(async |group| {
        let error = group.named("mute").start(async |_: Ready<()>| {}).await.expect_err("it never said so");
        assert!(!error.is_not_started() && !error.is_cancelled());
        assert_eq!(error.task_name(), "mute");
        // The one that was dropped says nothing, and the starter waits for the end.
        let error = group
            .start(async |ready: Ready<()>| {
                drop(ready);
                checkpoint().await;
            })
            .await;
        assert!(error.is_err());
        assert!(!group.cancel_scope().is_cancelled(), "the group is not affected");
        checkpoint().await;
        "body"
    })
    .await;
    assert_eq!(value.expect("the group is not affected"), "body");
}

pub(crate) async fn st_04_an_error_before_ready_comes_out_of_start_as_itself() {
    let value = task_group(async |group| {
        let error = group
            .try_start(async |ready: Ready<()>| {
                checkpoint().await;
                Err::<(), _>(Failure("early")).map(|()| ready.started(()))
            })
            .await
            .expect_err("it failed before it was ready");
        assert_eq!(*error.downcast::<Failure>().expect("it is itself"), Failure("early"));
        assert!(!group.cancel_scope().is_cancelled(), "the group is not affected");
        checkpoint().await;
        "body"
    })
    .await;
    assert_eq!(value.expect("the group is not affected"), "body");
}

pub(crate) async fn st_05_an_error_after_ready_fails_the_group() {
    let started = Counter::new();
    let counted = started.clone();
    let result = task_group(async move |group| {
        let release = Arc::new(Event::new());
        let released = Arc::clone(&release);
        let value = group
            .try_start(async move |ready| {
                ready.started(7);
                released.wait().await;
                Err::<(), _>(Failure("late"))
            })
            .await;
        assert_eq!(value.expect("it was ready").0, 7);
        counted.add();
        release.set();
        pending::<()>().await;
    })
    .await;
    let error = result.expect_err("a child failed");
    assert_eq!((error.len(), failures(&error)), (1, vec!["late"]), "{error}");
    assert_eq!(started.get(), 1);
}

pub(crate) async fn st_07_start_on_a_closed_group_fails_at_once() {
    let closed = task_group(async |group| group).await.expect("nothing fails");
    let ran = Counter::new();
    let counted = ran.clone();
    let started = closed.start(async move |ready| {
        counted.add();
        ready.started(());
    });
    let error = ByHand::new(started).poll();
    let std::task::Poll::Ready(Err(error)) = error else { panic!("it waits: {error:?}") };
    assert!(error.is_not_started(), "{error}");
    assert_eq!(ran.get(), 0);
}

pub(crate) async fn st_09_a_cancelled_starter_waits_for_the_shield_of_its_child() {
    let steps = Counter::new();
    let counted = steps.clone();
    let value = task_group(async move |group| {
        let inside = counted.clone();
        let result = CancelScope::new()
            .run(async |scope| {
                group
                    .start(async move |_: Ready<()>| {
                        scope.cancel_with("the starter");
                        shield(async {
                            checkpoint().await;
                            checkpoint().await;
                            inside.add();
                        })
                        .await;
                        checkpoint().await;
                        inside.add();
                    })
                    .await
            })
            .await;
        let cancelled = result.expect_err("the starter was cancelled");
        assert_eq!(cancelled.reason(), Some("the starter"));
        assert_eq!(counted.get(), 1, "the shield ended, and nothing after it ran");
        assert!(!group.cancel_scope().is_cancelled(), "that child only");
        "body"
    })
    .await;
    assert_eq!(value.expect("the group is not affected"), "body");
}

pub(crate) async fn st_11_a_cancel_of_the_group_before_ready_does_not_keep_the_value() {
    let after = Counter::new();
    let counted = after.clone();
    task_group(async move |outer| {
        let (inner, host) = open_group(&outer, pending()).await;
        let cancels = inner.clone();
        let value = inner
            .start(async move |ready| {
                cancels.cancel_with("before it is ready");
                // It lives in the starter's scope, which nobody cancels.
                checkpoint().await;
                assert!(!is_cancelled());
                ready.started(7);
                assert!(is_cancelled(), "from now on it is the group's");
                counted.add();
                checkpoint().await;
                counted.add();
            })
            .await;
        assert_eq!(value.expect("it was ready").0, 7);
        host.await.expect("the group ends");
    })
    .await
    .expect("no child fails");
    assert_eq!(after.get(), 1);
}

pub(crate) async fn st_12_a_pending_start_keeps_the_group_open() {
    task_group(async |outer| {
        let release = Arc::new(Event::new());
        let released = Arc::clone(&release);
        let (inner, mut host) = open_group(&outer, async move { released.wait().await }).await;
        let siblings = inner.clone();
        let value = inner
            .start(async move |ready| {
                release.set();
                for _ in 0..20 {
                    checkpoint().await;
                }
                assert!(!siblings.is_closed());
                let sibling = siblings.spawn(async { 7 });
                ready.started(sibling.await.expect("the group takes more children"));
            })
            .await;
        assert_eq!(value.expect("it was ready").0, 7);
        assert_eq!(host.wait().await, TaskStatus::Finished);
        assert!(inner.is_closed());
    })
    .await
    .expect("no child fails");
}

pub(crate) async fn st_13_a_pending_start_whose_child_fails_lets_the_group_close() {
    task_group(async |outer| {
        let (inner, host) = open_group(&outer, async {}).await;
        let keeps = Arc::new(Event::new());
        let error = inner
            .try_start({
                let keeps = Arc::clone(&keeps);
                async move |_: Ready<()>| {
                    keeps.wait().await;
                    Err::<(), _>(Failure("early"))
                }
            })
            .map(|started| started.expect_err("it failed"));
        let (error, ()) = futures::join!(error, async {
            checkpoint().await;
            keeps.set();
        });
        // The group may have been closed before: then it is that which `start` tells.
        assert!(error.is::<Failure>() || inner.is_closed(), "{error}");
        host.await.expect("the group ends, and did not fail");
        assert!(inner.is_closed());
    })
    .await
    .expect("no child fails");
}

pub(crate) async fn st_15_start_in_a_cancelled_scope_gives_the_value_of_a_child_without_checkpoints() {
    task_group(async |group| {
        let result = CancelScope::new()
            .run(async |scope| {
                scope.cancel_with("before start");
                group.start(async |ready| ready.started(7)).await
            })
            .await;
        assert_eq!(result.expect("nothing was interrupted").expect("it was ready").0, 7);
        assert!(!group.cancel_scope().is_cancelled());
    })
    .await
    .expect("no child fails");
}

pub(crate) async fn st_17_the_parent_is_the_starter_before_ready_and_the_host_after() {
    task_group(async |outer| {
        let (inner, host) = open_group(&outer, pending()).await;
        let host_id = host.id();
        let starter = outer.spawn({
            let inner = inner.clone();
            async move {
                let starter = current_task().expect("in a task").id();
                let (before, child) = inner
                    .start(async move |ready| {
                        let before = current_task().expect("in a task").parent();
                        ready.started(before);
                        current_task().expect("in a task").parent()
                    })
                    .await
                    .expect("it was ready");
                let after = child.await.expect("it finished");
                assert_eq!((before, after), (Some(starter), Some(host_id)));
                // The group's cancellation finds it: the group is left.
                let stays = inner.start(async |ready| {
                    ready.started(());
                    pending::<()>().await;
                });
                stays.await.expect("it was ready");
            }
        });
        starter.await.expect("it finished");
        inner.cancel_with("done");
    })
    .await
    .expect("no child fails");
}

pub(crate) async fn st_18_a_function_for_start_can_be_called_without_it() {
    async fn serve(ready: Ready<u32>) -> &'static str {
        ready.started(7);
        "served"
    }

    assert_eq!(serve(Ready::ignored()).await, "served");
    task_group(async |group| {
        assert_eq!(group.start(serve).await.expect("it was ready").0, 7);
        assert_eq!(group.spawn(serve(Ready::ignored())).await.expect("it finished"), "served");
    })
    .await
    .expect("no child fails");
}

pub(crate) async fn rule_40_a_panic_before_ready_is_resumed_in_the_starter() {
    let value = task_group(async |group| {
        let started = group.start(async |_: Ready<()>| {
            checkpoint().await;
            panic!("early panic");
        });
        let payload = AssertUnwindSafe(started).catch_unwind().await.expect_err("it panicked");
        assert_eq!(payload.downcast_ref(), Some(&"early panic"));
        assert!(!group.cancel_scope().is_cancelled(), "the group is not affected");
        "body"
    })
    .await;
    assert_eq!(value.expect("the group is not affected"), "body");
}

pub(crate) async fn rule_45_an_error_of_a_child_whose_starter_was_cancelled_comes_out_of_start() {
    for is_ready_before in [false, true] {
        task_group(async move |group| {
            let result = CancelScope::new()
                .run(async |scope| {
                    group
                        .try_start(async move |ready| {
                            scope.cancel_with("the starter");
                            if is_ready_before {
                                // Too late: it stays with the starter.
                                ready.started(());
                            }
                            shield(checkpoint()).await;
                            Err::<(), _>(Failure("on the way out"))
                        })
                        .await
                })
                .await;
            let error = result.expect("start returned").expect_err("with the error");
            assert!(error.is::<Failure>(), "{error}");
            assert!(!group.cancel_scope().is_cancelled());
        })
        .await
        .expect("the group is not affected");
    }
}

pub(crate) async fn rule_46_being_ready_after_the_starter_was_cancelled_changes_nothing() {
    let steps = Counter::new();
    let counted = steps.clone();
    task_group(async move |group| {
        let inside = counted.clone();
        let result = CancelScope::new()
            .run(async |scope| {
                group
                    .start(async move |ready| {
                        scope.cancel_with("the starter");
                        ready.started(7);
                        inside.add();
                        checkpoint().await;
                        inside.add();
                    })
                    .await
            })
            .await;
        assert!(result.is_err(), "the starter is cancelled with its child");
        assert_eq!(counted.get(), 1, "the child was still the starter's");
    })
    .await
    .expect("the group is not affected");
}

pub(crate) async fn rule_45_a_start_dropped_by_foreign_code_leaves_its_child_to_the_group() {
    let result = task_group(async |group| {
        let (inside, release) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (entered, released) = (Arc::clone(&inside), Arc::clone(&release));
        let mut starting = ByHand::new(group.try_start(async move |ready: Ready<()>| {
            entered.set();
            let _never_said = ready;
            fails_after(released, "orphan").await
        }));
        assert!(starting.poll().is_pending());
        inside.wait().await;
        starting.drop_future();
        release.set();
    })
    .await;
    let error = result.expect_err("the error is not lost");
    assert_eq!(failures(&error), ["orphan"]);

    let cause = Arc::new(std::sync::Mutex::new(None));
    let seen = Arc::clone(&cause);
    task_group(async move |group| {
        let mut starting = ByHand::new(group.start(async move |_: Ready<()>| {
            let scope = CancelScope::new();
            let handle = scope.handle();
            let never = Event::new();
            let mut waits = Box::pin(async move { never.wait().await });
            let tells = futures::future::poll_fn(move |cx| {
                // It waits for something of ours, so it is polled once more after a cancellation that comes in this poll.
                let _ = waits.as_mut().poll(cx);
                *seen.lock().expect("not poisoned") = handle.cause().map(|cause| cause.cause());
                std::task::Poll::<()>::Pending
            });
            let _ = scope.run(async |_| tells.await).await;
        }));
        assert!(starting.poll().is_pending());
        starting.drop_future();
    })
    .await
    .expect("no child fails");
    assert_eq!(*cause.lock().expect("not poisoned"), Some(Cause::Dropped));
}

pub(crate) async fn rule_27_services_are_cancelled_when_all_else_is_done() {
    let (steps, drops) = (Counter::new(), Counter::new());
    let (counted, local) = (steps.clone(), drops.on_drop());
    task_group(async move |group| {
        let release = Arc::new(Event::new());
        let acknowledged = Arc::new(Event::new());
        let (served, released) = (Arc::clone(&release), Arc::clone(&release));
        let (acknowledges, heard) = (Arc::clone(&acknowledged), Arc::clone(&acknowledged));
        let (service_counts, child_counts) = (counted.clone(), counted);
        group.spawn_service(async move {
            let _local = local;
            served.wait().await;
            service_counts.add();
            acknowledges.set();
            shield(checkpoint()).await;
            pending::<()>().await;
        });
        // One that ends by itself is a child like any other.
        group.spawn_service(async {});
        let siblings = group.clone();
        group.spawn(async move {
            checkpoint().await;
            // One that comes while only children are waited for, and is cancelled with the other.
            siblings.spawn_service(pending::<()>());
            checkpoint().await;
            released.set();
            heard.wait().await;
            child_counts.add();
        });
    })
    .await
    .expect("no child fails");
    assert_eq!(drops.get(), 1, "the group closed after the service had ended");
    assert_eq!(steps.get(), 2, "no service was cancelled before the child had ended");

    let cancelled = task_group(async |group| group.spawn_service(pending::<()>())).await;
    let ended = cancelled.expect("no child fails").await.expect_err("it was cancelled");
    assert_eq!(ended.cancelled().map(|cancelled| cancelled.cause()), Some(Cause::NoLongerNeeded));

    let failed = task_group(async |group| {
        group.try_spawn_service(async { Err::<(), _>(Failure("service")) });
        pending::<()>().await;
    })
    .await;
    assert_eq!(failures(&failed.expect_err("a service is a child")), ["service"]);
}

/// A group hosted by a child of `outer`, whose body is `body`; and the child.
async fn open_group(
    outer: &TaskGroup,
    body: impl Future<Output = ()> + Send + 'static,
) -> (TaskGroup, anyrt_core::TaskHandle<()>) {
    let opened = Event::new();
    let slot = Arc::new(std::sync::Mutex::new(None));
    let host = outer.spawn({
        let (opened, slot) = (opened.clone(), Arc::clone(&slot));
        async move {
            let ended = task_group(async move |group| {
                *slot.lock().expect("not poisoned") = Some(group);
                opened.set();
                body.await;
            })
            .await;
            assert!(ended.is_ok() || ended.is_err_and(|error| error.is_cancelled()));
        }
    });
    opened.wait().await;
    let group = slot.lock().expect("not poisoned").take().expect("it is open");
    (group, host)
}
