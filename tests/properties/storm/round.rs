//! One round: a run, its meddlers, and the books at its end.

use std::fmt;
use std::sync::Arc;
use std::thread;

use anyrt::blocking::CapacityLimiter;
use anyrt::runtime::Handle;
use anyrt::sync::{Mutex, Semaphore};
use anyrt::{Backend, Run};

use super::books::Books;
use super::hang::Watched;
use super::meddlers::Desk;
use super::plan::{self, Dice};
use super::player::{self, Here, Round};

/// What came of the rounds.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rounds: usize,
    pub(crate) steps: usize,
    pub(crate) cleaned: usize,
    pub(crate) faults: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, other: Report) {
        self.rounds += other.rounds;
        self.steps += other.steps;
        self.cleaned += other.cleaned;
        self.faults.extend(other.faults);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { rounds, steps, cleaned, faults } = self;
        write!(f, "{rounds} rounds, {steps} steps, {cleaned} clean-ups, {} faults", faults.len())
    }
}

/// Plays the plan of `seed`.
pub(crate) fn play(backend: Backend, seed: u64) -> Report {
    let steps = plan::of(seed);
    let (tokens, permits) = (2, 2);
    let round = Arc::new(Round {
        books: Arc::default(),
        desk: Desk::default(),
        limiter: CapacityLimiter::new(tokens),
        lock: Mutex::new(()),
        semaphore: Semaphore::new(permits),
    });
    let watched = Watched::new(backend, seed, &steps);
    let here = Here { round: round.clone(), inside: None, foreign: false, scope: None };
    let ended = thread::scope(|threads| {
        let (desk, watched) = (&round.desk, &watched);
        let ended = Run::on(backend).name("storm").run(async move {
            let handle = Handle::current();
            watched.runs(&handle);
            for meddler in 0..2 {
                let (handle, dice) = (handle.clone(), Dice::new(seed ^ (meddler + 1) << 48));
                threads.spawn(move || desk.meddle(&handle, dice));
            }
            player::play(here, steps).await;
        });
        desk.clear();
        ended
    });
    let books: &Books = &round.books;
    books.close();
    drop(watched);
    if let Err(error) = ended {
        books.fault(format!("the run: {error}"));
    }
    let left = (round.limiter.borrowed(), round.limiter.waiting());
    if left != (0, 0) {
        books.fault(format!("tokens out and calls waiting: {left:?}"));
    }
    if round.lock.try_lock().is_err() || round.semaphore.available() != permits {
        books.fault("a lock or a permit is not back".into());
    }
    let faults = books.faults().into_iter().map(|fault| format!("{backend}, seed {seed}: {fault}"));
    Report { rounds: 1, steps: books.steps(), cleaned: books.cleaned(), faults: faults.collect() }
}
