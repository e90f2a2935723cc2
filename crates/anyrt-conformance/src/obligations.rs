//! The obligations of the [`Runtime`] trait about tasks and the root.
//!
//! Those about tasks are programs for a run, since tasks come from the core. The others ask the
//! runtime without the core in between.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;

use anyrt_core::{Event, Handle, Run, Runtime, shield, task_group};

use crate::counting::{Counter, count_polls};
use crate::double::Double;

pub(crate) async fn rt_obligation_a_task_runs_to_its_end_though_nobody_waits() {
    let ended = Arc::new(Event::new());
    let set = Arc::clone(&ended);
    drop(Handle::current().spawn(async move {
        for _ in 0..10 {
            yields_once().await;
        }
        set.set();
    }));
    ended.wait().await;
}

pub(crate) async fn rt_obligation_spawn_returns_before_the_task_is_polled() {
    thread_local!(static SPAWNING: Cell<bool> = const { Cell::new(false) });

    for _ in 0..100 {
        SPAWNING.set(true);
        let task = Handle::current().spawn(async { SPAWNING.get() });
        SPAWNING.set(false);
        assert!(!task.await.expect("it ends"), "the task was polled inside the call");
    }
}

pub(crate) async fn rt_obligation_a_task_that_wakes_itself_while_it_is_polled_is_polled_again() {
    let polls = Counter::new();
    let task = count_polls(&polls, async {
        for _ in 0..1_000 {
            yields_once().await;
        }
    });
    Handle::current().spawn(task).await.expect("it ends");
    assert_eq!(polls.get(), 1_001, "once for each wake-up");
}

pub(crate) async fn rt_obligation_a_task_is_woken_by_a_foreign_thread() {
    for _ in 0..10 {
        Handle::current().spawn(woken_by_a_thread()).await.expect("it ends");
    }
}

pub(crate) async fn rt_obligation_a_task_is_polled_by_one_thread_at_a_time() {
    const THREADS: usize = 4;
    const WAKES: usize = 200;
    let polling = Arc::new(AtomicBool::new(false));
    let ended = Counter::new();
    let mut started = false;
    let counted = ended.clone();
    let task = poll_fn(move |cx| {
        assert!(!polling.swap(true, Ordering::SeqCst), "polled by two threads at once");
        if !started {
            started = true;
            for _ in 0..THREADS {
                let (waker, ended) = (cx.waker().clone(), counted.clone());
                foreign(move || {
                    for _ in 0..WAKES {
                        waker.wake_by_ref();
                        thread::yield_now();
                    }
                    ended.add();
                    waker.wake();
                });
            }
        }
        thread::yield_now();
        polling.store(false, Ordering::SeqCst);
        if counted.get() == THREADS { Poll::Ready(()) } else { Poll::Pending }
    });
    Handle::current().spawn(task).await.expect("it ends");
}

pub(crate) async fn rt_obligation_tasks_are_spawned_from_any_thread() {
    let handle = Handle::current();
    let ended = Arc::new(Event::new());
    let set = Arc::clone(&ended);
    foreign(move || {
        drop(handle.spawn(async move { set.set() }));
    });
    ended.wait().await;
}

pub(crate) fn rt_obligation_the_root_runs_on_the_calling_thread_to_its_end(runtime: Arc<dyn Runtime>) {
    let caller = thread::current().id();
    let polls = Counter::new();
    let counted = polls.clone();
    block_on(&*runtime, async move {
        for _ in 0..100 {
            assert_eq!(thread::current().id(), caller);
            counted.add();
            yields_once().await;
        }
    });
    assert_eq!(polls.get(), 100);
    runtime.shutdown();
}

pub(crate) fn rt_obligation_the_root_is_woken_by_a_foreign_thread(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        for _ in 0..10 {
            woken_by_a_thread().await;
        }
    });
    runtime.shutdown();
}

pub(crate) fn rt_obligation_enter_runs_the_closure_once_on_the_calling_thread(runtime: Arc<dyn Runtime>) {
    let entered = |runtime: &dyn Runtime| {
        let caller = thread::current().id();
        let mut runs = 0;
        runtime.enter(&mut || {
            assert_eq!(thread::current().id(), caller);
            runs += 1;
        });
        runs
    };
    assert_eq!(entered(&*runtime), 1);
    let elsewhere = Arc::clone(&runtime);
    let thread = thread::Builder::new().spawn(move || entered(&*elsewhere)).expect("a thread");
    assert_eq!(thread.join().expect("its assertion holds"), 1);
    runtime.shutdown();
}

/// A runtime that nothing ends, because it is not its own, may go on to run tasks: but then it does.
pub(crate) fn rt_obligation_after_the_shutdown_a_task_is_dropped_at_once_or_runs(runtime: Arc<dyn Runtime>) {
    let polls = Counter::new();
    let drops = Counter::new();
    let (counted, local) = (polls.clone(), drops.on_drop());
    let runs = Run::on(Arc::new(Double::after_the_end_of(runtime)))
        .run(async move {
            let mut runs = true;
            let seen = &mut runs;
            // The group reports the loss; here it is the handle that is asked.
            let _ = task_group(async move |group| {
                let task = group.spawn(count_polls(&counted, async move {
                    let _local = local;
                }));
                // Shielded: the loss of a child cancels the body.
                *seen = !shield(task).await.is_err_and(|ended| ended.is_not_started());
            })
            .await;
            runs
        })
        .expect("the run ends well");
    assert_eq!((polls.get(), drops.get()), (usize::from(runs), 1));
}

/// Drives `root` on the bare runtime.
pub(crate) fn block_on<T>(runtime: &dyn Runtime, root: impl Future<Output = T>) -> T {
    let mut output = None;
    {
        let root = pin!(async { output = Some(root.await) });
        runtime.block_on(root).expect("a runtime under test is owned by its test");
    }
    output.expect("block_on returns when its root is ready")
}

/// Pending once, after it has woken its waker.
pub(crate) async fn yields_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Pending until a thread that no runtime knows has woken it.
///
/// The thread waits until this poll is over, so that its wake-up is the only thing that helps.
async fn woken_by_a_thread() {
    let woken = Arc::new(AtomicBool::new(false));
    let poll = Arc::new(Mutex::new(()));
    let mut started = false;
    poll_fn(move |cx: &mut Context<'_>| {
        if started {
            return if woken.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending };
        }
        started = true;
        let _polling = poll.lock().expect("not poisoned");
        let (waker, woken, poll) = (cx.waker().clone(), Arc::clone(&woken), Arc::clone(&poll));
        foreign(move || {
            drop(poll.lock());
            woken.store(true, Ordering::SeqCst);
            waker.wake();
        });
        Poll::Pending
    })
    .await;
}

/// Runs on a thread of its own.
pub(crate) fn foreign(run: impl FnOnce() + Send + 'static) {
    thread::Builder::new().spawn(run).map(drop).expect("a thread");
}
