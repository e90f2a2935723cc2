//! Channels that obey the rule of cancellation.
//!
//! | channel | for |
//! |---|---|
//! | [`bounded()`], [`unbounded()`] | each item goes to one of the receivers, strictly in order of asking |
//! | [`oneshot()`] | one item |
//! | [`broadcast()`] | each item goes to every receiver; a receiver that lags is told how many it missed |
//! | [`watch()`] | the latest value, to every receiver |
//!
//! What was handed to a receiver is not lost: a receiver that is gone before it has seen its item gives it to
//! the next, or back to the head of the buffer. Nothing is handed to a receiver whose scope is cancelled;
//! nothing is sent by a send that was dropped before it was ready.
//!
//! They are our own and not async-channel's and async-broadcast's, which wake a waiter and let it try again: a
//! newcomer may be faster, so there is no order, and a waiter that is cancelled keeps an item waiting until it
//! is gone.
//!
//! | error | when |
//! |---|---|
//! | `Closed` | this end was closed, by [`Sender::close`], [`Receiver::close`] |
//! | `Broken` | no receiver is left (AnyIO: `BrokenResourceError`) |
//! | `EndOfStream` | no sender is left, and no item |
//! | `WouldBlock` | a `try_` method would have to wait |

mod adapters;
pub mod broadcast;
mod error;
pub mod oneshot;
mod receiver;
mod sender;
mod state;
pub mod watch;

pub use adapters::{ReceiverStream, SenderSink};
pub use broadcast::broadcast;
pub use error::{RecvError, SendError, TryRecvError, TrySendError};
pub use oneshot::oneshot;
pub use receiver::{Receiver, RecvFuture};
pub use sender::{ReserveFuture, SendFuture, SendPermit, Sender};
pub use state::ChannelStatistics;
pub use watch::watch;

/// A channel with a buffer for `capacity` items; with zero every send waits for a receiver.
///
/// Both ends can be cloned; a clone has its own place in line, and is closed by itself. When no sender
/// is left, the receivers get what is on its way, and then the end of the stream; when no receiver is left,
/// what is on its way is dropped, and sending is an error.
///
/// ```
/// # futures::executor::block_on(async {
/// use anyrt_core::channel::{self, RecvError};
///
/// let (sender, receiver) = channel::bounded(2);
/// sender.send("one").await.unwrap();
/// sender.send("two").await.unwrap();
/// assert!(sender.try_send("three").is_err(), "it is full");
/// drop(sender);
/// assert_eq!(receiver.recv().await, Ok("one"));
/// assert_eq!(receiver.recv().await, Ok("two"));
/// assert_eq!(receiver.recv().await, Err(RecvError::EndOfStream));
/// # });
/// ```
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let channel = state::Channel::new(capacity);
    (Sender::first(channel.clone()), Receiver::first(channel))
}

/// A channel with a buffer without bounds: sending never waits, and [`Sender::try_send`] never would.
///
/// A receiver that is slower than its senders lets the memory grow: prefer [`bounded()`] where senders
/// can wait.
///
/// ```
/// let (sender, receiver) = anyrt_core::channel::unbounded();
/// for number in 0..1_000 {
///     sender.try_send(number).unwrap();
/// }
/// assert_eq!(receiver.len(), 1_000);
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    bounded(usize::MAX)
}
