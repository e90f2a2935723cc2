//! [`CapacityLimiter`]: how many may do something at once, first come first served.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::{Duration, Instant};

use crate::base::sync::thread::{self, Thread};
use crate::base::sync::{Arc, Mutex};
use crate::base::wake_list::WakeList;
use crate::current::context;
use crate::current::gate::leaf;
use crate::current::handle::Handle;
use crate::tree::site::{self, Called};
use crate::tree::{NodeRef, TaskId};
use crate::wait::WouldBlock;
use crate::wait::queue::{Queue, Supply, Take, Ticket};

/// A wait longer than this is logged, unless the limiter was given another threshold.
const LONG_WAIT: Duration = Duration::from_secs(1);

/// A number of tokens, borrowed and returned, in strict order of asking.
///
/// No caller overtakes: while there are waiters, [`try_acquire`](CapacityLimiter::try_acquire) fails even if a
/// token is free. A token that is returned is reserved for the first waiter at that moment (anyio#1170). Cheap
/// to clone; the clones share the tokens. Usable before a runtime exists.
///
/// A wait for a token that takes longer than a second is reported by a tracing warning of target
/// `anyrt::limiter`; [`warn_waits_after`](CapacityLimiter::warn_waits_after) sets another threshold.
///
/// ```
/// # fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// use anyrt_core::CapacityLimiter;
///
/// let limiter = CapacityLimiter::new(2);
/// let token = limiter.try_acquire()?;
/// let of_a_user = limiter.try_acquire_on_behalf_of("user 7")?;
/// assert_eq!(limiter.available(), 0);
/// assert_eq!(limiter.statistics().borrowers, ["user 7"]);
/// drop((token, of_a_user));
/// assert_eq!(limiter.available(), 2);
/// # Ok(())
/// # }
/// # demo().unwrap();
/// ```
#[derive(Clone)]
pub struct CapacityLimiter(Arc<Mutex<LimiterState>>);

/// Invariant: there are waiters only while no token is free (`borrowed >= total`), not counting waiters whose
/// scope is cancelled, which are passed over.
struct LimiterState {
    total: usize,
    borrowed: usize,
    /// How many tokens have come back so far.
    returned: u64,
    waiting: Queue<()>,
    /// The borrowers that have, or wait for, a token on behalf of a key.
    keys: HashMap<Arc<str>, Borrower>,
    /// The serial number of the next borrower that has a key.
    serial: u64,
    /// How many guards each task has taken: a blocking call of the same task may wait for them in vain.
    guards: HashMap<TaskId, usize>,
    longest_wait: Duration,
    long_wait: Duration,
}

struct Borrower {
    serial: u64,
    /// It has its token; otherwise it waits.
    served: bool,
}

/// How a limiter stands at one moment; see [`CapacityLimiter::statistics`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimiterStatistics {
    /// How many tokens there are; `usize::MAX` means no limit.
    pub total: usize,
    /// How many are borrowed.
    pub borrowed: usize,
    /// The keys that have a token, sorted. The rest of `borrowed` has none.
    pub borrowers: Vec<String>,
    /// How many wait.
    pub waiting: usize,
    /// The longest wait that ended with a token, by the clock of the runtime where the call waited.
    pub longest_wait: Duration,
}

/// The error of borrowing a second token for the same key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` has a token of this limiter already, or waits for one: return it before you borrow again")]
pub struct AlreadyBorrowed {
    key: String,
}

/// The error of [`CapacityLimiter::release_on_behalf_of`] for a key that has no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` has no token of this limiter to return")]
pub struct NotBorrowed {
    key: String,
}

/// Why [`CapacityLimiter::try_acquire_on_behalf_of`] gave no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// It would have to wait.
    #[error(transparent)]
    WouldBlock(#[from] WouldBlock),
    /// The key has a token already.
    #[error(transparent)]
    AlreadyBorrowed(#[from] AlreadyBorrowed),
}

impl CapacityLimiter {
    /// A limiter of `total` tokens. With zero, every call waits until the total is raised.
    pub fn new(total: usize) -> CapacityLimiter {
        CapacityLimiter(Arc::new(Mutex::new(LimiterState {
            total,
            borrowed: 0,
            returned: 0,
            waiting: Queue::new(),
            keys: HashMap::new(),
            serial: 0,
            guards: HashMap::new(),
            longest_wait: Duration::ZERO,
            long_wait: LONG_WAIT,
        })))
    }

    /// A limiter that never makes a call wait.
    pub fn unlimited() -> CapacityLimiter {
        CapacityLimiter::new(usize::MAX)
    }

    /// Borrows a token, which comes back when it is dropped.
    ///
    /// A checkpoint: in a cancelled scope it takes nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it leaves the queue; a token that it was handed goes on to the next.
    #[track_caller]
    pub fn acquire(&self) -> AcquireTokenFuture {
        self.acquire_at(Location::caller(), true)
    }

    /// As [`acquire`](CapacityLimiter::acquire), for a blocking call: the borrower is the call, and the token
    /// is no guard of a task.
    pub(super) fn acquire_for_call(&self, called: Called) -> AcquireTokenFuture {
        self.acquire_at(called, false)
    }

    fn acquire_at(&self, called: Called, for_guard: bool) -> AcquireTokenFuture {
        AcquireTokenFuture { take: Take::new(Tokens(self.clone()), called), since: None, for_guard }
    }

    /// Borrows a token on behalf of `key`: a user, a connection, whatever must not have two at once.
    /// Keys are compared by their text.
    ///
    /// The token comes back when it is dropped, or by
    /// [`release_on_behalf_of`](CapacityLimiter::release_on_behalf_of).
    ///
    /// # Errors
    ///
    /// [`AlreadyBorrowed`] when the key has a token, or waits for one.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](CapacityLimiter::acquire); the key is free again.
    #[track_caller]
    pub fn acquire_on_behalf_of(&self, key: impl Display) -> AcquireOnBehalfFuture {
        let called = Location::caller();
        AcquireOnBehalfFuture {
            acquire: self.acquire_for_call(called),
            key: key.to_string().into(),
            entered: None,
            called,
        }
    }

    /// Borrows a token, if one is free and there are no waiters.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] otherwise.
    pub fn try_acquire(&self) -> Result<Token, WouldBlock> {
        let task = context::task_id();
        let mut state = self.0.lock();
        state.try_take()?;
        state.count_guard(task);
        drop(state);
        Ok(Token { limiter: self.clone(), owner: Owner::of_task(task) })
    }

    /// Borrows a token on behalf of `key`, if one is free and there are no waiters.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`]: nothing is free, or the key has a token already.
    pub fn try_acquire_on_behalf_of(&self, key: impl Display) -> Result<Token, TryAcquireError> {
        let key: Arc<str> = key.to_string().into();
        let mut state = self.0.lock();
        let serial = state.enter(&key)?;
        if let Err(error) = state.try_take() {
            state.keys.remove(&key);
            return Err(error.into());
        }
        state.served(&key);
        drop(state);
        Ok(Token { limiter: self.clone(), owner: Owner::Key(key, serial) })
    }

    /// Returns the token of `key`, for code that cannot carry the token with it and forgets it
    /// (`std::mem::forget`). If it was not forgotten, its drop does nothing more.
    ///
    /// # Errors
    ///
    /// [`NotBorrowed`] when the key has none.
    pub fn release_on_behalf_of(&self, key: impl Display) -> Result<(), NotBorrowed> {
        let key = key.to_string();
        let serial = self.0.lock().keys.get(&*key).filter(|entry| entry.served).map(|entry| entry.serial);
        match serial {
            Some(serial) if self.give_back_of(&key, serial) => Ok(()),
            _ => Err(NotBorrowed { key }),
        }
    }

    /// How it stands: what is borrowed, on behalf of which keys, how many calls wait.
    pub fn statistics(&self) -> LimiterStatistics {
        let state = self.0.lock();
        let served = state.keys.iter().filter(|(_, entry)| entry.served);
        let mut borrowers: Vec<String> = served.map(|(key, _)| key.to_string()).collect();
        borrowers.sort_unstable();
        LimiterStatistics {
            total: state.total,
            borrowed: state.borrowed,
            borrowers,
            waiting: state.waiting.len(),
            longest_wait: state.longest_wait,
        }
    }

    /// A wait longer than this is logged, with target `anyrt::limiter`; one second by default.
    pub fn warn_waits_after(&self, threshold: Duration) {
        self.0.lock().long_wait = threshold;
    }

    /// How many tokens there are; `usize::MAX` means no limit.
    pub fn total(&self) -> usize {
        self.0.lock().total
    }

    /// Changes how many tokens there are, also while they are in use.
    ///
    /// Raised, it serves as many waiters as there is room. Lowered below what is borrowed, it takes
    /// nothing away: what is returned is not given out again until there is room.
    pub fn set_total(&self, total: usize) {
        let mut wakes = WakeList::default();
        {
            let mut state = self.0.lock();
            state.total = total;
            state.serve(&mut wakes);
        }
        wakes.wake();
    }

    /// How many tokens are borrowed.
    pub fn borrowed(&self) -> usize {
        self.0.lock().borrowed
    }

    /// How many tokens have come back so far: shows whether anything moves.
    #[doc(hidden)]
    pub fn returned(&self) -> u64 {
        self.0.lock().returned
    }

    /// For layers above: queues for a token among the calls that continue, before the token that is held comes
    /// back. So that one goes to the owner of the turn, and not to a call that starts.
    #[doc(hidden)]
    #[track_caller]
    pub fn line_up(&self) -> Turn {
        let mut acquire = self.acquire_for_call(Location::caller());
        acquire.go_first();
        let before = site::begin();
        // Without a waker: the owner of the turn asks again, with one.
        let lined_up = Pin::new(&mut acquire).poll(&mut Context::from_waker(Waker::noop()));
        site::end(before);
        match lined_up {
            Poll::Ready(token) => Turn::Has(token),
            Poll::Pending => Turn::Waits(acquire),
        }
    }

    /// How many calls wait for a token.
    pub fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }

    /// How many tokens are left; negative after the total was lowered below what is borrowed.
    pub fn available(&self) -> isize {
        let state = self.0.lock();
        isize::try_from(state.total)
            .unwrap_or(isize::MAX)
            .saturating_sub(isize::try_from(state.borrowed).unwrap_or(isize::MAX))
    }

    /// The scopes of the waiters, in the order in which they are served.
    pub(crate) fn waiting_scopes(&self) -> Vec<NodeRef> {
        self.0.lock().waiting.scopes()
    }

    /// Takes a token for a thread that had lent it: before calls that start, whatever is cancelled.
    pub(super) fn take_back(&self) -> Token {
        let waker = thread_waker();
        let ticket = Ticket::of_thread(waker);
        if Tokens(self.clone()).take_or_join_as(&ticket, true).is_none() {
            while ticket.served().is_none() {
                thread::park();
            }
        }
        Token { limiter: self.clone(), owner: Owner::None }
    }

    /// Whether every token is held by guards that the current task took: a call of this task waits
    /// for one that can only come free when the task itself goes on.
    fn waits_for_itself(&self) -> bool {
        let Some(task) = context::task_id() else { return false };
        let state = self.0.lock();
        state.total > 0 && state.guards.get(&task).is_some_and(|guards| *guards >= state.total)
    }

    /// Notes how long a call has waited that was served now.
    fn waited(&self, since: Instant) {
        let Ok(handle) = Handle::try_current() else { return };
        let waited = handle.now().saturating_duration_since(since);
        let (total, long) = {
            let mut state = self.0.lock();
            state.longest_wait = state.longest_wait.max(waited);
            (state.total, waited >= state.long_wait)
        };
        if long {
            tracing::warn!(
                target: "anyrt::limiter",
                ?waited,
                total,
                "a token of a limiter was waited for longer than its threshold: \
                 raise the total, or find what keeps the tokens"
            );
        }
    }

    /// Returns the token of a key, if the borrower with this serial number still has it.
    fn give_back_of(&self, key: &str, serial: u64) -> bool {
        {
            let mut state = self.0.lock();
            match state.keys.get(key) {
                Some(entry) if entry.serial == serial => drop(state.keys.remove(key)),
                _ => return false,
            }
        }
        self.give_back();
        true
    }

    fn give_back(&self) {
        let mut wakes = WakeList::default();
        {
            let mut state = self.0.lock();
            state.borrowed -= 1;
            state.returned += 1;
            state.serve(&mut wakes);
        }
        wakes.wake();
    }
}

impl LimiterState {
    fn has_room(&self) -> bool {
        self.borrowed < self.total
    }

    fn try_take(&mut self) -> Result<(), WouldBlock> {
        if !self.has_room() || !self.waiting.is_empty() {
            return Err(WouldBlock);
        }
        self.borrowed += 1;
        Ok(())
    }

    /// Notes a key that wants a token. Returns its serial number.
    fn enter(&mut self, key: &Arc<str>) -> Result<u64, AlreadyBorrowed> {
        if self.keys.contains_key(key) {
            return Err(AlreadyBorrowed { key: key.to_string() });
        }
        self.serial += 1;
        self.keys.insert(key.clone(), Borrower { serial: self.serial, served: false });
        Ok(self.serial)
    }

    fn served(&mut self, key: &str) {
        if let Some(entry) = self.keys.get_mut(key) {
            entry.served = true;
        }
    }

    fn count_guard(&mut self, task: Option<TaskId>) {
        if let Some(task) = task {
            *self.guards.entry(task).or_default() += 1;
        }
    }

    fn forget_guard(&mut self, task: TaskId) {
        if let Some(count) = self.guards.get_mut(&task) {
            *count -= 1;
            if *count == 0 {
                self.guards.remove(&task);
            }
        }
    }

    /// Gives free tokens to the waiters.
    fn serve(&mut self, wakes: &mut WakeList) {
        while self.has_room() {
            match self.waiting.serve(()) {
                Ok(mut waker) => {
                    self.borrowed += 1;
                    wakes.take(&mut waker);
                }
                Err(()) => break,
            }
        }
    }
}

impl fmt::Debug for CapacityLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("CapacityLimiter")
            .field("total", &state.total)
            .field("borrowed", &state.borrowed)
            .field("waiting", &state.waiting.len())
            .finish()
    }
}

/// A borrowed token; dropped, it is returned.
#[must_use = "the token is returned when it is dropped"]
pub struct Token {
    limiter: CapacityLimiter,
    owner: Owner,
}

enum Owner {
    /// A call, or no borrower in particular.
    None,
    /// It is a guard, taken by this task.
    Task(TaskId),
    /// It was borrowed on behalf of a key, under this serial number.
    Key(Arc<str>, u64),
}

impl Owner {
    fn of_task(task: Option<TaskId>) -> Owner {
        task.map_or(Owner::None, Owner::Task)
    }
}

impl Token {
    /// Detaches the token from the task that took it, for guards that are handed to another owner: a blocking
    /// call of that task with the same limiter may then wait for it.
    pub fn detach(mut self) -> Token {
        if let Owner::Task(task) = self.owner {
            self.limiter.0.lock().forget_guard(task);
            self.owner = Owner::None;
        }
        self
    }

    pub(super) fn limiter(&self) -> &CapacityLimiter {
        &self.limiter
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        match &self.owner {
            Owner::None => self.limiter.give_back(),
            Owner::Task(task) => {
                self.limiter.0.lock().forget_guard(*task);
                self.limiter.give_back();
            }
            Owner::Key(key, serial) => {
                self.limiter.give_back_of(key, *serial);
            }
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Token");
        out.field("limiter", &self.limiter);
        if let Owner::Key(key, _) = &self.owner {
            out.field("on_behalf_of", key);
        }
        out.finish()
    }
}

struct Tokens(CapacityLimiter);

impl Tokens {
    fn take_or_join_as(&self, ticket: &Arc<Ticket<()>>, first: bool) -> Option<()> {
        let mut state = self.0.0.lock();
        if state.has_room() && !state.waiting.is_before(first) {
            state.borrowed += 1;
            return Some(());
        }
        state.waiting.join(ticket.clone(), first);
        None
    }
}

impl Supply for Tokens {
    type Item = ();

    fn try_take(&self) -> Option<()> {
        self.0.0.lock().try_take().ok()
    }

    fn take_or_join(&self, ticket: &Arc<Ticket<()>>, first: bool) -> Option<()> {
        // Asked only when the call would wait: what a blocking job has begun goes before what starts.
        self.take_or_join_as(ticket, first || context::is_below_job())
    }

    fn leave(&self, ticket: &Arc<Ticket<()>>) {
        let handed = self.0.0.lock().waiting.remove(ticket);
        if handed.is_some() {
            self.0.give_back();
        }
    }
}

/// A place in the queue of a limiter, or the token that came of it; dropped, it goes to the next waiter.
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "it keeps a token from others"]
pub enum Turn {
    Waits(AcquireTokenFuture),
    Has(Token),
}

/// The future of [`CapacityLimiter::acquire`].
#[must_use = "futures do nothing unless polled"]
pub struct AcquireTokenFuture {
    take: Take<Tokens>,
    /// When the wait began.
    since: Option<Instant>,
    /// The token counts as a guard of the task that polls this.
    for_guard: bool,
}

impl AcquireTokenFuture {
    fn limiter(&self) -> &CapacityLimiter {
        &self.take.supply().0
    }

    /// From now on it goes before calls that start.
    pub(super) fn go_first(&mut self) {
        self.take.go_first();
    }

    /// Whether it is in the queue.
    fn is_waiting(&self) -> bool {
        self.take.is_waiting()
    }

    /// Whether it waits for a token that only its own task can return.
    pub(super) fn waits_for_itself(&self) -> bool {
        self.is_waiting() && self.limiter().waits_for_itself()
    }

    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.take.poll_take(cx);
        match (polled.is_ready(), self.since) {
            (true, Some(since)) => self.limiter().waited(since),
            (false, None) if self.is_waiting() => {
                self.since = Handle::try_current().ok().map(|handle| handle.now());
            }
            _ => (),
        }
        polled
    }
}

impl Future for AcquireTokenFuture {
    type Output = Token;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Token> {
        let Poll::Ready(()) = self.poll_taken(cx) else { return Poll::Pending };
        let task = if self.for_guard { context::task_id() } else { None };
        let limiter = self.limiter().clone();
        if task.is_some() {
            limiter.0.lock().count_guard(task);
        }
        Poll::Ready(Token { limiter, owner: Owner::of_task(task) })
    }
}

impl fmt::Debug for AcquireTokenFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AcquireTokenFuture").field(self.limiter()).finish()
    }
}

/// The future of [`CapacityLimiter::acquire_on_behalf_of`].
#[must_use = "futures do nothing unless polled"]
pub struct AcquireOnBehalfFuture {
    acquire: AcquireTokenFuture,
    key: Arc<str>,
    /// The serial number under which the key waits.
    entered: Option<u64>,
    called: Called,
}

impl AcquireOnBehalfFuture {
    fn give_up(&mut self) {
        if let Some(serial) = self.entered.take() {
            let mut state = self.acquire.limiter().0.lock();
            if state.keys.get(&self.key).is_some_and(|entry| entry.serial == serial && !entry.served) {
                state.keys.remove(&self.key);
            }
        }
    }
}

impl Future for AcquireOnBehalfFuture {
    type Output = Result<Token, AlreadyBorrowed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.entered.is_none() {
            ready!(leaf(true, this.called, cx, |_| Poll::Ready(())));
            let entered = this.acquire.limiter().0.lock().enter(&this.key);
            this.entered = Some(entered?);
        }
        match (this.acquire.poll_taken(cx), this.entered) {
            (Poll::Ready(()), Some(serial)) => {
                this.entered = None;
                let limiter = this.acquire.limiter().clone();
                limiter.0.lock().served(&this.key);
                Poll::Ready(Ok(Token { limiter, owner: Owner::Key(this.key.clone(), serial) }))
            }
            _ => {
                if !this.acquire.is_waiting() {
                    this.give_up();
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for AcquireOnBehalfFuture {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl fmt::Debug for AcquireOnBehalfFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireOnBehalfFuture").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Wakes the thread that made it.
pub(super) fn thread_waker() -> Waker {
    struct Parked(Thread);
    impl Wake for Parked {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    Waker::from(Arc::new(Parked(thread::current())))
}
