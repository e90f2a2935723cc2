//! CL: the capacity limiter.

use std::sync::Arc;
use std::task::Poll;

use anyrt_core::{
    CancelScope, CapacityLimiter, Run, Runtime, TryAcquireError, WouldBlock, checkpoint, task_group,
};

use crate::by_hand::ByHand;
use crate::counting::Counter;
use crate::time::A_MOMENT;
use crate::warnings::Warnings;

pub(crate) async fn cl_01_tokens_are_counted_out_and_in() {
    let limiter = CapacityLimiter::new(2);
    let one = limiter.acquire().await;
    let two = limiter.acquire().await;
    assert_eq!((limiter.borrowed(), limiter.available()), (2, 0));
    drop(one);
    assert_eq!((limiter.borrowed(), limiter.available()), (1, 1));
    drop(two);
    assert_eq!((limiter.borrowed(), limiter.available()), (0, 2));
}

pub(crate) async fn cl_02_the_same_key_does_not_borrow_twice() {
    let limiter = CapacityLimiter::new(1);
    let token = limiter.acquire_on_behalf_of("one").await.expect("the first");
    let error = limiter.acquire_on_behalf_of("one").await.expect_err("it has its token");
    assert!(error.to_string().contains("one"), "{error}");
    let error = limiter.try_acquire_on_behalf_of("one").expect_err("it has its token");
    assert!(matches!(error, TryAcquireError::AlreadyBorrowed(_)), "{error}");
    // One that waits has its place already.
    let mut waits = ByHand::new(limiter.acquire_on_behalf_of("two"));
    assert!(waits.poll().is_pending());
    limiter.acquire_on_behalf_of("two").await.expect_err("it waits already");
    waits.drop_future();
    drop(token);
    assert_eq!(limiter.borrowed(), 0);
    let both = limiter.acquire_on_behalf_of("two").await;
    drop(both.expect("who left is forgotten"));
    drop(limiter.acquire_on_behalf_of("one").await.expect("what came back is forgotten"));
}

pub(crate) async fn cl_03_returning_what_was_not_borrowed_is_an_error() {
    let limiter = CapacityLimiter::new(2);
    let error = limiter.release_on_behalf_of("nobody").expect_err("nothing is borrowed");
    assert!(error.to_string().contains("nobody"), "{error}");
    let token = limiter.acquire_on_behalf_of("one").await.expect("the first");
    limiter.release_on_behalf_of("one").expect("it is borrowed");
    limiter.release_on_behalf_of("one").expect_err("it was returned");
    let later = limiter.acquire_on_behalf_of("one").await.expect("it is free");
    drop(token);
    assert_eq!(limiter.borrowed(), 1, "the guard of the former borrower returns nothing");
    drop(later);
    assert_eq!(limiter.borrowed(), 0);
}

pub(crate) async fn cl_04_any_key_borrows() {
    let limiter = CapacityLimiter::new(9);
    let number = limiter.acquire_on_behalf_of(17).await.expect("a number");
    let text = limiter.acquire_on_behalf_of(String::from("user")).await.expect("a text");
    let address = limiter.try_acquire_on_behalf_of(std::net::Ipv4Addr::LOCALHOST).expect("an address");
    assert_eq!(limiter.statistics().borrowers, ["127.0.0.1", "17", "user"]);
    limiter.release_on_behalf_of(17).expect("it is returned by its key");
    let again = limiter.acquire_on_behalf_of(17).await.expect("the key is free");
    drop(number);
    assert_eq!(limiter.borrowed(), 3, "what was returned by its key is not returned again");
    drop((again, text, address));
    assert_eq!((limiter.borrowed(), limiter.statistics().borrowers.len()), (0, 0));
}

pub(crate) async fn cl_05_try_acquire_would_block_when_full() {
    let limiter = CapacityLimiter::new(1);
    let token = limiter.try_acquire().expect("one is free");
    assert_eq!(limiter.try_acquire().map(drop), Err(WouldBlock));
    assert_eq!(limiter.try_acquire_on_behalf_of(1).map(drop), Err(TryAcquireError::WouldBlock(WouldBlock)));
    drop(token);
    assert_eq!(limiter.try_acquire_on_behalf_of(1).map(drop), Ok(()));
    assert!(limiter.try_acquire().is_ok());
}

pub(crate) async fn cl_07_tokens_go_out_in_the_order_of_asking() {
    let limiter = CapacityLimiter::new(1);
    let mut token = Some(limiter.acquire().await);
    let mut waiters: Vec<_> = (0..5).map(|_| ByHand::new(limiter.acquire())).collect();
    for waiter in &mut waiters {
        assert!(waiter.poll().is_pending());
    }
    for first in 0..5 {
        drop(token.take());
        assert!(limiter.try_acquire().is_err(), "what came back is the first one's");
        for later in &mut waiters[first + 1..] {
            assert!(later.poll().is_pending(), "somebody went before {first}");
        }
        let Poll::Ready(next) = waiters[first].poll() else { panic!("it is the turn of {first}") };
        token = Some(next);
    }
}

pub(crate) async fn cl_09_raising_the_total_wakes_as_many_as_there_is_room() {
    let limiter = CapacityLimiter::new(1);
    let _token = limiter.acquire().await;
    let mut waiters: Vec<_> = (0..3).map(|_| ByHand::new(limiter.acquire())).collect();
    for waiter in &mut waiters {
        assert!(waiter.poll().is_pending());
    }
    limiter.set_total(3);
    let woken: Vec<_> = waiters.iter().map(ByHand::wakes).collect();
    assert_eq!(woken, [1, 1, 0]);
    assert_eq!((limiter.borrowed(), limiter.waiting()), (3, 1));
}

pub(crate) async fn cl_11_lowering_below_what_is_borrowed_takes_nothing_away() {
    let limiter = CapacityLimiter::new(3);
    let mut tokens = vec![limiter.acquire().await, limiter.acquire().await, limiter.acquire().await];
    limiter.set_total(1);
    assert_eq!((limiter.borrowed(), limiter.available()), (3, -2));
    let mut waits = ByHand::new(limiter.acquire());
    for _ in 0..2 {
        assert!(waits.poll().is_pending());
        tokens.pop();
    }
    assert!(waits.poll().is_pending(), "what came back is absorbed");
    tokens.pop();
    assert!(waits.poll().is_ready());
}

pub(crate) async fn cl_12_a_total_of_zero_makes_all_wait() {
    let limiter = CapacityLimiter::new(0);
    let (mut one, mut two) = (ByHand::new(limiter.acquire()), ByHand::new(limiter.acquire()));
    assert!(one.poll().is_pending() && two.poll().is_pending());
    assert!(limiter.try_acquire().is_err());
    limiter.set_total(1);
    assert!(two.poll().is_pending(), "in order");
    let Poll::Ready(token) = one.poll() else { panic!("the first is served") };
    drop(token);
    assert!(two.poll().is_ready());
}

pub(crate) async fn rule_62_raising_a_lowered_total_wakes_as_many_as_there_is_spare_room() {
    let limiter = CapacityLimiter::new(3);
    let tokens = [limiter.acquire().await, limiter.acquire().await, limiter.acquire().await];
    let mut waiters: Vec<_> = (0..3).map(|_| ByHand::new(limiter.acquire())).collect();
    for waiter in &mut waiters {
        assert!(waiter.poll().is_pending());
    }
    // Each step is told by the total it sets, who was woken so far, and how many tokens are left.
    let steps =
        [(1, [0, 0, 0], -2), (3, [0, 0, 0], 0), (4, [1, 0, 0], 0), (2, [1, 0, 0], -2), (5, [1, 1, 0], 0)];
    for (total, woken, available) in steps {
        limiter.set_total(total);
        assert_eq!(waiters.iter().map(ByHand::wakes).collect::<Vec<_>>(), woken, "with a total of {total}");
        assert_eq!(limiter.available(), available, "with a total of {total}");
    }
    drop(tokens);
    assert!(waiters.iter_mut().all(|waiter| waiter.poll().is_ready()));
}

pub(crate) async fn cl_13_an_unlimited_one_makes_nobody_wait() {
    let limiter = CapacityLimiter::unlimited();
    let mut tokens = Vec::new();
    for _ in 0..1000 {
        tokens.push(limiter.try_acquire().expect("no limit"));
    }
    assert_eq!(limiter.borrowed(), 1000);
    limiter.set_total(1);
    tokens.truncate(1);
    assert!(limiter.try_acquire().is_err());
    limiter.set_total(usize::MAX);
    assert!(limiter.try_acquire().is_ok());
}

pub(crate) async fn cl_14_a_cancelled_waiter_leaves_the_queue() {
    let limiter = CapacityLimiter::new(1);
    let token = limiter.acquire().await;
    let waiting = limiter.clone();
    task_group(async move |group| {
        let cancelled = {
            let limiter = waiting.clone();
            group.spawn(async move { drop(limiter.acquire_on_behalf_of("cancelled").await) })
        };
        while waiting.waiting() < 1 {
            checkpoint().await;
        }
        let mut behind = ByHand::new(waiting.acquire());
        assert!(behind.poll().is_pending());
        cancelled.cancel_with("it is the case");
        assert!(cancelled.await.expect_err("it is cancelled").is_cancelled());
        assert_eq!(waiting.waiting(), 1);
        drop(token);
        assert!(behind.poll().is_ready());
        drop(behind);
        // One that had its token already, and is dropped before it saw it, passes it on.
        let held = waiting.acquire().await;
        let (mut one, mut two) = (ByHand::new(waiting.acquire()), ByHand::new(waiting.acquire()));
        assert!(one.poll().is_pending() && two.poll().is_pending());
        drop(held);
        one.drop_future();
        assert!(two.poll().is_ready());
    })
    .await
    .expect("no child fails");
    assert_eq!((limiter.borrowed(), limiter.waiting()), (0, 0));
    assert!(limiter.try_acquire_on_behalf_of("cancelled").is_ok());
}

pub(crate) async fn cl_16_a_cancelled_acquire_returns_nobody_elses_token() {
    let limiter = CapacityLimiter::new(2);
    let one = limiter.acquire_on_behalf_of("one").await.expect("the first");
    let reached = Counter::new();
    let left = CancelScope::new()
        .run(async |scope| {
            scope.cancel_with("before it asks");
            let _token = limiter.acquire_on_behalf_of("two").await;
            reached.add();
        })
        .await;
    left.expect_err("it was cancelled");
    assert_eq!((reached.get(), limiter.borrowed()), (0, 1));
    assert_eq!(limiter.statistics().borrowers, ["one"]);
    drop(one);
    assert!(limiter.try_acquire_on_behalf_of("two").is_ok());
}

pub(crate) async fn cl_18_the_statistics_tell_how_it_stands() {
    let limiter = CapacityLimiter::new(2);
    limiter.warn_waits_after(A_MOMENT / 2);
    let call = limiter.acquire().await;
    let of_key = limiter.acquire_on_behalf_of("key").await.expect("the first");
    let mut waits = ByHand::new(limiter.acquire_on_behalf_of("waits"));
    assert!(waits.poll().is_pending());
    let before = limiter.statistics();
    assert_eq!((before.total, before.borrowed, before.waiting), (2, 2, 1));
    assert_eq!((before.borrowers, before.longest_wait.is_zero()), (vec!["key".to_owned()], true));
    anyrt_core::sleep(A_MOMENT).await;
    drop((call, of_key));
    let long = Warnings::of("anyrt::limiter");
    assert!(long.catch(|| waits.poll()).is_ready());
    assert!(limiter.statistics().longest_wait >= A_MOMENT);
    assert_eq!(long.caught().len(), 1, "a long wait is told of");
}

pub(crate) fn cl_19_a_limiter_is_made_outside_of_any_runtime(runtime: Arc<dyn Runtime>) {
    let limiter = CapacityLimiter::new(1);
    let token = limiter.try_acquire().expect("one is free");
    Run::on(runtime)
        .run(async {
            let mut waits = ByHand::new(limiter.acquire());
            assert!(waits.poll().is_pending());
            drop(token);
            assert!(waits.poll().is_ready());
            drop(limiter.acquire().await);
        })
        .expect("the run ends well");
    assert_eq!(limiter.borrowed(), 0);
}
