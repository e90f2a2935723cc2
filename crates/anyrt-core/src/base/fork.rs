//! A forked process has none of the threads of its parent: noticed here, in place of a wait without end.

use std::process;
// Not from `sync`: the process is no part of what is modelled.
use std::sync::atomic::{AtomicU32, Ordering};

/// The error in a process that was forked off one in which a run had been started.
///
/// Of all threads only the one that forks exists in the new process. So a pool, a reactor or a timer would be
/// waited for for ever there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process ({now}) was forked off another one ({before}) after a run had been started there, and has none of its threads: \
     fork before the first run, or start a new program (`std::process::Command`)"
)]
pub struct Forked {
    before: u32,
    now: u32,
}

/// The process in which something was made.
#[derive(Debug)]
pub(crate) struct MadeIn(u32);

impl MadeIn {
    pub(crate) fn here() -> MadeIn {
        MadeIn(process::id())
    }

    /// # Errors
    ///
    /// [`Forked`] in another process.
    pub(crate) fn check(&self) -> Result<(), Forked> {
        let now = process::id();
        if now == self.0 { Ok(()) } else { Err(Forked { before: self.0, now }) }
    }
}

/// Checks, when a run is started, that none was started before in a parent of this process. A run that has
/// ended counts too: it leaves threads behind, reactors and timers that belong to the process.
pub(crate) fn check_run() -> Result<(), Forked> {
    /// The process of the first run; zero before.
    static FIRST: AtomicU32 = AtomicU32::new(0);
    let now = process::id();
    match FIRST.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => Ok(()),
        Err(first) => MadeIn(first).check(),
    }
}
