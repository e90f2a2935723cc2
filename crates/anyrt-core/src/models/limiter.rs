//! The limiter: no token is lost, none is given twice, and no waiter is overtaken.

use std::pin::Pin;
use std::sync::Mutex;

use loom::thread;

use super::stage::{Count, check, drive, on_stage, poll_once};
use crate::base::sync::Arc;
use crate::blocking::CapacityLimiter;
use crate::scope::CancelScope;

/// Borrows a token, and checks that no more than `total` are out.
fn borrow(limiter: &CapacityLimiter, out: &Out, total: usize) {
    let token = drive(limiter.acquire());
    out.enter(total);
    out.leave();
    drop(token);
}

/// How many tokens are out. Not one of loom's: it adds no step to explore.
#[derive(Clone, Default)]
struct Out(Arc<Mutex<usize>>);

impl Out {
    fn enter(&self, total: usize) {
        let mut out = self.0.lock().unwrap();
        *out += 1;
        assert!(*out <= total, "a token was given twice");
    }

    fn leave(&self) {
        *self.0.lock().unwrap() -= 1;
    }
}

#[test]
fn three_threads_share_one_token() {
    check("three_threads_share_one_token", || {
        let (limiter, out) = (CapacityLimiter::new(1), Out::default());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (limiter, out) = (limiter.clone(), out.clone());
                thread::spawn(move || borrow(&limiter, &out, 1))
            })
            .collect();
        borrow(&limiter, &out, 1);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((limiter.borrowed(), limiter.waiting()), (0, 0));
    });
}

#[test]
fn three_threads_share_two_tokens_three_times() {
    check("three_threads_share_two_tokens_three_times", || {
        let (limiter, out) = (CapacityLimiter::new(2), Out::default());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (limiter, out) = (limiter.clone(), out.clone());
                thread::spawn(move || (0..3).for_each(|_| borrow(&limiter, &out, 2)))
            })
            .collect();
        (0..3).for_each(|_| borrow(&limiter, &out, 2));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((limiter.borrowed(), limiter.waiting()), (0, 0));
    });
}

#[test]
fn those_who_wait_are_served_in_their_order_and_before_who_comes_new() {
    check("those_who_wait_are_served_in_their_order_and_before_who_comes_new", || {
        let limiter = CapacityLimiter::new(1);
        let order = Arc::new(Mutex::new(Vec::new()));
        let token = limiter.try_acquire().unwrap();
        let waiting: Vec<_> = (1..=2)
            .map(|number| {
                let mut acquire = Box::pin(limiter.acquire());
                assert!(drive(poll_once(acquire.as_mut())).is_pending());
                (number, acquire)
            })
            .collect();
        let mut threads: Vec<_> = waiting
            .into_iter()
            .map(|(number, acquire)| {
                let order = order.clone();
                thread::spawn(move || {
                    let token = drive(acquire);
                    order.lock().unwrap().push(number);
                    drop(token);
                })
            })
            .collect();
        let (new, last) = (limiter.clone(), order.clone());
        threads.push(thread::spawn(move || {
            if let Ok(token) = new.try_acquire() {
                last.lock().unwrap().push(3);
                drop(token);
            }
        }));
        drop(token);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let order = order.lock().unwrap();
        assert!(**order == [1, 2] || **order == [1, 2, 3], "{order:?}");
        assert_eq!((limiter.borrowed(), limiter.waiting()), (0, 0));
    });
}

#[test]
fn a_waiter_is_dropped_while_it_is_served() {
    check("a_waiter_is_dropped_while_it_is_served", || {
        let limiter = CapacityLimiter::new(1);
        let token = limiter.try_acquire().unwrap();
        let mut first = Box::pin(limiter.acquire());
        assert!(drive(poll_once(first.as_mut())).is_pending());
        let mut second = Box::pin(limiter.acquire());
        assert!(drive(poll_once(second.as_mut())).is_pending());
        let releases = thread::spawn(move || drop(token));
        let next = thread::spawn(move || drop(drive(second)));
        drop(first);
        releases.join().unwrap();
        next.join().unwrap();
        assert_eq!((limiter.borrowed(), limiter.waiting()), (0, 0));
    });
}

#[test]
fn a_waiter_is_cancelled_while_it_is_served() {
    check("a_waiter_is_cancelled_while_it_is_served", || {
        on_stage(async |_| {
            let limiter = CapacityLimiter::new(1);
            let token = limiter.try_acquire().unwrap();
            let scope = CancelScope::new();
            let handle = scope.handle();
            let got = Count::default();
            let releases = thread::spawn(move || drop(token));
            let cancels = thread::spawn(move || handle.cancel_with("now"));
            let (asked, seen) = (limiter.clone(), got.clone());
            let result = scope
                .run(async |_| {
                    let token = asked.acquire().await;
                    seen.add();
                    drop(token);
                })
                .await;
            assert_eq!(got.get() == 1, result.is_ok());
            releases.join().unwrap();
            cancels.join().unwrap();
            assert_eq!((limiter.borrowed(), limiter.waiting()), (0, 0));
        });
    });
}

#[test]
fn the_total_is_raised_while_a_token_comes_back() {
    check("the_total_is_raised_while_a_token_comes_back", || {
        let limiter = CapacityLimiter::new(1);
        let token = limiter.try_acquire().unwrap();
        let mut waiting: Vec<Pin<Box<_>>> = (0..2).map(|_| Box::pin(limiter.acquire())).collect();
        for acquire in &mut waiting {
            assert!(drive(poll_once(acquire.as_mut())).is_pending());
        }
        let raised = limiter.clone();
        let raises = thread::spawn(move || raised.set_total(2));
        let releases = thread::spawn(move || drop(token));
        let tokens: Vec<_> = waiting.into_iter().map(drive).collect();
        raises.join().unwrap();
        releases.join().unwrap();
        assert_eq!((tokens.len(), limiter.borrowed(), limiter.waiting()), (2, 2, 0));
    });
}
