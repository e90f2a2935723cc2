//! The errors of sending and receiving.

use std::fmt;

use crate::wait::WouldBlock;

/// The item comes back: it cannot be sent.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError<T> {
    /// This end was closed.
    #[error("this sender was closed")]
    Closed(T),
    /// No receiver is left.
    #[error("no receiver is left")]
    Broken(T),
}

/// Why a `try_send` gave the item back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrySendError<T> {
    /// There is no room, or other senders wait.
    #[error("the channel is full, or others wait to send")]
    WouldBlock(T),
    /// This end was closed.
    #[error("this sender was closed")]
    Closed(T),
    /// No receiver is left.
    #[error("no receiver is left")]
    Broken(T),
}

/// Why no item will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecvError {
    /// This end was closed.
    #[error("this receiver was closed")]
    Closed,
    /// No sender is left, and no item.
    #[error("no sender is left, and no item")]
    EndOfStream,
}

/// Why a `try_recv` has no item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TryRecvError {
    /// None is there now.
    #[error(transparent)]
    WouldBlock(#[from] WouldBlock),
    /// This end was closed.
    #[error("this receiver was closed")]
    Closed,
    /// No sender is left, and no item.
    #[error("no sender is left, and no item")]
    EndOfStream,
}

impl<T> SendError<T> {
    /// The item.
    pub fn into_inner(self) -> T {
        match self {
            SendError::Closed(item) | SendError::Broken(item) => item,
        }
    }

    /// The same error with another item.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> SendError<U> {
        match self {
            SendError::Closed(item) => SendError::Closed(change(item)),
            SendError::Broken(item) => SendError::Broken(change(item)),
        }
    }
}

impl<T> TrySendError<T> {
    /// The item.
    pub fn into_inner(self) -> T {
        match self {
            TrySendError::WouldBlock(item) | TrySendError::Closed(item) | TrySendError::Broken(item) => item,
        }
    }
}

impl<T> From<SendError<T>> for TrySendError<T> {
    fn from(error: SendError<T>) -> Self {
        match error {
            SendError::Closed(item) => TrySendError::Closed(item),
            SendError::Broken(item) => TrySendError::Broken(item),
        }
    }
}

impl From<RecvError> for TryRecvError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Closed => TryRecvError::Closed,
            RecvError::EndOfStream => TryRecvError::EndOfStream,
        }
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Closed(_) => "Closed",
            SendError::Broken(_) => "Broken",
        })
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::WouldBlock(_) => "WouldBlock",
            TrySendError::Closed(_) => "Closed",
            TrySendError::Broken(_) => "Broken",
        })
    }
}
