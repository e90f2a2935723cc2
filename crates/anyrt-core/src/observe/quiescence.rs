//! Waiting until no other task can go on.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::{Reason, view};
use crate::base::sync::{Arc, Mutex};
use crate::base::wake_list::WakeList;
use crate::current::context;
use crate::current::gate::leaf;
use crate::current::handle::Handle;
use crate::tree::TaskId;
use crate::tree::site::Called;

/// Waits until every other task of the run waits: none is polled, none was woken, none is about to start.
///
/// For tests: whatever a task does before it waits has been done then (Trio: `wait_all_tasks_blocked`). A task
/// that sleeps, or waits for a thread or a socket, counts as waiting; so do other tasks that wait here, which
/// go on together. What a thread or the system does next cannot be known. While a task waits here, each task is
/// polled once more, and polls cost more.
///
/// ```
/// # async fn demo() {
/// use anyrt_core::{Event, task_group, wait_all_tasks_blocked};
///
/// let event = Event::new();
/// task_group(async |tg| {
///     let waits = event.clone();
///     tg.spawn(async move { waits.wait().await });
///     wait_all_tasks_blocked().await;
///     assert_eq!(event.waiting(), 1);
///     event.set();
/// })
/// .await
/// .unwrap();
/// # }
/// ```
///
/// # Panics
///
/// When polled outside of any runtime, naming the caller and the cure.
///
/// # Cancel safety
///
/// Nothing is lost.
#[track_caller]
pub fn wait_all_tasks_blocked() -> AllTasksBlocked {
    AllTasksBlocked { called: Location::caller(), waits: None }
}

/// The future of [`wait_all_tasks_blocked`].
#[must_use = "futures do nothing unless polled"]
pub struct AllTasksBlocked {
    called: Called,
    waits: Option<Waits>,
}

struct Waits {
    handle: Handle,
    key: usize,
    released: Arc<AtomicBool>,
    _reason: Reason,
}

/// The tasks that wait here, in one run.
#[derive(Default)]
pub(crate) struct Quiescence {
    number: AtomicUsize,
    waiting: Mutex<Slab<Waiter>>,
}

struct Waiter {
    task: Option<TaskId>,
    released: Arc<AtomicBool>,
    waker: Option<Waker>,
}

impl Quiescence {
    pub(crate) fn is_waited_for(&self) -> bool {
        self.number.load(Ordering::Relaxed) != 0
    }

    /// A poll of this task has ended: perhaps all tasks wait now. Tasks that wait here do not wait for each
    /// other.
    pub(crate) fn look_again(&self, task: TaskId) {
        if self.is_waited_for() {
            let waits_itself = self.waiting.lock().iter().any(|(_, waiter)| waiter.task == Some(task));
            if !waits_itself {
                self.wake_all(false);
            }
        }
    }

    fn wake_all(&self, release: bool) {
        let mut wakes = WakeList::default();
        for (_, waiter) in &mut *self.waiting.lock() {
            if release {
                waiter.released.store(true, Ordering::Release);
            }
            wakes.take(&mut waiter.waker);
        }
        wakes.wake();
    }
}

impl Waits {
    fn begin(handle: Handle) -> Waits {
        let reason = Reason::new();
        let quiet = &handle.0.shared.observer.quiescence;
        let released = Arc::new(AtomicBool::new(false));
        let waiter = Waiter { task: context::task_id(), released: released.clone(), waker: None };
        let key = quiet.waiting.lock().insert(waiter);
        if quiet.number.fetch_add(1, Ordering::SeqCst) == 0 {
            handle.0.shared.observer.epoch.fetch_add(1, Ordering::SeqCst);
        }
        Waits { handle, key, released, _reason: reason }
    }

    /// Whether all tasks wait, apart from those that wait here. `waker` is woken by tasks of which that is not
    /// known.
    fn is_quiet(&self, waker: &Waker) -> bool {
        let here: Vec<Option<TaskId>> = {
            let waiting = self.handle.0.shared.observer.quiescence.waiting.lock();
            waiting.iter().map(|(_, waiter)| waiter.task).collect()
        };
        let stirs = &self.handle.0.shared.observer.stirs;
        let before = stirs.load(Ordering::SeqCst);
        let (entries, places) = view::places(&self.handle);
        let mut quiet = true;
        let mut unknown = WakeList::default();
        let mut known = entries.iter().all(|entry| entry.unpolled == 0);
        for place in &places {
            match place.as_task() {
                Some(task) if !here.contains(&Some(task.id())) => (),
                _ => continue,
            }
            let track = place.node().tracked().filter(|track| track.is_known());
            quiet &= track.as_ref().is_some_and(|track| track.is_idle());
            if track.is_none() {
                // Its last poll was not recorded: so it is polled once more.
                unknown.take(&mut place.node().owner());
                known = false;
            }
        }
        known &= stirs.load(Ordering::SeqCst) == before;
        unknown.wake();
        if !known {
            waker.wake_by_ref();
        }
        quiet && known
    }
}

impl Future for AllTasksBlocked {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let called = self.called;
        leaf(true, called, cx, |cx| {
            let Some(waits) = &self.waits else {
                self.waits = Some(Waits::begin(Handle::current_for(called)));
                // This poll was not recorded: the next one will be.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            };
            let quiet = &waits.handle.0.shared.observer.quiescence;
            let new = Some(cx.waker().clone());
            let old = match quiet.waiting.lock().get_mut(waits.key) {
                Some(waiter) => std::mem::replace(&mut waiter.waker, new),
                None => new,
            };
            drop(old);
            if !waits.released.load(Ordering::Acquire) {
                if !waits.is_quiet(cx.waker()) {
                    return Poll::Pending;
                }
                quiet.wake_all(true);
            }
            Poll::Ready(())
        })
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let quiet = &self.handle.0.shared.observer.quiescence;
        quiet.number.fetch_sub(1, Ordering::Relaxed);
        let waiter = quiet.waiting.lock().try_remove(self.key);
        drop(waiter);
    }
}

impl fmt::Debug for AllTasksBlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllTasksBlocked").field("called", &format_args!("{}", self.called)).finish()
    }
}
