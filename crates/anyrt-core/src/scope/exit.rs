//! Clean-up that a scope runs at its end, registered from inside.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::ScopeHandle;
use super::finally::CleanUp;
use super::owned::Origin;
use super::shield::shield;
use crate::base::payload::Payload;
use crate::tree::{self, Cancelled, Cause, Node, NodeRef};

/// How something came to its end, as its clean-up is told: a scope ([`ScopeHandle::on_exit`]), or the work of a
/// [`finally`](crate::finally()).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Exit {
    /// It ended: the work with any value, an error too; the body of a scope, and of a group all children, and nothing
    /// failed.
    Finished,
    /// The body or a child of the group failed.
    Failed,
    /// It was cut short. By foreign code that dropped it: [`Cause::Dropped`].
    Cancelled(Cancelled),
    /// The work, the body or a child panicked; the panic goes on after the clean-ups.
    Panicked,
}

impl ScopeHandle {
    /// Registers a clean-up that runs at the scope's end, however that comes about.
    ///
    /// The clean-ups run when the body has ended (of a group: and all children), one after the other, the last one that
    /// was registered first, shielded, and each is told the outcome. From the first registration on the
    /// scope holds: those around it wait for it. A panic in one of them does not keep the others from running, and goes on after the last.
    /// Registered when the scope is over, it runs at the root of the run; of a scope that is never run, it never runs.
    ///
    /// ```
    /// # async fn demo() {
    /// use anyrt_core::{CancelScope, checkpoint};
    ///
    /// # async fn connect() {}
    /// # async fn say_goodbye() {}
    /// CancelScope::new()
    ///     .run(async |scope| {
    ///         connect().await;
    ///         scope.on_exit(async |_| say_goodbye().await);
    ///         checkpoint().await; // from here on the goodbye is said, also when this is cancelled or panics
    ///     })
    ///     .await
    ///     .unwrap();
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// A scope that foreign code drops (`select!`, an abort) runs its clean-ups at the root of the run, which waits for
    /// them.
    #[track_caller]
    pub fn on_exit<C, D>(&self, cleanup: C)
    where
        C: FnOnce(Exit) -> D + Send + 'static,
        D: Future<Output = ()> + Send + 'static,
    {
        let at = Location::caller();
        self.register(Hook::new(at, |exit| Box::pin(CleanUp::new(at, None, cleanup(exit)))));
    }

    /// As [`on_exit`](ScopeHandle::on_exit), with a limit: a clean-up that has not ended when `grace` is over is
    /// cancelled, and a tracing warning of target `anyrt::grace` names it.
    #[track_caller]
    pub fn on_exit_within<C, D>(&self, grace: Duration, cleanup: C)
    where
        C: FnOnce(Exit) -> D + Send + 'static,
        D: Future<Output = ()> + Send + 'static,
    {
        let at = Location::caller();
        self.register(Hook::new(at, move |exit| Box::pin(CleanUp::new(at, Some(grace), cleanup(exit)))));
    }

    fn register(&self, hook: Hook) {
        if let Err((hook, late)) = tree::add_exit(&self.node, hook) {
            let exit = late.known_story().map_or(Exit::Finished, Exit::Cancelled);
            at_the_root(vec![hook], exit);
        }
    }
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A clean-up that was registered.
pub(crate) struct Hook {
    run: Box<dyn FnOnce(Exit) -> Boxed<()> + Send>,
    at: &'static Location<'static>,
    origin: Origin,
}

impl Hook {
    fn new(at: &'static Location<'static>, run: impl FnOnce(Exit) -> Boxed<()> + Send + 'static) -> Hook {
        Hook { run: Box::new(run), at, origin: Origin::here() }
    }
}

/// The clean-ups of a scope that has come to its end; the first panic among them.
///
/// Dropped by foreign code on the way, the rest goes on at the root.
pub(crate) fn run_exits(node: NodeRef, exit: Exit) -> Boxed<Result<(), Payload>> {
    let hooks = tree::take_exits(node.node());
    Box::pin(shield(run(hooks, exit, move || tree::take_exits(node.node()))).owned())
}

/// Runs the clean-ups of a scope that has nobody to run them: it was dropped, or has ended before.
pub(crate) fn run_dropped(hooks: Vec<Hook>, node: &Node) {
    if hooks.is_empty() {
        return;
    }
    let exit = match node.own_cause() {
        _ if std::thread::panicking() => Exit::Panicked,
        Some(cause) => Exit::Cancelled(cause),
        None => Exit::Cancelled(Cancelled::of(node, Cause::Dropped)),
    };
    at_the_root(hooks, exit);
}

fn at_the_root(hooks: Vec<Hook>, exit: Exit) {
    let Some(origin) = hooks.last().map(|last| last.origin.clone()) else { return };
    origin.go_on_at_the_root("clean-up", async {
        if let Err(payload) = run(hooks, exit, Vec::new).await {
            resume_unwind(payload);
        }
    });
}

/// The latest one first, those that come meanwhile before the rest.
async fn run(mut hooks: Vec<Hook>, exit: Exit, more: impl Fn() -> Vec<Hook>) -> Result<(), Payload> {
    let mut panicked = None;
    while let Some(hook) = hooks.pop() {
        if let Err(payload) = run_one(hook, exit.clone()).await {
            panicked.get_or_insert(payload);
        }
        hooks.append(&mut more());
    }
    panicked.map_or(Ok(()), Err)
}

async fn run_one(hook: Hook, exit: Exit) -> Result<(), Payload> {
    let mut cleanup = catch_unwind(AssertUnwindSafe(|| (hook.run)(exit)))?;
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| cleanup.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(payload) => Poll::Ready(Err(payload)),
    })
    .await
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("at", &format_args!("{}", self.at)).finish_non_exhaustive()
    }
}
