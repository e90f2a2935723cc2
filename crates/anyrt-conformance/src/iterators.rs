//! WT: iterators that block, pulled in threads.

use std::collections::BTreeSet;
use std::iter;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use anyrt_core::{
    CancelScope, CapacityLimiter, Event, checkpoint, iterate_blocking, join, move_on_after, shield,
};
use futures::{FutureExt as _, StreamExt as _};

use crate::counting::Counter;
use crate::late::a_job_ends_late;
use crate::time::AN_HOUR;

/// `items`, counting those that were pulled, and the drops of the iterator.
struct Pulled<I> {
    items: I,
    pulled: Counter,
    dropped: mpsc::Sender<ThreadId>,
}

impl<I: Iterator> Iterator for Pulled<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.pulled.add();
        self.items.next()
    }
}

impl<I> Drop for Pulled<I> {
    fn drop(&mut self) {
        // Nobody listens in the cases that do not ask.
        let _ = self.dropped.send(thread::current().id());
    }
}

fn pulled<I: Iterator>(items: I) -> (Pulled<I>, Counter, mpsc::Receiver<ThreadId>) {
    let (pulled, (tell, told)) = (Counter::new(), mpsc::channel());
    (Pulled { items, pulled: pulled.clone(), dropped: tell }, pulled, told)
}

fn items(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("not zero")
}

pub(crate) async fn wt_04_items_are_pulled_in_batches_with_one_hop_and_one_token_each() {
    let limiter = CapacityLimiter::new(1);
    let (source, count, _) = pulled(0..1000);
    let (here, seen) = (thread::current().id(), limiter.clone());
    let mut stream =
        iterate_blocking(source.map(move |item| (item, thread::current().id(), seen.borrowed())))
            .batch(items(100))
            .limiter(&limiter);
    let mut most_ahead = 0;
    for expected in 0..1000 {
        let (item, there, borrowed) = stream.next().await.expect("there are more");
        assert_eq!((item, borrowed), (expected, 1));
        assert_ne!(there, here);
        most_ahead = most_ahead.max(count.get() - (expected + 1));
    }
    assert!(most_ahead < 100, "{most_ahead} items ahead of the consumer");
    assert_eq!(stream.next().await, None);
    assert_eq!((stream.next().await, limiter.borrowed()), (None, 0));
    // One at a time it is as lazy as it was.
    let (source, count, _) = pulled(0..10);
    let mut lazy = iterate_blocking(source).batch(items(1));
    for expected in 0..10 {
        assert_eq!((lazy.next().await, count.get()), (Some(expected), expected + 1));
        checkpoint().await;
        assert_eq!(count.get(), expected + 1, "nothing is pulled unasked");
    }
    a_job_ends_late().await;
}

pub(crate) async fn wt_05_the_end_of_the_iterator_ends_the_stream_and_drops_it_in_a_thread() {
    let (source, _, dropped) = pulled(0..200);
    let sum = iterate_blocking(source).fold(0, async |sum, item| sum + item).await;
    assert_eq!(sum, (0..200).sum());
    assert_ne!(dropped.try_recv().expect("it was dropped before the end was told"), thread::current().id());
    assert_eq!(iterate_blocking(iter::empty::<u8>()).next().await, None);
    a_job_ends_late().await;
}

pub(crate) async fn wt_06_anything_that_can_be_iterated_is_accepted() {
    assert_eq!(iterate_blocking(vec!["a", "b"]).collect::<Vec<_>>().await, ["a", "b"]);
    assert_eq!(iterate_blocking(Some(1)).collect::<Vec<_>>().await, [1]);
    assert_eq!(iterate_blocking(BTreeSet::from([2, 1])).collect::<Vec<_>>().await, [1, 2]);
    assert_eq!(iterate_blocking("x y".split(' ')).collect::<Vec<_>>().await, ["x", "y"]);
    a_job_ends_late().await;
}

pub(crate) async fn wt_07_an_error_or_panic_of_the_iterator_comes_after_the_items_before_it() {
    let (source, _, dropped) = pulled((0..5).map(|item| {
        assert!(item < 3, "expected: boom");
        if item == 1 { Err("an error is an item") } else { Ok(item) }
    }));
    let mut stream = iterate_blocking(source);
    assert_eq!(stream.next().await, Some(Ok(0)));
    assert_eq!(stream.next().await, Some(Err("an error is an item")));
    assert_eq!(stream.next().await, Some(Ok(2)));
    let payload = AssertUnwindSafe(stream.next()).catch_unwind().await.expect_err("it panics");
    assert!(payload.downcast::<String>().expect("a text").contains("expected: boom"));
    assert_eq!(stream.next().await, None);
    assert_ne!(dropped.try_recv(), Ok(thread::current().id()));
    a_job_ends_late().await;
}

pub(crate) async fn rule_49_a_slow_iterator_keeps_no_item_back() {
    let (tell, told) = mpsc::channel::<&str>();
    let mut stream = iterate_blocking(told);
    tell.send("one").expect("it listens");
    assert_eq!(stream.next().await, Some("one"), "though the thread waits for the next");
    let (next, ()) = join(stream.next(), async {
        checkpoint().await;
        tell.send("two").expect("it listens");
    })
    .await;
    assert_eq!(next, Some("two"));
    drop(tell);
    assert_eq!(stream.next().await, None);
    a_job_ends_late().await;
}

pub(crate) async fn rule_49_a_cancelled_consumer_waits_for_the_item_at_hand_and_no_further() {
    let ((go, wait), (source, count, dropped)) = (mpsc::channel::<()>(), pulled(0..));
    let arrived = Event::new();
    let arrives = arrived.clone();
    let taken = Counter::new();
    let left = CancelScope::new()
        .run(async |scope| {
            let mut stream = iterate_blocking(source.inspect(move |item| {
                if *item == 3 {
                    arrives.set();
                    let _ = wait.recv();
                }
            }));
            let consume = async {
                while stream.next().await.is_some() {
                    taken.add();
                }
            };
            join(consume, async {
                shield(async {
                    arrived.wait().await;
                    while taken.get() < 3 {
                        checkpoint().await;
                    }
                    scope.cancel_with("while the iterator is at an item");
                })
                .await;
                drop(go);
            })
            .await;
        })
        .await;
    left.expect_err("cancelled");
    assert_eq!((taken.get(), count.get()), (3, 4), "what was pulled is not handed out any more");
    let thread_of_drop = anyrt_core::run_blocking(move || dropped.recv()).await;
    assert_ne!(thread_of_drop, Ok(thread::current().id()));
    a_job_ends_late().await;
}

pub(crate) async fn rule_50_a_stream_that_is_dropped_drops_its_iterator_in_a_thread() {
    let here = thread::current().id();
    let elsewhere = async |dropped: mpsc::Receiver<ThreadId>| {
        assert_ne!(anyrt_core::run_blocking(move || dropped.recv()).await.expect("it is dropped"), here);
    };
    // Before its first batch, between two, and while it is pulled.
    let (source, _, dropped) = pulled(0..);
    drop(iterate_blocking(source));
    elsewhere(dropped).await;
    let (source, count, dropped) = pulled(0..);
    let mut stream = iterate_blocking(source).batch(items(1));
    assert_eq!(stream.next().await, Some(0));
    drop(stream);
    elsewhere(dropped).await;
    assert_eq!(count.get(), 1);
    let ((go, wait), (source, count, dropped)) = (mpsc::channel::<()>(), pulled(0..));
    let (arrived, at_one) = (Event::new(), Counter::new());
    let (arrives, pulls) = (arrived.clone(), at_one.clone());
    let mut stream = iterate_blocking(source.inspect(move |item| {
        if *item == 1 {
            arrives.set();
            let _ = wait.recv();
            pulls.add();
        }
    }));
    assert_eq!(stream.next().await, Some(0));
    // The first batch may have ended with that item, if it took long: then the second one is asked for here.
    while !arrived.is_set() {
        assert!(stream.next().now_or_never().is_none(), "the thread waits at the second item");
        checkpoint().await;
    }
    drop(stream);
    assert_eq!(at_one.get(), 0, "nobody waits for the thread");
    drop(go);
    elsewhere(dropped).await;
    assert_eq!(count.get(), 2, "nothing more is pulled for nobody");
    // While it waits for a token.
    let (limiter, (source, _, dropped)) = (CapacityLimiter::new(0), pulled(0..));
    let mut stream = iterate_blocking(source).limiter(&limiter);
    assert!(stream.next().now_or_never().is_none());
    drop(stream);
    assert_eq!(limiter.waiting(), 0);
    elsewhere(dropped).await;
    a_job_ends_late().await;
}

pub(crate) async fn rule_49_a_batch_ends_after_a_while_and_gives_its_token_to_others() {
    let limiter = CapacityLimiter::new(1);
    let slow = iter::repeat_with(|| thread::sleep(Duration::from_millis(2)));
    let mut stream = iterate_blocking(slow).limiter(&limiter);
    let in_time = move_on_after(AN_HOUR, async {
        assert_eq!(stream.next().await, Some(()));
        // The iterator never ends, and neither does a batch of it that has no bound in time.
        anyrt_core::run_blocking(|| ()).limiter(&limiter).await;
    });
    in_time.await.expect("in time");
    a_job_ends_late().await;
}
