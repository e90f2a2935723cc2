//! Many futures in one task, and groups that limit how many children are alive.

use std::num::NonZeroUsize;
use std::sync::Arc;

use anyrt_core::{
    CancelScope, Event, Lock, as_completed, checkpoint, finally, join_all, map_concurrent, shield, task_group,
};
use futures::future::{BoxFuture, FutureExt, pending};

use crate::by_hand::ByHand;
use crate::counting::Counter;
use crate::endings::{Failure, failures};

pub(crate) async fn rule_4_the_values_of_many_futures_come_in_order_or_as_they_end() {
    let gates = [Event::new(), Event::new(), Event::new()];
    let wait = async |index: usize| {
        gates[index].wait().await;
        index
    };
    let backwards = async {
        for gate in gates.iter().rev() {
            checkpoint().await;
            checkpoint().await;
            gate.set();
        }
    };
    let all = join_all([wait(0), wait(1), wait(2)]);
    let mapped = map_concurrent([2, 1, 0], None, wait);
    let ended = async {
        let mut values = as_completed([wait(0), wait(1), wait(2)]);
        let mut ended = Vec::new();
        while let Some(value) = values.next().await {
            ended.push(value);
        }
        assert_eq!((values.remaining(), values.next().await), (0, None));
        ended
    };
    let (all, mapped, ended, ()) = futures::join!(all, mapped, ended, backwards);
    assert_eq!((all, mapped, ended), (vec![0, 1, 2], vec![2, 1, 0], vec![2, 1, 0]));
    assert!(join_all::<[BoxFuture<'_, ()>; 0]>([]).await.is_empty());
}

pub(crate) async fn rule_4_no_more_calls_run_at_once_than_the_limit() {
    let (running, most) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let values = map_concurrent(0..10, NonZeroUsize::new(3), async |item| {
        running.set(running.get() + 1);
        most.set(running.get().max(most.get()));
        for _ in 0..item % 3 {
            checkpoint().await;
        }
        running.set(running.get() - 1);
        item
    })
    .await;
    assert_eq!(values, (0..10).collect::<Vec<_>>());
    assert_eq!(most.get(), 3);
}

pub(crate) async fn rule_16_each_of_many_branches_is_dropped_by_itself() {
    for which in 0..3 {
        let (lock, cleaned, taken) = (Arc::new(Lock::new(())), Counter::new(), Counter::new());
        let result = CancelScope::new()
            .run(async |scope| {
                // The owner of the lock is dropped at once, the clean-up that wants it goes on.
                let branch = async |owns: bool| {
                    taken.add();
                    if owns {
                        let _guard = lock.lock().await;
                        checkpoint().await;
                        scope.cancel("while both are inside");
                        pending::<()>().await;
                    } else {
                        finally(pending::<()>(), async || {
                            drop(lock.lock().await);
                            cleaned.add();
                        })
                        .await;
                    }
                };
                match which {
                    0 => drop(join_all([branch(true), branch(false)]).await),
                    1 => drop(map_concurrent([true, false, true], NonZeroUsize::new(2), branch).await),
                    _ => {
                        let mut values = as_completed([branch(true), branch(false)]);
                        while values.next().await.is_some() {}
                    }
                }
            })
            .await;
        assert!(result.is_err());
        assert_eq!((cleaned.get(), taken.get()), (1, 2), "way {which}: cleaned up, and nothing new begun");
    }
}

pub(crate) async fn rule_16_branches_that_nobody_wakes_follow_their_future_into_another_scope() {
    for as_they_end in [false, true] {
        let (release, steps) = (Event::new(), Counter::new());
        let (releases, counted) = (release.clone(), steps.clone());
        task_group(async move |group| {
            let shielded = || shield(release.wait()).boxed();
            let mut all: std::pin::Pin<Box<dyn Future<Output = usize> + Send>> = if as_they_end {
                let mut values = as_completed([shielded(), shielded()]);
                Box::pin(async move {
                    values.next().await;
                    values.next().await;
                    values.remaining() + 2
                })
            } else {
                Box::pin(join_all([shielded(), shielded()]).map(|values| values.len()))
            };
            let once = CancelScope::new().run(async |_| futures::poll!(&mut all).is_pending()).await;
            assert!(once.expect("nobody has cancelled it"));
            group.spawn(async move {
                for _ in 0..10 {
                    checkpoint().await;
                }
                counted.add();
                releases.set();
            });
            let ended = CancelScope::new()
                .run(async |scope| {
                    scope.cancel("their shields hold it, though they were begun elsewhere");
                    (&mut all).await
                })
                .await;
            assert_eq!(ended.expect("they ended all the same"), 2);
            assert_eq!(steps.get(), 1);
        })
        .await
        .expect("no child fails");
    }
}

pub(crate) async fn rule_27_a_limited_group_lets_spawning_wait() {
    let (running, most) = (Counter::new(), Counter::new());
    let (ran, seen) = (running.clone(), most.clone());
    let result = task_group(async move |group| {
        let limited = group.limit(NonZeroUsize::new(2).expect("two"));
        let (alive, ended) = (Counter::new(), Counter::new());
        for _ in 0..20 {
            let (alive, ended, ran, seen) = (alive.clone(), ended.clone(), ran.clone(), seen.clone());
            limited
                .spawn(async move {
                    if alive.add() + 1 - ended.get() > 2 {
                        seen.add();
                    }
                    checkpoint().await;
                    ended.add();
                    ran.add();
                })
                .await;
        }
        // Two places taken: who waits for one and gives up spawns nothing.
        let release = Event::new();
        for _ in 0..2 {
            let release = release.clone();
            limited.spawn(async move { release.wait().await }).await;
        }
        let ran = ran.clone();
        let mut third = ByHand::new(limited.spawn(async move {
            ran.add();
        }));
        assert!(third.poll().is_pending());
        third.drop_future();
        release.set();
        limited.try_spawn(async { Err::<(), _>(Failure("limited")) }).await;
    })
    .await;
    assert_eq!(failures(&result.expect_err("one has failed")), ["limited"]);
    assert_eq!((running.get(), most.get()), (20, 0));
}
