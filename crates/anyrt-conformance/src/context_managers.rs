//! WT: what is entered and left in threads.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, ThreadId};

use anyrt_core::{CancelScope, Handle, Leaving, blocking_context, checkpoint, task_group};
use futures::FutureExt as _;
use futures::future::pending;

use crate::counting::Counter;
use crate::late::a_job_ends_late;

type Left = Result<(), String>;

/// What leaves and notes how.
fn notes<T, E: Clone>(
    log: &Arc<Mutex<Vec<&'static str>>>,
) -> impl FnOnce(Leaving<'_, T, E>) -> Result<(), E> + use<T, E> {
    let log = log.clone();
    move |body| {
        log.lock().expect("nobody panics").push(match body {
            Leaving::Ended(Ok(_)) => "left with a value",
            Leaving::Ended(Err(_)) => "left with an error",
            Leaving::Cancelled(_) => "left cancelled",
            _ => "left in a panic",
        });
        Ok(())
    }
}

pub(crate) async fn wt_08_leaving_waits_for_no_token_of_those_that_entering_takes() {
    let limiter = Handle::current().limiter().clone();
    limiter.set_total(1);
    let ((tell, told), seen) = (mpsc::channel::<ThreadId>(), limiter.clone());
    let enter = move || {
        assert_eq!(seen.borrowed(), 1, "to enter takes a token of the default limiter");
        tell.send(thread::current().id()).expect("somebody listens");
        let leave = move |_: Leaving<'_, u32, String>| {
            tell.send(thread::current().id()).expect("somebody listens");
            Ok(())
        };
        Ok((20, leave))
    };
    let all_taken = RefCell::new(None);
    let value = blocking_context(enter, async |value| {
        let token = limiter.acquire().await;
        all_taken.replace(Some(token));
        Ok(value + 22)
    });
    assert_eq!(value.await, Ok(42));
    assert_eq!((limiter.borrowed(), limiter.waiting()), (1, 0));
    drop(all_taken);
    let here = thread::current().id();
    assert!(told.try_iter().filter(|there| *there != here).count() == 2);
    a_job_ends_late().await;
}

pub(crate) async fn wt_09_what_was_not_entered_is_not_left() {
    let (body, left) = (Counter::new(), Counter::new());
    let (runs, leaves) = (body.clone(), left.clone());
    let failed = blocking_context(
        move || {
            let leave = move |_: Leaving<'_, (), String>| {
                leaves.add();
                Ok(())
            };
            if runs.get() == 0 { Err("not entered".to_owned()) } else { Ok(((), leave)) }
        },
        async |()| {
            body.add();
            Ok(())
        },
    );
    assert_eq!(failed.await, Err("not entered".to_owned()));
    assert_eq!((body.get(), left.get()), (0, 0));
    a_job_ends_late().await;
}

pub(crate) async fn wt_10_cancelled_while_it_waits_for_a_token_neither_entering_nor_leaving_runs() {
    let limiter = Handle::current().limiter().clone();
    let guard = {
        limiter.set_total(1);
        limiter.acquire().await.detach()
    };
    let ran = Counter::new();
    task_group(async |group| {
        let runs = ran.clone();
        let waits = group.try_spawn(blocking_context(
            move || {
                runs.add();
                Ok(((), move |_: Leaving<'_, (), String>| {
                    runs.add();
                    Ok(())
                }))
            },
            async |()| Ok(()),
        ));
        while limiter.waiting() == 0 {
            checkpoint().await;
        }
        waits.cancel_with("while it waits");
        assert!(waits.await.expect_err("cancelled").is_cancelled());
    })
    .await
    .expect("no child fails");
    drop(guard);
    assert_eq!((ran.get(), limiter.borrowed(), limiter.waiting()), (0, 0, 0));
    a_job_ends_late().await;
}

pub(crate) async fn wt_12_leaving_is_told_how_the_body_ended_and_may_change_the_result() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let enter = |log: &Arc<_>| {
        let leave = notes::<u32, String>(log);
        move || Ok((7, leave))
    };
    assert_eq!(blocking_context(enter(&log), async |seven| Ok(seven)).await, Ok(7));
    let failed = blocking_context(enter(&log), async |_| Err("of the body".to_owned()));
    assert_eq!(failed.await, Err("of the body".to_owned()));
    let after = Counter::new();
    let cancelled = CancelScope::new()
        .run(async |scope| {
            let body = async |_| {
                scope.cancel_with("in the body");
                pending().await
            };
            drop(blocking_context(enter(&log), body).await);
            after.add();
        })
        .await;
    cancelled.expect_err("cancelled");
    let panics = blocking_context(enter(&log), async |_| panic!("expected: in the body"));
    let payload = AssertUnwindSafe(panics).catch_unwind().await.expect_err("it panics");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"expected: in the body"));
    assert_eq!(after.get(), 0, "a cancellation is not taken back");
    assert_eq!(
        *log.lock().expect("nobody panics"),
        ["left with a value", "left with an error", "left cancelled", "left in a panic"]
    );
    let suppresses = || {
        let leave = |body: Leaving<'_, u32, String>| {
            if let Leaving::Ended(result) = body {
                *result = result.clone().or(Ok(0));
            }
            Ok(())
        };
        Ok(((), leave))
    };
    assert_eq!(blocking_context(suppresses, async |()| Err("of the body".to_owned())).await, Ok(0));
    a_job_ends_late().await;
}

pub(crate) async fn wt_13_an_error_of_leaving_replaces_that_of_the_body_and_keeps_it() {
    let enter = || {
        let leave = |body: Leaving<'_, (), String>| match body {
            Leaving::Ended(Err(error)) => Err(format!("of leaving, after: {error}")),
            _ => Err("of leaving".to_owned()),
        };
        Ok(((), leave))
    };
    let failed: Left = blocking_context(enter, async |()| Err("of the body".to_owned())).await;
    assert_eq!(failed, Err("of leaving, after: of the body".to_owned()));
    let failed: Left = blocking_context(enter, async |()| Ok(())).await;
    assert_eq!(failed, Err("of leaving".to_owned()), "also where the body went well");
    let told = Counter::new();
    let cancelled = CancelScope::new()
        .run(async |scope| {
            let body = async |()| {
                scope.cancel_with("in the body");
                pending().await
            };
            let failed: Left = blocking_context(enter, body).await;
            assert_eq!(failed, Err("of leaving".to_owned()), "an error is not lost in a cancellation");
            told.add();
        })
        .await;
    drop(cancelled);
    assert_eq!(told.get(), 1);
    let panics = || Ok(((), |_: Leaving<'_, (), String>| panic!("expected: in leaving")));
    let payload = AssertUnwindSafe(blocking_context(panics, async |()| Ok(()))).catch_unwind().await;
    assert!(payload.expect_err("it panics").downcast::<String>().expect("a text").contains("in leaving"));
    a_job_ends_late().await;
}
