//! Read-write locks, conditions, cells, barriers and channels without room, against the cancellation of a
//! waiter.

use loom::thread;

use super::stage::{Count, check, drive, on_stage};
use crate::scope::CancelScope;
use crate::wait::channel;
use crate::wait::combine::race;
use crate::wait::primitives::{Barrier, Condition, Event, Mutex, OnceCell, RwLock};

#[test]
fn a_writer_is_cancelled_while_a_reader_waits_behind_it() {
    check("a_writer_is_cancelled_while_a_reader_waits_behind_it", || {
        on_stage(async |_| {
            let lock = RwLock::new(0);
            let reads = lock.try_read().unwrap();
            let scope = CancelScope::new();
            let handle = scope.handle();
            let behind = lock.clone();
            let reader = thread::spawn(move || drop(drive(behind.read())));
            let cancels = thread::spawn(move || handle.cancel_with("now"));
            let _ = scope.run(async |_| drop(lock.write().await)).await;
            reader.join().unwrap();
            cancels.join().unwrap();
            drop(reads);
            assert!(lock.try_write().is_ok());
        });
    });
}

#[test]
fn one_is_notified_while_the_first_of_two_is_cancelled() {
    check("one_is_notified_while_the_first_of_two_is_cancelled", || {
        on_stage(async |_| {
            let lock = Mutex::new(0);
            let condition = Condition::new(&lock);
            let scope = CancelScope::new();
            let handle = scope.handle();
            let (theirs, notifies) = (condition.clone(), condition.clone());
            // Waits until it is notified; if the other waiter is cancelled, the notification is this one's.
            let other = thread::spawn(move || {
                let mut guard = drive(theirs.lock().lock());
                if *guard == 0 {
                    drive(theirs.wait(&mut guard));
                }
            });
            let tells = thread::spawn(move || {
                let mut guard = drive(notifies.lock().lock());
                *guard += 1;
                notifies.notify_all(&guard);
            });
            let cancels = thread::spawn(move || handle.cancel_with("now"));
            let mut guard = lock.lock().await;
            let _ = scope.run(async |_| condition.wait_for(&mut guard, |told| *told > 0).await).await;
            // However it ended, it has the lock.
            *guard += 1;
            drop(guard);
            for thread in [other, tells, cancels] {
                thread.join().unwrap();
            }
            assert_eq!((condition.waiting(), lock.waiting(), *lock.try_lock().unwrap()), (0, 0, 2));
        });
    });
}

#[test]
fn a_value_is_made_once_while_one_who_makes_it_is_cancelled() {
    check("a_value_is_made_once_while_one_who_makes_it_is_cancelled", || {
        on_stage(async |_| {
            let cell = crate::base::sync::Arc::new(OnceCell::new());
            let made = Count::default();
            let scope = CancelScope::new();
            let handle = scope.handle();
            let (theirs, counts) = (cell.clone(), made.clone());
            let other =
                thread::spawn(move || assert_eq!(*drive(theirs.get_or_init(async || counts.seven())), 7));
            let cancels = thread::spawn(move || handle.cancel_with("now"));
            let ours = made.clone();
            let _ = scope
                .run(async |scope| {
                    cell.get_or_init(async || {
                        // Until it is cancelled.
                        scope.cancelled().await;
                        ours.seven()
                    })
                    .await;
                })
                .await;
            other.join().unwrap();
            cancels.join().unwrap();
            assert_eq!((made.get(), cell.get(), cell.waiting()), (1, Some(&7), 0));
        });
    });
}

#[test]
fn two_meet_at_a_barrier_while_a_third_is_cancelled() {
    check("two_meet_at_a_barrier_while_a_third_is_cancelled", || {
        on_stage(async |_| {
            let barrier = Barrier::new(2);
            let scope = CancelScope::new();
            let handle = scope.handle();
            let (theirs, passed) = (barrier.clone(), Event::new());
            let passes = passed.clone();
            let other = thread::spawn(move || {
                drive(theirs.wait());
                passes.set();
            });
            let cancels = thread::spawn(move || handle.cancel_with("now"));
            let met = scope.run(async |_| barrier.wait().await).await;
            if met.is_err() {
                // The other still waits, and meets the one that comes; or it had come before the cancellation
                // was seen.
                race(barrier.wait(), passed.wait()).await;
            }
            other.join().unwrap();
            cancels.join().unwrap();
            assert_eq!(barrier.waiting(), 0);
        });
    });
}

#[test]
fn a_send_without_room_meets_who_is_not_cancelled() {
    check("a_send_without_room_meets_who_is_not_cancelled", || {
        on_stage(async |_| {
            let (sender, receiver) = channel::bounded(0);
            let scope = CancelScope::new();
            let handle = scope.handle();
            let sends = thread::spawn(move || drive(sender.send(7)).is_ok());
            let cancels = thread::spawn(move || handle.cancel_with("now"));
            let got = scope.run(async |_| receiver.recv().await).await;
            match got {
                Ok(item) => assert_eq!(item, Ok(7)),
                Err(_) => assert_eq!(receiver.recv().await, Ok(7)),
            }
            assert!(sends.join().unwrap());
            cancels.join().unwrap();
            assert!(receiver.is_empty());
        });
    });
}

impl Count {
    /// Seven, counted.
    fn seven(&self) -> usize {
        self.add();
        7
    }
}
