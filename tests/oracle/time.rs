//! A clock that stands still until nobody can go on.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use anyrt::net::{Address, Datagram, DatagramSocket, Listener, ListenerSocket, Stream, StreamSocket};
use anyrt::runtime::{NotOwned, Runtime, Task, Timer};
use async_trait::async_trait;

/// What a program counts in.
const TICK: Duration = Duration::from_millis(1);
/// Later than any program.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// The time of one run.
pub(crate) struct Clock {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    now: Duration,
    timers: BTreeMap<(Duration, u64), Waker>,
    last_timer: u64,
    /// Nothing is waited for any more: each timer fires at once.
    given_up: bool,
    /// To be woken when it is given up.
    watcher: Option<Waker>,
}

impl Clock {
    pub(crate) fn new() -> Arc<Clock> {
        #[expect(
            clippy::disallowed_methods,
            reason = "an instant to count from; nobody looks at the time again"
        )]
        let began = Instant::now();
        Arc::new(Clock { began, state: Mutex::default() })
    }

    pub(crate) fn tick(&self) -> u64 {
        (self.state().now.as_millis() / TICK.as_millis()) as u64
    }

    pub(crate) fn at(&self, tick: u64) -> Instant {
        self.began + TICK * u32::try_from(tick).unwrap_or(u32::MAX)
    }

    pub(crate) fn tick_of(&self, instant: Instant) -> u64 {
        ((instant - self.began).as_millis() / TICK.as_millis()) as u64
    }

    /// Goes to the time of the next timer; false if there is none.
    pub(crate) fn jump(&self) -> bool {
        let due = {
            let mut state = self.state();
            let Some((&(next, _), _)) = state.timers.first_key_value() else { return false };
            state.now = state.now.max(next);
            state.due()
        };
        due.into_iter().for_each(Waker::wake);
        true
    }

    /// The program is stuck: ends all waiting for time, so that the run can end.
    pub(crate) fn give_up(&self) {
        let (watcher, due) = {
            let mut state = self.state();
            state.given_up = true;
            state.now = FOR_EVER;
            (state.watcher.take(), state.due())
        };
        watcher.into_iter().chain(due).for_each(Waker::wake);
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.state().given_up
    }

    /// Ready when it was given up.
    pub(crate) fn poll_given_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.given_up {
            return Poll::Ready(());
        }
        state.watcher = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn now(&self) -> Instant {
        self.began + self.state().now
    }

    pub(crate) fn timer(self: &Arc<Self>, deadline: Instant) -> Pin<Box<dyn Timer>> {
        let id = {
            let mut state = self.state();
            state.last_timer += 1;
            state.last_timer
        };
        Box::pin(Alarm { clock: self.clone(), at: deadline.saturating_duration_since(self.began), id })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes those out that are to be woken.
    fn due(&mut self) -> Vec<Waker> {
        let later = self.timers.split_off(&(self.now, u64::MAX));
        std::mem::replace(&mut self.timers, later).into_values().collect()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("tick", &self.tick()).finish_non_exhaustive()
    }
}

struct Alarm {
    clock: Arc<Clock>,
    at: Duration,
    id: u64,
}

impl Timer for Alarm {
    fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.clock.state().timers.remove(&(self.at, self.id));
        self.at = deadline.saturating_duration_since(self.clock.began);
    }

    fn poll_elapsed(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.state();
        if state.given_up || state.now >= self.at {
            state.timers.remove(&(self.at, self.id));
            return Poll::Ready(());
        }
        state.timers.insert((self.at, self.id), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.clock.state().timers.remove(&(self.at, self.id));
    }
}

/// A runtime as it is, but for its time.
#[derive(Debug)]
pub(crate) struct Timeless {
    pub(crate) inner: Arc<dyn Runtime>,
    pub(crate) clock: Arc<Clock>,
}

#[async_trait]
impl Runtime for Timeless {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn block_on(&self, root: Pin<&mut dyn Future<Output = ()>>) -> Result<(), NotOwned> {
        self.inner.block_on(root)
    }

    fn spawn(&self, task: Task) {
        self.inner.spawn(task);
    }

    fn enter(&self, run: &mut dyn FnMut()) {
        self.inner.enter(run);
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn timer(&self, deadline: Instant) -> Pin<Box<dyn Timer>> {
        self.clock.timer(deadline)
    }

    async fn connect(&self, address: &Address) -> io::Result<Box<dyn Stream>> {
        self.inner.connect(address).await
    }

    fn listen(&self, socket: ListenerSocket) -> io::Result<Box<dyn Listener>> {
        self.inner.listen(socket)
    }

    fn stream(&self, socket: StreamSocket) -> io::Result<Box<dyn Stream>> {
        self.inner.stream(socket)
    }

    fn datagram(&self, socket: DatagramSocket) -> io::Result<Box<dyn Datagram>> {
        self.inner.datagram(socket)
    }

    fn shutdown(&self) {
        self.inner.shutdown();
    }
}
