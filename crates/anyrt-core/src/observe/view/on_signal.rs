//! The tree on SIGUSR1, to look at a program that does not answer.

use std::sync::{Mutex, PoisonError};
use std::{fmt, io};

use signal_hook::consts::SIGUSR1;
use slab::Slab;

use crate::base::signal_thread::{SignalThread, listen};
use crate::current::handle::Handle;

/// Prints the task tree of the current run to stderr at each SIGUSR1 (`kill -USR1`), until what it returns is dropped.
///
/// A thread of its own prints it, so it works even if all threads of the runtime are stuck. Several runs print
/// one after the other. From the first call on, the signal does not end the program any more.
///
/// ```no_run
/// # async fn serve() {}
/// # async fn demo() -> std::io::Result<()> {
/// let _prints = anyrt_core::print_tasks_on_sigusr1()?;
/// serve().await;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// When the system refuses the handler, or no thread can be started for it.
///
/// # Panics
///
/// Outside of any runtime, naming the caller and the cure.
#[track_caller]
pub fn print_tasks_on_sigusr1() -> io::Result<PrintsTasks> {
    static LISTENER: SignalThread = SignalThread::new();
    let handle = Handle::current();
    LISTENER.start(|| listen("anyrt-sigusr1", &[SIGUSR1], |_| print_all()))?;
    Ok(PrintsTasks(runs().insert(handle)))
}

/// A run whose tree is printed at SIGUSR1; see [`print_tasks_on_sigusr1`].
#[must_use = "dropped, it prints no more"]
pub struct PrintsTasks(usize);

/// Not from `sync`: it is no part of what is modelled.
static RUNS: Mutex<Slab<Handle>> = Mutex::new(Slab::new());

fn runs() -> std::sync::MutexGuard<'static, Slab<Handle>> {
    RUNS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for PrintsTasks {
    fn drop(&mut self) {
        let run = runs().try_remove(self.0);
        drop(run);
    }
}

impl fmt::Debug for PrintsTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrintsTasks")
    }
}

fn print_all() {
    let handles: Vec<Handle> = runs().iter().map(|(_, handle)| handle.clone()).collect();
    for handle in handles {
        eprintln!("{}", handle.tasks());
    }
}
