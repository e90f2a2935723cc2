//! Channels whose items go to all, or are one: broadcast, watch, oneshot.

use std::sync::Arc;
use std::task::Poll;

use anyrt_core::channel::{self, RecvError, SendError, TryRecvError, broadcast, oneshot, watch};
use anyrt_core::{CancelScope, WouldBlock};

use crate::by_hand::ByHand;
use crate::counting::Counter;

pub(crate) async fn rule_65_a_oneshot_keeps_its_item_until_it_is_seen() {
    let (sender, mut receiver) = oneshot();
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut receives = ByHand::new(scope.run(async |_| receiver.recv().await));
    assert!(receives.poll().is_pending());
    handle.cancel_with("while it waits");
    sender.send(1).expect("there is a receiver");
    assert!(matches!(receives.poll(), Poll::Ready(Err(_))), "nothing is handed to who is cancelled");
    drop(receives);
    let mut receives = ByHand::new(receiver.recv());
    assert_eq!(receives.poll(), Poll::Ready(Ok(1)));
    drop(receives);
    assert_eq!(receiver.recv().await, Err(RecvError::EndOfStream), "there was one");
    assert_eq!(receiver.try_recv(), Err(TryRecvError::EndOfStream));
}

pub(crate) async fn rule_65_the_ends_of_a_oneshot_know_of_each_other() {
    let (sender, mut receiver) = oneshot::<u32>();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::WouldBlock(WouldBlock)));
    let mut receives = ByHand::new(receiver.recv());
    assert!(receives.poll().is_pending());
    drop(sender);
    assert_eq!(receives.wakes(), 1);
    assert_eq!(receives.poll(), Poll::Ready(Err(RecvError::EndOfStream)));

    let (sender, mut receiver) = oneshot();
    let mut gone = ByHand::new(sender.closed());
    assert!(gone.poll().is_pending() && !sender.is_closed());
    receiver.close();
    assert_eq!(gone.wakes(), 1);
    assert!(gone.poll().is_ready());
    drop(gone);
    assert_eq!(sender.send(2), Err(SendError::Broken(2)));
    assert_eq!(receiver.recv().await, Err(RecvError::Closed));

    // Sent before the close, it is there; nobody there, it is dropped.
    let (sender, mut receiver) = oneshot();
    sender.send(3).expect("there is a receiver");
    receiver.close();
    assert_eq!(receiver.recv().await, Ok(3));
    let (sender, receiver) = oneshot();
    let dropped = Counter::new();
    sender.send(dropped.on_drop()).expect("there is a receiver");
    drop(receiver);
    assert_eq!(dropped.get(), 1);
}

pub(crate) async fn rule_65_a_broadcast_goes_to_every_receiver() {
    let (sender, mut one) = broadcast(4);
    let mut two = one.clone();
    let (mut waits, mut waits_too) = (ByHand::new(one.recv()), ByHand::new(two.recv()));
    assert!(waits.poll().is_pending() && waits_too.poll().is_pending());
    assert_eq!(sender.send(1), Ok(2));
    assert_eq!((waits.wakes(), waits_too.wakes()), (1, 1));
    // Dropped before it saw it, it has taken nothing.
    waits_too.drop_future();
    assert_eq!(waits.poll(), Poll::Ready(Ok(1)));
    drop((waits, waits_too));
    assert_eq!(two.recv().await, Ok(1));
    // Who comes later sees what comes later; a clone goes on where the other is.
    sender.send(2).expect("there are receivers");
    let (mut late, mut again) = (sender.subscribe(), two.clone());
    sender.send(3).expect("there are receivers");
    assert_eq!((late.recv().await, again.recv().await, again.recv().await), (Ok(3), Ok(2), Ok(3)));
    let left = CancelScope::new()
        .run(async |scope| {
            scope.cancel_with("before it asks");
            two.recv().await
        })
        .await;
    assert!(left.is_err());
    assert_eq!((two.len(), two.recv().await, two.recv().await), (2, Ok(2), Ok(3)));
    drop(sender);
    assert_eq!(two.recv().await, Err(channel::broadcast::RecvError::EndOfStream));
    assert_eq!((one.recv().await, one.recv().await), (Ok(2), Ok(3)), "what was sent is seen before the end");
    assert_eq!(one.try_recv(), Err(channel::broadcast::TryRecvError::EndOfStream));
}

pub(crate) async fn rule_65_a_receiver_that_lags_is_told_how_many_it_missed() {
    let (sender, mut slow) = broadcast(2);
    let mut fast = slow.clone();
    for number in 1..=5 {
        sender.send(number).expect("there are receivers");
        assert_eq!(fast.recv().await, Ok(number));
    }
    assert_eq!(slow.len(), 5);
    assert_eq!(slow.recv().await, Err(channel::broadcast::RecvError::Lagged(3)));
    assert_eq!((slow.recv().await, slow.recv().await), (Ok(4), Ok(5)));
    assert_eq!(slow.try_recv(), Err(channel::broadcast::TryRecvError::WouldBlock(WouldBlock)));
}

pub(crate) async fn rule_65_a_broadcast_keeps_what_somebody_has_not_seen() {
    let dropped = Counter::new();
    let (sender, mut one) = broadcast(8);
    let two = sender.subscribe();
    for _ in 0..3 {
        sender.send(Arc::new(dropped.on_drop())).expect("there are receivers");
    }
    for _ in 0..2 {
        drop(one.recv().await);
    }
    assert_eq!((dropped.get(), sender.statistics().buffered), (0, 3));
    drop(two);
    assert_eq!((dropped.get(), sender.statistics().buffered), (2, 1));
    let statistics = sender.statistics();
    assert_eq!((statistics.capacity, statistics.senders, statistics.receivers), (8, 1, 1));
    drop(one);
    assert_eq!((dropped.get(), sender.statistics().buffered), (3, 0));
    assert!(matches!(sender.send(Arc::new(dropped.on_drop())), Err(SendError::Broken(_))));
}

pub(crate) async fn rule_65_a_watch_shows_the_latest_value() {
    let (sender, mut one) = watch(0);
    let mut two = one.clone();
    let mut waits = ByHand::new(one.changed());
    assert!(waits.poll().is_pending());
    assert_eq!(*sender.send(1), 0);
    assert_eq!(*sender.send(2), 1);
    assert_eq!(waits.wakes(), 1);
    assert_eq!(waits.poll(), Poll::Ready(Ok(Arc::new(2))), "those in between are skipped");
    assert!(two.has_changed() && *two.get() == 2 && two.has_changed());
    // Dropped or cancelled, it has seen nothing.
    let left = CancelScope::new()
        .run(async |scope| {
            scope.cancel_with("before it asks");
            two.changed().await
        })
        .await;
    assert!(left.is_err() && two.has_changed());
    assert_eq!(two.changed().await, Ok(Arc::new(2)));
    let mut right = ByHand::new(two.wait_for(|number| *number > 3));
    assert!(right.poll().is_pending());
    sender.update(|number| number + 1);
    assert!(right.poll().is_pending());
    sender.update(|number| number + 1);
    assert_eq!(right.poll(), Poll::Ready(Ok(Arc::new(4))));
    drop(right);
    assert_eq!(two.wait_for(|number| *number == 4).await, Ok(Arc::new(4)), "one that was seen is right, too");
    let fresh = sender.subscribe();
    assert!(!fresh.has_changed());
}

pub(crate) async fn rule_65_the_ends_of_a_watch_know_of_each_other() {
    let (sender, mut receiver) = watch("a");
    let also = sender.clone();
    let mut waits = ByHand::new(receiver.changed());
    assert!(waits.poll().is_pending());
    assert_eq!(sender.waiting(), 1);
    drop(sender);
    assert!(waits.poll().is_pending(), "one sender is left");
    also.send("b");
    drop(also);
    assert_eq!(waits.poll(), Poll::Ready(Ok(Arc::new("b"))));
    drop(waits);
    assert_eq!(receiver.changed().await, Err(RecvError::EndOfStream));
    assert_eq!(*receiver.get(), "b");

    let (sender, receiver) = watch(0);
    let mut gone = ByHand::new(sender.closed());
    assert!(gone.poll().is_pending());
    let other = sender.subscribe();
    drop(receiver);
    assert!(gone.poll().is_pending());
    drop(other);
    assert!(gone.poll().is_ready());
    assert_eq!(sender.receivers(), 0);
}
