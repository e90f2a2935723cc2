//! Task-locals: values that follow a task, its children and its blocking jobs, on every backend.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::context;
use crate::base::sync::Arc;

/// The set of values: shared until one more is set.
pub(crate) type Locals = Option<Arc<Entry>>;

/// One value, and the values that were set before it. Programs set few, so a list is quick enough.
pub(crate) struct Entry {
    /// The address of the key.
    key: usize,
    value: Arc<dyn Any + Send + Sync>,
    rest: Locals,
}

impl Entry {
    /// `key`: the address of a static.
    pub(crate) fn new(key: usize, value: Arc<dyn Any + Send + Sync>, rest: Locals) -> Entry {
        Entry { key, value, rest }
    }

    pub(crate) fn find(locals: &Locals, key: usize) -> Option<Arc<dyn Any + Send + Sync>> {
        std::iter::successors(locals.as_ref(), |entry| entry.rest.as_ref())
            .find(|entry| entry.key == key)
            .map(|entry| entry.value.clone())
    }
}

/// The task-locals of one moment, to be given to a child in place of its spawner's.
#[derive(Clone, Default)]
pub struct TaskContext(pub(crate) Locals);

impl TaskContext {
    /// The values that are current now.
    pub fn capture() -> TaskContext {
        TaskContext(context::locals())
    }

    /// No values at all.
    pub fn empty() -> TaskContext {
        TaskContext(None)
    }

    /// Makes these values current while `run` runs, in place of the current ones. What `run` sets is kept here
    /// and is not seen outside. For code that polls a future of another owner.
    pub fn run<R>(&mut self, run: impl FnOnce() -> R) -> R {
        within(&mut self.0, run)
    }
}

fn within<R>(locals: &mut Locals, run: impl FnOnce() -> R) -> R {
    struct Leave<'a>(&'a mut Locals);
    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            context::swap_locals(self.0);
        }
    }
    context::swap_locals(locals);
    let _leave = Leave(locals);
    run()
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = std::iter::successors(self.0.as_ref(), |entry| entry.rest.as_ref()).count();
        f.debug_struct("TaskContext").field("values", &count).finish()
    }
}

/// A key of a task-local value; [`task_local!`](crate::task_local) declares one.
///
/// A value is set for the time of a future with [`with_value`](LocalKey::with_value). A child gets a copy of
/// its spawner's values at the moment it is spawned, a blocking job those of its caller; nothing
/// ever comes back (AnyIO, Trio: context variables).
pub struct LocalKey<T: 'static> {
    name: &'static str,
    of: PhantomData<fn() -> T>,
}

/// Declares task-locals.
///
/// ```
/// anyrt_core::task_local! {
///     /// Who asks.
///     static USER: String;
/// }
/// ```
#[macro_export]
macro_rules! task_local {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty;)*) => {
        $($(#[$attribute])* $visibility static $name: $crate::LocalKey<$type> =
            $crate::LocalKey::named(stringify!($name));)*
    };
}

/// The error of reading a task-local that is not set here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task-local `{0}` is not set here: set it with `{0}.with_value(value, future)` around this code")]
pub struct NotSet(&'static str);

impl<T: Send + Sync + 'static> LocalKey<T> {
    #[doc(hidden)]
    pub const fn named(name: &'static str) -> Self {
        LocalKey { name, of: PhantomData }
    }

    /// Sets the value while `future` is polled, and for the children that it spawns.
    ///
    /// # Cancel safety
    ///
    /// That of `future`.
    pub fn with_value<F: Future>(&'static self, value: T, future: F) -> WithLocal<F> {
        let entry = Entry { key: self.address(), value: Arc::new(value), rest: None };
        WithLocal { state: LocalState::New(Some(entry)), future: Some(future) }
    }

    /// Sets the value for the code that follows: in the future of the innermost [`with_value`](LocalKey::with_value), of whatever
    /// key, else in the task; and for the children that are spawned from now on. In a blocking job it is set for the job.
    ///
    /// (Python: `ContextVar.set`.)
    pub fn set(&'static self, value: T) {
        let mut locals = None;
        context::swap_locals(&mut locals);
        let old = locals.clone();
        locals = Some(Arc::new(Entry {
            key: self.address(),
            value: Arc::new(value),
            rest: without(locals, self.address()),
        }));
        context::swap_locals(&mut locals);
        // The replaced value is dropped here, where its destructor may ask for the other values.
        drop((old, locals));
    }

    /// Reads the value.
    ///
    /// # Errors
    ///
    /// [`NotSet`] when no [`with_value`](LocalKey::with_value) of this key is around the code that runs.
    pub fn try_with<R>(&'static self, read: impl FnOnce(&T) -> R) -> Result<R, NotSet> {
        let found = context::with_locals(|locals| Entry::find(locals, self.address()));
        found.as_deref().and_then(|value| value.downcast_ref::<T>()).map(read).ok_or(NotSet(self.name))
    }

    /// Reads the value.
    ///
    /// # Panics
    ///
    /// When it is not set here; [`try_with`](LocalKey::try_with) gives an error instead.
    #[track_caller]
    pub fn with<R>(&'static self, read: impl FnOnce(&T) -> R) -> R {
        match self.try_with(read) {
            Ok(read) => read,
            Err(not_set) => panic!("{not_set}"),
        }
    }

    /// A copy of the value.
    ///
    /// # Panics
    ///
    /// As [`with`](LocalKey::with).
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    fn address(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// The list without one key: a value that is set again and again must not make it grow.
fn without(locals: Locals, key: usize) -> Locals {
    let mut above = Vec::new();
    let mut next = locals.as_ref();
    while let Some(entry) = next.filter(|entry| entry.key != key) {
        above.push(entry);
        next = entry.rest.as_ref();
    }
    let Some(found) = next else { return locals };
    above.into_iter().rev().fold(found.rest.clone(), |rest, entry| {
        Some(Arc::new(Entry { key: entry.key, value: entry.value.clone(), rest }))
    })
}

impl<T> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalKey").field(&self.name).finish()
    }
}

pin_project! {
    /// A future with a task-local value set; see [`LocalKey::scope`].
    pub struct WithLocal<F> {
        state: LocalState,
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for WithLocal<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // The future's destructors may read the value and spawn with it.
            this.state.within(|| this.future.set(None));
        }
    }
}

enum LocalState {
    New(Option<Entry>),
    Set(Locals),
}

impl LocalState {
    /// Runs with the value set, on top of the values that were current at the first poll.
    fn within<R>(&mut self, run: impl FnOnce() -> R) -> R {
        if let LocalState::New(entry) = self {
            let entry = entry.take().map(|entry| Arc::new(Entry { rest: context::locals(), ..entry }));
            *self = LocalState::Set(entry);
        }
        match self {
            LocalState::Set(locals) => within(locals, run),
            LocalState::New(_) => run(),
        }
    }
}

impl<F: Future> Future for WithLocal<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        this.state.within(|| match this.future.as_mut().as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Pending,
        })
    }
}

impl<F> fmt::Debug for WithLocal<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithLocal").finish_non_exhaustive()
    }
}
