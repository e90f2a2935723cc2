//! SY: events and conditions, and the other places where tasks meet.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

use anyrt_core::{
    Barrier, CancelScope, Condition, Event, Mutex, OnceCell, SetError, checkpoint, move_on_after, task_group,
};
use futures::future::pending;

use crate::by_hand::ByHand;
use crate::counting::Counter;
use crate::endings::Failure;
use crate::time::{A_MOMENT, AN_HOUR};

pub(crate) async fn sy_13_an_event_wakes_all_and_stays() {
    let event = Event::new();
    let mut waiters: Vec<_> = (0..5).map(|_| ByHand::new(event.wait())).collect();
    for waiter in &mut waiters {
        assert!(waiter.poll().is_pending());
    }
    assert!(!event.is_set());
    event.set();
    event.set();
    for waiter in &mut waiters {
        assert_eq!(waiter.wakes(), 1);
        assert!(waiter.poll().is_ready());
    }
    assert!(event.is_set());
    event.wait().await;
}

pub(crate) async fn sy_14_who_waited_when_it_happened_does_not_miss_it() {
    let event = Event::new();
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut waits = ByHand::new(scope.run(async |_| event.wait().await));
    assert!(waits.poll().is_pending());
    event.set();
    handle.cancel_with("after it happened");
    assert!(matches!(waits.poll(), Poll::Ready(Ok(()))));
}

pub(crate) async fn sy_15_a_condition_needs_the_guard_of_its_lock() {
    let (lock, other) = (Mutex::new(()), Mutex::new(()));
    let condition = Condition::new(&lock);
    let mut wrong = other.lock().await;
    let line = line!() + 1;
    let refused = catch_unwind(AssertUnwindSafe(|| drop(condition.wait(&mut wrong))));
    says_where(refused, line);
    let line = line!() + 1;
    let refused = catch_unwind(AssertUnwindSafe(|| condition.notify_one(&wrong)));
    says_where(refused, line);
    let line = line!() + 1;
    let refused = catch_unwind(AssertUnwindSafe(|| condition.notify_all(&wrong)));
    says_where(refused, line);
    let line = line!() + 1;
    let refused = catch_unwind(AssertUnwindSafe(|| drop(condition.wait_for(&mut wrong, |()| true))));
    says_where(refused, line);
    assert!(other.is_locked() && !lock.is_locked());
}

#[track_caller]
fn says_where(refused: Result<(), Box<dyn std::any::Any + Send>>, line: u32) {
    let payload = refused.expect_err("it is refused");
    let text = payload.downcast::<String>().expect("a text");
    assert!(text.contains(&format!("meetings.rs:{line}:")) && text.contains("another lock"), "{text}");
}

/// A task that waits for the condition, and says when it is notified.
async fn notified(condition: &Condition<Vec<u32>>, number: u32) {
    let mut guard = condition.lock().lock().await;
    condition.wait(&mut guard).await;
    guard.push(number);
}

pub(crate) async fn sy_16_notify_wakes_so_many_in_their_order() {
    let lock = Mutex::new(Vec::new());
    let condition = Condition::new(&lock);
    let mut waiters: Vec<_> = (0..5).map(|number| ByHand::new(notified(&condition, number))).collect();
    for waiter in &mut waiters {
        assert!(waiter.poll().is_pending());
    }
    assert!(!lock.is_locked(), "who waits has no lock");
    condition.notify_many(&lock.lock().await, 2);
    let woken: Vec<_> = waiters.iter().map(ByHand::wakes).collect();
    assert_eq!(woken, [1, 1, 0, 0, 0]);
    // One that is gone before it saw it passes it on.
    waiters[1].drop_future();
    assert_eq!(waiters[2].wakes(), 1);
    assert!(waiters[0].poll().is_ready() && waiters[2].poll().is_ready());
    assert!(waiters[3].poll().is_pending());
    condition.notify_all(&lock.lock().await);
    assert!(waiters[4].poll().is_ready() && waiters[3].poll().is_ready());
    assert_eq!(*lock.lock().await, [0, 2, 4, 3]);
    // With nobody there it is no news for who comes later.
    condition.notify_one(&lock.lock().await);
    let mut late = ByHand::new(notified(&condition, 9));
    assert!(late.poll().is_pending() && late.poll().is_pending());
}

pub(crate) async fn sy_17_a_wait_that_was_cancelled_has_the_lock_again() {
    let lock = Mutex::new(0);
    let condition = Condition::new(&lock);
    let mut guard = lock.lock().await;
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut waits = ByHand::new(scope.run(async |_| condition.wait(&mut guard).await));
    assert!(waits.poll().is_pending());
    let other = lock.try_lock().expect("who waits has no lock");
    handle.cancel_with("while another has the lock");
    assert!(waits.poll().is_pending(), "it is left with the lock only");
    assert_eq!((condition.waiting(), lock.waiting()), (0, 1));
    condition.notify_one(&other);
    drop(other);
    assert!(matches!(waits.poll(), Poll::Ready(Err(_))), "the cancellation is not lost over it");
    drop(waits);
    assert!(lock.is_locked());
    *guard += 1;
    drop(guard);
    assert!(!lock.is_locked());

    let mut guard = lock.lock().await;
    assert!(move_on_after(A_MOMENT, condition.wait(&mut guard)).await.is_none());
    *guard += 1;
    assert!(lock.is_locked());
    // Cancelled before it waits, it does not even give it up.
    let left = CancelScope::new()
        .run(async |scope| {
            scope.cancel_with("before it waits");
            condition.wait(&mut guard).await;
        })
        .await;
    assert!(left.is_err());
    assert_eq!((*guard, lock.is_locked()), (2, true));
}

pub(crate) async fn sy_19_wait_for_waits_until_it_is_true() {
    let lock = Mutex::new(0);
    let condition = Condition::new(&lock);
    task_group(async |group| {
        let (theirs, sees) = (condition.clone(), Counter::new());
        let looked = sees.clone();
        let waits = group.spawn(async move {
            let mut guard = theirs.lock().lock().await;
            theirs
                .wait_for(&mut guard, |number| {
                    looked.add();
                    *number >= 3
                })
                .await;
            *guard
        });
        for number in 1..=3 {
            while condition.waiting() == 0 {
                checkpoint().await;
            }
            let mut guard = lock.lock().await;
            assert_eq!(*guard, number - 1);
            *guard = number;
            condition.notify_one(&guard);
        }
        assert_eq!(waits.await.expect("it is true"), 3);
        assert_eq!(sees.get(), 4);
    })
    .await
    .expect("no child fails");
    // True already: the lock is kept.
    let mut guard = lock.lock().await;
    let mut waits = ByHand::new(condition.wait_for(&mut guard, |number| *number == 3));
    assert!(waits.poll().is_ready());
}

pub(crate) async fn rule_64_a_wait_that_foreign_code_drops_leaves_a_guard_that_says_so() {
    let lock = Mutex::new(0);
    let condition = Condition::new(&lock);
    let mut guard = lock.lock().await;
    let mut waits = ByHand::new(condition.wait(&mut guard));
    assert!(waits.poll().is_pending());
    drop(waits);
    assert!(!lock.is_locked());
    let used = catch_unwind(AssertUnwindSafe(|| *guard)).expect_err("it has no lock");
    let text = used.downcast::<String>().expect("a text");
    assert!(text.contains("dropped by foreign code"), "{text}");
    drop(guard);
    assert_eq!(lock.try_lock().map(|guard| *guard), Ok(0), "nothing was given back twice");
}

pub(crate) async fn rule_61_a_barrier_opens_when_all_have_come() {
    let barrier = Barrier::new(3);
    for _ in 0..2 {
        let (mut one, mut two) = (ByHand::new(barrier.wait()), ByHand::new(barrier.wait()));
        assert!(one.poll().is_pending() && two.poll().is_pending());
        let mut three = ByHand::new(barrier.wait());
        let Poll::Ready(leads) = three.poll() else { panic!("all have come") };
        assert!(leads.is_leader());
        // Whether it looks or not, it has passed.
        two.drop_future();
        let mut next = ByHand::new(barrier.wait());
        assert!(next.poll().is_pending());
        let Poll::Ready(follows) = one.poll() else { panic!("all have come") };
        assert!(!follows.is_leader());
    }
    assert_eq!(
        (Barrier::new(0).wait().await.is_leader(), Barrier::new(1).wait().await.is_leader()),
        (true, true)
    );
}

pub(crate) async fn rule_61_who_is_cancelled_at_a_barrier_has_not_come() {
    let barrier = Barrier::new(2);
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut cancelled = ByHand::new(scope.run(async |_| barrier.wait().await));
    assert!(cancelled.poll().is_pending());
    handle.cancel_with("it is the case");
    let mut waits = ByHand::new(barrier.wait());
    assert!(waits.poll().is_pending(), "it is alone");
    assert!(matches!(cancelled.poll(), Poll::Ready(Err(_))));
    assert_eq!(barrier.waiting(), 1);
    assert!(barrier.wait().await.is_leader());
    assert!(waits.poll().is_ready());
}

pub(crate) async fn rule_61_a_cell_is_made_once_whoever_is_cancelled() {
    let cell = OnceCell::new();
    let made = Counter::new();
    let make = async |number: usize| {
        made.add();
        number
    };
    let mut first = ByHand::new(cell.get_or_init(async || pending::<usize>().await));
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut second = ByHand::new(scope.run(async |_| *cell.get_or_init(async || make(2).await).await));
    let mut third = ByHand::new(cell.get_or_try_init(async || Err::<usize, _>(Failure("no"))));
    let mut fourth = ByHand::new(cell.get_or_init(async || make(4).await));
    let mut fifth = ByHand::new(cell.get_or_init(async || make(5).await));
    assert!(first.poll().is_pending() && second.poll().is_pending() && third.poll().is_pending());
    assert!(fourth.poll().is_pending() && fifth.poll().is_pending());
    assert!(matches!(cell.set(0), Err(SetError::WouldBlock(0))));
    handle.cancel_with("while it waits");
    // The turn passes over who is cancelled, and goes on from who fails.
    first.drop_future();
    assert!(fifth.poll().is_pending() && fourth.poll().is_pending());
    assert!(matches!(third.poll(), Poll::Ready(Err(Failure("no")))));
    assert!(fifth.poll().is_pending(), "it is the turn of the fourth");
    assert!(matches!(fourth.poll(), Poll::Ready(4)));
    assert!(matches!(fifth.poll(), Poll::Ready(4)));
    assert!(matches!(second.poll(), Poll::Ready(Err(_))));
    assert_eq!((made.get(), cell.get()), (1, Some(&4)));
    assert!(matches!(cell.set(0), Err(SetError::AlreadySet(0))));
    assert_eq!(*cell.get_or_init(async || make(6).await).await, 4);
}

pub(crate) async fn rule_61_a_cell_whose_maker_panics_is_made_by_the_next() {
    let cell = Arc::new(OnceCell::new());
    let mut panics = ByHand::new(cell.get_or_init(async || {
        checkpoint().await;
        panic!("while it makes the value")
    }));
    let mut next = ByHand::new(cell.get_or_init(async || 1));
    assert!(panics.poll().is_pending() && next.poll().is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| panics.poll())).is_err());
    assert!(matches!(next.poll(), Poll::Ready(1)));
    // One that is cancelled while it makes it, too.
    let cell = OnceCell::new();
    let slow = move_on_after(A_MOMENT, cell.get_or_init(async || anyrt_core::sleep(AN_HOUR).await));
    let next = async {
        checkpoint().await;
        cell.get_or_init(async || ()).await;
    };
    assert!(anyrt_core::join(slow, next).await.0.is_none());
}
