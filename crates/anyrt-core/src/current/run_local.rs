//! Run-locals: values that a run has one of, whichever task asks.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::OnceLock;

use super::handle::{Handle, NoRuntime};
use crate::base::sync::{Arc, Mutex};

type Value = Arc<dyn Any + Send + Sync>;

/// The values of one run, by the addresses of their keys.
#[derive(Default)]
pub(crate) struct RunLocals(Mutex<HashMap<usize, Arc<OnceLock<Value>>>>);

/// A value of which each run has its own, made when it is first asked for (Trio: `RunVar`).
///
/// A static that tests do not share, and that is gone with the run: a connection pool, a cache.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use anyrt_core::RunLocal;
///
/// static REQUESTS: RunLocal<AtomicUsize> = RunLocal::new(|| AtomicUsize::new(0));
///
/// async fn handle_request() {
///     REQUESTS.get().fetch_add(1, Ordering::Relaxed);
/// }
/// ```
pub struct RunLocal<T: 'static> {
    make: fn() -> T,
}

impl<T: Send + Sync + 'static> RunLocal<T> {
    /// A run-local whose value is made by `make`, once in each run that asks for it.
    pub const fn new(make: fn() -> T) -> RunLocal<T> {
        RunLocal { make }
    }

    /// The value of the current run. A thread that asks while the value is being made blocks until it is there.
    ///
    /// # Panics
    ///
    /// Outside of any runtime, naming the caller and the cure; with the panic of the function that makes the
    /// value.
    #[track_caller]
    pub fn get(&'static self) -> Arc<T> {
        self.of(&Handle::current_for(Location::caller()))
    }

    /// As [`get`](RunLocal::get), with an error outside of any runtime.
    ///
    /// # Errors
    ///
    /// [`NoRuntime`].
    ///
    /// # Panics
    ///
    /// With the panic of the function that makes the value.
    pub fn try_get(&'static self) -> Result<Arc<T>, NoRuntime> {
        Handle::try_current().map(|handle| self.of(&handle))
    }

    /// The value of the run of this handle.
    ///
    /// # Panics
    ///
    /// With the panic of the function that makes the value.
    pub fn of(&'static self, handle: &Handle) -> Arc<T> {
        let key = std::ptr::from_ref(self).addr();
        let place = handle.0.shared.run_locals.0.lock().entry(key).or_default().clone();
        // Outside of the lock: it is user code.
        let value = place.get_or_init(|| Arc::new((self.make)()));
        match value.clone().downcast() {
            Ok(value) => value,
            Err(_) => unreachable!("the key of a run-local has one type"),
        }
    }
}

impl RunLocals {
    /// The run has ended.
    pub(crate) fn end(&self) {
        let values = std::mem::take(&mut *self.0.lock());
        drop(values);
    }
}

impl<T> fmt::Debug for RunLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunLocal").finish_non_exhaustive()
    }
}
