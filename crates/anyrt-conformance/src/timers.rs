//! The obligations of the [`Runtime`] trait about time.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use anyrt_core::{Runtime, Timer};

use crate::by_hand::Bell;
use crate::obligations::block_on;
use crate::time::{A_MOMENT, AN_HOUR};

pub(crate) fn rt_obligation_the_clock_never_goes_back(runtime: Arc<dyn Runtime>) {
    let mut before = runtime.now();
    for _ in 0..10_000 {
        let now = runtime.now();
        assert!(now >= before);
        before = now;
    }
    runtime.shutdown();
}

pub(crate) fn rt_obligation_a_timer_wakes_and_is_never_early(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        for _ in 0..5 {
            let deadline = runtime.now() + A_MOMENT;
            let mut timer = runtime.timer(deadline);
            elapsed(&mut timer).await;
            assert!(runtime.now() >= deadline, "early by {:?}", deadline - runtime.now());
            elapsed(&mut timer).await;
            elapsed(&mut timer).await;
        }
        let mut passed = runtime.timer(runtime.now());
        elapsed(&mut passed).await;
    });
    runtime.shutdown();
}

pub(crate) fn rt_obligation_a_timer_is_reset_to_a_later_deadline(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        let mut timer = runtime.timer(runtime.now() + A_MOMENT);
        assert!(poll_once(&mut timer).await.is_pending());
        let later = runtime.now() + A_MOMENT * 3;
        timer.as_mut().reset(later);
        elapsed(&mut timer).await;
        assert!(runtime.now() >= later, "early by {:?}", later - runtime.now());

        // After it has passed, too.
        let again = runtime.now() + A_MOMENT;
        timer.as_mut().reset(again);
        elapsed(&mut timer).await;
        assert!(runtime.now() >= again, "early by {:?}", again - runtime.now());
    });
    runtime.shutdown();
}

pub(crate) fn rt_obligation_a_timer_is_reset_to_an_earlier_deadline(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        let mut timer = runtime.timer(runtime.now() + AN_HOUR);
        assert!(poll_once(&mut timer).await.is_pending());
        timer.as_mut().reset(runtime.now() + A_MOMENT);
        // Were the hour still in force, the watchdog would say so.
        elapsed(&mut timer).await;
    });
    runtime.shutdown();
}

pub(crate) fn rt_obligation_a_timer_wakes_the_waker_of_the_latest_call(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        let mut timer = runtime.timer(runtime.now() + A_MOMENT);
        let forgotten = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&forgotten));
        assert!(timer.as_mut().poll_elapsed(&mut Context::from_waker(&waker)).is_pending());
        // This call's waker is the root's own. The watchdog sees whether that one is woken.
        elapsed(&mut timer).await;
        assert_eq!(forgotten.rung(), 0);
    });
    runtime.shutdown();
}

pub(crate) fn rt_obligation_a_timer_is_made_outside_of_the_runtime(runtime: Arc<dyn Runtime>) {
    let elsewhere = Arc::clone(&runtime);
    let deadline = runtime.now() + A_MOMENT;
    let made = thread::Builder::new().spawn(move || elsewhere.timer(deadline)).expect("a thread").join();
    let mut timer = made.expect("a timer");
    block_on(&*runtime, elapsed(&mut timer));
    assert!(runtime.now() >= deadline);
    runtime.shutdown();
}

async fn elapsed(timer: &mut Pin<Box<dyn Timer>>) {
    poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
}

async fn poll_once(timer: &mut Pin<Box<dyn Timer>>) -> Poll<()> {
    poll_fn(|cx| Poll::Ready(timer.as_mut().poll_elapsed(cx))).await
}
