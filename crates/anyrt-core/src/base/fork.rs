//! A process that is forked has none of the threads of its parent: noticed, in place of a wait without end.

use std::process;
// Not from the switchable module: the process is no part of what is modelled.
use std::sync::atomic::{AtomicU32, Ordering};

/// The answer in a process that was forked off one in which a run had been started.
///
/// Of all threads only the one that forks goes on in the new process, so a pool, a reactor, a timer there
/// would wait for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process ({now}) was forked off another one ({before}) after a run had been started there, and has none of its threads: \
     fork before the first run, or start a new program (`std::process::Command`)"
)]
pub struct Forked {
    before: u32,
    now: u32,
}

/// In which process something was made.
#[derive(Debug)]
pub(crate) struct Born(u32);

impl Born {
    pub(crate) fn here() -> Born {
        Born(process::id())
    }

    /// # Errors
    ///
    /// [`Forked`] in another process.
    pub(crate) fn check(&self) -> Result<(), Forked> {
        let now = process::id();
        if now == self.0 { Ok(()) } else { Err(Forked { before: self.0, now }) }
    }
}

/// Checks, when a run is started, that none was started before in a parent of this process. Also one that has
/// ended leaves threads behind: reactors and timers that belong to the process.
pub(crate) fn check_run() -> Result<(), Forked> {
    /// The process of the first run; zero before.
    static FIRST: AtomicU32 = AtomicU32::new(0);
    let now = process::id();
    match FIRST.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => Ok(()),
        Err(first) => Born(first).check(),
    }
}
