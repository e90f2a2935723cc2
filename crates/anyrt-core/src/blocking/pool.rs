//! The threads that run blocking jobs. The README beside this file explains the wake-ups.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::thread;
use std::time::Duration;

use super::job::Job;
use crate::runtime::Runtime;
use crate::sync::{Arc, Condvar, Mutex};

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(10);

/// How long the end of a run waits for threads that are still in a closure.
const PATIENCE: Duration = Duration::from_secs(10);

/// A pool without a size of its own: the limiters say how many jobs there are at once.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Inner>);

struct Inner {
    name: Box<str>,
    state: Mutex<State>,
    /// Threads without work wait here.
    work: Condvar,
    /// The end of the run waits here.
    gone: Condvar,
}

/// Invariant: while `jobs` is not empty, a thread is on its way to them (`waking > 0`), or every
/// thread that there is runs a job and looks at `jobs` when it has ended.
struct State {
    jobs: VecDeque<(Job, Arc<dyn Runtime>)>,
    /// Threads that exist.
    threads: usize,
    /// Threads that wait for work, among them those on their way.
    idle: usize,
    /// Threads that were notified or started and have not looked at `jobs` yet.
    waking: usize,
    /// The next thread's number.
    number: usize,
    /// No thread stays idle any more.
    ending: bool,
}

impl Pool {
    pub(crate) fn new(name: &str) -> Pool {
        let state = State { jobs: VecDeque::new(), threads: 0, idle: 0, waking: 0, number: 0, ending: false };
        Pool(Arc::new(Inner {
            name: name.into(),
            state: Mutex::new(state),
            work: Condvar::default(),
            gone: Condvar::default(),
        }))
    }

    /// Takes over a job. Given back only when it would be the first one and no thread can start.
    pub(crate) fn submit(&self, job: Job, runtime: &Arc<dyn Runtime>) -> Result<(), (Job, io::Error)> {
        let mut state = self.0.state.lock();
        state.jobs.push_back((job, runtime.clone()));
        match self.0.call_for_help(&mut state) {
            Ok(()) => Ok(()),
            Err(error) if state.threads == 0 => match state.jobs.pop_back() {
                Some((job, _)) => Err((job, error)),
                None => Ok(()),
            },
            Err(error) => {
                // Those who work will come to it.
                tracing::warn!(%error, threads = state.threads, "no further thread for blocking jobs");
                Ok(())
            }
        }
    }

    /// Lets threads end as soon as they have no work.
    pub(crate) fn retire(&self) {
        self.0.state.lock().ending = true;
        self.0.work.notify_all();
    }

    /// Waits until all threads have ended; those in a closure for ten seconds at most.
    pub(crate) fn end(&self) {
        self.retire();
        let mut state = self.0.state.lock();
        while state.threads > 0 {
            let (next, timed_out) = self.0.gone.wait_timeout(state, PATIENCE);
            state = next;
            if timed_out {
                tracing::error!(
                    threads = state.threads,
                    "the run {} ends, and threads are still in blocking jobs that nobody waits for",
                    self.0.name
                );
                return;
            }
        }
    }
}

impl Inner {
    /// Sees to it that somebody is on the way to the jobs. One at a time: whoever arrives and
    /// leaves work behind calls the next.
    fn call_for_help(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if state.waking > 0 || state.jobs.is_empty() {
            return Ok(());
        }
        if state.idle > 0 {
            state.waking += 1;
            self.work.notify_one();
            return Ok(());
        }
        let inner = self.clone();
        let number = state.number;
        thread::Builder::new()
            .name(format!("{}-blocking-{number}", self.name))
            .spawn(move || inner.work())?;
        state.number += 1;
        state.threads += 1;
        state.waking += 1;
        Ok(())
    }

    fn work(self: Arc<Self>) {
        let mut state = self.state.lock();
        // An idle thread that the end of the run woke may have arrived in place of this one.
        state.waking = state.waking.saturating_sub(1);
        loop {
            if let Some((job, runtime)) = state.jobs.pop_front() {
                if let Err(error) = self.call_for_help(&mut state) {
                    tracing::warn!(%error, "no further thread for blocking jobs");
                }
                drop(state);
                let mut job = Some(job);
                runtime.enter(&mut || {
                    if let Some(job) = job.take() {
                        job.run();
                    }
                });
                drop(runtime);
                state = self.state.lock();
                continue;
            }
            if state.ending {
                break;
            }
            state.idle += 1;
            let timed_out;
            (state, timed_out) = self.work.wait_timeout(state, IDLE);
            state.idle -= 1;
            if state.waking > 0 {
                // Called for, or in place of the one who was: somebody has arrived.
                state.waking -= 1;
            } else if timed_out && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
        if state.threads == 0 {
            self.gone.notify_all();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.lock();
        f.debug_struct("Pool")
            .field("name", &self.0.name)
            .field("threads", &state.threads)
            .field("idle", &state.idle)
            .finish_non_exhaustive()
    }
}
