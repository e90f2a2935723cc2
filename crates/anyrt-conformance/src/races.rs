//! What a race, and whatever else ends one await because of another, does with items, locks and tokens: nothing is lost.

use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::task::Poll;

use anyrt_core::net::UdpSocket;
use anyrt_core::{
    CancelScope, CapacityLimiter, Either, Event, Mutex, RwLock, Semaphore, as_completed, channel, checkpoint,
    for_each_concurrent, iterate_blocking, join, join_all, move_on_after, race, run_blocking, shield,
    task_group, try_join,
};
use futures::FutureExt;
use futures::future::{LocalBoxFuture, pending};

use crate::by_hand::ByHand;
use crate::counting::{Counter, count_polls};
use crate::time::AN_HOUR;

pub(crate) async fn rule_76_of_two_that_are_ready_the_first_counts_and_the_second_keeps_its_item() {
    let ((one, first), (two, second)) = (channel::bounded(8), channel::bounded(8));
    for item in 0..5 {
        one.try_send(item).expect("there is room");
        two.try_send(10 + item).expect("there is room");
    }
    let mut got = Vec::new();
    for _ in 0..10 {
        let (Either::Left(item) | Either::Right(item)) = race(first.recv(), second.recv()).await;
        got.push(item.expect("an item is there"));
    }
    assert_eq!(got, [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]);

    // Of a failure and an item as well.
    one.try_send(5).expect("there is room");
    let fails = async { Err::<(), _>("at once") };
    let receives = async { Ok(first.recv().await) };
    assert_eq!(try_join(fails, receives).await, Err("at once"));
    assert_eq!(first.try_recv(), Ok(5));

    // And of datagrams.
    let local = (std::net::Ipv4Addr::LOCALHOST, 0);
    let one = UdpSocket::bind(local).await.expect("a free port");
    let two = UdpSocket::bind(local).await.expect("a free port");
    for socket in [&one, &two] {
        let address = socket.local_addr().expect("it is bound");
        for _ in 0..3 {
            one.send_to(b"x", address).await.expect("it is bound");
        }
    }
    let (mut here, mut there) = ([0; 1], [0; 1]);
    for _ in 0..6 {
        let received = race(one.recv_from(&mut here), two.recv_from(&mut there));
        match move_on_after(AN_HOUR, received).await.expect("one of six is there") {
            Either::Left(received) | Either::Right(received) => {
                assert_eq!(received.expect("it is bound").0, 1)
            }
        }
    }
}

pub(crate) async fn rule_76_who_has_lost_is_not_polled_again_and_not_at_all_if_it_never_was() {
    let (polls, dropped) = (Counter::new(), Counter::new());
    let loser = || {
        let counts = dropped.on_drop();
        count_polls(&polls, async move {
            let _counts = counts;
            pending::<()>().await;
        })
    };
    race(async {}, loser()).await;
    assert_eq!((polls.get(), dropped.get()), (0, 1), "the second of two that was never polled");
    race(loser(), async {}).await;
    assert_eq!((polls.get(), dropped.get()), (1, 2), "the first, before it had lost");
    race(checkpoint(), loser()).await;
    assert_eq!((polls.get(), dropped.get()), (2, 3), "the second, once while the first was pending");
    assert!(try_join(async { Err::<(), ()>(()) }, loser().map(Ok)).await.is_err());
    assert_eq!((polls.get(), dropped.get()), (2, 4), "as in a race");
    assert!(try_join(loser().map(Ok), async { Err::<(), ()>(()) }).await.is_err());
    assert_eq!((polls.get(), dropped.get()), (3, 5), "as in a race");
}

pub(crate) async fn rule_76_what_holds_in_the_loser_is_finished() {
    let steps = Counter::new();
    let holds = || {
        shield(async {
            checkpoint().await;
            steps.add();
        })
    };
    // A second branch that was never polled has begun nothing.
    race(async {}, holds()).await;
    assert_eq!(steps.get(), 0);
    race(holds(), async {}).await;
    assert_eq!(steps.get(), 1);
    assert!(try_join(holds().map(Ok), async { Err::<(), ()>(()) }).await.is_err());
    assert_eq!(steps.get(), 2);
    let (in_group, in_job) = (steps.clone(), steps.clone());
    let group = task_group(async move |group| {
        group.spawn(async move {
            shield(checkpoint()).await;
            in_group.add();
        });
    });
    race(group, async {}).await;
    assert_eq!(steps.get(), 3);
    race(run_blocking(move || in_job.add()).into_future(), async {}).await;
    assert_eq!(steps.get(), 4);
}

/// Something that is handed to who waits, and is there again afterwards.
struct Thing {
    name: &'static str,
    /// Waits for it, and keeps it for a moment.
    waits: Box<dyn Fn() -> LocalBoxFuture<'static, ()>>,
    /// Hands it to who waits.
    hand: Box<dyn Fn()>,
    /// Whether it is there.
    is_there: Box<dyn Fn() -> bool>,
}

impl Thing {
    fn new<W: Future<Output = ()> + 'static>(
        name: &'static str,
        waits: impl Fn() -> W + 'static,
        hand: impl Fn() + 'static,
        is_there: impl Fn() -> bool + 'static,
    ) -> Thing {
        let waits = Box::new(move || waits().boxed_local());
        Thing { name, waits, hand: Box::new(hand), is_there: Box::new(is_there) }
    }
}

/// All that is handed over, taken by somebody else at first.
#[expect(clippy::await_holding_refcell_ref, reason = "one waits at a time, and is gone when the test looks")]
fn things() -> Vec<Thing> {
    fn gives<G: 'static>(guard: G) -> impl Fn() + 'static {
        let kept = Cell::new(Some(guard));
        move || drop(kept.take())
    }
    let mut things = Vec::new();
    for capacity in [0, 1, usize::MAX] {
        let (sender, receiver) = channel::bounded::<u8>(capacity);
        let (receives, left) = (receiver.clone(), receiver);
        things.push(Thing::new(
            if capacity == 0 { "an item without a buffer" } else { "an item" },
            move || receives.recv().map(|_| ()),
            move || sender.try_send(7).expect("somebody waits"),
            move || left.try_recv() == Ok(7),
        ));
    }
    let lock = Mutex::new(());
    let give = gives(lock.try_lock().expect("it is free"));
    let (waits, free) = (lock.clone(), lock);
    things.push(Thing::new("a lock", move || waits.lock().map(drop), give, move || free.try_lock().is_ok()));
    let lock = RwLock::new(());
    let give = gives(lock.try_write().expect("it is free"));
    let (waits, free) = (lock.clone(), lock);
    things.push(Thing::new("a read", move || waits.read().map(drop), give, move || free.try_write().is_ok()));
    let lock = RwLock::new(());
    let give = gives(lock.try_write().expect("it is free"));
    let (waits, free) = (lock.clone(), lock);
    things.push(Thing::new(
        "a write",
        move || waits.write().map(drop),
        give,
        move || free.try_write().is_ok(),
    ));
    let semaphore = Semaphore::new(1);
    let give = gives(semaphore.try_acquire().expect("it is free"));
    let (waits, free) = (semaphore.clone(), semaphore);
    things.push(Thing::new(
        "a permit",
        move || waits.acquire().map(drop),
        give,
        move || free.available() == 1,
    ));
    let limiter = CapacityLimiter::new(1);
    let give = gives(limiter.try_acquire().expect("it is free"));
    let (waits, free) = (limiter.clone(), limiter);
    things.push(Thing::new(
        "a token",
        move || waits.acquire().map(drop),
        give,
        move || free.available() == 1,
    ));
    let (sender, receiver) = channel::oneshot::<u8>();
    let (sender, receiver) = (Cell::new(Some(sender)), Rc::new(RefCell::new(receiver)));
    let (receives, left) = (receiver.clone(), receiver);
    things.push(Thing::new(
        "the item of a oneshot",
        move || {
            let receives = receives.clone();
            async move {
                let mut receiving = receives.borrow_mut();
                let _item = receiving.recv().await;
            }
        },
        move || sender.take().expect("once").send(7).expect("there is a receiver"),
        move || left.borrow_mut().try_recv() == Ok(7),
    ));
    let (sender, receiver) = channel::broadcast::<u8>(4);
    let receiver = Rc::new(RefCell::new(receiver));
    let (receives, left) = (receiver.clone(), receiver);
    things.push(Thing::new(
        "news",
        move || {
            let receives = receives.clone();
            async move {
                let mut receiving = receives.borrow_mut();
                let _news = receiving.recv().await;
            }
        },
        move || assert!(sender.send(7).is_ok()),
        move || left.borrow_mut().try_recv() == Ok(7),
    ));
    things
}

pub(crate) async fn rule_76_what_the_loser_was_handed_goes_back() {
    for thing in things() {
        let stop = Event::new();
        let mut race = ByHand::new(race(stop.wait(), (thing.waits)()));
        assert!(race.poll().is_pending());
        (thing.hand)();
        stop.set();
        assert!(matches!(race.poll(), Poll::Ready(Either::Left(()))), "{}", thing.name);
        drop(race);
        assert!((thing.is_there)(), "{}: it is there for others", thing.name);
    }
    for thing in things() {
        let stop = Event::new();
        let fails = async {
            stop.wait().await;
            Err::<(), ()>(())
        };
        let mut both = ByHand::new(try_join(fails, (thing.waits)().map(Ok)));
        assert!(both.poll().is_pending());
        (thing.hand)();
        stop.set();
        assert!(matches!(both.poll(), Poll::Ready(Err(()))), "{}", thing.name);
        drop(both);
        assert!((thing.is_there)(), "{}: it is there for others", thing.name);
    }
    // To the head of its line, or to the next who waits.
    let (sender, receiver) = channel::bounded(8);
    let stop = Event::new();
    let mut loses = ByHand::new(race(stop.wait(), receiver.recv()));
    assert!(loses.poll().is_pending());
    let mut next = ByHand::new(receiver.recv());
    assert!(next.poll().is_pending());
    for item in 1..=3 {
        sender.try_send(item).expect("there is room");
    }
    stop.set();
    assert!(loses.poll().is_ready());
    assert!(matches!(next.poll(), Poll::Ready(Ok(2))), "it had its own");
    assert_eq!(
        (receiver.try_recv(), receiver.try_recv()),
        (Ok(1), Ok(3)),
        "in the order in which they were sent"
    );

    let (sender, receiver) = channel::bounded(8);
    let stop = Event::new();
    let mut loses = ByHand::new(race(stop.wait(), receiver.recv()));
    assert!(loses.poll().is_pending());
    sender.try_send(1).expect("there is room");
    let mut next = ByHand::new(receiver.recv());
    assert!(next.poll().is_pending());
    stop.set();
    assert!(loses.poll().is_ready());
    assert!(matches!(next.poll(), Poll::Ready(Ok(1))), "it goes to who waits");
}

pub(crate) async fn rule_76_a_stream_whose_next_item_has_lost_keeps_it() {
    let mut numbers = iterate_blocking(0..200);
    let mut got = Vec::new();
    loop {
        match race(checkpoint(), numbers.next()).await {
            Either::Right(Some(number)) => got.push(number),
            Either::Right(None) => break,
            Either::Left(()) => (),
        }
    }
    assert!(got.into_iter().eq(0..200));

    let mut values = as_completed((0..20).map(|n| async move {
        checkpoint().await;
        n
    }));
    let mut sum = 0;
    while values.remaining() > 0 {
        if let Either::Right(Some(value)) = race(checkpoint(), values.next()).await {
            sum += value;
        }
    }
    assert_eq!(sum, 190);
}

/// Ways to receive that are cut short by something else; each item that the code has got is counted.
async fn receive(way: usize, receiver: &channel::Receiver<usize>, got: &Counter, stop: &Event) {
    let stopped = || stop.wait();
    let loops = async || {
        while receiver.recv().await.is_ok() {
            got.add();
        }
    };
    let one = async || {
        if receiver.recv().await.is_ok() {
            got.add();
        }
    };
    match way {
        0 => {
            while let Either::Left(Ok(_)) = race(receiver.recv(), stopped()).await {
                got.add();
            }
        }
        1 => {
            while let Either::Right(Ok(_)) = race(stopped(), receiver.recv()).await {
                got.add();
            }
        }
        2 => {
            let fails = async {
                stopped().await;
                Err::<(), ()>(())
            };
            let _ = try_join(fails, loops().map(Ok)).await;
        }
        3 => {
            let _ = race(stopped(), join(loops(), loops())).await;
        }
        4 => {
            let _ = race(stopped(), for_each_concurrent(0..100, NonZeroUsize::new(3), async |_| one().await))
                .await;
        }
        5 => {
            let _ = race(stopped(), join_all([loops(), loops(), loops()])).await;
        }
        6 => {
            let _ = CancelScope::new()
                .run(async |scope| {
                    join(loops(), async {
                        stopped().await;
                        scope.cancel_with("enough");
                    })
                    .await
                })
                .await;
        }
        _ => {
            let limited = async {
                while let Some(Ok(_)) = move_on_after(AN_HOUR, receiver.recv()).await {
                    got.add();
                }
            };
            let _ = race(stopped(), limited).await;
        }
    }
}

pub(crate) async fn rule_76_what_was_sent_was_received_or_is_left() {
    for way in 0..8 {
        for round in 0..30 {
            let (sender, receiver) = channel::bounded::<usize>(1 + round % 3);
            let (stop, got, sent) = (Event::new(), Counter::new(), Counter::new());
            let (stops, sends) = (stop.clone(), sent.clone());
            task_group(async |group| {
                // In tasks of their own, so that both come at any moment.
                let sender = sender;
                group.spawn_service(async move {
                    for item in 0.. {
                        if sender.send(item).await.is_err() {
                            break;
                        }
                        sends.add();
                    }
                });
                group.spawn(async move {
                    for _ in 0..round {
                        checkpoint().await;
                    }
                    stops.set();
                });
                receive(way, &receiver, &got, &stop).await;
            })
            .await
            .expect("nothing fails");
            let mut left = 0;
            while receiver.try_recv().is_ok() {
                left += 1;
            }
            assert_eq!(sent.get(), got.get() + left, "way {way}, round {round}");
        }
    }
}

pub(crate) async fn rule_76_a_service_that_is_not_needed_any_more_loses_nothing() {
    for round in 0..100 {
        let (sender, receiver) = channel::bounded::<usize>(4);
        let (got, receives) = (Counter::new(), receiver.clone());
        let counted = got.clone();
        let sent = task_group(async |group| {
            group.spawn_service(async move {
                while receives.recv().await.is_ok() {
                    counted.add();
                }
            });
            let mut sent = 0;
            for item in 0..round % 7 {
                sender.send(item).await.expect("there is a receiver");
                sent += 1;
            }
            sent
        })
        .await
        .expect("nothing fails");
        let mut left = 0;
        while receiver.try_recv().is_ok() {
            left += 1;
        }
        assert_eq!(sent, got.get() + left, "round {round}");
    }
}
