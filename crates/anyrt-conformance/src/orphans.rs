//! Who waits for the groups in what foreign code drops, where a local group is around them.

use std::future::IntoFuture;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anyrt_core::{
    Event, Handle, LocalGroup, Run, RunError, Runtime, TaskEnded, checkpoint, finally, from_thread, join,
    local_group, move_on_after, race, run_blocking, shield, task_group, try_local_group,
};
use futures::FutureExt;
use futures::future::{BoxFuture, pending};

use crate::by_hand::ByHand;
use crate::counting::Counter;
use crate::endings::{Failure, failures};
use crate::time::AN_HOUR;
use crate::warnings::Warnings;

/// What the child of a group tells, and what it waits for.
#[derive(Clone, Default)]
struct Signs {
    begun: Event,
    release: Event,
    cleaned: Counter,
}

impl Signs {
    /// A group that never ends by itself. Its child, once cancelled, cleans up when it is released, and then counts.
    fn group(&self) -> BoxFuture<'static, ()> {
        let signs = self.clone();
        Box::pin(async move {
            let _cut = task_group(async move |group| {
                let Signs { begun, release, cleaned } = signs;
                let work = async move {
                    begun.set();
                    pending::<()>().await;
                };
                group.named("cleaner").spawn(finally(work, async move |_| {
                    release.wait().await;
                    cleaned.add();
                }));
                pending::<()>().await;
            })
            .await;
        })
    }

    /// The same, and the child then ends as `ends` says.
    fn group_of(&self, ends: fn() -> Result<(), Failure>) -> BoxFuture<'static, ()> {
        let Signs { begun, release, .. } = self.clone();
        Box::pin(async move {
            let _cut = task_group(async move |group| {
                group.try_spawn(async move {
                    begun.set();
                    shield(release.wait()).await;
                    ends()
                });
                pending::<()>().await;
            })
            .await;
        })
    }
}

type Way = fn(BoxFuture<'static, ()>) -> BoxFuture<'static, ()>;

/// Where a group may stand in what is dropped.
const WAYS: &[(&str, Way)] = &[
    ("the body of a scope", |group| {
        Box::pin(async move {
            let _ = LocalGroup::sendable().run(move |_| group).await;
        })
    }),
    ("a child of a scope", |group| {
        Box::pin(async move {
            let _ = LocalGroup::sendable().run(async move |children| drop(children.spawn(group))).await;
        })
    }),
    ("a child whose handle is awaited", |group| {
        Box::pin(async move {
            let _ = LocalGroup::sendable().run(async move |children| children.spawn(group).await).await;
        })
    }),
    ("a scope in a scope", |group| {
        Box::pin(async move {
            let _ = LocalGroup::sendable()
                .run(async move |_| {
                    LocalGroup::sendable().run(async move |inner| drop(inner.spawn(group))).await
                })
                .await;
        })
    }),
    ("a scope in a task group", |group| {
        Box::pin(async move {
            let _ = task_group(async move |_| LocalGroup::sendable().run(move |_| group).await).await;
        })
    }),
    ("a task group in a scope in a task group", |group| {
        Box::pin(async move {
            let _ = task_group(async move |_| {
                LocalGroup::sendable().run(async move |_| task_group(async move |_| group.await).await).await
            })
            .await;
        })
    }),
    ("a task group", |group| {
        Box::pin(async move {
            let _ = task_group(async move |_| group.await).await;
        })
    }),
    ("a branch of a race", |group| Box::pin(race(group, pending::<()>()).map(drop))),
    ("a branch of a join", |group| Box::pin(join(pending::<()>(), group).map(drop))),
    ("a shield", |group| Box::pin(shield(group))),
    ("a timeout", |group| Box::pin(move_on_after(AN_HOUR, group).map(drop))),
];

pub(crate) async fn rule_72_a_group_in_what_foreign_code_drops_is_waited_for_by_the_group_around() {
    for (name, way) in WAYS {
        let signs = Signs::default();
        task_group(async |_| {
            drop_begun(way(signs.group()), &signs).await;
            is_in_the_view("cleaner#").await;
            signs.release.set();
        })
        .await
        .expect("nothing fails");
        assert_eq!(signs.cleaned.get(), 1, "{name}: it was waited for");
    }
}

/// Waits until a task has its place there, which may be after it has begun.
async fn is_in_the_view(name: &str) {
    while !Handle::current().tasks().to_string().contains(name) {
        checkpoint().await;
    }
}

/// Polls until the child has begun and all of it is in the tree, then drops it.
async fn drop_begun(future: BoxFuture<'static, ()>, signs: &Signs) {
    let mut dropped = ByHand::new(future);
    assert!(dropped.poll().is_pending());
    signs.begun.wait().await;
    assert!(dropped.poll().is_pending());
    dropped.drop_future();
}

pub(crate) async fn rule_72_a_scope_that_is_dropped_passes_on_what_it_had_taken_in() {
    let signs = Signs::default();
    task_group(async |_| {
        let taken_in = Event::new();
        let mut dropped = ByHand::new(local_group(async |_| {
            drop_begun(signs.group(), &signs).await;
            taken_in.set();
            pending::<()>().await;
        }));
        while !taken_in.is_set() {
            assert!(dropped.poll().is_pending());
            checkpoint().await;
        }
        dropped.drop_future();
        assert_eq!(signs.cleaned.get(), 0);
        is_in_the_view("cleaner#").await;
        signs.release.set();
    })
    .await
    .expect("nothing fails");
    assert_eq!(signs.cleaned.get(), 1, "it was waited for");
}

pub(crate) async fn rule_72_a_scope_that_lives_on_waits_for_what_it_has_taken_in() {
    let signs = Signs::default();
    let value = local_group(async |children| {
        drop_begun(signs.group(), &signs).await;
        children.spawn(async { signs.release.set() });
        7
    });
    assert_eq!(value.await.expect("nothing fails"), 7);
    assert_eq!(signs.cleaned.get(), 1, "it was waited for");
}

pub(crate) async fn rule_72_errors_and_panics_of_orphans_go_on_with_them() {
    for (name, way) in WAYS {
        let fails = task_group(async |_| {
            let signs = Signs::default();
            drop_begun(way(signs.group_of(|| Err(Failure("orphan")))), &signs).await;
            signs.release.set();
        });
        assert_eq!(failures(&fails.await.expect_err("the orphan failed")), ["orphan"], "{name}");
    }
    // Those of an orphan that had been taken in before, and of a child in place that nobody had heard of.
    let fails = task_group(async |_| {
        let (signs, failed) = (Signs::default(), Event::new());
        let mut dropped = ByHand::new(try_local_group(async |children| {
            drop_begun(signs.group_of(|| Err(Failure("taken in"))), &signs).await;
            children.try_spawn(async { Err::<(), _>(Failure("in place")) });
            children.spawn(shield(async {
                failed.set();
                pending::<()>().await;
            }));
            anyrt_core::ok(())
        }));
        while !failed.is_set() {
            assert!(dropped.poll().is_pending());
            checkpoint().await;
        }
        dropped.drop_future();
        signs.release.set();
    });
    assert_eq!(failures(&fails.await.expect_err("both failed")), ["in place", "taken in"]);

    let panics = AssertUnwindSafe(task_group(async |_| {
        let signs = Signs::default();
        let (_, in_a_child) = WAYS[1];
        drop_begun(in_a_child(signs.group_of(|| panic!("orphan"))), &signs).await;
        signs.release.set();
    }));
    assert_eq!(panics.catch_unwind().await.expect_err("it panicked").downcast_ref(), Some(&"orphan"));
}

pub(crate) async fn rule_72_the_handle_of_a_child_hears_that_its_scope_was_dropped() {
    let kept = Mutex::new(None);
    let keep = |handle| *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
    let take = || kept.lock().unwrap_or_else(PoisonError::into_inner).take().expect("it was spawned");

    let mut dropped = ByHand::new(local_group(async |children| {
        keep(children.spawn(pending::<()>()));
        pending::<()>().await;
    }));
    assert!(dropped.poll().is_pending());
    let mut waits = ByHand::new(take());
    assert!(waits.poll().is_pending());
    dropped.drop_future();
    assert!(
        matches!(waits.poll(), Poll::Ready(Err(ended)) if ended.is_cancelled()),
        "foreign code dropped it"
    );

    let late = move_on_after(Duration::ZERO, async {
        local_group(async |children| {
            keep(children.spawn(pending::<()>()));
            pending::<()>().await;
        })
        .await
    });
    assert!(late.await.is_none());
    let ended = take().await.expect_err("it was cut short");
    assert!(ended.is_cancelled(), "a deadline around it had passed: {ended}");
}

pub(crate) fn rule_72_without_a_group_around_the_run_waits(runtime: Arc<dyn Runtime>) {
    let (signs, other) = (Signs::default(), Signs::default());
    let (of_run, of_other) = (signs.clone(), other.clone());
    let ended = Run::on(runtime).run(async move {
        for (signs, elsewhere) in [(&of_run, false), (&of_other, true)] {
            let (_, in_a_scope) = WAYS[0];
            let mut dropped = in_a_scope(signs.group());
            let mut cx = Context::from_waker(Waker::noop());
            assert!(dropped.as_mut().poll(&mut cx).is_pending());
            signs.begun.wait().await;
            assert!(dropped.as_mut().poll(&mut cx).is_pending());
            if elsewhere {
                let elsewhere = std::thread::Builder::new().name("elsewhere".to_owned());
                let dropping = elsewhere.spawn(move || drop(dropped)).expect("a thread");
                dropping.join().expect("it is only dropped");
            } else {
                drop(dropped);
            }
            signs.release.set();
        }
    });
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!((signs.cleaned.get(), other.cleaned.get()), (1, 1));
}

pub(crate) fn rule_72_the_run_waits_for_what_an_abandoned_closure_has_taken_in(runtime: Arc<dyn Runtime>) {
    let signs = Signs::default();
    let cleaned = signs.cleaned.clone();
    let ended = Run::on(runtime).run(async move {
        // At the end of the run this is cleaned up, and then nothing at the root is left but the orphan.
        let (release, entered) = (signs.release.clone(), Event::new());
        let enters = entered.clone();
        let _at_the_root = Handle::current().spawn(finally(
            async move {
                enters.set();
                pending::<()>().await;
            },
            async move |_| release.set(),
        ));
        entered.wait().await;
        let dropped = Event::new();
        let says = dropped.clone();
        let abandoned = run_blocking(move || {
            from_thread::run(async move {
                let mut orphan = signs.group();
                assert!(orphan.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                signs.begun.wait().await;
                assert!(orphan.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                drop(orphan);
                says.set();
            })
        });
        race(dropped.wait(), abandoned.abandon_on_cancel().into_future()).await;
    });
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!(cleaned.get(), 1);
}

pub(crate) async fn rule_72_a_scope_that_is_being_dropped_takes_no_child_in() {
    struct Spawns<F: FnOnce()>(Option<F>);
    impl<F: FnOnce()> Drop for Spawns<F> {
        fn drop(&mut self) {
            self.0.take().expect("dropped once")();
        }
    }
    let refused = Arc::new(Mutex::new(None::<Result<(), TaskEnded>>));
    let says = Arc::clone(&refused);
    let mut dropped = ByHand::new(local_group(async |children| {
        let late = children.clone();
        let _spawns = Spawns(Some(move || {
            let mut handle = late.spawn(async {});
            *says.lock().unwrap_or_else(PoisonError::into_inner) = handle.try_value().ok();
        }));
        pending::<()>().await;
    }));
    assert!(dropped.poll().is_pending());
    dropped.drop_future();
    let refused = mem::take(&mut *refused.lock().unwrap_or_else(PoisonError::into_inner));
    assert!(refused.expect("it was answered").expect_err("it was refused").is_not_started());
}

#[expect(clippy::async_yields_async, reason = "what outlives the run leaves it unawaited")]
pub(crate) fn rule_73_a_task_that_outlives_its_run_is_told_of(runtime: Arc<dyn Runtime>) {
    let ended = Run::on(runtime).run(async {
        let begun = Event::new();
        let begins = begun.clone();
        let mut outlives: BoxFuture<'static, ()> = Box::pin(async move {
            let _cut = task_group(async move |group| {
                group.named("outlives").spawn(async move {
                    begins.set();
                    shield(pending::<()>()).await;
                });
                pending::<()>().await;
            })
            .await;
        });
        let polled = pin!(&mut outlives).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        begun.wait().await;
        // Its first poll is over when it is in the tree.
        while !Handle::current().tasks().to_string().contains("outlives#") {
            checkpoint().await;
        }
        outlives
    });
    match ended {
        // With the run ended its threads, and what was left in them.
        Err(RunError::ShutdownTimedOut(unfinished)) => {
            let text = unfinished.to_string();
            assert!(text.contains("outlives#"), "{text}");
        }
        // The threads belong to nobody; what waits for the group is dropped when nobody can take it in.
        Ok(outlives) => {
            let warnings = Warnings::of("anyrt::lost");
            warnings.catch(|| drop(outlives));
            let caught = warnings.caught();
            assert!(caught.len() == 1 && caught[0].contains("outlives#"), "{caught:?}");
        }
        Err(other) => panic!("another error: {other}"),
    }
}
