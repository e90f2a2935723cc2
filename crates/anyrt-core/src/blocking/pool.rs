//! The threads that run blocking jobs. The README beside this file explains the wake-ups.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::time::Duration;

use super::job::{Job, Label};
use super::run::StartError;
use crate::fork::{Born, Forked};
use crate::runtime::Runtime;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, Condvar, Mutex};

/// How long a thread without work stays, by default.
pub(crate) const IDLE: Duration = Duration::from_secs(10);

/// How long the end of a run waits for threads that are still in a closure, by default.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A pool without a size of its own: the limiters say how many jobs there are at once.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Inner>);

struct Inner {
    name: Box<str>,
    idle: Duration,
    patience: Duration,
    /// In which process its threads are.
    born: Born,
    state: Mutex<State>,
    /// Threads without work wait here.
    work: Condvar,
    /// The end of the run waits here.
    gone: Condvar,
}

/// Invariant: while `jobs` is not empty, a thread is on its way to them (`waking + arriving > 0`), or
/// every thread that there is runs a job and looks at `jobs` when it has ended.
struct State {
    jobs: VecDeque<(Job, Arc<dyn Runtime>)>,
    /// Threads that exist.
    threads: usize,
    /// Threads that wait for work, among them those on their way.
    idle: usize,
    /// Threads that were notified and have not looked at `jobs` yet. An idle one that wakes up by itself
    /// may look in place of the one that was notified.
    waking: usize,
    /// Threads that were started, or are done with their job but for giving back its token: each of them
    /// looks at `jobs` next, and nobody in its place.
    arriving: usize,
    /// Threads whose job waits for async code: they do not come to `jobs` before that has ended.
    away: usize,
    /// Each thread by its number: how it is joined, and what it runs.
    workers: HashMap<usize, Worker>,
    /// Threads that have ended since the run ends: to be joined.
    ended: Vec<JoinHandle<()>>,
    /// For tests: no thread can be started.
    denied: bool,
    /// The next thread's number.
    number: usize,
    /// No thread stays idle any more.
    ending: bool,
}

struct Worker {
    thread: JoinHandle<()>,
    job: Option<Label>,
}

impl Pool {
    /// A thread stays for `idle` without work; the end waits for `patience` for those in a closure.
    pub(crate) fn new(name: &str, idle: Duration, patience: Duration) -> Pool {
        let state = State {
            jobs: VecDeque::new(),
            threads: 0,
            idle: 0,
            waking: 0,
            arriving: 0,
            away: 0,
            workers: HashMap::new(),
            ended: Vec::new(),
            denied: false,
            number: 0,
            ending: false,
        };
        Pool(Arc::new(Inner {
            name: name.into(),
            idle,
            patience,
            born: Born::here(),
            state: Mutex::new(state),
            work: Condvar::default(),
            gone: Condvar::default(),
        }))
    }

    /// Takes over a job. Given back when the run has ended, when no thread can start and none will come
    /// to it, and in a process that has none of the threads.
    pub(crate) fn submit(&self, job: Job, runtime: &Arc<dyn Runtime>) -> Result<(), (Job, StartError)> {
        let mut state = self.0.state.lock();
        if state.ending {
            return Err((job, StartError::RunEnded));
        }
        state.jobs.push_back((job, runtime.clone()));
        match self.0.call_for_help(&mut state) {
            Ok(()) => Ok(()),
            Err(error) if state.threads <= state.away || matches!(error, NoHelp::Forked(_)) => {
                match state.jobs.pop_back() {
                    Some((job, _)) => Err((job, error.into())),
                    None => Ok(()),
                }
            }
            Err(error) => {
                // Those who work will come to it.
                tracing::warn!(%error, threads = state.threads, "no further thread for blocking jobs");
                Ok(())
            }
        }
    }

    /// Whether the run has ended, and with it the pool.
    pub(super) fn is_retired(&self) -> bool {
        self.0.state.lock().ending
    }

    /// Lets threads end as soon as they have no work, and takes no job any more.
    pub(crate) fn retire(&self) {
        self.0.state.lock().ending = true;
        self.0.work.notify_all();
    }

    /// Joins all threads; those in a closure are waited for as long as patience lasts, then named in
    /// the log and left.
    pub(crate) fn end(&self) {
        self.retire();
        let mut state = self.0.state.lock();
        while state.threads > 0 {
            let (next, timed_out) = self.0.gone.wait_timeout(state, self.0.patience);
            state = next;
            if timed_out && state.threads > 0 {
                let left: Vec<String> = state
                    .workers
                    .iter()
                    .map(|(number, worker)| {
                        let thread = format!("{}-blocking-{number}", self.0.name);
                        match &worker.job {
                            Some(job) => format!("{thread} in {job}"),
                            None => thread,
                        }
                    })
                    .collect();
                tracing::error!(
                    target: "anyrt::blocking",
                    threads = state.threads,
                    "the run {} ends, and blocking jobs that nobody waits for go on: {}",
                    self.0.name,
                    left.join("; ")
                );
                break;
            }
        }
        let ended = std::mem::take(&mut state.ended);
        drop(state);
        for thread in ended {
            // A worker does not panic; and if it did, the hook has told.
            let _ = thread.join();
        }
    }

    /// A thread waits for async code from now on, and comes to no job before that has ended.
    ///
    /// Where no other thread can be started for the jobs that counted on it, it runs them before.
    pub(crate) fn go_away(&self) {
        let mut state = self.0.state.lock();
        state.away += 1;
        while let Err(error) = self.0.call_for_help(&mut state) {
            tracing::warn!(%error, "no further thread for blocking jobs");
            if state.threads > state.away || matches!(error, NoHelp::Forked(_)) {
                break;
            }
            let Some((job, runtime)) = state.jobs.pop_front() else { break };
            drop(state);
            let mut job = Some(job);
            runtime.enter(&mut || {
                if let Some(job) = job.take() {
                    job.run();
                }
            });
            drop(runtime);
            state = self.0.state.lock();
        }
    }

    /// The thread waits no more.
    pub(crate) fn come_back(&self) {
        let mut state = self.0.state.lock();
        state.away = state.away.saturating_sub(1);
    }

    /// How many threads there are.
    pub(crate) fn threads(&self) -> usize {
        self.0.state.lock().threads
    }

    /// For tests: from now on no thread can be started, or they can again.
    pub(crate) fn deny_threads(&self, denied: bool) {
        self.0.state.lock().denied = denied;
    }
}

/// Why nobody is on the way to the jobs.
#[derive(Debug, thiserror::Error)]
enum NoHelp {
    #[error(transparent)]
    NoThread(#[from] io::Error),
    #[error(transparent)]
    Forked(#[from] Forked),
}

impl From<NoHelp> for StartError {
    fn from(why: NoHelp) -> StartError {
        match why {
            NoHelp::NoThread(error) => StartError::NoThread(error),
            NoHelp::Forked(forked) => StartError::Forked(forked),
        }
    }
}

impl Inner {
    /// Sees to it that somebody is on the way to the jobs. One at a time: whoever arrives and
    /// leaves work behind calls the next.
    fn call_for_help(self: &Arc<Self>, state: &mut State) -> Result<(), NoHelp> {
        if state.waking + state.arriving > 0 || state.jobs.is_empty() {
            return Ok(());
        }
        // Beside a call of the system anyway.
        self.born.check()?;
        if state.idle > 0 {
            state.waking += 1;
            self.work.notify_one();
            return Ok(());
        }
        if state.denied {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "denied by a test").into());
        }
        let inner = self.clone();
        let number = state.number;
        let thread = thread::Builder::new()
            .name(format!("{}-blocking-{number}", self.name))
            .spawn(move || inner.work(number))?;
        state.workers.insert(number, Worker { thread, job: None });
        state.number += 1;
        state.threads += 1;
        state.arriving += 1;
        Ok(())
    }

    fn work(self: Arc<Self>, number: usize) {
        let mut state = self.state.lock();
        state.arriving -= 1;
        loop {
            if let Some((job, runtime)) = state.jobs.pop_front() {
                if let Err(error) = self.call_for_help(&mut state) {
                    tracing::warn!(%error, "no further thread for blocking jobs");
                }
                if let Some(worker) = state.workers.get_mut(&number) {
                    worker.job = job.label();
                }
                drop(state);
                let arriving = self.run(job, &*runtime);
                drop(runtime);
                state = self.state.lock();
                state.arriving -= usize::from(arriving);
                if let Some(worker) = state.workers.get_mut(&number) {
                    worker.job = None;
                }
                continue;
            }
            if state.ending {
                break;
            }
            state.idle += 1;
            let timed_out;
            (state, timed_out) = self.work.wait_timeout(state, self.idle);
            state.idle -= 1;
            if state.waking > 0 {
                // Called for, or in place of the one who was: somebody has arrived.
                state.waking -= 1;
            } else if timed_out && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
        if let Some(worker) = state.workers.remove(&number)
            && state.ending
        {
            state.ended.push(worker.thread);
        }
        if state.threads == 0 {
            self.gone.notify_all();
        }
    }

    /// Runs a job; whether this thread is counted among those who arrive.
    fn run(self: &Arc<Self>, job: Job, runtime: &dyn Runtime) -> bool {
        let (mut job, mut arriving) = (Some(job), false);
        runtime.enter(&mut || {
            if let Some(job) = job.take() {
                job.run_in_pool(&mut |arrives| {
                    let mut state = self.state.lock();
                    if arrives {
                        state.arriving += 1;
                    } else {
                        state.arriving -= 1;
                        if let Err(error) = self.call_for_help(&mut state) {
                            tracing::warn!(%error, "no further thread for blocking jobs");
                        }
                    }
                    arriving = arrives;
                });
            }
        });
        arriving
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
