//! The watchdog of a run: reports polls that take too long, tasks that spin, and a run that stands still.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::panic::Location;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::view::TaskTree;
use super::{Track, WeakHandle};
use crate::base::sync::{Arc, Condvar, Mutex};
use crate::base::wake_list::attempt;
use crate::current::handle::Handle;
use crate::tree::TaskId;
use crate::tree::site::Called;

/// What a run is watched for; given to [`Run::watchdog`](crate::Run::watchdog). Nothing by default.
///
/// Each alarm is a tracing warning of target `anyrt::watchdog`, and a call of the function given to
/// [`on_alarm`](Watchdog::on_alarm). A watched run has one more thread, and its polls read the clock.
///
/// ```
/// use std::time::Duration;
/// use anyrt_core::Watchdog;
///
/// let watchdog = Watchdog::new()
///     .slow_poll(Duration::from_millis(100))
///     .on_alarm(|alarm| eprintln!("{alarm}"));
/// # let _ = watchdog;
/// ```
#[derive(Clone, Default)]
pub struct Watchdog {
    slow_poll: Option<Duration>,
    standstill: Option<Duration>,
    spinning: Option<u32>,
    on_alarm: Option<Arc<Call>>,
}

type Call = dyn Fn(&Alarm) + Send + Sync;

impl Watchdog {
    /// A watchdog that watches for nothing so far.
    pub fn new() -> Watchdog {
        Watchdog::default()
    }

    /// Reports a poll that takes longer than `threshold`: code that blocks a thread of the runtime. While it
    /// still runs, once for each place and task name.
    pub fn slow_poll(mut self, threshold: Duration) -> Watchdog {
        self.slow_poll = Some(threshold);
        self
    }

    /// Reports when no task was polled for `threshold`, counted from the first poll. Once, until something
    /// moves again.
    pub fn standstill(mut self, threshold: Duration) -> Watchdog {
        self.standstill = Some(threshold);
        self
    }

    /// Reports a task that has woken itself in `polls` polls in a row, so that it keeps a thread busy and waits
    /// for nothing. Once for each place and task name.
    pub fn spinning(mut self, polls: u32) -> Watchdog {
        self.spinning = Some(polls);
        self
    }

    /// Calls `call` with each alarm, on the thread that has noticed it.
    pub fn on_alarm(mut self, call: impl Fn(&Alarm) + Send + Sync + 'static) -> Watchdog {
        self.on_alarm = Some(Arc::new(call));
        self
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog")
            .field("slow_poll", &self.slow_poll)
            .field("standstill", &self.standstill)
            .field("spinning", &self.spinning)
            .finish_non_exhaustive()
    }
}

/// What a [`Watchdog`] has noticed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Alarm {
    /// A poll takes, or took, longer than the threshold.
    SlowPoll {
        /// The task.
        id: TaskId,
        /// Its name.
        name: String,
        /// Where it had waited before this poll; none in its first poll, or if it waited for something that is
        /// not part of anyrt.
        resumed: Option<&'static Location<'static>>,
        /// How long so far.
        took: Duration,
    },
    /// A task wakes itself again and again.
    Spinning {
        /// The task.
        id: TaskId,
        /// Its name.
        name: String,
        /// Where it had waited before this poll, as for a slow poll.
        resumed: Option<&'static Location<'static>>,
        /// In how many polls in a row.
        polls: u32,
    },
    /// No task was polled for some time.
    Standstill {
        /// The threshold that was given.
        lasted: Duration,
        /// The tasks that wait.
        tree: TaskTree,
    },
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = |f: &mut fmt::Formatter<'_>, resumed: &Option<Called>| match resumed {
            Some(resumed) => write!(f, ", after it had waited at {resumed}"),
            None => Ok(()),
        };
        match self {
            Alarm::SlowPoll { id, name, resumed, took } => {
                write!(f, "task {name}#{id} keeps a thread of the runtime for {took:?} in one poll")?;
                after(f, resumed)
            }
            Alarm::Spinning { id, name, resumed, polls } => {
                write!(f, "task {name}#{id} has woken itself in {polls} polls in a row")?;
                after(f, resumed)
            }
            Alarm::Standstill { lasted, tree } => {
                write!(f, "no task was polled for {lasted:?}:\n{tree}")
            }
        }
    }
}

/// The watchdog at work in one run.
pub(crate) struct Guard {
    watchdog: Watchdog,
    state: Mutex<WatchdogState>,
    changed: Condvar,
}

#[derive(Default)]
struct WatchdogState {
    /// The polls that are running, by the address of the track.
    going_on: HashMap<usize, GoingOn>,
    /// The alarms that were given already.
    reported: HashSet<(&'static str, String, Option<Called>)>,
    stopped: bool,
}

struct GoingOn {
    since: Instant,
    track: Arc<Track>,
    resumed: Option<Called>,
}

const SLOW: &str = "slow";
const SPINNING: &str = "spinning";

impl Guard {
    pub(crate) fn new(watchdog: Watchdog) -> Arc<Guard> {
        Arc::new(Guard { watchdog, state: Mutex::default(), changed: Condvar::default() })
    }

    /// Starts its thread, which keeps nothing of the run alive.
    pub(crate) fn start(self: &Arc<Guard>, handle: &Handle) {
        let spans = [self.watchdog.slow_poll, self.watchdog.standstill];
        // What it watches for is noticed at most a quarter of the threshold late.
        let Some(every) = spans.into_iter().flatten().min().map(|span| span / 4) else { return };
        let (guard, weak) = (self.clone(), Arc::downgrade(&handle.0));
        let name = format!("{}-watchdog", handle.0.shared.name);
        let started = std::thread::Builder::new()
            .name(name)
            .spawn(move || guard.watch(&weak, every.max(Duration::from_millis(1))));
        if let Err(error) = started {
            tracing::warn!(target: "anyrt::watchdog", %error, "no thread for the watchdog");
        }
    }

    /// The run has ended.
    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_all();
    }

    fn watch(&self, run: &WeakHandle, every: Duration) {
        let (mut polls, mut still, mut reported) = (u64::MAX, Duration::ZERO, false);
        loop {
            {
                let state = self.state.lock();
                if state.stopped {
                    return;
                }
                let (state, _) = self.changed.wait_timeout(state, every);
                if state.stopped {
                    return;
                }
            }
            let Some(inner) = run.upgrade() else { return };
            let handle = Handle(inner);
            self.look_at_polls();
            let Some(threshold) = self.watchdog.standstill else { continue };
            let now = handle.0.shared.observer.polls.load(Ordering::Relaxed);
            // Before its first poll the run has not begun.
            if now == 0 || now != polls || !self.state.lock().going_on.is_empty() {
                (polls, still, reported) = (now, Duration::ZERO, false);
            } else {
                still += every;
                if still >= threshold && !reported {
                    reported = true;
                    self.tell(&Alarm::Standstill { lasted: threshold, tree: handle.tasks() });
                }
            }
        }
    }

    /// Reports the polls that have been running for too long.
    fn look_at_polls(&self) {
        let Some(threshold) = self.watchdog.slow_poll else { return };
        let mut slow = Vec::new();
        for poll in self.state.lock().going_on.values() {
            let took = poll.since.elapsed();
            if took >= threshold {
                slow.push((poll.track.clone(), poll.resumed, took));
            }
        }
        for (track, resumed, took) in slow {
            self.tell_of_slow(&track, resumed, took);
        }
    }

    pub(crate) fn poll_begins(&self, track: &Arc<Track>, resumed: Option<Called>) {
        #[expect(
            clippy::disallowed_methods,
            reason = "how long a thread is kept, whatever the runtime's clock says"
        )]
        let poll = GoingOn { since: Instant::now(), track: track.clone(), resumed };
        let old = self.state.lock().going_on.insert(Arc::as_ptr(track).addr(), poll);
        drop(old);
    }

    /// `again`: in how many polls in a row the task has woken itself.
    pub(crate) fn poll_ended(&self, track: &Arc<Track>, resumed: Option<Called>, took: Duration, again: u32) {
        let old = self.state.lock().going_on.remove(&Arc::as_ptr(track).addr());
        drop(old);
        if self.watchdog.slow_poll.is_some_and(|threshold| took >= threshold) {
            self.tell_of_slow(track, resumed, took);
        }
        if self.watchdog.spinning.is_some_and(|most| again >= most) && self.is_news(SPINNING, track, resumed)
        {
            let name = track.label().name().to_owned();
            self.tell(&Alarm::Spinning { id: track.id(), name, resumed, polls: again });
        }
    }

    fn tell_of_slow(&self, track: &Track, resumed: Option<Called>, took: Duration) {
        if self.is_news(SLOW, track, resumed) {
            let name = track.label().name().to_owned();
            self.tell(&Alarm::SlowPoll { id: track.id(), name, resumed, took });
        }
    }

    fn is_news(&self, what: &'static str, track: &Track, place: Option<Called>) -> bool {
        self.state.lock().reported.insert((what, track.label().name().to_owned(), place))
    }

    fn tell(&self, alarm: &Alarm) {
        tracing::warn!(target: "anyrt::watchdog", "{alarm}");
        if let Some(call) = &self.watchdog.on_alarm {
            attempt(|| call(alarm));
        }
    }
}
