//! The capacity limiter against a naive model, and under stress.
//!
//! The model is a queue and a number. After each step of a random history both must agree on who has a
//! token, who waits, and what the counts say.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

use anyrt::{Acquire, Backend, CapacityLimiter, Token, run_blocking, run_on, task_group};
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

fn poll(waiter: &mut Acquire) -> Option<Token> {
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
        let mut waiters: Vec<(usize, Acquire)> = Vec::new();
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

fn backends() -> Vec<Backend> {
    vec![
        #[cfg(feature = "tokio")]
        Backend::Tokio,
        #[cfg(feature = "tokio")]
        Backend::TokioCurrentThread,
        #[cfg(feature = "smol")]
        Backend::Smol,
        #[cfg(feature = "async-std")]
        Backend::AsyncStd,
    ]
}

/// Random enough, and the same each time.
fn coin(number: usize) -> bool {
    number.wrapping_mul(0x9E37_79B9).rotate_left(7) & 1 == 0
}

#[test]
fn ten_thousand_queued_jobs_of_which_half_are_cancelled_leave_the_counts_at_zero() {
    const JOBS: usize = 10_000;
    for backend in backends() {
        run_on(backend, async {
            let limiter = CapacityLimiter::new(0);
            let ran = Arc::new(AtomicUsize::new(0));
            let cancelled = task_group(async |group| {
                let calls: Vec<_> = (0..JOBS)
                    .map(|_| {
                        let (limiter, ran) = (limiter.clone(), ran.clone());
                        group.spawn(async move {
                            run_blocking(move || ran.fetch_add(1, SeqCst)).limiter(&limiter).await;
                        })
                    })
                    .collect();
                while limiter.waiting() < JOBS {
                    anyrt::checkpoint().await;
                }
                // Half of these while jobs run, half before.
                let mut cancelled = 0;
                for (number, call) in calls.iter().enumerate().filter(|(number, _)| coin(*number)) {
                    if number == JOBS / 2 {
                        limiter.set_total(8);
                    }
                    call.cancel("by the coin");
                    cancelled += 1;
                }
                limiter.set_total(8);
                cancelled
            })
            .await
            .expect("no child fails");
            let ran = ran.load(SeqCst);
            assert!(ran >= JOBS - cancelled && ran <= JOBS, "{ran} ran, {cancelled} cancelled");
            assert_eq!((limiter.borrowed(), limiter.waiting()), (0, 0));
        });
    }
}

#[test]
fn twenty_thousand_jobs_of_which_half_panic_leave_the_counts_at_zero() {
    const JOBS: usize = 20_000;
    // Thousands of panics that are expected: nobody wants to read them.
    std::panic::set_hook(Box::new(|_| ()));
    for backend in backends() {
        let panicked = run_on(backend, async {
            let panicked = Arc::new(AtomicUsize::new(0));
            task_group(async |group| {
                for worker in 0..20 {
                    let panicked = panicked.clone();
                    group.spawn(async move {
                        for number in worker * (JOBS / 20)..(worker + 1) * (JOBS / 20) {
                            let call = run_blocking(move || assert!(!coin(number)));
                            let call = std::panic::AssertUnwindSafe(call.into_future());
                            let ended = futures::FutureExt::catch_unwind(call).await;
                            panicked.fetch_add(usize::from(ended.is_err()), SeqCst);
                        }
                    });
                }
            })
            .await
            .expect("no child fails");
            let limiter = anyrt::current_handle().limiter().clone();
            assert_eq!((limiter.borrowed(), limiter.waiting()), (0, 0));
            assert!(anyrt::current_handle().blocking_threads() <= 40);
            panicked.load(SeqCst)
        });
        assert_eq!(panicked, (0..JOBS).filter(|number| coin(*number)).count());
    }
    let _ = std::panic::take_hook();
}
