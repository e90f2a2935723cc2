//! [`OnceCell`]: a value that is made once, by the first task that needs it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;

use crate::base::sync::{self, Arc, OnceLock};
use crate::base::wake_list::WakeList;
use crate::wait::queue::{Queue, Supply, Take, Ticket};

/// A value that is made once, asynchronously, by the first task that needs it; the others wait for it.
///
/// When making it fails, panics or is cancelled, the longest waiter makes it: async-lock's cell wakes any of
/// them, even one that is cancelled.
///
/// ```
/// # futures::executor::block_on(async {
/// use anyrt_core::OnceCell;
///
/// static SETTINGS: OnceCell<String> = OnceCell::new();
///
/// let settings = SETTINGS.get_or_init(async || "read from a file".to_string()).await;
/// assert_eq!(settings, "read from a file");
/// assert_eq!(SETTINGS.get(), Some(settings));
/// # });
/// ```
pub struct OnceCell<T> {
    value: OnceLock<T>,
    state: sync::Mutex<CellState>,
}

struct CellState {
    /// A task makes the value, or was handed the right to.
    making: bool,
    waiting: Queue<Handed>,
}

/// What a waiter is handed.
enum Handed {
    /// The right to make the value.
    Make,
    /// The news that the value is there.
    Made,
}

/// Why [`OnceCell::set`] gave the value back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError<T> {
    /// There is a value.
    #[error("the cell has a value already")]
    AlreadySet(T),
    /// A task is making one.
    #[error("somebody makes the value of the cell")]
    WouldBlock(T),
}

impl<T> OnceCell<T> {
    /// A cell without a value.
    #[cfg(not(anyrt_loom))]
    pub const fn new() -> OnceCell<T> {
        OnceCell {
            value: OnceLock::new(),
            state: sync::Mutex::new(CellState { making: false, waiting: Queue::new() }),
        }
    }

    /// A cell without a value.
    #[cfg(anyrt_loom)]
    pub fn new() -> OnceCell<T> {
        OnceCell {
            value: OnceLock::new(),
            state: sync::Mutex::new(CellState { making: false, waiting: Queue::new() }),
        }
    }

    /// The value, if it is there.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// The value, if it is there, to be changed.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// The value, if there is one.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Puts a value there; tasks that wait for one get it.
    ///
    /// # Errors
    ///
    /// [`SetError`] when there is one, or a task is making one.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        {
            let mut state = self.state.lock();
            if self.value.get().is_some() {
                return Err(SetError::AlreadySet(value));
            }
            if state.making {
                return Err(SetError::WouldBlock(value));
            }
            state.making = true;
        }
        Making { cell: self }.made(value);
        Ok(())
    }

    /// The value; made by `make` if there is none. A checkpoint.
    ///
    /// A `make` that asks the same cell waits for itself.
    ///
    /// # Panics
    ///
    /// With the panic of `make`; the next makes it then.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it makes the value, the longest waiter makes it, with a `make` of its own.
    #[track_caller]
    pub fn get_or_init<'a, F>(&'a self, make: F) -> impl Future<Output = &'a T>
    where
        F: AsyncFnOnce() -> T + 'a,
    {
        let take = Take::new(MakerQueue(self), Location::caller());
        async move {
            if let Some(making) = self.turn(take).await {
                making.made(make().await);
            }
            self.value()
        }
    }

    /// The value; made by `make` if there is none. A checkpoint.
    ///
    /// # Errors
    ///
    /// That of `make`; then the longest waiter makes it.
    ///
    /// # Panics, cancel safety
    ///
    /// As [`get_or_init`](OnceCell::get_or_init).
    #[track_caller]
    pub fn get_or_try_init<'a, F, E>(&'a self, make: F) -> impl Future<Output = Result<&'a T, E>>
    where
        F: AsyncFnOnce() -> Result<T, E> + 'a,
        E: 'a,
    {
        let take = Take::new(MakerQueue(self), Location::caller());
        async move {
            if let Some(making) = self.turn(take).await {
                making.made(make().await?);
            }
            Ok(self.value())
        }
    }

    /// How many wait for the value.
    pub fn waiting(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// The right to make the value; none if it is there.
    async fn turn<'a>(&'a self, mut take: Take<MakerQueue<'a, T>>) -> Option<Making<'a, T>> {
        match poll_fn(|cx| take.poll_take(cx)).await {
            Handed::Make => Some(Making { cell: self }),
            Handed::Made => None,
        }
    }

    fn value(&self) -> &T {
        match self.value.get() {
            Some(value) => value,
            None => unreachable!("somebody has made it"),
        }
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        OnceCell::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        OnceCell { value: OnceLock::from(value), ..OnceCell::new() }
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceCell")
            .field("value", &self.value.get())
            .field("waiting", &self.waiting())
            .finish()
    }
}

impl<T> fmt::Debug for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SetError::AlreadySet(_) => "AlreadySet",
            SetError::WouldBlock(_) => "WouldBlock",
        })
    }
}

/// The right to make the value: dropped before the value was made, it goes to the next waiter.
struct Making<'a, T> {
    cell: &'a OnceCell<T>,
}

impl<T> Making<'_, T> {
    fn made(self, value: T) {
        // No other task makes one, so the cell is empty.
        let _ = self.cell.value.set(value);
    }
}

impl<T> Drop for Making<'_, T> {
    fn drop(&mut self) {
        let mut wakes = WakeList::default();
        {
            let mut state = self.cell.state.lock();
            state.making = false;
            if self.cell.value.get().is_some() {
                state.waiting.answer(|_| true, || Handed::Made, &mut wakes);
            } else if let Ok(mut waker) = state.waiting.serve(Handed::Make) {
                state.making = true;
                wakes.take(&mut waker);
            }
        }
        wakes.wake();
    }
}

struct MakerQueue<'a, T>(&'a OnceCell<T>);

impl<T> Supply for MakerQueue<'_, T> {
    type Item = Handed;

    fn try_take(&self) -> Option<Handed> {
        self.0.value.get().map(|_| Handed::Made)
    }

    fn take_or_join(&self, ticket: &Arc<Ticket<Handed>>, first: bool) -> Option<Handed> {
        let mut state = self.0.state.lock();
        if self.0.value.get().is_some() {
            return Some(Handed::Made);
        }
        if state.making {
            state.waiting.join(ticket.clone(), first);
            return None;
        }
        state.making = true;
        Some(Handed::Make)
    }

    fn leave(&self, ticket: &Arc<Ticket<Handed>>) {
        let handed = self.0.state.lock().waiting.remove(ticket);
        if let Some(Handed::Make) = handed {
            drop(Making { cell: self.0 });
        }
    }
}
