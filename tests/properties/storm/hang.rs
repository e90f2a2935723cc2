//! Tells of a round that does not end: its plan, and the tree of its tasks. Then the process ends.

use std::process;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use anyrt::Backend;
use anyrt::runtime::Handle;

use super::plan::Steps;

/// A round takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A round that is watched until this is dropped.
pub(crate) struct Watched(u64);

struct Known {
    number: u64,
    backend: Backend,
    seed: u64,
    steps: Steps,
    handle: Option<Handle>,
}

static ROUNDS: Mutex<Vec<Known>> = Mutex::new(Vec::new());
static CHANGED: Condvar = Condvar::new();

impl Watched {
    pub(crate) fn new(backend: Backend, seed: u64, steps: &Steps) -> Watched {
        static WATCHER: OnceLock<()> = OnceLock::new();
        WATCHER.get_or_init(|| {
            thread::Builder::new().name("watches-for-hangs".to_owned()).spawn(watch).expect("a thread");
        });
        static NEXT: Mutex<u64> = Mutex::new(0);
        let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
        *next += 1;
        let known = Known { number: *next, backend, seed, steps: steps.clone(), handle: None };
        ROUNDS.lock().unwrap_or_else(PoisonError::into_inner).push(known);
        Watched(*next)
    }

    /// The run has begun.
    pub(crate) fn runs(&self, handle: &Handle) {
        let mut rounds = ROUNDS.lock().unwrap_or_else(PoisonError::into_inner);
        for round in rounds.iter_mut().filter(|round| round.number == self.0) {
            round.handle = Some(handle.clone());
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut rounds = ROUNDS.lock().unwrap_or_else(PoisonError::into_inner);
        let ended: Vec<_> = rounds.extract_if(.., |round| round.number == self.0).collect();
        drop(rounds);
        drop(ended);
        CHANGED.notify_all();
    }
}

fn watch() {
    let mut rounds = ROUNDS.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let first = rounds.first().map(|round| round.number);
        let waits = CHANGED.wait_timeout_while(rounds, PATIENCE, |rounds| {
            first.is_some() && rounds.first().map(|round| round.number) == first
        });
        let (now, timeout) = waits.unwrap_or_else(PoisonError::into_inner);
        rounds = now;
        if timeout.timed_out()
            && let Some(hangs) = rounds.first().filter(|round| Some(round.number) == first)
        {
            println!("{}, seed {}: does not end\n{:#?}", hangs.backend, hangs.seed, hangs.steps);
            if let Some(handle) = &hangs.handle {
                println!("{}", handle.tasks());
            }
            process::exit(3);
        }
        if first.is_none() {
            (rounds, _) = CHANGED
                .wait_timeout(rounds, Duration::from_millis(100))
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
