//! The ends of a channel as `Stream` and `Sink`.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Sink, Stream};

use super::error::SendError;
use super::receiver::{Items, poll_next};
use super::sender::{Admissions, SendPermit};
use crate::wait::queue::Take;

/// The items of a channel as a `Stream`; what [`Receiver::into_stream`](super::Receiver::into_stream) makes.
///
/// While it is pending it is in the queue. If it is kept and not polled again, it may have been handed an item,
/// which no other receiver gets then; dropped, it gives the item to the next.
///
/// ```
/// # futures::executor::block_on(async {
/// use futures::StreamExt;
///
/// let (sender, receiver) = anyrt_core::channel::bounded(2);
/// sender.send(1).await.unwrap();
/// sender.send(2).await.unwrap();
/// drop(sender);
/// assert_eq!(receiver.into_stream().collect::<Vec<_>>().await, [1, 2]);
/// # });
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct ReceiverStream<T> {
    take: Take<Items<T>>,
}

impl<T> ReceiverStream<T> {
    pub(super) fn new(take: Take<Items<T>>) -> Self {
        ReceiverStream { take }
    }
}

impl<T> Stream for ReceiverStream<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        poll_next(&mut self.take, cx).map(Result::ok)
    }
}

impl<T> fmt::Debug for ReceiverStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReceiverStream").field(&self.take).finish()
    }
}

/// A channel as a `Sink`; what [`Sender::into_sink`](super::Sender::into_sink) makes. Closing it closes the sender.
///
/// It is ready when it has [reserved](super::Sender::reserve) a place, which it keeps until an item is sent or it is dropped.
///
/// ```
/// # futures::executor::block_on(async {
/// use futures::SinkExt;
///
/// let (sender, receiver) = anyrt_core::channel::bounded(1);
/// let mut sink = sender.into_sink();
/// sink.send("through the sink").await.unwrap();
/// sink.close().await.unwrap();
/// assert_eq!(receiver.recv().await, Ok("through the sink"));
/// assert!(receiver.recv().await.is_err());
/// # });
/// ```
#[must_use = "sinks do nothing unless polled"]
pub struct SenderSink<T> {
    take: Take<Admissions<T>>,
    /// The permit for the next item.
    permit: Option<SendPermit<T>>,
}

impl<T> SenderSink<T> {
    pub(super) fn new(take: Take<Admissions<T>>) -> Self {
        SenderSink { take, permit: None }
    }
}

impl<T> Sink<T> for SenderSink<T> {
    type Error = SendError<()>;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.permit.is_none() {
            let admission = ready!(self.take.poll_take(cx));
            admission.permits(())?;
            self.permit = Some(SendPermit::of(self.take.supply()));
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, item: T) -> Result<(), Self::Error> {
        let Some(permit) = self.permit.take() else {
            panic!("an item was given to a sink of a channel that had not said it is ready");
        };
        permit.send(item).map_err(|error| error.map(drop))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.permit = None;
        self.take.supply().end().close();
        Poll::Ready(Ok(()))
    }
}

impl<T> fmt::Debug for SenderSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SenderSink").field("take", &self.take).field("permit", &self.permit).finish()
    }
}
