//! A blocking job, and the call that waits for it.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use super::limiter::Token;
use crate::context::{self, Setting};
use crate::scope::node::{self, NodeRef};
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

trait AnyJob: Send + Sync {
    fn run(&self);
}

/// The one allocation of a call: closure in, result out.
pub(super) struct JobCell<F, T> {
    work: Mutex<Option<Work<F>>>,
    result: Mutex<Outcome<T>>,
}

struct Work<F> {
    closure: F,
    setting: Setting,
    scope: Option<NodeRef>,
    token: Token,
    /// The scope that waits until the closure has returned; none if it was told to abandon.
    held: Option<NodeRef>,
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
    pub(super) fn new(
        closure: F,
        setting: Setting,
        scope: Option<NodeRef>,
        token: Token,
        held: Option<NodeRef>,
    ) -> Arc<Self> {
        let work = Work { closure, setting, scope, token, held };
        Arc::new(JobCell { work: Mutex::new(Some(work)), result: Mutex::new(Outcome::Running(None)) })
    }

    pub(super) fn job(self: &Arc<Self>) -> Job {
        Job(self.clone())
    }

    /// Takes back what no thread could be found for: token and hold are released.
    pub(super) fn withdraw(&self) {
        let work = self.work.lock().take();
        if let Some(work) = work {
            release(work.held);
        }
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

fn release(held: Option<NodeRef>) {
    if let Some(scope) = held {
        node::hold(scope, -1);
    }
}

impl<F, T> AnyJob for JobCell<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    fn run(&self) {
        let Some(Work { closure, mut setting, scope, token, held }) = self.work.lock().take() else { return };
        // What belongs to the caller is dropped before it hears of the end.
        let ended = catch_unwind(AssertUnwindSafe(|| {
            context::within(&mut setting, || match scope {
                Some(scope) => {
                    let mut place = context::Place::Linked(scope);
                    context::inside(&mut place, closure)
                }
                None => closure(),
            })
        }));
        drop(setting);
        drop(token);
        // A value that nobody wants, or a waker, may panic: that must not cost the pool a thread.
        let told = catch_unwind(AssertUnwindSafe(|| {
            self.finish(ended);
            release(held);
        }));
        if let Err(payload) = told {
            tracing::error!(
                panic = crate::task::panic_message(&*payload),
                "the end of a blocking job panicked"
            );
        }
    }
}
