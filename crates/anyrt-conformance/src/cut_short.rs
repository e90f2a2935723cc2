//! RC: groups that are cut short from outside, or by a child whose handle is awaited.

use std::sync::Arc;
use std::time::Duration;

use anyrt_core::channel;
use anyrt_core::{
    CancelScope, Cause, Event, Mutex, Ready, ScopeHandle, checkpoint, fail_after, finally, local_group, race,
    run_blocking, shield, sleep, task_group, try_join, try_task_group,
};
use futures::future::{BoxFuture, pending};

use crate::counting::Counter;
use crate::endings::{Failure, failures};
use crate::time::{A_MOMENT, Stopwatch};

pub(crate) async fn rc_01_a_deadline_while_a_group_waits_ends_the_code_after_it_as_well() {
    let after = Counter::new();
    let counted = after.clone();
    let watch = Stopwatch::start();
    let result = fail_after(A_MOMENT, async move {
        let _ = task_group(async |group| {
            group.spawn(pending::<()>());
        })
        .await;
        counted.add();
    })
    .await;
    watch.has_run_for(A_MOMENT);
    assert!(result.is_err(), "the timeout is reported");
    assert_eq!(after.get(), 0, "no code after the group ran, not even without an await");
}

pub(crate) async fn rc_02_a_deadline_that_cuts_no_child_short_loses_nothing() {
    let after = Counter::new();
    let counted = after.clone();
    let result = fail_after(A_MOMENT / 2, async move {
        let value = task_group(async |group| {
            group.spawn(shield(sleep(A_MOMENT)));
            group.spawn(shield(sleep(A_MOMENT)));
            "body"
        })
        .await;
        counted.add();
        value.expect("no child fails")
    })
    .await;
    assert_eq!(result.expect("nothing was cut short"), "body");
    assert_eq!(after.get(), 1);
}

pub(crate) async fn rc_03_the_borrowing_scope_keeps_the_same_rules() {
    let after = Counter::new();
    let watch = Stopwatch::start();
    let result = fail_after(A_MOMENT, async {
        let _ = local_group(async |children| {
            children.spawn(pending::<()>());
        })
        .await;
        after.add();
    })
    .await;
    watch.has_run_for(A_MOMENT);
    assert!(result.is_err(), "the timeout is reported");
    assert_eq!(after.get(), 0, "no code after the scope ran");

    let result = fail_after(A_MOMENT / 2, async {
        let value = local_group(async |children| {
            children.spawn(shield(sleep(A_MOMENT)));
            "body"
        })
        .await;
        after.add();
        value.expect("no child fails")
    })
    .await;
    assert_eq!(result.expect("nothing was cut short"), "body");
    assert_eq!(after.get(), 1);
}

pub(crate) async fn rc_04_an_error_that_the_body_passes_on_is_counted_once() {
    for round in 0..1_000 {
        let result = try_task_group(async |group| {
            let child = group.try_spawn(async {
                checkpoint().await;
                Err::<(), _>(Failure("boom"))
            });
            child.await?;
            anyrt_core::ok(())
        })
        .await;
        let error = result.expect_err("the child failed");
        assert_eq!((error.len(), failures(&error)), (1, vec!["boom"]), "in round {round}: {error}");
    }
}

pub(crate) async fn rc_05_an_error_that_a_shielded_body_passes_on_is_counted_once() {
    for round in 0..100 {
        let result = try_task_group(async |group| {
            let child = group.try_spawn(async {
                checkpoint().await;
                Err::<(), _>(Failure("boom"))
            });
            shield(async {
                child.await?;
                anyrt_core::ok(())
            })
            .await
        })
        .await;
        let error = result.expect_err("the child failed");
        assert_eq!((error.len(), failures(&error)), (1, vec!["boom"]), "in round {round}: {error}");
    }
}

pub(crate) async fn rc_06_a_loop_whose_awaits_are_always_ready_ends_at_the_deadline() {
    let watch = Stopwatch::start();
    let set = Event::new();
    set.set();
    let lock = Arc::new(Mutex::new(()));
    let (sender, receiver) = channel::bounded::<()>(1);

    ends_at_the_deadline(async || set.wait().await).await;
    ends_at_the_deadline(async || drop(lock.lock().await)).await;
    ends_at_the_deadline(async || {
        let _ = sender.send(()).await;
        let _ = receiver.recv().await;
    })
    .await;
    ends_at_the_deadline(async || sleep(Duration::ZERO).await).await;
    ends_at_the_deadline(async || checkpoint().await).await;
    watch.has_run_for(A_MOMENT * 5);

    // Where it has passed before, nothing is taken any more, ready or not.
    let late = CancelScope::new().timeout(Duration::ZERO).run(async |_| drop(lock.lock().await)).await;
    assert_eq!(late.expect_err("its time was over").cause(), Cause::Deadline);
}

async fn ends_at_the_deadline(wait: impl AsyncFn()) {
    let result = CancelScope::new()
        .timeout(A_MOMENT)
        .run(async |_| {
            loop {
                wait().await;
            }
        })
        .await;
    let cancelled = result.map(|never: std::convert::Infallible| never).expect_err("it never returns");
    assert_eq!(cancelled.cause(), Cause::Deadline);
}

type Inside = fn(ScopeHandle) -> BoxFuture<'static, ()>;

/// What cancels everything, ends all the same, and has something inside that was cut short by it.
const CUT_INSIDE: &[(&str, Inside)] = &[
    ("the loser of a race", |outer| {
        Box::pin(async move {
            race(cancels(outer), pending::<()>()).await;
        })
    }),
    ("the loser of a race with a job", |outer| {
        Box::pin(async move {
            race(run_blocking(move || outer.cancel_with("in a thread")).into_future(), pending::<()>()).await;
        })
    }),
    ("the other branch of what failed", |outer| {
        Box::pin(async move {
            let fails = async {
                cancels(outer).await;
                Err::<(), ()>(())
            };
            assert!(try_join(fails, pending::<Result<(), ()>>()).await.is_err());
        })
    }),
];

/// Cancels when what is beside it is pending, and holds until that is cut short.
async fn cancels(outer: ScopeHandle) {
    checkpoint().await;
    outer.cancel_with("beside what is pending");
    shield(checkpoint()).await;
}

/// What comes out in a scope that is cancelled from inside.
async fn comes_out<T>(way: impl AsyncFnOnce(ScopeHandle) -> T) -> Option<T> {
    let mut seen = None;
    let _left = CancelScope::new()
        .run(async |outer| {
            seen = Some(way(outer).await);
            checkpoint().await;
        })
        .await;
    seen
}

pub(crate) async fn rule_75_who_ended_with_a_value_returns_it_though_something_inside_was_cut_short() {
    for (name, inside) in CUT_INSIDE {
        let body = comes_out(async |outer| {
            task_group(async |_| {
                inside(outer).await;
                42
            })
            .await
        });
        assert_eq!(body.await.and_then(Result::ok), Some(42), "{name}, in the body of a group");
        let body = comes_out(async |outer| {
            local_group(async |_| {
                inside(outer).await;
                42
            })
            .await
        });
        assert_eq!(body.await.and_then(Result::ok), Some(42), "{name}, in the body of a scope");
        let child = comes_out(async |outer| {
            task_group(async |group| {
                group.spawn(inside(outer));
                42
            })
            .await
        });
        assert_eq!(child.await.and_then(Result::ok), Some(42), "{name}, in a child of a group");
        let child = comes_out(async |outer| {
            local_group(async |children| {
                children.spawn(inside(outer));
                42
            })
            .await
        });
        assert_eq!(child.await.and_then(Result::ok), Some(42), "{name}, in a child of a scope");
    }
}

pub(crate) async fn rule_75_errors_come_out_though_something_inside_was_cut_short() {
    for (name, inside) in CUT_INSIDE {
        let nested = comes_out(async |outer| {
            task_group(async |_| {
                try_task_group(async |_| {
                    inside(outer).await;
                    Err::<(), _>(Failure("inner").into())
                })
                .await
            })
            .await
        });
        let nested = nested.await.expect(name).expect("the outer group has a value");
        assert_eq!(failures(&nested.expect_err("the inner one failed")), ["inner"], "{name}");

        let started = comes_out(async |outer| {
            task_group(async |group| {
                let child = |_ready: Ready<()>| async move {
                    inside(outer).await;
                    Err::<(), _>(Failure("not ready"))
                };
                group.try_start(child).await
            })
            .await
        });
        let error = started.await.expect(name).expect("the group has a value").expect_err("it failed");
        assert_eq!(error.downcast_ref(), Some(&Failure("not ready")), "{name}");

        let started = comes_out(async |outer| {
            task_group(async |group| group.start(|_ready: Ready<()>| inside(outer)).await).await
        });
        let error = started.await.expect(name).expect("the group has a value").expect_err("it was not ready");
        assert!(!error.is_cancelled(), "{name}: {error}");
    }
}

pub(crate) async fn rule_75_a_child_that_was_cut_short_from_outside_leaves_no_value() {
    let group = comes_out(async |outer| {
        task_group(async |group| {
            group.spawn(pending::<()>());
            outer.cancel_with("while a child is pending");
            42
        })
        .await
    });
    assert!(group.await.is_none());
    let in_place = comes_out(async |outer| {
        local_group(async |children| {
            children.spawn(pending::<()>());
            outer.cancel_with("while a child is pending");
            42
        })
        .await
    });
    assert!(in_place.await.is_none());
    let starts = comes_out(async |outer| {
        task_group(async |group| {
            let child = |_ready: Ready<()>| async move {
                outer.cancel_with("before it is ready");
                pending::<()>().await;
            };
            group.start(child).await
        })
        .await
    });
    assert!(starts.await.is_none());
    // A service that nobody needed any more was not cut short by what came then.
    let served = comes_out(async |outer| {
        task_group(async |group| {
            group.spawn_service(finally(pending::<()>(), async move |_| {
                outer.cancel_with("while it cleans up")
            }));
            42
        })
        .await
    });
    assert_eq!(served.await.and_then(Result::ok), Some(42));
}
