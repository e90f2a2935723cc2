//! RP: panics where nobody expects them: in destructors, in wakers.

use std::future::Future;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use anyrt_core::{CancelScope, Event, GroupError, checkpoint, finally, local_group, shield, task_group};
use futures::FutureExt;
use futures::future::pending;

use crate::counting::Counter;
use crate::endings::{Failure, failures};

pub(crate) async fn rp_01_a_destructor_that_panics_in_a_cancellation_is_resumed_in_the_host() {
    // Of a child, beside one that is waited for all the same.
    let finished = Counter::new();
    let counted = finished.clone();
    let of_child = task_group(async move |group| {
        let inside = Event::new();
        let entered = inside.clone();
        group.spawn(async move {
            let _local = PanicsOnDrop("child");
            entered.set();
            pending::<()>().await;
        });
        group.spawn(shield(async move {
            checkpoint().await;
            checkpoint().await;
            counted.add();
        }));
        inside.wait().await;
        group.cancel_with("enough");
    });
    assert_eq!(panic_of(of_child).await, "child");
    assert_eq!(finished.get(), 1, "when all children have ended");

    // Of the body.
    let children = Counter::new();
    let local = children.on_drop();
    let of_body = task_group(async move |group| {
        group.spawn(async move {
            let _local = local;
            pending::<()>().await;
        });
        let _local = PanicsOnDrop("body");
        group.cancel_with("enough");
        pending::<()>().await;
    });
    assert_eq!(panic_of(of_body).await, "body");
    assert_eq!(children.get(), 1);

    // Of the work of a clean-up, in a child.
    let cleaned = Counter::new();
    let counted = cleaned.clone();
    let of_work = task_group(async move |group| {
        let inside = Event::new();
        let entered = inside.clone();
        let work = async move {
            let _local = PanicsOnDrop("work");
            entered.set();
            pending::<()>().await;
        };
        group.spawn(finally(work, async move |_| {
            checkpoint().await;
            counted.add();
        }));
        inside.wait().await;
        group.cancel_with("enough");
    });
    assert_eq!(panic_of(of_work).await, "work");
    assert_eq!(cleaned.get(), 1, "its clean-up has run");

    // Of a child of a local group.
    let of_borrowing = local_group(async |children| {
        children.spawn(async {
            let _local = PanicsOnDrop("borrowing");
            pending::<()>().await;
        });
        checkpoint().await;
        children.cancel_with("enough");
    });
    assert_eq!(panic_of(of_borrowing).await, "borrowing");
}

pub(crate) async fn rp_02_work_that_panics_is_cleaned_up_and_the_panic_goes_on() {
    let cleaned = Counter::new();
    let counted = cleaned.clone();
    let work = async {
        checkpoint().await;
        panic!("work");
    };
    let panicked = AssertUnwindSafe(finally(work, async move |_| {
        checkpoint().await;
        counted.add();
    }))
    .catch_unwind()
    .await;
    assert_eq!(panicked.expect_err("it panicked").downcast_ref(), Some(&"work"));
    assert_eq!(cleaned.get(), 1);
}

pub(crate) async fn rp_04_a_waker_that_panics_keeps_nobody_from_being_woken() {
    // On wake: the others are woken all the same, and who wakes hears of it.
    let event = Event::new();
    let armed = Arc::new(PanickingWaker::default());
    let waker = Waker::from(Arc::clone(&armed));
    let mut first = pin!(event.wait());
    let mut second = pin!(event.wait());
    assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(futures::poll!(second.as_mut()).is_pending());
    armed.arm();
    assert!(catch_unwind(AssertUnwindSafe(|| event.set())).is_err());
    second.await;

    // The same for a scope.
    let cancelled = CancelScope::new();
    let handle = cancelled.handle();
    let armed = Arc::new(PanickingWaker::default());
    let waker = Waker::from(Arc::clone(&armed));
    let mut running = Box::pin(cancelled.run(async |_| pending::<()>().await));
    assert!(running.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    armed.arm();
    assert!(catch_unwind(AssertUnwindSafe(|| handle.cancel_with("wakes"))).is_err());
    assert!(running.await.is_err(), "it is cancelled all the same");

    // The host of a group: neither the child nor the runtime suffers from it.
    for fails in [false, true] {
        the_waker_of_a_host_panics(fails).await;
    }
}

async fn the_waker_of_a_host_panics(fails: bool) {
    let (inside, release) = (Event::new(), Event::new());
    let (entered, released) = (inside.clone(), release.clone());
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let armed = Arc::new(PanickingWaker::default());
    let waker = Waker::from(Arc::clone(&armed));
    let mut group = Box::pin(task_group(async move |group| {
        let child = group.try_spawn(async move {
            entered.set();
            released.wait().await;
            if fails { Err(Failure("boom")) } else { Ok(7) }
        });
        *keep.lock().expect("not poisoned") = Some(child);
    }));
    assert!(group.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    inside.wait().await;
    armed.arm();
    release.set();
    while !armed.has_rung() {
        checkpoint().await;
    }
    let child = kept.lock().expect("not poisoned").take().expect("the body ran");
    let ended = (child.await.is_err(), group.await.map_or_else(|error| failures(&error), |()| Vec::new()));
    assert_eq!(ended, (fails, if fails { vec!["boom"] } else { vec![] }));
    let alive = task_group(async |group| group.spawn(async { 7 }).await).await;
    assert_eq!(alive.expect("nothing fails").expect("the runtime goes on"), 7);
}

/// Awaits a group that must panic; what the panic says.
async fn panic_of(group: impl Future<Output = Result<(), GroupError>>) -> String {
    let payload = AssertUnwindSafe(group).catch_unwind().await.expect_err("it panicked");
    (*payload.downcast_ref::<&str>().expect("a text")).to_owned()
}

/// Panics when it is dropped, unless that would abort.
struct PanicsOnDrop(&'static str);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic::panic_any(self.0);
        }
    }
}

/// A waker that panics once it is armed.
#[derive(Default)]
struct PanickingWaker {
    armed: AtomicBool,
    rung: AtomicBool,
}

impl PanickingWaker {
    fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    fn has_rung(&self) -> bool {
        self.rung.load(Ordering::SeqCst)
    }
}

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        if self.armed.load(Ordering::SeqCst) {
            self.rung.store(true, Ordering::SeqCst);
            panic!("a waker");
        }
    }
}
