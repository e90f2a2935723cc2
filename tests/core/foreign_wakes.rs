//! E7 of the faults: threads that the runtime does not know wake its tasks while it ends.
//!
//! Run by run: some tasks leave their wakers with a thread, which wakes them without a pause; the run, or the
//! runtime itself with the tasks still in it, ends meanwhile; then each waker is woken once more and dropped on that
//! thread. Each task is dropped exactly once, but for the one that async-executor may keep when it ends. `ANYRT_RUNS`
//! sets another number of runs than 50; the script `tests/sanitizers/run` does 10,000 of 20 tasks, so 200,000 wakers
//! for each kind of end, under AddressSanitizer.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;

use anyrt_core::{Handle, Run, Runtime};

const TASKS: usize = 20;

fn runs() -> usize {
    std::env::var("ANYRT_RUNS").map_or(50, |runs| runs.parse().expect("a number of runs"))
}

/// The wakers that the tasks of a run have left.
type Wakers = Arc<Mutex<Vec<Waker>>>;

/// A task that leaves its waker, and never ends.
struct Leaves {
    wakers: Wakers,
    left: bool,
    dropped: Arc<AtomicUsize>,
}

impl Future for Leaves {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !std::mem::replace(&mut self.left, true) {
            self.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Leaves {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// Ready when all tasks have left their wakers.
async fn all_have_left(wakers: &Wakers) {
    poll_fn(|cx| {
        if wakers.lock().unwrap_or_else(PoisonError::into_inner).len() == TASKS {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        thread::yield_now();
        Poll::Pending
    })
    .await;
}

/// What the foreign thread is sent: the wakers of a run, and whether it has ended.
type Sent = (Vec<Waker>, Arc<AtomicBool>);

/// Wakes what it is sent until it is told that the run has ended; then once more, and drops it.
fn foreign_thread() -> (mpsc::Sender<Sent>, thread::JoinHandle<usize>) {
    let (send, receive) = mpsc::channel::<Sent>();
    let thread = thread::Builder::new().spawn(move || {
        let mut woken = 0;
        for (wakers, ended) in receive {
            while !ended.load(Ordering::SeqCst) {
                wakers.iter().for_each(Waker::wake_by_ref);
                thread::yield_now();
            }
            woken += wakers.len();
            wakers.into_iter().for_each(Waker::wake);
        }
        woken
    });
    (send, thread.expect("a thread"))
}

/// Runs `once` again and again; it ends a run whose tasks have left their wakers, and calls `wake` before.
///
/// `kept`: how many tasks at most an end may keep for ever. There is one thread that wakes, so one task is on its way
/// to the queue when that is emptied.
fn while_it_ends(kept: usize, once: impl Fn(&Wakers, &Arc<AtomicUsize>, &dyn Fn())) {
    let (send, thread) = foreign_thread();
    let dropped = Arc::new(AtomicUsize::new(0));
    for _ in 0..runs() {
        let (wakers, ended) = (Wakers::default(), Arc::new(AtomicBool::new(false)));
        once(&wakers, &dropped, &|| {
            let left = std::mem::take(&mut *wakers.lock().unwrap_or_else(PoisonError::into_inner));
            send.send((left, ended.clone())).expect("the thread listens");
        });
        ended.store(true, Ordering::SeqCst);
    }
    drop(send);
    assert_eq!(thread.join().expect("it does not panic"), runs() * TASKS);
    let (dropped, all) = (dropped.load(Ordering::SeqCst), runs() * TASKS);
    assert!((all - kept * runs()..=all).contains(&dropped), "{dropped} of {all} were dropped, each once");
}

/// The run ends by itself: its tasks are cancelled and awaited.
fn the_run_ends(make: fn() -> Arc<dyn Runtime>) {
    while_it_ends(0, |wakers, dropped, wake| {
        Run::on(make())
            .run(async {
                let handle = Handle::current();
                for _ in 0..TASKS {
                    handle.spawn(Leaves { wakers: wakers.clone(), left: false, dropped: dropped.clone() });
                }
                all_have_left(wakers).await;
                wake();
            })
            .expect("the run ends well");
    });
}

/// The runtime ends with the tasks still in it.
#[cfg(feature = "tokio")]
fn the_runtime_ends(make: fn() -> Arc<dyn Runtime>) {
    end_with_tasks(0, make);
}

/// The same on async-executor 1.14, which keeps a task that another thread is about to queue when it is dropped.
#[cfg(feature = "smol")]
fn the_runtime_ends_but_for_one(make: fn() -> Arc<dyn Runtime>) {
    end_with_tasks(1, make);
}

#[cfg(any(feature = "tokio", feature = "smol"))]
fn end_with_tasks(kept: usize, make: fn() -> Arc<dyn Runtime>) {
    while_it_ends(kept, |wakers, dropped, wake| {
        let runtime = make();
        let handle = Handle::adopt(runtime.clone());
        for _ in 0..TASKS {
            handle.spawn(Leaves { wakers: wakers.clone(), left: false, dropped: dropped.clone() });
        }
        let mut all = Box::pin(async { all_have_left(wakers).await });
        runtime.block_on(all.as_mut()).expect("it is ours");
        wake();
        runtime.shutdown();
    });
}

/// The tests of one runtime.
macro_rules! on {
    ($feature:literal $module:ident $make:expr; $($test:ident)*) => {
        #[cfg(feature = $feature)]
        mod $module {
            $(#[test]
            fn $test() {
                super::$test($make);
            })*
        }
    };
}

on!("tokio" tokio_multi_thread || {
    anyrt_tokio::multi_thread(std::num::NonZeroUsize::new(1), "wakes").expect("a thread")
}; the_run_ends the_runtime_ends);
on!("tokio" tokio_current_thread || anyrt_tokio::current_thread("wakes").expect("a runtime");
    the_run_ends the_runtime_ends);
on!("smol" smol_executor || anyrt_smol::executor(std::num::NonZeroUsize::new(1), "wakes").expect("a thread");
    the_run_ends the_runtime_ends_but_for_one);
// Its runtime is the process's and never ends.
on!("async-std" async_std anyrt_async_std::runtime; the_run_ends);

/// E6: a group that is forgotten leaks, and nothing worse: its children go on, and end.
#[test]
#[cfg(feature = "tokio")]
fn a_forgotten_group_leaves_its_children_alone() {
    let runtime = anyrt_tokio::current_thread("forgets").expect("a runtime");
    let ended = Arc::new(AtomicUsize::new(0));
    let counted = ended.clone();
    Run::on(runtime)
        .run(async move {
            let release = anyrt_core::Event::new();
            let released = release.clone();
            let child = counted.clone();
            let mut group = Box::pin(anyrt_core::task_group(async move |group| {
                group.spawn(async move {
                    released.wait().await;
                    child.fetch_add(1, Ordering::SeqCst);
                });
                std::future::pending::<()>().await;
            }));
            assert!(futures::poll!(group.as_mut()).is_pending());
            std::mem::forget(group);
            release.set();
            while counted.load(Ordering::SeqCst) == 0 {
                anyrt_core::checkpoint().await;
            }
        })
        .expect("the run ends well");
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}
