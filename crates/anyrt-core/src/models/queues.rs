//! Handing something over, against the cancellation of the waiter.

use loom::thread;

use super::stage::{Count, check, drive, on_stage};
use crate::base::sync::Arc;
use crate::scope::CancelScope;
use crate::scope::checkpoint::checkpoint;
use crate::wait::channel;
use crate::wait::primitives::{Barrier, Condition, Event, Mutex, OnceCell};

#[test]
fn an_event_happens_while_somebody_begins_to_wait() {
    check("an_event_happens_while_somebody_begins_to_wait", || {
        let event = Event::new();
        let told = event.clone();
        let other = event.clone();
        thread::spawn(move || told.set());
        thread::spawn(move || drive(other.wait()));
        drive(event.wait());
        assert!(event.is_set());
    });
}

#[test]
fn a_lock_is_handed_over_while_who_waits_is_cancelled() {
    check("a_lock_is_handed_over_while_who_waits_is_cancelled", || {
        on_stage(async |_| {
            let lock = Mutex::new(0);
            let guard = lock.try_lock().unwrap();
            let scope = CancelScope::new();
            let handle = scope.handle();
            let releases = thread::spawn(move || drop(guard));
            let cancels = thread::spawn(move || handle.cancel_with("now"));
            let _ = scope.run(async |_| *lock.lock().await += 1).await;
            releases.join().unwrap();
            cancels.join().unwrap();
            assert!(!lock.is_locked());
            assert_eq!(lock.waiting(), 0);
        });
    });
}

#[test]
fn an_item_is_sent_while_who_receives_is_cancelled() {
    check("an_item_is_sent_while_who_receives_is_cancelled", || {
        on_stage(async |_| {
            let (sender, receiver) = channel::bounded(1);
            let scope = CancelScope::new();
            let handle = scope.handle();
            let sends = thread::spawn(move || drive(sender.send(7)).unwrap());
            let cancels = thread::spawn(move || handle.cancel_with("now"));
            let got = Count::default();
            let seen = got.clone();
            let _ = scope
                .run(async |_| {
                    assert_eq!(receiver.recv().await, Ok(7));
                    seen.add();
                })
                .await;
            sends.join().unwrap();
            cancels.join().unwrap();
            let left = usize::from(receiver.try_recv().is_ok());
            assert_eq!(got.get() + left, 1, "an item was lost, or came twice");
        });
    });
}

#[test]
fn the_last_sender_goes_while_somebody_begins_to_receive() {
    check("the_last_sender_goes_while_somebody_begins_to_receive", || {
        let (sender, receiver) = channel::bounded::<u8>(0);
        let other = receiver.clone();
        thread::spawn(move || drop(sender));
        thread::spawn(move || assert!(drive(other.recv()).is_err()));
        assert!(drive(receiver.recv()).is_err());
    });
}

#[test]
fn two_meet_in_a_channel_without_room() {
    check("two_meet_in_a_channel_without_room", || {
        let (sender, receiver) = channel::bounded(0);
        let sends = thread::spawn(move || drive(sender.send(7)));
        assert_eq!(drive(receiver.recv()), Ok(7));
        assert!(sends.join().unwrap().is_ok());
    });
}

#[test]
fn a_value_is_made_by_another_while_who_makes_it_is_cancelled() {
    check("a_value_is_made_by_another_while_who_makes_it_is_cancelled", || {
        on_stage(async |_| {
            let cell = Arc::new(OnceCell::new());
            let scope = CancelScope::new();
            let (handle, other) = (scope.handle(), cell.clone());
            let makes = thread::spawn(move || assert_eq!(*drive(other.get_or_init(async || 7)), 7));
            thread::spawn(move || handle.cancel_with("now"));
            let _ = scope
                .run(async |_| {
                    let made = cell.get_or_init(async || {
                        checkpoint().await;
                        7
                    });
                    assert_eq!(*made.await, 7);
                })
                .await;
            makes.join().unwrap();
            assert_eq!((cell.get(), cell.waiting()), (Some(&7), 0));
        });
    });
}

#[test]
fn the_last_comes_to_a_barrier_while_another_begins_to_wait() {
    check("the_last_comes_to_a_barrier_while_another_begins_to_wait", || {
        let barrier = Barrier::new(2);
        let other = barrier.clone();
        let second = thread::spawn(move || drive(other.wait()).is_leader());
        let first = drive(barrier.wait()).is_leader();
        assert!(first != second.join().unwrap(), "one of them is the leader");
    });
}

#[test]
fn a_condition_is_told_while_who_waits_is_cancelled() {
    check("a_condition_is_told_while_who_waits_is_cancelled", || {
        on_stage(async |_| {
            let lock = Mutex::new(false);
            let condition = Condition::new(&lock);
            let (told, kept) = (condition.clone(), lock.clone());
            let scope = CancelScope::new();
            let handle = scope.handle();
            let tells = thread::spawn(move || {
                let mut guard = drive(kept.lock());
                *guard = true;
                told.notify_one(&guard);
            });
            let cancels = thread::spawn(move || handle.cancel_with("now"));
            let _ = scope
                .run(async |_| {
                    let mut guard = lock.lock().await;
                    while !*guard {
                        condition.wait(&mut guard).await;
                    }
                })
                .await;
            tells.join().unwrap();
            cancels.join().unwrap();
            assert!(!lock.is_locked());
            assert_eq!((lock.waiting(), condition.waiting()), (0, 0));
        });
    });
}
