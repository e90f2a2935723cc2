//! [`iterate_blocking`]: an iterator that blocks, as a stream.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_util::Stream;

use super::limiter::CapacityLimiter;
use super::run::{BlockingCall, RunBlocking, drop_called_at};
use crate::base::sync::{Arc, Mutex};
use crate::current::context;
use crate::current::gate::{Gate, handed};
use crate::current::handle::Handle;
use crate::tree::moment::Moment;
use crate::tree::site::{self, Called};

/// How many items are pulled in one hop to a thread, by default.
const BATCH: usize = 64;

/// After how long a batch ends that is not full.
const TURN: Duration = Duration::from_millis(1);

/// Pulls the items of `items` in threads of the pool, and hands them out as a stream.
///
/// One hop to a thread and one token pay for a *batch*: up to 64 items, or what comes within a millisecond; at
/// least one. Each item is handed out as soon as it is there, so a slow item does not delay those before it.
/// Consecutive batches may come from different threads. The next one is begun when the last was handed out, so
/// the iterator is never further ahead than one batch; [`batch`](IterateBlocking::batch) sets its size.
///
/// The iterator is dropped in a thread, too: at its end, or when the stream is dropped before.
///
/// ```
/// # async fn demo() -> std::io::Result<()> {
/// use std::io::{BufRead as _, BufReader};
/// use std::fs::File;
///
/// let file = anyrt_core::run_blocking(|| File::open("Cargo.toml")).await?;
/// let mut lines = anyrt_core::iterate_blocking(BufReader::new(file).lines());
/// while let Some(line) = lines.next().await {
///     println!("{}", line?);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// The stream, with the panic of the iterator, after the items that came before it; and as
/// [`run_blocking`](crate::run_blocking). The stream has ended then.
///
/// # Cancel safety
///
/// No item is lost. Cancelled, nothing more is handed out; the scope waits until the thread is done with its
/// current item, and no further one is pulled. That the iterator has ended is reported all the same, if it has
/// said so (by a `next`, or by its [`size_hint`](Iterator::size_hint)): a consumer that has worked on all items
/// goes on. Dropped by foreign code, that thread is not waited for.
#[track_caller]
pub fn iterate_blocking<I>(items: I) -> IterateBlocking<I>
where
    I: IntoIterator + Send + 'static,
    I::IntoIter: Send,
    I::Item: Send,
{
    IterateBlocking {
        batch: BATCH,
        limiter: None,
        called: Location::caller(),
        shelf: Arc::new(Shelf::default()),
        ready: VecDeque::new(),
        state: Phase::Rests(Kept::new(Source::New(items), Location::caller())),
        end_is_told: false,
    }
}

/// The stream of [`iterate_blocking`].
#[must_use = "streams do nothing unless polled"]
pub struct IterateBlocking<I>
where
    I: IntoIterator + Send + 'static,
    I::IntoIter: Send,
    I::Item: Send,
{
    batch: usize,
    limiter: Option<CapacityLimiter>,
    called: &'static Location<'static>,
    /// Where the thread leaves items.
    shelf: Arc<Shelf<I::Item>>,
    /// Taken off the shelf, to be handed out.
    ready: VecDeque<I::Item>,
    state: Phase<I>,
    /// The consumer was told that there is no further item.
    end_is_told: bool,
}

enum Phase<I>
where
    I: IntoIterator + Send + 'static,
    I::IntoIter: Send,
    I::Item: Send,
{
    Rests(Kept<I>),
    Pulls(BlockingCall<Pull<I>, Option<Kept<I>>>),
    Panicked(Box<dyn Any + Send>),
    Ended,
}

/// One batch; the rest, or none at the end.
type Pull<I> = Box<dyn FnOnce() -> Option<Kept<I>> + Send>;

enum Source<I: IntoIterator> {
    New(I),
    Begun(I::IntoIter),
}

impl<I> IterateBlocking<I>
where
    I: IntoIterator + Send + 'static,
    I::IntoIter: Send,
    I::Item: Send,
{
    /// How many items are pulled in one hop at most, and so how far the iterator may be ahead; 64 by default.
    /// With one, it is as lazy as the iterator itself.
    pub fn batch(mut self, items: NonZeroUsize) -> IterateBlocking<I> {
        self.batch = items.get();
        self
    }

    /// Takes the tokens from this limiter in place of the run's.
    pub fn limiter(mut self, limiter: &CapacityLimiter) -> IterateBlocking<I> {
        self.limiter = Some(limiter.clone());
        self
    }

    /// The next item; none when the iterator has ended.
    ///
    /// # Panics, cancel safety
    ///
    /// As [`iterate_blocking`].
    #[track_caller]
    #[expect(clippy::should_implement_trait, reason = "the same word for the same thing, awaited")]
    pub fn next(&mut self) -> impl Future<Output = Option<I::Item>> {
        let called = Location::caller();
        poll_fn(move |cx| self.poll_next_at(called, cx))
    }

    fn poll_next_at(&mut self, called: Called, cx: &mut Context<'_>) -> Poll<Option<I::Item>> {
        let before = site::noted();
        let polled = handed(true, called, cx, |cx, gate| match gate {
            Gate::Shut if !context::is_in_time(self.shelf.woken_at()) => Poll::Pending,
            _ => self.poll_item(cx),
        });
        if polled.is_pending() && context::view().0 && self.poll_end(cx).is_ready() {
            site::take_back(before);
            return Poll::Ready(None);
        }
        polled
    }

    /// In a cancelled scope: whether all items were handed out and there is no further one. Ready once, so that
    /// a loop that asks for ever is stopped.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.end_is_told || !self.ready.is_empty() {
            return Poll::Pending;
        }
        if let Phase::Pulls(_) = &self.state {
            // Items that the consumer was woken for while it waited stay there until it asks for them.
            let left = self.shelf.woken_at().is_some() || self.shelf.take(&mut self.ready, Some(cx.waker()));
            if left || self.poll_call(cx).is_pending() {
                return Poll::Pending;
            }
        }
        self.end_is_told = self.ready.is_empty() && matches!(self.state, Phase::Ended);
        if self.end_is_told { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits for the end of the batch that is being pulled; what is left of it is ready then.
    fn poll_call(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Phase::Pulls(call) = &mut self.state else { return Poll::Ready(()) };
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(call).poll(cx)));
        self.state = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Some(rest))) => Phase::Rests(rest),
            Ok(Poll::Ready(None)) => Phase::Ended,
            Err(payload) => Phase::Panicked(payload),
        };
        // What was left there before its end.
        self.shelf.take(&mut self.ready, None);
        Poll::Ready(())
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<I::Item>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Poll::Ready(Some(item));
            }
            match &mut self.state {
                Phase::Rests(kept) => {
                    let kept = kept.moved();
                    self.state = Phase::Pulls(self.pull(kept));
                }
                Phase::Pulls(_) => {
                    if !self.shelf.take(&mut self.ready, Some(cx.waker())) {
                        ready!(self.poll_call(cx));
                    }
                }
                Phase::Panicked(_) => {
                    if let Phase::Panicked(payload) = std::mem::replace(&mut self.state, Phase::Ended) {
                        resume_unwind(payload);
                    }
                }
                Phase::Ended => {
                    self.end_is_told = true;
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn pull(&self, mut kept: Kept<I>) -> BlockingCall<Pull<I>, Option<Kept<I>>> {
        let (shelf, batch, called) = (self.shelf.clone(), self.batch, self.called);
        let handle = Handle::current_for(self.called);
        let pull: Pull<I> = {
            let handle = handle.clone();
            Box::new(move || {
                let rest = pull(kept.source.take()?, &shelf, batch, &handle)?;
                Some(Kept::new(rest, called))
            })
        };
        let call = RunBlocking::called_at(pull, self.called).on(handle);
        match &self.limiter {
            Some(limiter) => call.limiter(limiter).into_future(),
            None => call.into_future(),
        }
    }
}

/// Pulls a batch, in a thread.
fn pull<I: IntoIterator>(
    source: Source<I>,
    shelf: &Shelf<I::Item>,
    batch: usize,
    handle: &Handle,
) -> Option<Source<I>> {
    let mut items = match source {
        Source::New(items) => items.into_iter(),
        Source::Begun(items) => items,
    };
    let begun = handle.now();
    for _ in 0..batch {
        shelf.put(items.next()?)?;
        if handle.now().saturating_duration_since(begun) >= TURN || is_cancelled() {
            break;
        }
    }
    // Its end is known without asking for one more item, so it does not depend on the size of a batch.
    (items.size_hint().1 != Some(0)).then_some(Source::Begun(items))
}

/// Whether the consumer's scope is cancelled.
fn is_cancelled() -> bool {
    context::top().is_some_and(|top| top.node().is_cancelled())
}

impl<I> Stream for IterateBlocking<I>
where
    I: IntoIterator + Send + 'static,
    I::IntoIter: Send,
    I::Item: Send,
{
    type Item = I::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<I::Item>> {
        let this = self.get_mut();
        let called = this.called;
        this.poll_next_at(called, cx)
    }
}

// Nothing in it is pinned: the items and the iterator are only moved.
impl<I> Unpin for IterateBlocking<I>
where
    I: IntoIterator + Send + 'static,
    I::IntoIter: Send,
    I::Item: Send,
{
}

impl<I> Drop for IterateBlocking<I>
where
    I: IntoIterator + Send + 'static,
    I::IntoIter: Send,
    I::Item: Send,
{
    fn drop(&mut self) {
        self.shelf.close();
    }
}

impl<I> fmt::Debug for IterateBlocking<I>
where
    I: IntoIterator + Send + 'static,
    I::IntoIter: Send,
    I::Item: Send,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            Phase::Rests(_) => "rests",
            Phase::Pulls(_) => "pulls",
            Phase::Panicked(_) => "panicked",
            Phase::Ended => "ended",
        };
        f.debug_struct("IterateBlocking").field("state", &state).field("ready", &self.ready.len()).finish()
    }
}

/// An iterator that is in no thread at the moment. Its destructor may block, so a thread runs it.
struct Kept<I>
where
    I: IntoIterator + Send + 'static,
    I::IntoIter: Send,
{
    source: Option<Source<I>>,
    called: &'static Location<'static>,
}

impl<I> Kept<I>
where
    I: IntoIterator + Send + 'static,
    I::IntoIter: Send,
{
    fn new(source: Source<I>, called: &'static Location<'static>) -> Kept<I> {
        Kept { source: Some(source), called }
    }

    fn moved(&mut self) -> Kept<I> {
        Kept { source: self.source.take(), called: self.called }
    }
}

impl<I> Drop for Kept<I>
where
    I: IntoIterator + Send + 'static,
    I::IntoIter: Send,
{
    fn drop(&mut self) {
        if let Some(source) = self.source.take() {
            drop_called_at(source, self.called);
        }
    }
}

/// Where the thread leaves items for the consumer.
struct Shelf<T>(Mutex<Items<T>>);

struct Items<T> {
    items: VecDeque<T>,
    consumer: Option<Waker>,
    /// When the waiting consumer was woken for an item.
    woken_at: Option<Moment>,
    /// The consumer has gone.
    closed: bool,
}

impl<T> Shelf<T> {
    /// None if the consumer has gone: the item is dropped.
    fn put(&self, item: T) -> Option<()> {
        let mut items = self.0.lock();
        if items.closed {
            drop(items);
            return None;
        }
        items.items.push_back(item);
        let consumer = items.consumer.take();
        if consumer.is_some() {
            items.woken_at = Some(Moment::now());
        }
        drop(items);
        if let Some(consumer) = consumer {
            consumer.wake();
        }
        Some(())
    }

    /// Moves what is there to `ready`, which is empty; if there is nothing, leaves a waker that the next item
    /// wakes.
    fn take(&self, ready: &mut VecDeque<T>, waker: Option<&Waker>) -> bool {
        let waker = waker.cloned();
        let mut items = self.0.lock();
        items.woken_at = None;
        std::mem::swap(&mut items.items, ready);
        let old = if ready.is_empty() { std::mem::replace(&mut items.consumer, waker) } else { None };
        drop(items);
        drop(old);
        !ready.is_empty()
    }

    fn woken_at(&self) -> Option<Moment> {
        self.0.lock().woken_at
    }

    fn close(&self) {
        let (left, consumer) = {
            let mut items = self.0.lock();
            items.closed = true;
            (std::mem::take(&mut items.items), items.consumer.take())
        };
        drop((left, consumer));
    }
}

impl<T> Default for Shelf<T> {
    fn default() -> Shelf<T> {
        Shelf(Mutex::new(Items { items: VecDeque::new(), consumer: None, woken_at: None, closed: false }))
    }
}
