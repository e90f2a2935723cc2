//! A blocking job, and the call that waits for it.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::task::{Context, Poll, Waker};

use super::limiter::Token;
use crate::context::{self, Place, Setting};
use crate::scope::scoped::settle;
use crate::scope::tree::{self, HasNode, Node, NodeRef};
use crate::sync::{Arc, Mutex};

type Payload = Box<dyn Any + Send>;

/// A blocking job on its way to a thread. It never panics.
pub struct Job(Arc<dyn AnyJob>);

impl Job {
    /// Runs the job on this thread.
    pub fn run(self) {
        self.0.run();
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

trait AnyJob: HasNode {
    fn run(self: Arc<Self>);
}

/// The one allocation of a call: closure in, result out.
///
/// It is a place in the scope tree, below the scope that the call is polled in: there it holds until
/// the closure has returned, and there the closure looks whether it is cancelled. If the future of
/// the call is handed on to another scope, the place goes with it.
pub(super) struct JobCell<F, T> {
    node: Node,
    work: Mutex<Option<Work<F>>>,
    result: Mutex<Outcome<T>>,
}

struct Work<F> {
    closure: F,
    setting: Setting,
    token: Token,
}

enum Outcome<T> {
    Running(Option<Waker>),
    /// The caller has gone: nobody wants it.
    Abandoned,
    Ended(Result<T, Payload>),
    Taken,
}

impl<F, T> JobCell<F, T> {
    /// The caller does not wait any more.
    pub(super) fn abandon(&self) {
        let old = {
            let mut result = self.result.lock();
            let new = match &*result {
                Outcome::Running(_) => Outcome::Abandoned,
                _ => Outcome::Taken,
            };
            std::mem::replace(&mut *result, new)
        };
        drop(old);
    }
}

impl<F, T> JobCell<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    /// `holds`: the scope waits until the closure has returned.
    #[track_caller]
    pub(super) fn new(closure: F, setting: Setting, token: Token, holds: bool) -> Arc<Self> {
        let work = Work { closure, setting, token };
        let cell = Arc::new(JobCell {
            node: Node::new(Location::caller()),
            work: Mutex::new(Some(work)),
            result: Mutex::new(Outcome::Running(None)),
        });
        settle(&cell.place());
        tree::hold_parent(cell.place(), || holds);
        cell
    }

    pub(super) fn job(self: &Arc<Self>) -> Job {
        Job(self.clone())
    }

    pub(super) fn place(self: &Arc<Self>) -> NodeRef {
        self.clone()
    }

    /// Takes back what no thread could be found for: token and hold are released.
    pub(super) fn withdraw(self: &Arc<Self>) {
        let work = self.work.lock().take();
        drop(work);
        tree::end(&self.node);
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, Payload>> {
        let new = cx.waker().clone();
        let mut result = self.result.lock();
        match &mut *result {
            Outcome::Running(waker) => {
                let old = waker.replace(new);
                drop(result);
                drop(old);
                Poll::Pending
            }
            Outcome::Ended(_) => match std::mem::replace(&mut *result, Outcome::Taken) {
                Outcome::Ended(result) => Poll::Ready(result),
                _ => Poll::Pending,
            },
            Outcome::Abandoned | Outcome::Taken => {
                drop(result);
                panic!("a blocking call was polled again after it was ready")
            }
        }
    }

    fn finish(&self, ended: Result<T, Payload>) {
        let mut result = self.result.lock();
        match &mut *result {
            Outcome::Running(waker) => {
                let waker = waker.take();
                *result = Outcome::Ended(ended);
                drop(result);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            _ => {
                drop(result);
                drop(ended);
            }
        }
    }
}

impl<F: Send, T: Send> HasNode for JobCell<F, T> {
    fn node(&self) -> &Node {
        &self.node
    }
}

impl<F, T> AnyJob for JobCell<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    fn run(self: Arc<Self>) {
        let Some(Work { closure, mut setting, token }) = self.work.lock().take() else { return };
        // What belongs to the caller is dropped before it hears of the end.
        let mut place = Place::Linked(self.place());
        let ended = catch_unwind(AssertUnwindSafe(|| {
            context::within(&mut setting, || context::inside(&mut place, closure))
        }));
        drop(setting);
        drop(token);
        // A value that nobody wants, or a waker, may panic: that must not cost the pool a thread.
        let told = catch_unwind(AssertUnwindSafe(|| {
            self.finish(ended);
            tree::hold_parent(self.place(), || false);
        }));
        if let Err(payload) = told {
            tracing::error!(
                panic = crate::task::panic_message(&*payload),
                "the end of a blocking job panicked"
            );
        }
    }
}
