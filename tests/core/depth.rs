//! Depth and width: polling is recursive, nothing else is.

use std::future::{Future, pending};
use std::io::{self, Write};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use anyrt::sync::Event;
use anyrt::{CancelScope, Cancelled, TaskGroup, task_group};

/// The stack that threads of most runtimes have.
const STACK: usize = 2 << 20;

/// Without optimisation a level needs several times the stack.
const LEVELS: usize = if cfg!(debug_assertions) { 500 } else { 5_000 };

const CHILDREN: usize = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

const CHAIN: usize = 100_000;

fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(STACK).spawn(test).expect("a thread");
    thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload));
}

#[test]
fn scopes_nested_in_one_task_fit_a_small_stack() {
    on_a_small_stack(|| {
        let cancelled = anyrt::run(async {
            let deepest = Arc::new(AtomicUsize::new(0));
            let outer = CancelScope::new();
            let handle = outer.handle();
            let here = address_of_the_stack();
            let seen = Arc::clone(&deepest);
            let mut scopes = pin!(outer.run(async |_| drop(nested(LEVELS, seen).await)));
            assert!(scopes.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let bytes = here.abs_diff(deepest.load(Ordering::SeqCst)) / LEVELS;
            let _ = writeln!(io::stderr(), "{LEVELS} scopes in one task: {bytes} bytes of stack a level");
            handle.cancel_with("all the way down");
            scopes.await
        });
        assert!(cancelled.is_err());
    });
}

type Level = Pin<Box<dyn Future<Output = Result<(), Cancelled>> + Send>>;

/// A scope in a scope, and nothing else between them; the innermost one tells where the stack is.
fn nested(levels: usize, deepest: Arc<AtomicUsize>) -> Level {
    if levels == 0 {
        return Box::pin(async move {
            deepest.store(address_of_the_stack(), Ordering::SeqCst);
            pending().await
        });
    }
    Box::pin(CancelScope::new().run(async move |_| drop(nested(levels - 1, deepest).await)))
}

fn address_of_the_stack() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}

#[test]
fn a_chain_of_groups_is_cancelled_without_recursion() {
    on_a_small_stack(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&dropped);
        let result = anyrt::run(async move {
            let end = Event::new();
            let reached = end.clone();
            task_group(async move |group| {
                link(&group, CHAIN, end, counts);
                reached.wait().await;
                group.cancel_with("the whole chain");
                pending::<()>().await;
            })
            .await
        });
        assert!(result.is_err_and(|error| error.is_cancelled()));
        assert_eq!(dropped.load(Ordering::SeqCst), CHAIN);
    });
}

#[test]
fn a_chain_of_groups_is_dropped_without_recursion() {
    on_a_small_stack(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&dropped);
        anyrt::run(async move {
            let end = Event::new();
            let reached = end.clone();
            let mut chain = Box::pin(task_group(async move |group| {
                link(&group, CHAIN, end, counts);
                pending::<()>().await;
            }));
            assert!(chain.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            reached.wait().await;
            drop(chain);
        });
        assert_eq!(dropped.load(Ordering::SeqCst), CHAIN, "the run waited for all of them");
    });
}

/// A child with a group with a child, and so on.
fn link(group: &TaskGroup, left: usize, end: Event, dropped: Arc<AtomicUsize>) {
    if left == 0 {
        end.set();
        return;
    }
    // Boxed: the type of each link would contain that of the next.
    let child: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
        let _counts = CountsDrop(Arc::clone(&dropped));
        let _ = task_group(async move |group| {
            link(&group, left - 1, end, dropped);
            pending::<()>().await;
        })
        .await;
    });
    group.spawn(child);
}

struct CountsDrop(Arc<AtomicUsize>);

impl Drop for CountsDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Pending for ever; counts its polls and its drop.
struct Child {
    counts: Arc<Counts>,
    polls: usize,
}

#[derive(Default)]
struct Counts {
    begun: AtomicUsize,
    dropped: AtomicUsize,
    /// Polls after the first one.
    again: AtomicUsize,
    all_begun: Event,
}

impl Future for Child {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.polls += 1;
        if self.polls > 1 {
            self.counts.again.fetch_add(1, Ordering::Relaxed);
        } else if self.counts.begun.fetch_add(1, Ordering::SeqCst) + 1 == CHILDREN {
            self.counts.all_begun.set();
        }
        Poll::Pending
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.counts.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn each_of_many_children_is_cancelled_exactly_once() {
    let counts = Arc::new(Counts::default());
    let seen = Arc::clone(&counts);
    let result = anyrt::run(async move {
        task_group(async move |group| {
            for _ in 0..CHILDREN {
                group.spawn(Child { counts: Arc::clone(&seen), polls: 0 });
            }
            seen.all_begun.wait().await;
            group.cancel_with("all of them");
            pending::<()>().await;
        })
        .await
    });
    assert!(result.is_err_and(|error| error.is_cancelled()));
    let (begun, dropped) = (counts.begun.load(Ordering::SeqCst), counts.dropped.load(Ordering::SeqCst));
    assert_eq!((begun, dropped), (CHILDREN, CHILDREN));
    // A cancelled child is polled once more, as the rule asks, and dropped then. The cancellation comes while the last ones are still
    // in their first poll, one on a thread at most: these need no other.
    let again = counts.again.load(Ordering::Relaxed);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    assert!(
        (CHILDREN - threads..=CHILDREN).contains(&again),
        "one wake, one poll, one drop: {again} polls of {CHILDREN} children"
    );
}
