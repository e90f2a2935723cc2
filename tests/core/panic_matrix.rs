//! Whatever panics, and whenever: the siblings end, the group is joined, the panic is somebody's, and the
//! runtime goes on.
//!
//! | place | while the body runs | while the host waits | after the group was left |
//! |---|---|---|---|
//! | a child | host | host | it has ended |
//! | the body | host | it has ended | it has ended |
//! | a destructor in a child | host | host | it has ended |
//! | the destructor of an output | host | host | who drops the handle |
//! | `wake` of the host's waker | who cancels, so the child, so the host | the hook alone: it is not the child's fault | nobody wakes |
//! | `clone` of it | host | who polls the host | nobody clones |
//! | `drop` of it | host | who polls the host | nobody has it |
//!
//! A destructor that panics while a panic unwinds aborts the process, as everywhere in Rust: `aborts.rs`.

#[macro_use]
#[path = "../allocations/on_each_backend.rs"]
mod on_each_backend;
mod waker;

use std::any::Any;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use anyrt::sync::Event;
use anyrt::{Backend, GroupError, Run, TaskGroup, checkpoint, shield, task_group};
use futures::FutureExt;

use self::waker::{Act, Faulty};

type Panicked = Option<&'static str>;

/// Counts the siblings that have ended: one is cancelled, one finishes in its shield.
#[derive(Clone, Default)]
struct Siblings(Arc<AtomicUsize>);

struct Ended(Siblings);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Siblings {
    fn spawn(&self, group: &TaskGroup) {
        let (one, two) = (Ended(self.clone()), Ended(self.clone()));
        group.spawn(async move {
            let _one = one;
            pending::<()>().await;
        });
        group.spawn(shield(async move {
            let _two = two;
            for _ in 0..3 {
                checkpoint().await;
            }
        }));
    }

    fn ended(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Panics when it is dropped, and tells no hook.
struct PanicsOnDrop(&'static str);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            resume_unwind(Box::new(self.0));
        }
    }
}

fn text(payload: Box<dyn Any + Send>) -> &'static str {
    payload.downcast_ref::<&'static str>().expect("a panic of this test")
}

/// What a group panics with.
async fn panic_of<T>(group: impl Future<Output = Result<T, GroupError>>) -> Panicked {
    AssertUnwindSafe(group).catch_unwind().await.err().map(text)
}

/// Runs one cell of the matrix on `backend`: what panicked where it should, with both siblings ended and
/// the runtime well.
#[track_caller]
fn cell<F>(backend: Backend, expected: Panicked, cell: impl FnOnce(Siblings) -> F + Send + 'static)
where
    F: Future<Output = Panicked> + Send,
{
    let (panicked, ended) = Run::on(backend)
        .threads(2)
        .run(async {
            let task = anyrt::spawn(async {
                let siblings = Siblings::default();
                let panicked = cell(siblings.clone()).await;
                (panicked, siblings.ended())
            });
            let told = task.await.expect("the panic is caught where it belongs");
            let alive = task_group(async |group| group.spawn(async { 7 }).await).await;
            assert_eq!(alive.expect("nothing fails").expect("the runtime goes on"), 7);
            told
        })
        .expect("the run ends well");
    assert_eq!((panicked, ended), (expected, 2));
}

on_each_backend! {
    fn a_child_panics_while_the_body_runs(backend) {
        cell(backend, Some("a child"), |siblings| panic_of(task_group(async move |group| {
            siblings.spawn(&group);
            group.spawn(async { resume_unwind(Box::new("a child")) });
            pending::<()>().await;
        })));
    }

    fn a_child_panics_while_the_host_waits(backend) {
        cell(backend, Some("a child"), |siblings| panic_of(task_group(async move |group| {
            siblings.spawn(&group);
            group.spawn(async {
                checkpoint().await;
                checkpoint().await;
                resume_unwind(Box::new("a child"))
            });
        })));
    }

    fn the_body_panics(backend) {
        cell(backend, Some("the body"), |siblings| panic_of(task_group(async move |group| {
            siblings.spawn(&group);
            checkpoint().await;
            resume_unwind(Box::new("the body"));
        })));
    }

    fn of_two_panics_the_first_is_resumed(backend) {
        cell(backend, Some("the first"), |siblings| panic_of(task_group(async move |group| {
            siblings.spawn(&group);
            let first = Event::new();
            let then = first.clone();
            group.spawn(shield(async move {
                then.wait().await;
                resume_unwind(Box::new("the second"))
            }));
            let told = group.spawn(async { resume_unwind(Box::new("the first")) });
            shield(async move {
                let _: Result<(), _> = told.await;
                first.set();
            })
            .await;
        })));
    }

    fn a_destructor_in_a_child_panics_while_the_body_runs(backend) {
        cell(backend, Some("a local"), |siblings| panic_of(task_group(async move |group| {
            siblings.spawn(&group);
            let inside = child_with_a_local(&group);
            inside.wait().await;
            group.cancel_with("enough");
            pending::<()>().await;
        })));
    }

    fn a_destructor_in_a_child_panics_while_the_host_waits(backend) {
        cell(backend, Some("a local"), |siblings| panic_of(task_group(async move |group| {
            siblings.spawn(&group);
            let (inside, canceller) = (child_with_a_local(&group), group.clone());
            group.spawn(async move {
                inside.wait().await;
                canceller.cancel_with("enough");
            });
        })));
    }

    fn the_destructor_of_an_output_panics_while_the_body_runs(backend) {
        cell(backend, Some("an output"), |siblings| panic_of(task_group(async move |group| {
            siblings.spawn(&group);
            drop(group.spawn(async { PanicsOnDrop("an output") }));
            pending::<()>().await;
        })));
    }

    fn the_destructor_of_an_output_panics_while_the_host_waits(backend) {
        cell(backend, Some("an output"), |siblings| panic_of(task_group(async move |group| {
            siblings.spawn(&group);
            drop(group.spawn(async {
                checkpoint().await;
                checkpoint().await;
                PanicsOnDrop("an output")
            }));
        })));
    }

    fn the_destructor_of_an_output_panics_after_the_group_was_left(backend) {
        cell(backend, Some("an output"), async |siblings| {
            let kept = Arc::new(Mutex::new(None));
            let keeps = kept.clone();
            let group = panic_of(task_group(async move |group| {
                siblings.spawn(&group);
                let child = group.spawn(async { PanicsOnDrop("an output") });
                while !child.is_finished() {
                    checkpoint().await;
                }
                *keeps.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
                group.cancel_with("enough");
            }));
            assert_eq!(group.await, None);
            let child = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
            catch_unwind(AssertUnwindSafe(|| drop(child))).err().map(text)
        });
    }

    fn a_wake_of_the_host_panics_while_the_body_runs(backend) {
        // The child that cancels is the one that hears of it.
        cell(backend, Some("a wake"), |siblings| by_hand(siblings, Act::Wake, Ends::ByChild, Waits::InBody));
    }

    fn a_wake_of_the_host_panics_while_the_host_waits(backend) {
        cell(backend, None, |siblings| by_hand(siblings, Act::Wake, Ends::ByThemselves, Waits::ForChildren));
    }

    fn a_clone_of_the_waker_panics_while_the_body_runs(backend) {
        cell(backend, Some("a clone"), |siblings| by_hand(siblings, Act::Clone, Ends::ByChild, Waits::InBody));
    }

    fn a_clone_of_the_waker_panics_while_the_host_waits(backend) {
        cell(backend, Some("a clone"), |siblings| by_hand(siblings, Act::Clone, Ends::ByChild, Waits::ForChildren));
    }

    fn a_drop_of_the_waker_panics_while_the_body_runs(backend) {
        cell(backend, Some("a drop"), |siblings| by_hand(siblings, Act::Drop, Ends::ByChild, Waits::InBody));
    }

    fn a_drop_of_the_waker_panics_while_the_host_waits(backend) {
        cell(backend, Some("a drop"), |siblings| by_hand(siblings, Act::Drop, Ends::ByChild, Waits::ForChildren));
    }
}

/// A child whose local panics when it is dropped; set when the child is inside.
fn child_with_a_local(group: &TaskGroup) -> Event {
    let inside = Event::new();
    let entered = inside.clone();
    group.spawn(async move {
        let _local = PanicsOnDrop("a local");
        entered.set();
        pending::<()>().await;
    });
    inside
}

/// How the children come to their end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// One of them cancels the group.
    ByChild,
    /// The last one ends.
    ByThemselves,
}

/// Where the host is meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    InBody,
    ForChildren,
}

/// A group that is polled with a waker that panics once, and then with a good one to its end. The first
/// panic that comes out of it. If that was a poll's, the group around waits for the children.
async fn by_hand(siblings: Siblings, act: Act, ends: Ends, waits: Waits) -> Panicked {
    let around = task_group(async move |_| polled_by_hand(siblings, act, ends, waits).await);
    around.await.expect("nothing fails")
}

async fn polled_by_hand(siblings: Siblings, act: Act, ends: Ends, waits: Waits) -> Panicked {
    let release = Event::new();
    let released = release.clone();
    let mut group = Box::pin(task_group(async move |group| {
        if ends == Ends::ByChild {
            siblings.spawn(&group);
        } else {
            let (one, two) = (Ended(siblings.clone()), Ended(siblings));
            let end = released.clone();
            group.spawn(async move { drop(one) });
            group.spawn(async move {
                end.wait().await;
                drop(two);
            });
        }
        let canceller = group.clone();
        if ends == Ends::ByChild {
            group.spawn(async move {
                released.wait().await;
                canceller.cancel_with("enough");
            });
        }
        if waits == Waits::InBody {
            pending::<()>().await;
        }
    }));
    let mut poll = |waker: &Waker| {
        let polled = catch_unwind(AssertUnwindSafe(|| {
            group.as_mut().poll(&mut Context::from_waker(waker)).is_ready()
        }));
        polled.map_err(text)
    };
    let faulty = Faulty::new();
    let waker = faulty.waker();
    if act == Act::Clone {
        faulty.arm(act);
    }
    let mut polled = poll(&waker);
    if act != Act::Clone {
        faulty.arm(act);
    }
    if act == Act::Drop {
        // Another waker takes its place.
        polled = poll(Waker::noop());
    }
    release.set();
    if act == Act::Wake {
        while !faulty.has_panicked() {
            checkpoint().await;
        }
    }
    while polled == Ok(false) {
        checkpoint().await;
        polled = poll_fn(|cx| Poll::Ready(poll(cx.waker()))).await;
    }
    polled.err()
}

#[test]
fn the_panic_of_this_test_is_a_text() {
    let payload = catch_unwind(|| panic_any("a text")).expect_err("it panics");
    assert_eq!(text(payload), "a text");
}
