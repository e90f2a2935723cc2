//! [`CapacityLimiter`]: how many may do something at once, first come first served.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::queue::{Queue, Supply, Take, Ticket};
use crate::sync::{Arc, Mutex};
use crate::wake::WakeList;

/// A number of tokens, borrowed and returned, in strict order of asking.
///
/// Nobody overtakes: while somebody waits, [`try_acquire`](CapacityLimiter::try_acquire) fails even
/// if a token is free. A token that is returned is reserved for the first waiter at that moment
/// (anyio#1170). Cheap to clone; the clones share the tokens. Usable before a runtime exists.
#[derive(Clone)]
pub struct CapacityLimiter(Arc<Mutex<State>>);

/// Invariant: somebody waits only while no token is free for them: `borrowed >= total`, but for
/// waiters whose scope is cancelled, which are passed over.
struct State {
    total: usize,
    borrowed: usize,
    waiting: Queue<()>,
}

/// The answer of a `try_` method that would have to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it would have to wait: nothing is free, or others wait already")]
pub struct WouldBlock;

impl CapacityLimiter {
    /// A limiter of `total` tokens. With zero everybody waits until the total is raised.
    pub fn new(total: usize) -> CapacityLimiter {
        CapacityLimiter(Arc::new(Mutex::new(State { total, borrowed: 0, waiting: Queue::new() })))
    }

    /// A limiter that never makes anybody wait.
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
    pub fn acquire(&self) -> Acquire {
        Acquire { take: Take::new(Tokens(self.clone())) }
    }

    /// Borrows a token, if one is free and nobody waits.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] otherwise.
    pub fn try_acquire(&self) -> Result<Token, WouldBlock> {
        let mut state = self.0.lock();
        if !state.has_room() || !state.waiting.is_empty() {
            return Err(WouldBlock);
        }
        state.borrowed += 1;
        drop(state);
        Ok(Token { limiter: self.clone() })
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

    /// How many wait for a token.
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

    fn give_back(&self) {
        let mut wakes = WakeList::default();
        {
            let mut state = self.0.lock();
            state.borrowed -= 1;
            state.serve(&mut wakes);
        }
        wakes.wake();
    }
}

impl State {
    fn has_room(&self) -> bool {
        self.borrowed < self.total
    }

    /// Gives what is free to those who wait.
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
#[derive(Debug)]
#[must_use = "the token is returned when it is dropped"]
pub struct Token {
    limiter: CapacityLimiter,
}

impl Drop for Token {
    fn drop(&mut self) {
        self.limiter.give_back();
    }
}

struct Tokens(CapacityLimiter);

impl Supply for Tokens {
    type Item = ();

    fn take_or_join(&self, ticket: &Arc<Ticket<()>>, first: bool) -> Option<()> {
        let mut state = self.0.0.lock();
        if state.has_room() && (first || state.waiting.is_empty()) {
            state.borrowed += 1;
            return Some(());
        }
        state.waiting.join(ticket.clone(), first);
        None
    }

    fn leave(&self, ticket: &Arc<Ticket<()>>) {
        self.0.0.lock().waiting.remove(ticket);
        if ticket.retire().is_some() {
            self.0.give_back();
        }
    }
}

/// The future of [`CapacityLimiter::acquire`].
#[must_use = "futures do nothing unless polled"]
pub struct Acquire {
    take: Take<Tokens>,
}

impl Future for Acquire {
    type Output = Token;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Token> {
        self.take.poll_take(cx).map(|()| Token { limiter: self.take.supply().0.clone() })
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Acquire").field(&self.take.supply().0).finish()
    }
}
