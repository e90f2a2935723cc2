//! The capacity limiter against a naive model.
//!
//! The model is a queue and a number. After each step of a random history both must agree on who has a
//! token, who waits, and what the counts say.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use anyrt::blocking::{AcquireTokenFuture, CapacityLimiter, Token};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    /// Asks, and waits if it must.
    Acquire,
    Try,
    /// One of those who wait loses interest: it may have been handed a token that it has not seen.
    Cancel(usize),
    /// One of those who wait looks whether it is its turn.
    Poll(usize),
    Return(usize),
    Resize(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Acquire),
        2 => Just(Step::Try),
        2 => any::<usize>().prop_map(Step::Cancel),
        3 => any::<usize>().prop_map(Step::Poll),
        4 => any::<usize>().prop_map(Step::Return),
        2 => (0..6_usize).prop_map(Step::Resize),
    ];
    proptest::collection::vec(step, 0..80)
}

/// What a limiter should do, in as few words as possible.
struct Model {
    total: usize,
    /// Tokens that are out, those among them that were handed over and not seen.
    borrowed: usize,
    /// Who asked and has not seen a token, in the order of asking; whether it was handed one.
    waiting: VecDeque<(usize, bool)>,
}

impl Model {
    fn serve(&mut self) {
        for (_, handed) in &mut self.waiting {
            if !*handed && self.borrowed < self.total {
                *handed = true;
                self.borrowed += 1;
            }
        }
    }

    fn queue(&self) -> usize {
        self.waiting.iter().filter(|(_, handed)| !handed).count()
    }

    fn free(&self) -> bool {
        self.borrowed < self.total && self.queue() == 0
    }
}

fn poll(waiter: &mut AcquireTokenFuture) -> Option<Token> {
    match Pin::new(waiter).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(token) => Some(token),
        Poll::Pending => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_model_does(total in 0..5_usize, steps in steps()) {
        let limiter = CapacityLimiter::new(total);
        let mut model = Model { total, borrowed: 0, waiting: VecDeque::new() };
        let mut waiters: Vec<(usize, AcquireTokenFuture)> = Vec::new();
        let mut tokens: Vec<Token> = Vec::new();
        for (id, step) in steps.into_iter().enumerate() {
            match step {
                Step::Acquire => {
                    let mut waiter = limiter.acquire();
                    let token = poll(&mut waiter);
                    prop_assert_eq!(token.is_some(), model.free());
                    if let Some(token) = token {
                        tokens.push(token);
                        model.borrowed += 1;
                    } else {
                        waiters.push((id, waiter));
                        model.waiting.push_back((id, false));
                    }
                }
                Step::Try => {
                    let token = limiter.try_acquire();
                    prop_assert_eq!(token.is_ok(), model.free());
                    if let Ok(token) = token {
                        tokens.push(token);
                        model.borrowed += 1;
                    }
                }
                Step::Cancel(which) if !waiters.is_empty() => {
                    let (id, waiter) = waiters.swap_remove(which % waiters.len());
                    drop(waiter);
                    let place = model.waiting.iter().position(|(other, _)| *other == id);
                    let (_, handed) = model.waiting.remove(place.expect("it waits")).expect("it waits");
                    model.borrowed -= usize::from(handed);
                    model.serve();
                }
                Step::Poll(which) if !waiters.is_empty() => {
                    let which = which % waiters.len();
                    let (id, waiter) = &mut waiters[which];
                    let place = model.waiting.iter().position(|(other, _)| other == id).expect("it waits");
                    let token = poll(waiter);
                    prop_assert_eq!(token.is_some(), model.waiting[place].1);
                    if let Some(token) = token {
                        tokens.push(token);
                        model.waiting.remove(place);
                        drop(waiters.swap_remove(which));
                    }
                }
                Step::Return(which) if !tokens.is_empty() => {
                    drop(tokens.swap_remove(which % tokens.len()));
                    model.borrowed -= 1;
                    model.serve();
                }
                Step::Resize(total) => {
                    limiter.set_total(total);
                    model.total = total;
                    model.serve();
                }
                Step::Cancel(_) | Step::Poll(_) | Step::Return(_) => (),
            }
            prop_assert_eq!(limiter.total(), model.total);
            prop_assert_eq!(limiter.borrowed(), model.borrowed);
            prop_assert_eq!(limiter.waiting(), model.queue());
        }
        drop((waiters, tokens));
        prop_assert_eq!((limiter.borrowed(), limiter.waiting()), (0, 0));
    }
}
