//! A paused clock, which stands still while threads work that tokio does not see.

use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::Instant;

use tokio::runtime::Handle;

/// What keeps the clock of a runtime still.
///
/// A paused clock (`tokio::time::pause`) jumps to the next timer when the runtime has nothing to do, but not while a
/// closure of `spawn_blocking` runs. So one such closure waits for as long as threads of anyrt work: one for all of
/// them.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    holder: Mutex<Weak<Holder>>,
}

/// The closure ends when this is dropped.
#[derive(Debug)]
struct Holder {
    _ends: mpsc::Sender<()>,
}

impl Clock {
    /// Keeps the clock still until what is returned is dropped; none if it is not paused.
    pub(crate) fn hold_if_paused(&self, runtime: &Handle) -> Option<Box<dyn Send>> {
        if !is_paused(runtime) {
            return None;
        }
        let mut holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        let held = holder.upgrade().unwrap_or_else(|| {
            let (_ends, end) = mpsc::channel();
            drop(runtime.spawn_blocking(move || end.recv()));
            let new = Arc::new(Holder { _ends });
            *holder = Arc::downgrade(&new);
            new
        });
        Some(Box::new(held))
    }
}

/// Whether tokio's clock shows another time than the system's: it is paused, or was.
///
/// tokio does not tell whether it was built with `test-util`, without which it has no clock of its own. Read between two
/// readings of the system's, its time then lies between them, always; one that stands still, or has jumped, does not.
fn is_paused(runtime: &Handle) -> bool {
    let _entered = runtime.enter();
    let before = system();
    let shown = tokio::time::Instant::now().into_std();
    shown < before || system() < shown
}

fn system() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "the system's clock is what tokio's is compared with")]
    Instant::now()
}
