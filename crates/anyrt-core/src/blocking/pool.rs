//! The threads that run blocking jobs. The README beside this file explains the wake-ups.

use std::collections::{HashMap, VecDeque};
use std::task::{Poll, Waker};
use std::time::Duration;
use std::{fmt, io};

use super::choice::Begins;
use super::job::{Job, Label};
use super::notifier::{self, Notifier};
use super::run::StartError;
use super::working::{Mark, marked};
use crate::base::fork::{Forked, MadeIn};
use crate::base::sync::thread::{self, JoinHandle};
use crate::base::sync::{Arc, Condvar, Mutex};
use crate::current::context;
use crate::current::handle::Handle;
use crate::current::runtime::Runtime;

/// How long a thread without work stays, by default.
pub(crate) const IDLE: Duration = Duration::from_secs(10);

/// How long the end of a run waits for threads that are still in a closure, by default.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a job is left to the notifier at most: then the watching thread looks by itself.
const WATCH: Duration = Duration::from_millis(1);

/// From this many waiting jobs on, a thread is woken at once.
const BURST: usize = 16;

/// A pool without a size of its own: the limiters decide how many jobs there are at once.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Inner>);

struct Inner {
    name: Box<str>,
    idle: Duration,
    patience: Duration,
    /// The process that has its threads.
    process: MadeIn,
    /// It belongs to one run, so a task of that run may notify its threads.
    defers: bool,
    state: Mutex<PoolState>,
    /// Threads without work wait here.
    work: Condvar,
    /// The end of the run waits here.
    gone: Condvar,
}

/// Invariant: while `jobs` is not empty, a thread is on its way to them (`waking + arriving > 0`); or one looks
/// by itself after [`WATCH`] (`watching > 0`), and the notifier was woken to be faster; or every thread runs a
/// job and looks at `jobs` when that has ended.
struct PoolState {
    jobs: VecDeque<Accepted>,
    /// Threads that exist.
    threads: usize,
    /// Threads that wait for work, including those that were notified.
    idle: usize,
    /// Threads that were notified and have not looked at `jobs` yet. Another idle thread that wakes up by
    /// itself may look in their place.
    waking: usize,
    /// Threads that were started, or have only to give back the token of their job: each of them looks at
    /// `jobs` next, and no other thread in its place.
    arriving: usize,
    /// Idle threads whose wait ends by itself after [`WATCH`].
    watching: usize,
    /// Jobs come while others run: it is worth waiting for the end of a burst.
    bursts: bool,
    /// Jobs that were left to the notifier since it last ran.
    deferred: usize,
    notifier: Notifier,
    statistics: PoolStatistics,
    /// Threads whose job waits for async code: they do not look at `jobs` before that has ended.
    away: usize,
    /// Each thread by its number: how it is joined, and what it runs.
    workers: HashMap<usize, Worker>,
    /// Threads that have ended since the end of the run began: to be joined.
    ended: Vec<JoinHandle<()>>,
    /// For tests: no thread can be started.
    denied: bool,
    /// The next thread's number.
    number: usize,
    /// The run ends: no thread stays idle any more.
    ending: bool,
}

/// A job that waits for a thread.
struct Accepted {
    job: Job,
    runtime: Arc<dyn Runtime>,
    mark: Option<Mark>,
}

/// How often a pool did what is costly; for tests and measurements.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolStatistics {
    /// Jobs that were accepted.
    pub jobs: u64,
    /// Jobs among them that were left to the notifier.
    pub deferred: u64,
    /// Idle threads that were notified.
    pub notified: u64,
    /// Threads that were started.
    pub started: u64,
}

struct Worker {
    thread: JoinHandle<()>,
    job: Option<Label>,
}

impl Pool {
    /// A thread stays for `idle` without work; the end waits for `patience` for threads in a closure. `defers`:
    /// the pool belongs to one runtime, a task of which may notify its threads.
    pub(crate) fn new(name: &str, idle: Duration, patience: Duration, defers: bool) -> Pool {
        let state = PoolState {
            jobs: VecDeque::new(),
            threads: 0,
            idle: 0,
            waking: 0,
            arriving: 0,
            watching: 0,
            bursts: false,
            deferred: 0,
            notifier: Notifier::None,
            statistics: PoolStatistics::default(),
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
            process: MadeIn::here(),
            defers,
            state: Mutex::new(state),
            work: Condvar::default(),
            gone: Condvar::default(),
        }))
    }

    /// Takes over a job. It is given back when the run has ended, when no thread can be started and none will
    /// come to it, and in a process that has none of the threads.
    pub(super) fn submit(&self, job: Job, handle: &Handle) -> Result<Begins, (Job, StartError)> {
        // Only there is the notifier polled soon: when this poll has ended.
        let in_task = context::is_in_task_of(handle);
        let mark = handle.runtime().working();
        let mut state = self.0.state.lock();
        if state.ending {
            return Err((job, StartError::RunEnded));
        }
        state.bursts |= in_task && state.has_others();
        state.jobs.push_back(Accepted { job, runtime: handle.runtime().clone(), mark });
        state.statistics.jobs += 1;
        let mut spawns = false;
        if in_task && state.bursts {
            spawns = self.0.defers && matches!(state.notifier, Notifier::None);
            if spawns {
                state.notifier = Notifier::Starts;
            } else if self.0.may_defer(&state) {
                state.deferred += 1;
                state.statistics.deferred += 1;
                let old = match state.notifier {
                    Notifier::Rests(_) => std::mem::replace(&mut state.notifier, Notifier::Woken),
                    _ => return Ok(Begins::Soon),
                };
                drop(state);
                if let Notifier::Rests(waker) = old {
                    waker.wake();
                }
                return Ok(Begins::Soon);
            }
        }
        let submitted = match self.0.call_for_help(&mut state) {
            Ok(()) => Ok(Begins::Soon),
            Err(error) if state.threads <= state.away || matches!(error, NoHelp::Forked(_)) => {
                match state.jobs.pop_back() {
                    Some(refused) => Err((refused.job, error.into())),
                    None => Ok(Begins::Soon),
                }
            }
            Err(error) => {
                // The threads that work will come to it.
                tracing::warn!(%error, threads = state.threads, "no further thread for blocking jobs");
                Ok(Begins::WithRoom)
            }
        };
        drop(state);
        if spawns {
            notifier::spawn(handle);
        }
        submitted
    }

    /// The notifier is polled: it wakes a thread once the tasks have run that were ready when it was woken.
    pub(super) fn poll_notifier(&self, waker: &Waker) -> Poll<()> {
        let new = waker.clone();
        let mut state = self.0.state.lock();
        if state.ending {
            state.notifier = Notifier::Gone;
            return Poll::Ready(());
        }
        if let Notifier::Woken = state.notifier {
            state.notifier = Notifier::Yields;
            drop(state);
            new.wake();
            return Poll::Pending;
        }
        let old = std::mem::replace(&mut state.notifier, Notifier::Rests(new));
        let deferred = std::mem::take(&mut state.deferred);
        if let Notifier::Yields = old
            && deferred <= 1
        {
            state.bursts = false;
        }
        self.0.call_or_warn(&mut state);
        drop(state);
        drop(old);
        Poll::Pending
    }

    /// The runtime has dropped the notifier.
    pub(super) fn lose_notifier(&self) {
        let mut state = self.0.state.lock();
        let old = std::mem::replace(&mut state.notifier, Notifier::Gone);
        self.0.call_or_warn(&mut state);
        drop(state);
        drop(old);
    }

    /// Whether the run has ended, and with it the pool.
    pub(super) fn is_retired(&self) -> bool {
        self.0.state.lock().ending
    }

    /// Lets threads end as soon as they have no work, and takes no job any more.
    pub(crate) fn retire(&self) {
        let old = {
            let mut state = self.0.state.lock();
            state.ending = true;
            match state.notifier {
                Notifier::Rests(_) => std::mem::replace(&mut state.notifier, Notifier::Woken),
                _ => Notifier::Gone,
            }
        };
        self.0.work.notify_all();
        if let Notifier::Rests(waker) = old {
            waker.wake();
        }
    }

    /// Joins all threads. Those in a closure are waited for as long as `patience` lasts, then named in the log
    /// and left.
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
            // A worker does not panic; if it did, the panic hook has shown it.
            let _ = thread.join();
        }
    }

    /// The calling thread waits for async code from now on, and comes to no job before that has ended.
    ///
    /// If no other thread can be started for the jobs that counted on it, it runs them first.
    pub(crate) fn go_away(&self) {
        let mut state = self.0.state.lock();
        state.away += 1;
        while let Err(error) = self.0.call_for_help(&mut state) {
            tracing::warn!(%error, "no further thread for blocking jobs");
            if state.threads > state.away || matches!(error, NoHelp::Forked(_)) {
                break;
            }
            let Some(Accepted { job, runtime, mark }) = state.jobs.pop_front() else { break };
            drop(state);
            let mut job = Some(job);
            marked(mark, || {
                runtime.enter(&mut || {
                    if let Some(job) = job.take() {
                        job.run();
                    }
                });
            });
            drop(runtime);
            state = self.0.state.lock();
        }
    }

    /// The calling thread waits no more.
    pub(crate) fn come_back(&self) {
        let mut state = self.0.state.lock();
        state.away = state.away.saturating_sub(1);
    }

    /// For tests and measurements: what the pool has cost so far.
    pub(crate) fn statistics(&self) -> PoolStatistics {
        self.0.state.lock().statistics
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

/// Why no thread is on the way to the jobs.
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

impl PoolState {
    /// Whether other jobs wait or run.
    fn has_others(&self) -> bool {
        !self.jobs.is_empty() || self.threads > self.idle + self.arriving + self.away
    }
}

impl Inner {
    /// Whether the newest job may be left to the notifier: there is a thread asleep that would be costly to
    /// notify, another one watches, and few jobs wait.
    fn may_defer(&self, state: &PoolState) -> bool {
        match state.notifier {
            // Asked once a burst: in a forked process no thread comes.
            Notifier::Rests(_) if self.process.check().is_err() => return false,
            Notifier::Rests(_) | Notifier::Woken | Notifier::Yields => (),
            _ => return false,
        }
        state.watching > 0 && state.waking + state.arriving == 0 && state.jobs.len() < BURST
    }

    /// As [`call_for_help`](Inner::call_for_help), where the threads that work will come to the jobs anyway.
    fn call_or_warn(self: &Arc<Self>, state: &mut PoolState) {
        if let Err(error) = self.call_for_help(state) {
            tracing::warn!(%error, "no further thread for blocking jobs");
        }
    }

    /// Sees to it that a thread is on the way to the jobs. One at a time: a thread that arrives and leaves work
    /// behind calls the next.
    fn call_for_help(self: &Arc<Self>, state: &mut PoolState) -> Result<(), NoHelp> {
        if state.waking + state.arriving > 0 || state.jobs.is_empty() {
            return Ok(());
        }
        // Cheap beside the system call that follows.
        self.process.check()?;
        if state.idle > 0 {
            state.waking += 1;
            state.statistics.notified += 1;
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
        state.statistics.started += 1;
        Ok(())
    }

    fn work(self: Arc<Self>, number: usize) {
        let mut state = self.state.lock();
        state.arriving -= 1;
        let mut has_watched = false;
        loop {
            if let Some(Accepted { job, runtime, mark }) = state.jobs.pop_front() {
                self.call_or_warn(&mut state);
                if let Some(worker) = state.workers.get_mut(&number) {
                    worker.job = job.label();
                }
                drop(state);
                let arriving = marked(mark, || self.run(job, &*runtime));
                drop(runtime);
                state = self.state.lock();
                state.arriving -= usize::from(arriving);
                if let Some(worker) = state.workers.get_mut(&number) {
                    worker.job = None;
                }
                has_watched = false;
                continue;
            }
            if state.ending {
                break;
            }
            let watches = state.bursts && !has_watched;
            state.idle += 1;
            state.watching += usize::from(watches);
            let timed_out;
            (state, timed_out) = self.work.wait_timeout(state, if watches { WATCH } else { self.idle });
            state.watching -= usize::from(watches);
            state.idle -= 1;
            has_watched = watches;
            if state.waking > 0 {
                // This thread was notified, or looks in place of one that was.
                state.waking -= 1;
            } else if timed_out && state.jobs.is_empty() && !watches {
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

    /// Runs a job. Returns whether this thread is counted as arriving.
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
                        self.call_or_warn(&mut state);
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
