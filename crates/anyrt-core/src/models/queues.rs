//! What is handed over against the cancellation of who waits for it.

use loom::thread;

use super::stage::{Count, check, drive, on_stage};
use crate::between::{Event, Lock};
use crate::channel;
use crate::scope::CancelScope;

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
            let lock = Lock::new(0);
            let guard = lock.try_lock().unwrap();
            let scope = CancelScope::new();
            let handle = scope.handle();
            let releases = thread::spawn(move || drop(guard));
            let cancels = thread::spawn(move || handle.cancel("now"));
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
            let cancels = thread::spawn(move || handle.cancel("now"));
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
