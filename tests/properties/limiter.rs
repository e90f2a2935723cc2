//! The limiter, polled by hand: what becomes of tokens that nobody takes.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use anyrt_core::CapacityLimiter;

#[test]
fn a_token_handed_to_a_waiter_that_is_dropped_goes_on_to_the_next() {
    let limiter = CapacityLimiter::new(1);
    let held = limiter.try_acquire().expect("it is free");
    let mut first = Box::pin(limiter.acquire());
    let mut second = pin!(limiter.acquire());
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    drop(held);
    assert!(limiter.try_acquire().is_err(), "it is reserved for the first");
    drop(first);
    assert!(poll(second.as_mut()).is_ready());
    assert_eq!(limiter.borrowed(), 0, "the second has dropped it");
}

#[test]
fn a_waiter_that_leaves_the_queue_does_not_keep_the_others() {
    let limiter = CapacityLimiter::new(1);
    let held = limiter.try_acquire().expect("it is free");
    let mut first = Box::pin(limiter.acquire());
    let mut second = pin!(limiter.acquire());
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    drop(first);
    assert_eq!(limiter.waiting(), 1);
    drop(held);
    assert!(poll(second.as_mut()).is_ready());
}

#[test]
fn nobody_overtakes_those_who_wait() {
    let limiter = CapacityLimiter::new(1);
    let held = limiter.try_acquire().expect("it is free");
    let mut first = pin!(limiter.acquire());
    let mut second = pin!(limiter.acquire());
    assert!(poll(first.as_mut()).is_pending());
    drop(held);
    assert!(poll(second.as_mut()).is_pending(), "the token is the first one's");
    let Poll::Ready(token) = poll(first.as_mut()) else { panic!("it was handed over") };
    assert!(poll(second.as_mut()).is_pending());
    drop(token);
    assert!(poll(second.as_mut()).is_ready());
}

#[test]
fn raising_the_total_serves_as_many_as_there_is_room_for() {
    let limiter = CapacityLimiter::new(0);
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(limiter.acquire())).collect();
    assert!(waiting.iter_mut().all(|wait| poll(wait.as_mut()).is_pending()));
    limiter.set_total(2);
    let served: Vec<_> = waiting.iter_mut().map(|wait| poll(wait.as_mut())).collect();
    assert_eq!(served.iter().map(Poll::is_ready).collect::<Vec<_>>(), [true, true, false]);
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The compiler says the same whatever backends there are, so one build is enough.
#[test]
#[cfg(all(feature = "tokio", feature = "smol", feature = "async-std"))]
fn cl_17_a_total_that_is_no_whole_number_of_tokens_does_not_compile() {
    trybuild::TestCases::new().compile_fail("properties/limiter_ui/*.rs");
}
