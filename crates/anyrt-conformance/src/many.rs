//! Many futures in one task, and groups that limit how many children are alive.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::Arc;

use anyrt_core::{
    CancelScope, Event, Mutex, ScopeHandle, as_completed, channel, checkpoint, finally, for_each_concurrent,
    iterate_blocking, join_all, map_concurrent, shield, task_group,
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
    let (running, most) = (Cell::new(0), Cell::new(0));
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
        let (lock, cleaned, taken) = (Arc::new(Mutex::new(())), Counter::new(), Counter::new());
        let result = CancelScope::new()
            .run(async |scope| {
                // The owner of the lock is dropped at once, the clean-up that wants it goes on.
                let branch = async |owns: bool| {
                    taken.add();
                    if owns {
                        let _guard = lock.lock().await;
                        checkpoint().await;
                        scope.cancel_with("while both are inside");
                        pending::<()>().await;
                    } else {
                        finally(pending::<()>(), async |_| {
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
                    scope.cancel_with("their shields hold it, though they were begun elsewhere");
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

pub(crate) async fn rule_74_what_has_ended_comes_back_whatever_the_limit() {
    for items in 1..=4 {
        for limit in (1..=items + 1).map(Some).chain([None]) {
            for at in 0..items {
                for (awaits, tells) in [(false, false), (false, true), (true, false), (true, true)] {
                    cancelled_in_a_call(items, limit, at, awaits, tells).await;
                }
            }
        }
    }
}

/// Maps so many items; the call of the item `at` cancels all. Its calls end all the same, and if they are those of all
/// items, so does the map. `tells`: the iterator knows how many items are left.
async fn cancelled_in_a_call(items: usize, limit: Option<usize>, at: usize, awaits: bool, tells: bool) {
    let which = format!("{items} items, limit {limit:?}, at {at}, awaits {awaits}, tells {tells}");
    let limit = limit.map(|limit| NonZeroUsize::new(limit).expect("at least one"));
    let (taken, begun, ended, taken_then) = (Counter::new(), Counter::new(), Counter::new(), Cell::new(0));
    let takes = |item: &usize| {
        taken.add();
        *item < items
    };
    let mut exact = (0..items).inspect(|item| assert!(takes(item)));
    let mut vague = (0..items).filter(takes);
    let source: &mut dyn Iterator<Item = usize> = if tells { &mut exact } else { &mut vague };
    let values = CancelScope::new().run(async |scope| {
        let call = async |item: usize| {
            begun.add();
            if item == at {
                taken_then.set(taken.get());
                scope.cancel_with("in a call");
            }
            if awaits {
                shield(checkpoint()).await;
            }
            ended.add();
            item
        };
        map_concurrent(&mut *source, limit, call).await
    });
    let values = values.await;
    let all = taken_then.get() == items;
    assert_eq!(values.is_ok(), all, "{which}: {values:?}");
    if let Ok(values) = values {
        assert!(values.iter().copied().eq(0..items), "{which}: {values:?}");
    }
    assert_eq!(
        (begun.get(), ended.get()),
        (taken_then.get(), taken_then.get()),
        "{which}: nothing more was begun"
    );
    let left = source.count();
    // Who does not tell whether there is one more is asked for it.
    let asked = usize::from(!all && !tells);
    assert_eq!(begun.get() + asked + left, items, "{which}");
}

pub(crate) async fn rule_74_a_limited_map_ends_beside_a_clean_up_that_waits_for_it() {
    for limit in 1..=3 {
        let (sender, receiver) = channel::bounded::<usize>(4);
        let drained = Counter::new();
        let left = CancelScope::new().run(async |scope| {
            let maps = async {
                let sender = sender;
                for_each_concurrent(0..2, NonZeroUsize::new(limit), async |item| {
                    checkpoint().await;
                    if item == 1 {
                        scope.cancel_with("in the last call");
                    }
                    shield(checkpoint()).await;
                    assert!(sender.try_send(item).is_ok());
                })
                .await;
            };
            let drains = finally(pending::<()>(), async |_| {
                while receiver.recv().await.is_ok() {
                    drained.add();
                }
            });
            futures::join!(maps, drains);
        });
        assert!(left.await.is_err());
        assert_eq!(drained.get(), 2, "limit {limit}: both calls have ended");
    }
}

pub(crate) async fn rule_74_other_limits_change_nothing_of_what_comes_back_either() {
    for items in 1..=3 {
        // The last one to be worked on cancels all, and everybody ends all the same.
        let ends = async |scope: &ScopeHandle, item: usize| {
            if item + 1 == items {
                scope.cancel_with("in the last one");
            }
            shield(checkpoint()).await;
        };
        for limit in 1..=items + 1 {
            let limit = NonZeroUsize::new(limit).expect("at least one");
            let worked = Counter::new();
            let batches = CancelScope::new().run(async |scope| {
                let mut numbers = iterate_blocking(0..items).batch(limit);
                while let Some(item) = numbers.next().await {
                    ends(&scope, item).await;
                    worked.add();
                }
                7
            });
            assert_eq!(batches.await.ok(), Some(7), "{items} items in batches of {limit}");
            assert_eq!(worked.get(), items);

            let (ended, all_spawned) = (Counter::new(), Event::new());
            let group = CancelScope::new().run(async |scope| {
                task_group(async |group| {
                    let limited = group.limit(limit);
                    for item in 0..items {
                        let (scope, ended, all_spawned) = (scope.clone(), ended.clone(), all_spawned.clone());
                        let last = item + 1 == items;
                        let child = async move {
                            if last {
                                all_spawned.wait().await;
                                scope.cancel_with("in the last one");
                            }
                            shield(checkpoint()).await;
                            ended.add();
                        };
                        limited.spawn(child).await;
                    }
                    all_spawned.set();
                    7
                })
                .await
            });
            assert_eq!(group.await.ok().and_then(Result::ok), Some(7), "{items} children, {limit} at once");
            assert_eq!(ended.get(), items);
        }
        let values = CancelScope::new().run(async |scope| {
            let mut values = as_completed((0..items).map(|item| ends(&scope, item)));
            let mut ended = 0;
            while values.next().await.is_some() {
                ended += 1;
            }
            ended
        });
        assert_eq!(values.await.ok(), Some(items), "{items} values as they end");
    }
    // Who asks for ever is stopped.
    let asks = CancelScope::new().run(async |scope| {
        let mut numbers = iterate_blocking(0..1);
        while numbers.next().await.is_some() {}
        scope.cancel_with("after the end");
        loop {
            numbers.next().await;
        }
    });
    let asks: Result<std::convert::Infallible, _> = asks.await;
    assert!(asks.is_err());
}

pub(crate) async fn rule_56_a_child_that_has_the_only_place_of_its_group_does_not_wait_for_itself() {
    let told = Counter::new();
    let tells = told.clone();
    let result = task_group(async move |group| {
        let one = group.limit(NonZeroUsize::MIN);
        // One after the other they have the place, and nobody waits for itself.
        let first = one.spawn(async { 1 }).await;
        let second = one.spawn(async { 2 }).await;
        assert_eq!((first.await.ok(), second.await.ok()), (Some(1), Some(2)));
        let inner = one.clone();
        one.spawn(async move {
            let mut refused = inner.spawn(async {}).await;
            let ended = refused.try_value().expect("it has ended").expect_err("it has not begun");
            assert!(ended.is_not_started(), "{ended}");
            assert!(ended.to_string().contains("the only place"), "{ended}");
            tells.add();
        })
        .await;
    })
    .await;
    assert_eq!(told.get(), 1);
    let error = result.expect_err("what was not started fails the group").to_string();
    assert!(error.contains("the only place"), "{error}");

    let result = task_group(async |group| {
        let two = group.limit(NonZeroUsize::new(2).expect("two"));
        let inner = two.clone();
        two.spawn(async move { drop(inner.spawn(async {}).await) }).await;
    });
    assert!(result.await.is_ok(), "the other place is free");
}
