//! CH: channels whose every item goes to one receiver.

use std::collections::BTreeMap;
use std::task::Poll;

use anyrt_core::channel::{
    Receiver, RecvError, SendError, Sender, TryRecvError, TrySendError, bounded, unbounded,
};
use anyrt_core::{CancelScope, WouldBlock, checkpoint, task_group};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, SinkExt, StreamExt};

use crate::by_hand::ByHand;
use crate::counting::Counter;

pub(crate) async fn ch_01_without_a_buffer_a_send_waits_for_a_receiver() {
    let (sender, receiver) = bounded(0);
    assert_eq!(sender.try_send(0), Err(TrySendError::WouldBlock(0)));
    let mut sends = ByHand::new(sender.send(1));
    assert!(sends.poll().is_pending());
    let mut receives = ByHand::new(receiver.recv());
    assert!(receives.poll().is_pending());
    assert_eq!(sends.wakes(), 1);
    assert_eq!(sends.poll(), Poll::Ready(Ok(())));
    assert_eq!(receives.poll(), Poll::Ready(Ok(1)));
    // The receiver first.
    let mut receives = ByHand::new(receiver.recv());
    assert!(receives.poll().is_pending());
    assert_eq!(sender.try_send(2), Ok(()));
    assert_eq!(sender.try_send(3), Err(TrySendError::WouldBlock(3)), "there was one receiver");
    assert_eq!(receives.poll(), Poll::Ready(Ok(2)));
    // A send that was told to meet a receiver which is gone by then waits on, before the others.
    let mut receives = ByHand::new(receiver.recv());
    let (mut first, mut second) = (ByHand::new(sender.send(4)), ByHand::new(sender.send(5)));
    assert!(first.poll().is_pending() && second.poll().is_pending() && receives.poll().is_pending());
    receives.drop_future();
    assert!(first.poll().is_pending() && receiver.is_empty());
    let mut receives = ByHand::new(receiver.recv());
    assert!(receives.poll().is_pending() && second.poll().is_pending());
    assert_eq!(first.poll(), Poll::Ready(Ok(())));
    assert_eq!(receives.poll(), Poll::Ready(Ok(4)));
}

pub(crate) async fn ch_02_what_would_wait_says_so() {
    let (sender, receiver) = bounded(1);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::WouldBlock(WouldBlock)));
    assert_eq!(sender.try_send(1), Ok(()));
    assert_eq!(sender.try_send(2), Err(TrySendError::WouldBlock(2)));
    let mut waits = ByHand::new(sender.send(2));
    assert!(waits.poll().is_pending());
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(sender.try_send(3), Err(TrySendError::WouldBlock(3)), "the place is the waiter's");
    assert_eq!(waits.poll(), Poll::Ready(Ok(())));
    let sender_of_all = unbounded();
    for number in 0..1_000 {
        assert_eq!(sender_of_all.0.try_send(number), Ok(()));
    }
    assert_eq!(sender_of_all.1.len(), 1_000);
}

pub(crate) async fn ch_03_receiving_from_a_full_buffer_admits_the_next_sender() {
    let (sender, receiver) = bounded(1);
    sender.send(1).await.expect("there is room");
    let (mut second, mut third) = (ByHand::new(sender.send(2)), ByHand::new(sender.send(3)));
    assert!(second.poll().is_pending() && third.poll().is_pending());
    assert_eq!(receiver.recv().await, Ok(1));
    assert_eq!((second.wakes(), third.wakes()), (1, 0));
    assert!(third.poll().is_pending());
    assert_eq!(second.poll(), Poll::Ready(Ok(())));
    assert_eq!(receiver.try_recv(), Ok(2));
    assert_eq!(third.poll(), Poll::Ready(Ok(())));
    assert_eq!(receiver.try_recv(), Ok(3));
    // An admitted sender that is gone lets the next one send.
    sender.send(4).await.expect("there is room");
    let (mut fifth, mut sixth) = (ByHand::new(sender.send(5)), ByHand::new(sender.send(6)));
    assert!(fifth.poll().is_pending() && sixth.poll().is_pending());
    assert_eq!(receiver.recv().await, Ok(4));
    fifth.drop_future();
    assert_eq!(sixth.poll(), Poll::Ready(Ok(())));
    assert_eq!(receiver.recv().await, Ok(6));
}

pub(crate) async fn ch_04_iteration_ends_after_the_last_sender() {
    let (sender, receiver) = bounded(2);
    let counted = task_group(async |group| {
        for number in 0..3 {
            let sender = sender.clone();
            group.spawn(async move {
                for item in 0..5 {
                    sender.send(number * 5 + item).await.expect("there is a receiver");
                }
            });
        }
        drop(sender);
        receiver.into_stream().collect::<Vec<_>>().await
    });
    let mut items = counted.await.expect("no child fails");
    items.sort_unstable();
    assert_eq!(items, (0..15).collect::<Vec<_>>());
}

pub(crate) async fn ch_06_sending_without_a_receiver_is_broken() {
    let (sender, receiver) = bounded(1);
    let other = receiver.clone();
    drop(receiver);
    assert_eq!(sender.send(1).await, Ok(()), "one receiver is left");
    drop(other);
    assert_eq!(sender.send(2).await, Err(SendError::Broken(2)));
    assert_eq!(sender.try_send(3), Err(TrySendError::Broken(3)));
    assert!(matches!(sender.reserve().await, Err(SendError::Broken(()))));
    assert!(sender.is_closed() && sender.is_empty(), "what nobody will receive is dropped");
}

pub(crate) async fn ch_07_a_closed_end_is_closed() {
    let (sender, receiver) = bounded(1);
    let (others_sender, others_receiver) = (sender.clone(), receiver.clone());
    sender.close();
    sender.close();
    assert_eq!(sender.send(1).await, Err(SendError::Closed(1)));
    assert_eq!(sender.try_send(2), Err(TrySendError::Closed(2)));
    assert!(matches!(sender.try_reserve(), Err(TrySendError::Closed(()))));
    assert!(sender.is_closed() && !others_sender.is_closed());
    assert_eq!(others_sender.try_send(3), Ok(()), "the others go on");
    receiver.close();
    assert_eq!(receiver.recv().await, Err(RecvError::Closed));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(others_receiver.recv().await, Ok(3));
    assert!(receiver.clone().is_closed() && sender.clone().is_closed());
    // A permit of an end that is closed sends nothing.
    let permit = others_sender.reserve().await.expect("there is room");
    others_sender.close();
    assert_eq!(others_receiver.recv().await, Err(RecvError::EndOfStream));
    assert_eq!(permit.send(4), Err(SendError::Closed(4)));
}

pub(crate) async fn ch_08_closing_the_peer_wakes_who_waits_with_the_right_error() {
    let (sender, receiver) = bounded::<u32>(1);
    let (mut one, mut two) = (ByHand::new(receiver.recv()), ByHand::new(receiver.recv()));
    assert!(one.poll().is_pending() && two.poll().is_pending());
    drop(sender);
    assert_eq!((one.wakes(), two.wakes()), (1, 1));
    assert_eq!(one.poll(), Poll::Ready(Err(RecvError::EndOfStream)));
    assert_eq!(two.poll(), Poll::Ready(Err(RecvError::EndOfStream)));

    let (sender, receiver) = bounded(1);
    sender.send(1).await.expect("there is room");
    let (mut sends, mut reserves) = (ByHand::new(sender.send(2)), ByHand::new(sender.reserve()));
    assert!(sends.poll().is_pending() && reserves.poll().is_pending());
    drop(receiver);
    assert_eq!(sends.poll(), Poll::Ready(Err(SendError::Broken(2))));
    assert!(matches!(reserves.poll(), Poll::Ready(Err(SendError::Broken(())))));
}

pub(crate) async fn ch_09_closing_ones_own_end_wakes_who_waits_there() {
    let (sender, receiver) = bounded(1);
    let other = receiver.clone();
    let (mut own, mut others) = (ByHand::new(receiver.recv()), ByHand::new(other.recv()));
    assert!(own.poll().is_pending() && others.poll().is_pending());
    receiver.close();
    assert_eq!((own.wakes(), others.wakes()), (1, 0));
    assert_eq!(own.poll(), Poll::Ready(Err(RecvError::Closed)));
    sender.send(1).await.expect("there is a receiver");
    assert_eq!(others.poll(), Poll::Ready(Ok(1)));

    sender.send(2).await.expect("there is room");
    let also = sender.clone();
    let (mut own, mut others) = (ByHand::new(sender.send(3)), ByHand::new(also.send(4)));
    assert!(own.poll().is_pending() && others.poll().is_pending());
    sender.close();
    assert_eq!((own.wakes(), others.wakes()), (1, 0));
    assert_eq!(own.poll(), Poll::Ready(Err(SendError::Closed(3))));
    assert_eq!(other.try_recv(), Ok(2));
    assert_eq!(others.poll(), Poll::Ready(Ok(())));
}

pub(crate) async fn ch_10_what_was_handed_over_before_the_close_is_delivered() {
    let (sender, receiver) = bounded(1);
    let mut receives = ByHand::new(receiver.recv());
    assert!(receives.poll().is_pending());
    sender.send(1).await.expect("there is a receiver");
    drop(sender);
    receiver.close();
    assert_eq!(receives.poll(), Poll::Ready(Ok(1)));

    // The end is told to nobody while an item may come back.
    let (sender, receiver) = bounded(1);
    let (mut handed, mut waits) = (ByHand::new(receiver.recv()), ByHand::new(receiver.recv()));
    assert!(handed.poll().is_pending() && waits.poll().is_pending());
    sender.send(1).await.expect("there is a receiver");
    drop(sender);
    assert!(waits.poll().is_pending());
    handed.drop_future();
    assert_eq!(waits.poll(), Poll::Ready(Ok(1)));
    assert_eq!(receiver.recv().await, Err(RecvError::EndOfStream));
}

pub(crate) async fn ch_11_a_cancelled_send_leaves_nothing_and_a_cancelled_receive_loses_nothing() {
    let (sender, receiver) = bounded(1);
    sender.send(1).await.expect("there is room");
    let mut sends = ByHand::new(sender.send(2));
    assert!(sends.poll().is_pending());
    // Also one that could send now, had it looked.
    assert_eq!(receiver.recv().await, Ok(1));
    sends.drop_future();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::WouldBlock(WouldBlock)));

    // What the first was handed goes to the second, and from there back to the head of the buffer.
    let (mut first, mut second) = (ByHand::new(receiver.recv()), ByHand::new(receiver.recv()));
    assert!(first.poll().is_pending() && second.poll().is_pending());
    sender.send(3).await.expect("there is room");
    first.drop_future();
    assert_eq!(second.wakes(), 1);
    sender.send(4).await.expect("there is room");
    second.drop_future();
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(3), Ok(4)));

    // Cancelled after it was handed its item, it has it.
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut receives = ByHand::new(scope.run(async |_| receiver.recv().await));
    assert!(receives.poll().is_pending());
    sender.send(5).await.expect("there is room");
    handle.cancel_with("after the item");
    assert!(matches!(receives.poll(), Poll::Ready(Ok(Ok(5)))));
}

pub(crate) async fn ch_13_receivers_with_a_pending_cancellation_are_passed_over() {
    for capacity in [0, 1] {
        let (sender, receiver) = bounded(capacity);
        let scope = CancelScope::new();
        let handle = scope.handle();
        let mut cancelled = ByHand::new(scope.run(async |_| receiver.recv().await));
        let mut live = ByHand::new(receiver.recv());
        assert!(cancelled.poll().is_pending() && live.poll().is_pending());
        handle.cancel_with("it has not looked since");
        assert_eq!(sender.try_send(1), Ok(()));
        assert_eq!(live.poll(), Poll::Ready(Ok(1)));
        assert!(matches!(cancelled.poll(), Poll::Ready(Err(_))));

        // Nobody else is there.
        let scope = CancelScope::new();
        let handle = scope.handle();
        let mut cancelled = ByHand::new(scope.run(async |_| receiver.recv().await));
        assert!(cancelled.poll().is_pending());
        handle.cancel_with("it has not looked since");
        let mut sends = ByHand::new(sender.send(2));
        let sent = sends.poll().is_ready();
        assert_eq!(sent, capacity == 1, "without a buffer it meets nobody");
        assert!(matches!(cancelled.poll(), Poll::Ready(Err(_))));
        let mut next = ByHand::new(receiver.recv());
        if !sent {
            assert!(next.poll().is_pending());
            assert_eq!(sends.poll(), Poll::Ready(Ok(())));
        }
        assert_eq!(next.poll(), Poll::Ready(Ok(2)));
    }
    // Senders, too.
    let (sender, receiver) = bounded(1);
    sender.send(1).await.expect("there is room");
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut cancelled = ByHand::new(scope.run(async |_| sender.send(2).await));
    let mut live = ByHand::new(sender.send(3));
    assert!(cancelled.poll().is_pending() && live.poll().is_pending());
    handle.cancel_with("it has not looked since");
    assert_eq!(receiver.recv().await, Ok(1));
    assert_eq!(live.poll(), Poll::Ready(Ok(())));
    assert!(matches!(cancelled.poll(), Poll::Ready(Err(_))));
    assert_eq!(receiver.recv().await, Ok(3));
}

pub(crate) async fn ch_14_in_a_cancelled_scope_nothing_is_sent_or_received() {
    let (sender, receiver) = bounded(2);
    sender.send(1).await.expect("there is room");
    let passed = Counter::new();
    for what in 0..4 {
        let left = CancelScope::new()
            .run(async |scope| {
                scope.cancel_with("before it asks");
                match what {
                    0 => drop(sender.send(2).await),
                    1 => drop(receiver.recv().await),
                    2 => drop(sender.reserve().await),
                    _ => drop(receiver.clone().into_stream().next().await),
                }
                passed.add();
            })
            .await;
        left.expect_err("it was cancelled");
    }
    let statistics = receiver.statistics();
    assert_eq!((passed.get(), statistics.buffered, statistics.reserved), (0, 1, 0));
}

pub(crate) async fn ch_15_producers_and_consumers_take_turns() {
    const ROUNDS: u32 = 50;
    // In one task, each polled in the order in which it was woken: only the channel decides who is next.
    for capacity in [0, 1, 3] {
        let (sender, receiver) = bounded(capacity);
        let got = std::sync::Mutex::new(Vec::new());
        let mut tasks = FuturesUnordered::new();
        for producer in 0..4_u32 {
            let sender: Sender<u32> = sender.clone();
            tasks.push(
                async move {
                    for _ in 0..ROUNDS {
                        sender.send(producer).await.expect("there is a receiver");
                    }
                }
                .boxed_local(),
            );
        }
        for consumer in 0..3 {
            let (receiver, got): (Receiver<u32>, _) = (receiver.clone(), &got);
            tasks.push(
                async move {
                    while let Ok(producer) = receiver.recv().await {
                        got.lock().expect("not poisoned").push((producer, consumer));
                        checkpoint().await;
                    }
                }
                .boxed_local(),
            );
        }
        drop((sender, receiver));
        while tasks.next().await.is_some() {}
        drop(tasks);
        let got = got.into_inner().expect("not poisoned");
        assert_eq!(got.len(), 4 * ROUNDS as usize);
        let (mut by_producer, mut by_consumer) = (BTreeMap::new(), BTreeMap::new());
        // In the middle, where all of them compete.
        for (producer, consumer) in &got[40..160] {
            *by_producer.entry(producer).or_insert(0) += 1;
            *by_consumer.entry(consumer).or_insert(0) += 1;
        }
        let even = |counts: Vec<i32>, share: i32| counts.iter().all(|count| (count - share).abs() <= 4);
        assert!(even(by_producer.into_values().collect(), 30), "capacity {capacity}: {got:?}");
        assert!(even(by_consumer.into_values().collect(), 40), "capacity {capacity}: {got:?}");
    }
}

pub(crate) async fn ch_16_an_end_that_is_dropped_is_closed() {
    let (sender, receiver) = bounded(1);
    let (also, other) = (sender.clone(), receiver.clone());
    assert_eq!((sender.statistics().senders, sender.statistics().receivers), (2, 2));
    // Its calls that wait are ends, too.
    let waits = ByHand::new(receiver.recv());
    drop(receiver);
    assert_eq!(sender.statistics().receivers, 2);
    drop((waits, also));
    assert_eq!((sender.statistics().senders, sender.statistics().receivers), (1, 1));
    drop(sender);
    assert_eq!(other.recv().await, Err::<(), _>(RecvError::EndOfStream));
    assert!(other.is_closed());
}

pub(crate) async fn ch_17_statistics_tell_how_it_stands() {
    let (sender, receiver) = bounded(2);
    sender.send(1).await.expect("there is room");
    let permit = sender.reserve().await.expect("there is room");
    let mut waits = ByHand::new(sender.send(2));
    assert!(waits.poll().is_pending());
    let also = receiver.clone();
    let full = receiver.statistics();
    assert_eq!((full.buffered, full.capacity, full.reserved), (1, 2, 1));
    assert_eq!((full.senders, full.receivers), (1, 2));
    assert_eq!((full.waiting_senders, full.waiting_receivers), (1, 0));
    drop(permit);
    assert_eq!(waits.poll(), Poll::Ready(Ok(())));
    assert_eq!((receiver.recv().await, receiver.recv().await), (Ok(1), Ok(2)));
    let mut waits = ByHand::new(also.recv());
    assert!(waits.poll().is_pending());
    let empty = sender.statistics();
    assert_eq!((empty.buffered, empty.reserved, empty.waiting_receivers), (0, 0, 1));
    assert_eq!(unbounded::<()>().0.statistics().capacity, usize::MAX);
}

pub(crate) async fn rule_65_what_a_dropped_stream_was_handed_goes_on() {
    let (sender, receiver) = bounded(1);
    let mut stream = receiver.clone().into_stream();
    let mut first = ByHand::new(stream.next());
    assert!(first.poll().is_pending());
    // `next` alone is only a look at the stream, which keeps its place.
    drop(first);
    let mut waits = ByHand::new(receiver.recv());
    assert!(waits.poll().is_pending());
    sender.send(1).await.expect("there is a receiver");
    assert!(waits.poll().is_pending());
    drop(stream);
    assert_eq!(waits.poll(), Poll::Ready(Ok(1)));
}

pub(crate) async fn rule_65_a_sink_reserves_before_it_is_ready() {
    let (sender, receiver) = bounded(1);
    let mut sink = sender.clone().into_sink();
    sink.feed(1).await.expect("there is room");
    let mut waits = ByHand::new(sink.feed(2));
    assert!(waits.poll().is_pending());
    assert_eq!(receiver.recv().await, Ok(1));
    assert_eq!(waits.poll(), Poll::Ready(Ok(())));
    drop(waits);
    assert_eq!(receiver.recv().await, Ok(2));
    // Closed, it gives its place back.
    futures::future::poll_fn(|cx| sink.poll_ready_unpin(cx)).await.expect("there is room");
    assert!(sender.try_send(3).is_err());
    sink.close().await.expect("it can be closed");
    assert_eq!(sender.try_send(3), Ok(()));
    drop(receiver);
    assert_eq!(sender.into_sink().send(4).await, Err(SendError::Broken(())));
}
