//! SY: what works as a lock.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use anyrt_core::{
    Barrier, CancelScope, CapacityLimiter, Condition, Event, Mutex, OnceCell, RwLock, Semaphore, WouldBlock,
    channel, checkpoint, fail_after, task_group,
};
use futures::future::pending;

use crate::by_hand::ByHand;
use crate::counting::{Counter, count_polls};
use crate::lock_likes::lock_likes;
use crate::time::A_MOMENT;

pub(crate) async fn sy_01_nobody_is_inside_twice() {
    for lock in lock_likes() {
        let (lock, inside, rounds) = (Arc::new(lock), Counter::new(), Counter::new());
        let name = lock.name;
        let (all, counted) = (rounds.clone(), inside.clone());
        task_group(async move |group| {
            for _ in 0..5 {
                let (lock, inside, rounds) = (Arc::clone(&lock), counted.clone(), all.clone());
                group.spawn(async move {
                    for _ in 0..10 {
                        let held = lock.enter().await;
                        let others = inside.add();
                        checkpoint().await;
                        assert_eq!((others, inside.get()), (rounds.get(), rounds.get() + 1), "{}", lock.name);
                        rounds.add();
                        drop(held);
                    }
                });
            }
        })
        .await
        .expect("no child fails");
        assert_eq!((inside.get(), rounds.get()), (50, 50), "{name}");
    }
}

pub(crate) async fn sy_02_turns_go_round_in_strict_order() {
    for lock in lock_likes() {
        let turns = std::sync::Mutex::new(Vec::new());
        let mut tasks: Vec<_> = (0..5)
            .map(|task| {
                let (lock, turns) = (&lock, &turns);
                ByHand::new(async move {
                    for _ in 0..10 {
                        let _held = lock.enter().await;
                        turns.lock().expect("not poisoned").push(task);
                        checkpoint().await;
                    }
                })
            })
            .collect();
        let mut running: Vec<_> = tasks.iter_mut().collect();
        while !running.is_empty() {
            running.retain_mut(|task| task.poll().is_pending());
            // In whatever order they are polled.
            running.reverse();
        }
        drop(tasks);
        let expected: Vec<_> = (0..50).map(|turn| turn % 5).collect();
        assert_eq!(turns.into_inner().expect("not poisoned"), expected, "{}", lock.name);
    }
}

pub(crate) async fn sy_03_who_got_it_without_a_wait_keeps_others_waiting_until_the_release() {
    for lock in lock_likes() {
        let held = lock.try_enter().expect("it is free");
        let mut waits = ByHand::new(lock.enter());
        assert!(waits.poll().is_pending() && waits.poll().is_pending(), "{}", lock.name);
        drop(held);
        assert!(waits.poll().is_ready(), "{}", lock.name);
    }
}

pub(crate) async fn sy_04_a_release_hands_over_before_it_returns() {
    for lock in lock_likes() {
        let held = lock.try_enter().expect("it is free");
        let mut waits = ByHand::new(lock.enter());
        assert!(waits.poll().is_pending(), "{}", lock.name);
        drop(held);
        assert_eq!((waits.wakes(), lock.waiting()), (1, 0), "{}", lock.name);
        assert!(lock.try_enter().is_none(), "{}: it is the waiter's", lock.name);
        assert!(waits.poll().is_ready(), "{}", lock.name);
    }
}

pub(crate) async fn sy_05_a_waiter_that_is_cancelled_leaves_the_lock_free() {
    for lock in lock_likes() {
        // Before the release: it is handed nothing, polled or not.
        for polled in [true, false] {
            let held = lock.try_enter().expect("it is free");
            let scope = CancelScope::new();
            let handle = scope.handle();
            let mut waits = ByHand::new(scope.run(async |_| lock.enter().await));
            assert!(waits.poll().is_pending(), "{}", lock.name);
            handle.cancel_with("while it waits");
            if polled {
                assert!(matches!(waits.poll(), Poll::Ready(Err(_))), "{}", lock.name);
                assert_eq!(lock.waiting(), 0, "{}", lock.name);
            }
            drop(held);
            assert!(lock.try_enter().is_some(), "{}: it is free", lock.name);
            if !polled {
                assert!(matches!(waits.poll(), Poll::Ready(Err(_))), "{}", lock.name);
            }
        }
        // After it: what it was handed goes on when it is gone.
        let held = lock.try_enter().expect("it is free");
        let scope = CancelScope::new();
        let handle = scope.handle();
        let mut handed = ByHand::new(scope.run(async |_| lock.enter().await));
        let mut next = ByHand::new(lock.enter());
        assert!(handed.poll().is_pending() && next.poll().is_pending(), "{}", lock.name);
        drop(held);
        handle.cancel_with("after it was handed the lock");
        assert!(next.poll().is_pending(), "{}", lock.name);
        match handed.poll() {
            Poll::Ready(Ok(held)) => drop(held),
            _ => panic!("{}: what was handed over before is returned", lock.name),
        }
        assert!(next.poll().is_ready(), "{}", lock.name);
        assert!(lock.try_enter().is_some(), "{}: it is free", lock.name);
    }
}

pub(crate) async fn sy_08_nobody_releases_what_it_does_not_have() {
    // Of a lock only the guard releases, wherever it is.
    let lock = Mutex::new(());
    let guard = lock.lock().await;
    drop(lock.clone());
    assert!(lock.is_locked());
    drop(guard);
    assert!(!lock.is_locked());
    // What has no guard, or lost it, is asked by name or by number.
    let limiter = CapacityLimiter::new(1);
    assert!(limiter.release_on_behalf_of("nobody").is_err());
    let semaphore = Semaphore::with_maximum(1, 1);
    assert!(semaphore.add_permits(1).is_err());
    assert_eq!((limiter.borrowed(), semaphore.available()), (0, 1));
}

pub(crate) async fn sy_09_an_owner_that_ends_has_released() {
    for lock in lock_likes() {
        let lock = Arc::new(lock);
        let waiter = Arc::clone(&lock);
        task_group(async move |group| {
            let entered = Event::new();
            let (enters, shared) = (entered.clone(), Arc::clone(&lock));
            let owner = group.spawn(async move {
                let _held = shared.enter().await;
                enters.set();
                pending::<()>().await;
            });
            entered.wait().await;
            let mut waits = pin!(waiter.enter());
            assert!(futures::poll!(&mut waits).is_pending(), "{}", lock.name);
            owner.cancel_with("it never releases");
            let held = waits.await;
            drop(held);
        })
        .await
        .expect("no child fails");
    }
    // A panic releases too.
    let lock = Mutex::new(());
    let shared = lock.clone();
    let mut panics = ByHand::new(async move {
        let _guard = shared.lock().await;
        panic!("with the lock");
    });
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| panics.poll())).is_err());
    assert!(!lock.is_locked());
}

pub(crate) async fn rule_63_who_waits_has_the_lock_when_its_owner_panics() {
    for lock in lock_likes() {
        let mut owner = ByHand::new(async {
            let _held = lock.enter().await;
            checkpoint().await;
            panic!("with the lock");
        });
        assert!(owner.poll().is_pending(), "{}", lock.name);
        let mut waits = ByHand::new(lock.enter());
        assert!(waits.poll().is_pending(), "{}", lock.name);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| owner.poll())).is_err());
        assert_eq!(waits.wakes(), 1, "{}", lock.name);
        assert!(waits.poll().is_ready(), "{}", lock.name);
    }
}

pub(crate) async fn sy_10_what_is_free_is_taken_without_a_yield() {
    for lock in lock_likes() {
        // In a poll in which not very much was taken already.
        checkpoint().await;
        let polls = Counter::new();
        drop(count_polls(&polls, lock.enter()).await);
        assert_eq!(polls.get(), 1, "{}", lock.name);
        // It looks at the cancellation all the same, and at a deadline that has passed.
        let left = CancelScope::new()
            .run(async |scope| {
                scope.cancel_with("before it asks");
                lock.enter().await
            })
            .await;
        assert!(left.is_err(), "{}", lock.name);
        let timed_out = fail_after(A_MOMENT, async {
            loop {
                drop(lock.enter().await);
            }
        });
        assert!(timed_out.await.is_err(), "{}", lock.name);
        assert!(lock.try_enter().is_some(), "{}: nothing was taken", lock.name);
    }
}

pub(crate) async fn sy_11_a_semaphore_has_no_more_than_its_maximum() {
    let semaphore = Semaphore::with_maximum(1, 2);
    semaphore.add_permits(1).expect("there is room for one more");
    let error = semaphore.add_permits(1).expect_err("there are two");
    assert!(error.to_string().contains("2 at most"), "{error}");
    let (one, two) = (semaphore.acquire().await, semaphore.acquire().await);
    assert!(semaphore.add_permits(1).is_err(), "those that are out count");
    one.forget();
    assert_eq!(semaphore.statistics().total, 1);
    semaphore.add_permits(1).expect("one was used up");
    drop(two);
    assert_eq!((semaphore.available(), semaphore.statistics().total), (2, 2));
    assert!(semaphore.add_permits(usize::MAX).is_err());
}

pub(crate) async fn sy_12_a_waiter_that_was_woken_is_not_overtaken() {
    for lock in lock_likes() {
        let held = lock.try_enter().expect("it is free");
        let (mut first, mut second) = (ByHand::new(lock.enter()), ByHand::new(lock.enter()));
        assert!(first.poll().is_pending() && second.poll().is_pending(), "{}", lock.name);
        drop(held);
        assert!(lock.try_enter().is_none(), "{}", lock.name);
        let mut newcomer = ByHand::new(lock.enter());
        assert!(newcomer.poll().is_pending() && second.poll().is_pending(), "{}", lock.name);
        let Poll::Ready(held) = first.poll() else { panic!("{}: it is its turn", lock.name) };
        drop(held);
        assert!(newcomer.poll().is_pending(), "{}", lock.name);
        assert!(second.poll().is_ready(), "{}", lock.name);
    }
}

pub(crate) async fn sy_20_everything_tells_how_many_wait() {
    for lock in lock_likes() {
        let held = lock.try_enter().expect("it is free");
        let (mut one, mut two) = (ByHand::new(lock.enter()), ByHand::new(lock.enter()));
        assert!(one.poll().is_pending() && two.poll().is_pending(), "{}", lock.name);
        assert_eq!(lock.waiting(), 2, "{}", lock.name);
        two.drop_future();
        assert_eq!(lock.waiting(), 1, "{}", lock.name);
        drop(held);
        assert_eq!(lock.waiting(), 0, "{}", lock.name);
    }

    let event = Event::new();
    let mut waits = ByHand::new(event.wait());
    assert!(waits.poll().is_pending());
    assert_eq!(event.waiting(), 1);
    event.set();
    assert_eq!(event.waiting(), 0);

    let condition = Condition::new(&Mutex::new(()));
    let mut guard = condition.lock().lock().await;
    let mut waits = ByHand::new(condition.wait(&mut guard));
    assert!(waits.poll().is_pending());
    assert_eq!(condition.waiting(), 1);
    condition.notify_all(&condition.lock().lock().await);
    assert_eq!(condition.waiting(), 0);
    assert!(waits.poll().is_ready());

    let barrier = Barrier::new(3);
    let mut waits = ByHand::new(barrier.wait());
    assert!(waits.poll().is_pending());
    assert_eq!(barrier.waiting(), 1);

    let cell = OnceCell::new();
    let mut makes = ByHand::new(cell.get_or_init(async || pending::<()>().await));
    let mut waits = ByHand::new(cell.get_or_init(async || ()));
    assert!(makes.poll().is_pending() && waits.poll().is_pending());
    assert_eq!(cell.waiting(), 1);

    let lock = RwLock::new(());
    let reads = (lock.read().await, lock.read().await);
    let mut waits = ByHand::new(lock.write());
    assert!(waits.poll().is_pending());
    let statistics = lock.statistics();
    assert_eq!((statistics.readers, statistics.writing, statistics.waiting), (2, false, 1));
    drop(reads);
    assert!(lock.statistics().writing);

    let semaphore = Semaphore::with_maximum(1, 3);
    let mut waits = ByHand::new(semaphore.acquire_many(2));
    assert!(waits.poll().is_pending());
    let statistics = semaphore.statistics();
    assert_eq!(
        (statistics.available, statistics.total, statistics.maximum, statistics.waiting),
        (1, 1, 3, 1)
    );

    let lock = Mutex::new(());
    let _guard = lock.lock().await;
    assert!(lock.statistics().locked);

    let (sender, receiver) = channel::bounded(1);
    sender.send(()).await.expect("there is a receiver");
    let mut waits = ByHand::new(sender.send(()));
    assert!(waits.poll().is_pending());
    assert_eq!(sender.waiting(), 1);
    drop(receiver);
    assert_eq!(sender.waiting(), 0);
}

pub(crate) async fn rule_60_a_writer_that_waits_stops_new_readers() {
    let lock = RwLock::new(0);
    let one = lock.read().await;
    let two = lock.try_read().expect("readers share");
    let mut writes = ByHand::new(lock.write());
    assert!(writes.poll().is_pending());
    assert_eq!(lock.try_read().map(drop), Err(WouldBlock));
    let (mut third, mut fourth) = (ByHand::new(lock.read()), ByHand::new(lock.read()));
    let mut later = ByHand::new(lock.write());
    assert!(third.poll().is_pending() && fourth.poll().is_pending() && later.poll().is_pending());
    drop(one);
    assert!(writes.poll().is_pending(), "one still reads");
    drop(two);
    let Poll::Ready(mut guard) = writes.poll() else { panic!("it is the writer's turn") };
    *guard += 1;
    assert!(third.poll().is_pending() && later.poll().is_pending());
    drop(guard);
    // All readers up to the next writer, at once.
    let (Poll::Ready(third), Poll::Ready(fourth)) = (third.poll(), fourth.poll()) else {
        panic!("it is the readers' turn")
    };
    assert_eq!((*third, *fourth), (1, 1));
    assert!(later.poll().is_pending());
    drop((third, fourth));
    assert!(later.poll().is_ready());
}

pub(crate) async fn rule_61_readers_behind_a_writer_that_leaves_go_on() {
    let lock = RwLock::new(());
    let _reads = lock.read().await;
    for by_cancel in [false, true] {
        let scope = CancelScope::new();
        let handle = scope.handle();
        let mut writes = ByHand::new(scope.run(async |_| lock.write().await));
        let mut behind = ByHand::new(lock.read());
        assert!(writes.poll().is_pending() && behind.poll().is_pending());
        if by_cancel {
            handle.cancel_with("it is the case");
            assert!(matches!(writes.poll(), Poll::Ready(Err(_))));
        } else {
            writes.drop_future();
        }
        assert_eq!(behind.wakes(), 1);
        assert!(behind.poll().is_ready());
    }
    // One that is cancelled and does not know yet is in nobody's way.
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut writes = ByHand::new(scope.run(async |_| lock.write().await));
    let mut behind = ByHand::new(lock.read());
    assert!(writes.poll().is_pending() && behind.poll().is_pending());
    handle.cancel_with("it is the case");
    assert!(lock.try_read().is_ok());
    assert!(behind.poll().is_ready());
}

pub(crate) async fn rule_61_who_asked_for_many_and_leaves_lets_the_others_go_on() {
    let semaphore = Semaphore::new(2);
    let one = semaphore.acquire().await;
    let mut many = ByHand::new(semaphore.acquire_many(2));
    let mut few = ByHand::new(semaphore.acquire());
    assert!(many.poll().is_pending() && few.poll().is_pending());
    assert!(semaphore.try_acquire().is_err(), "nobody overtakes, although one is free");
    many.drop_future();
    assert!(few.poll().is_ready());
    drop((one, few));
    assert_eq!(semaphore.acquire_many(2).await.number(), 2);
}

pub(crate) async fn rule_60_a_writer_that_reads_on_lets_no_writer_in_between() {
    let lock = RwLock::new(1);
    let guard = lock.write().await;
    let (mut reads, mut writes) = (ByHand::new(lock.read()), ByHand::new(lock.write()));
    assert!(reads.poll().is_pending() && writes.poll().is_pending());
    let reader = guard.downgrade();
    assert!(reads.poll().is_ready());
    assert!(writes.poll().is_pending());
    drop((reader, reads));
    assert!(writes.poll().is_ready());
}
