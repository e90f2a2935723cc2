//! [`Case`]: one thing that a correct runtime layer does, and what it asks of the runtime.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyrt_core::{Run, Runtime};
use futures::future::LocalBoxFuture;

use crate::list::for_each_case;
use crate::watchdog::{self, Outcome};

/// How long a case may take before its watchdog calls it hung. A healthy case takes well below one
/// second; the rest is for machines with other work to do.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One case of the suite: a named test body that runs on any runtime.
pub struct Case {
    name: &'static str,
    needs: &'static [Obligation],
    body: Body,
}

/// An obligation of the [`Runtime`] trait, as cases name it.
///
/// A case *names* an obligation when a runtime that breaks this one and keeps all others cannot
/// pass it. So the names read in both directions: what a case needs, and, when the failing cases of
/// a new backend are just those that name one obligation, which one it breaks. The runtimes that
/// are broken on purpose in this workspace's tests hold the names to that, for the obligations that
/// they break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Obligation {
    /// [`Runtime::spawn`]: a task that was accepted is polled to its end.
    TasksRun,
    /// [`Runtime::spawn`]: it returns before the task is polled.
    SpawnReturnsFirst,
    /// [`Runtime::spawn`], [`Runtime::block_on`]: what was woken by a thread that the runtime does not
    /// know is polled again.
    ForeignWake,
    /// [`Runtime::block_on`]: drives its root to the end, and tasks meanwhile.
    BlockOn,
    /// [`Runtime::enter`]: calls the closure once, on the calling thread.
    Enter,
    /// [`Timer`](anyrt_core::Timer): wakes who waits for it.
    TimerWakes,
    /// [`Timer`](anyrt_core::Timer): is never ready before its deadline.
    TimerNotEarly,
    /// [`Timer::reset`](anyrt_core::Timer::reset): moves the deadline, also one that has passed.
    TimerReset,
    /// [`Runtime::connect`]: opens streams.
    Connect,
    /// [`Runtime::stream`]: adopts a std stream; bytes arrive, in order, and so does their end.
    Streams,
    /// [`Runtime::listen`]: adopts a std listener; each connection goes to one of those who wait.
    Listeners,
    /// [`Runtime::datagram`]: adopts a std datagram socket.
    Datagrams,
    /// [`Runtime::shutdown`]: tasks that come later are dropped at once, unless nothing ends the runtime.
    Shutdown,
}

/// What a case is given.
enum Body {
    /// A program for a [`Run`] on the runtime: the core and the runtime together.
    Program(fn() -> LocalBoxFuture<'static, ()>),
    /// The runtime itself, without a run around it.
    Bare(fn(Arc<dyn Runtime>)),
}

impl Case {
    /// All cases, in the order of their ids; those without an id after them.
    #[must_use]
    pub fn all() -> &'static [Case] {
        ALL
    }

    /// The case of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Case> {
        ALL.iter().find(|case| case.name == name)
    }

    /// The name of its function, such as `ck_02_a_checkpoint_in_a_cancelled_scope_never_returns`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The id that it has in the conformance lists, such as `CK-02`. `None` for the cases that are
    /// not in those lists: obligations of the trait (`rt_obligation_…`), and rules that no listed case
    /// covers (`rule_…`, `stop_…`, `exit_…`, `end_…`, `story_…`).
    #[must_use]
    pub fn id(&self) -> Option<String> {
        let mut parts = self.name.split('_');
        let (family, number) = (parts.next()?, parts.next()?);
        (family.len() == 2 && number.len() == 2 && number.bytes().all(|digit| digit.is_ascii_digit()))
            .then(|| format!("{}-{number}", family.to_ascii_uppercase()))
    }

    /// The obligations of the runtime that it names.
    #[must_use]
    pub fn needs(&self) -> &'static [Obligation] {
        self.needs
    }

    /// Runs the case once, on a thread of its own, on the runtime that `runtime` makes there.
    ///
    /// A case that hangs is given up after `patience`; its thread is left behind.
    pub fn check<F>(&self, patience: Duration, runtime: F) -> Outcome
    where
        F: FnOnce() -> Arc<dyn Runtime> + Send + 'static,
    {
        match self.body {
            Body::Program(program) => watchdog::watch(self.name, patience, move || {
                Run::on(runtime()).run(program()).expect("the run ends well");
            }),
            Body::Bare(case) => watchdog::watch(self.name, patience, move || case(runtime())),
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("needs", &self.needs).finish_non_exhaustive()
    }
}

/// Makes [`ALL`] of the list.
macro_rules! table {
    ($($family:ident { $($kind:ident $name:ident [$($need:ident),*];)* })*) => {
        static ALL: &[Case] = &[$($(
            Case {
                name: stringify!($name),
                needs: &[$(Obligation::$need),*],
                body: body!($kind crate::$family::$name),
            },
        )*)*];
    };
}

macro_rules! body {
    (program $function:path) => {
        Body::Program(|| Box::pin($function()))
    };
    (bare $function:path) => {
        Body::Bare($function)
    };
}

for_each_case! { table }

/// One test of [`suite!`](crate::suite): fails with the case's name if it does not pass.
#[doc(hidden)]
#[track_caller]
pub fn assert_passes<F>(name: &str, runtime: F)
where
    F: FnOnce() -> Arc<dyn Runtime> + Send + 'static,
{
    let case = Case::named(name).expect("the tests are made of the same list as the cases");
    let outcome = case.check(PATIENCE, runtime);
    assert!(outcome == Outcome::Passed, "{name} {outcome}; it needs {:?} of the runtime", case.needs());
}
