//! Rule 5, its one exception: what is free is taken without a yield, until there were very many in one poll.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;

use anyrt_core::{
    Barrier, CancelScope, CapacityLimiter, Either, Event, Mutex, OnceCell, Runtime, RwLock, Semaphore,
    Sequencer, as_completed, channel, checkpoint, checkpoint_if_cancelled, for_each_concurrent,
    iterate_blocking, join, move_on_after, race, sleep_until, task_group, yield_shielded,
};
use futures::future::{BoxFuture, LocalBoxFuture};
use futures::{FutureExt, SinkExt, StreamExt};

use crate::by_hand::ByHand;
use crate::counting::{Counter, count_polls};
use crate::time::A_MOMENT;

/// So many leaves may be ready in one poll.
const READY: usize = 128;

/// A leaf that is ready whenever it is asked.
struct Leaf {
    name: &'static str,
    ready: Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Leaf {
    fn new<F>(name: &'static str, ready: impl Fn() -> F + Send + Sync + 'static) -> Leaf
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Leaf { name, ready: Box::new(move || ready().boxed()) }
    }
}

/// One of each kind.
async fn leaves() -> Vec<Leaf> {
    let set = Event::new();
    set.set();
    let (lock, rw_lock) = (Mutex::new(()), RwLock::new(()));
    let reads = rw_lock.clone();
    let (semaphore, limiter, barrier) = (Semaphore::new(1), CapacityLimiter::new(1), Barrier::new(1));
    let on_behalf = limiter.clone();
    let (sender, receiver) = channel::bounded(1);
    let (again, also) = channel::bounded(1);
    let (news, _hears) = channel::broadcast(1);
    let (_latest, looks) = channel::watch(());
    let cell = Arc::new(OnceCell::new());
    let ended = task_group(async |group| group.spawn(async {})).await.expect("no child fails");
    let ended = Arc::new(futures::lock::Mutex::new(ended));
    let past = anyrt_core::now();
    vec![
        Leaf::new("event", move || {
            let set = set.clone();
            async move { set.wait().await }
        }),
        Leaf::new("lock", move || lock.lock().map(drop)),
        Leaf::new("reading", move || reads.read().map(drop)),
        Leaf::new("writing", move || rw_lock.write().map(drop)),
        Leaf::new("semaphore", move || semaphore.acquire().map(drop)),
        Leaf::new("limiter", move || limiter.acquire().map(drop)),
        Leaf::new("limiter by key", move || on_behalf.acquire_on_behalf_of("key").map(drop)),
        Leaf::new("barrier", move || barrier.wait().map(drop)),
        Leaf::new("cell", move || {
            let cell = cell.clone();
            async move {
                cell.get_or_init(async || ()).await;
            }
        }),
        Leaf::new("channel", move || {
            let (sender, receiver) = (sender.clone(), receiver.clone());
            async move {
                sender.send(()).await.expect("there is a receiver");
                receiver.recv().await.expect("there is an item");
            }
        }),
        Leaf::new("stream and sink", move || {
            let (sender, receiver) = (again.clone(), also.clone());
            async move {
                sender.into_sink().feed(()).await.expect("there is a receiver");
                receiver.into_stream().next().await.expect("there is an item");
            }
        }),
        Leaf::new("broadcast", move || {
            let (news, mut heard) = (news.clone(), news.subscribe());
            async move {
                news.send(()).expect("there is a receiver");
                heard.recv().await.expect("there is an item");
            }
        }),
        Leaf::new("watch", move || {
            let mut looks = looks.clone();
            async move { drop(looks.wait_for(|()| true).await) }
        }),
        Leaf::new("oneshot", || {
            let (sender, mut receiver) = channel::oneshot();
            sender.send(()).expect("there is a receiver");
            async move { receiver.recv().await.expect("it was sent") }
        }),
        Leaf::new("handle", move || {
            let ended = ended.clone();
            async move {
                ended.lock().await.wait().await;
            }
        }),
        Leaf::new("sequence", || async { drop(Sequencer::new().at(0).await) }),
        Leaf::new("time", move || sleep_until(past)),
    ]
}

pub(crate) async fn rule_05_a_loop_that_is_always_ready_lets_its_neighbours_run() {
    for leaf in leaves().await {
        let stop = Event::new();
        let sets = stop.clone();
        task_group(async |group| {
            group.spawn(async move {
                while !stop.is_set() {
                    (leaf.ready)().await;
                }
            });
            group.spawn(async move { sets.set() });
        })
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", leaf.name));
    }
}

pub(crate) async fn rule_05_of_two_loops_in_one_task_each_gives_way() {
    let leaves = leaves().await;
    for (leaf, other) in leaves.iter().zip(leaves.iter().rev()) {
        let stop = Event::new();
        join(
            async {
                while !stop.is_set() {
                    (leaf.ready)().await;
                }
            },
            async {
                for _ in 0..10 * READY {
                    (other.ready)().await;
                }
                stop.set();
            },
        )
        .await;
    }
}

/// A body that takes a free lock so often.
async fn takes_free_locks(times: usize) {
    let lock = Mutex::new(());
    for _ in 0..times {
        drop(lock.lock().await);
    }
}

pub(crate) async fn rule_05_one_await_in_so_many_yields_and_no_other() {
    for (times, expected) in [(1, 1), (READY, 1), (READY + 1, 2), (2 * READY, 2), (10 * READY + 1, 11)] {
        checkpoint().await;
        let polls = Counter::new();
        count_polls(&polls, takes_free_locks(times)).await;
        assert_eq!(polls.get(), expected, "{times} in one poll");
    }
    // With each poll of the task it begins anew.
    let polls = Counter::new();
    let rests = async {
        for _ in 0..10 {
            takes_free_locks(READY - 1).await;
            checkpoint().await;
        }
    };
    count_polls(&polls, rests).await;
    assert_eq!(polls.get(), 11);
}

pub(crate) async fn rule_05_what_says_itself_when_it_yields_does_not_count() {
    takes_free_locks(READY).await;
    let polls = Counter::new();
    count_polls(&polls, async {
        for _ in 0..10 * READY {
            checkpoint_if_cancelled().await;
        }
    })
    .await;
    assert_eq!(polls.get(), 1, "nothing is left, and it asks for nothing");
    let polls = Counter::new();
    count_polls(&polls, async { (checkpoint().await, yield_shielded().await) }).await;
    assert_eq!(polls.get(), 3);
}

pub(crate) async fn rule_05_who_waits_keeps_its_place_when_nothing_is_left() {
    checkpoint().await;
    let lock = Mutex::new(());
    let held = lock.lock().await;
    let mut waits = ByHand::new(lock.lock());
    assert!(waits.poll().is_pending());
    takes_free_locks(READY - 1).await;
    assert!(waits.poll().is_pending());
    assert_eq!((waits.wakes(), lock.waiting()), (0, 1), "it stands in the queue, and is not called");
    drop(held);
    assert!(waits.poll().is_ready(), "what was handed over is returned");
    // Who is about to take is called, once.
    let mut takes = ByHand::new(lock.lock());
    assert!(takes.poll().is_pending());
    assert_eq!((takes.wakes(), lock.waiting()), (1, 0));
    assert!(takes.poll().is_ready());
}

pub(crate) async fn rule_05_a_cancelled_scope_is_left_also_when_nothing_is_left() {
    checkpoint().await;
    let lock = Mutex::new(());
    let polls = Counter::new();
    let taken = count_polls(&polls, async move {
        let left = CancelScope::new().run(async |scope| {
            takes_free_locks(READY).await;
            scope.cancel_with("before it asks");
            drop(lock.lock().await);
        });
        left.await.is_err()
    });
    assert!(taken.await);
    assert_eq!(polls.get(), 1, "in the same poll");
}

pub(crate) async fn rule_05_items_without_end_that_are_done_at_once_give_way() {
    let stop = Event::new();
    let items = std::iter::repeat(()).take_while(|()| !stop.is_set());
    join(for_each_concurrent(items, NonZeroUsize::MIN, async |()| ()), async { stop.set() }).await;
}

pub(crate) fn rule_05_outside_of_tasks_nothing_is_counted(_: Arc<dyn Runtime>) {
    let polls = Counter::new();
    futures::executor::block_on(count_polls(&polls, takes_free_locks(10 * READY)));
    assert_eq!(polls.get(), 1);
    let lock = Mutex::new(());
    assert!((0..10 * READY).all(|_| lock.lock().now_or_never().is_some()));
}

pub(crate) async fn rule_05_streams_and_combinators_without_end_give_way_and_see_their_deadline() {
    type Endless = fn() -> LocalBoxFuture<'static, ()>;
    let endless: [(&str, Endless); 6] = [
        ("one call after the other", || {
            Box::pin(for_each_concurrent(std::iter::repeat(()), NonZeroUsize::MIN, async |()| ()))
        }),
        ("some calls at once", || {
            Box::pin(for_each_concurrent(std::iter::repeat(()), NonZeroUsize::new(3), async |()| ()))
        }),
        ("any number of calls at once", || {
            Box::pin(for_each_concurrent(std::iter::repeat(()), None, async |()| ()))
        }),
        ("values as they end", || {
            Box::pin(async {
                loop {
                    let mut values = as_completed([(), ()].map(|()| std::future::ready(())));
                    while values.next().await.is_some() {}
                }
            })
        }),
        ("a blocking iterator", || {
            Box::pin(async {
                let mut items = iterate_blocking(std::iter::repeat(()));
                while items.next().await.is_some() {}
            })
        }),
        ("a stream and a sink", || {
            Box::pin(async {
                let (sender, receiver) = channel::unbounded();
                let (mut sink, mut items) = (sender.into_sink(), receiver.into_stream());
                while sink.send(()).await.is_ok() && items.next().await.is_some() {}
            })
        }),
    ];
    for (name, endless) in endless {
        let neighbour = async { checkpoint().await };
        assert!(matches!(race(endless(), neighbour).await, Either::Right(())), "{name} gives way");
        assert!(move_on_after(A_MOMENT, endless()).await.is_none(), "{name} sees its deadline");
    }
}
