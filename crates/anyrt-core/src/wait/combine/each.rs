//! One future for each of many: `for_each_concurrent`, `map_concurrent`, `join_all`.

use std::future::{Future, poll_fn};
use std::num::NonZeroUsize;
use std::panic::Location;
use std::task::Poll;

use super::unordered::Unordered;
use crate::current::gate::leaf;
use crate::current::{budget, context};
use crate::tree::site::Called;

/// Calls `each` for every item, at most `limit` at once, in this task; `None` is no limit.
///
/// # Panics
///
/// With the panic of a call; the others are dropped then.
///
/// # Cancel safety
///
/// Cancelled, no further call is begun, and each call that was begun is dropped by itself, when nothing in it
/// holds. If these end all the same, it returns if no item is left: an iterator whose
/// [`size_hint`](Iterator::size_hint) does not tell is then asked for one more item. Dropped by foreign code,
/// all calls are dropped with it.
#[track_caller]
pub fn for_each_concurrent<I, F>(
    items: I,
    limit: impl Into<Option<NonZeroUsize>>,
    each: F,
) -> impl Future<Output = ()>
where
    I: IntoIterator,
    F: AsyncFn(I::Item),
{
    let what = What { name: "for_each_concurrent", called: Location::caller() };
    run(what, items, limit.into(), each, |_, ()| ())
}

/// Calls `each` for every item, at most `limit` at once, in this task; the values in the order of the
/// items. `None` is no limit.
///
/// ```
/// # async fn demo() {
/// use std::num::NonZeroUsize;
///
/// let two = NonZeroUsize::new(2);
/// let squares = anyrt_core::map_concurrent([1, 2, 3], two, async |n| n * n).await;
/// assert_eq!(squares, [1, 4, 9]);
/// # }
/// ```
///
/// # Panics, cancel safety
///
/// As [`for_each_concurrent`].
#[track_caller]
pub fn map_concurrent<I, F, T>(
    items: I,
    limit: impl Into<Option<NonZeroUsize>>,
    each: F,
) -> impl Future<Output = Vec<T>>
where
    I: IntoIterator,
    F: AsyncFn(I::Item) -> T,
{
    let what = What { name: "map_concurrent", called: Location::caller() };
    let limit = limit.into();
    async move {
        let mut values = Vec::new();
        run(what, items, limit, each, |index, value| {
            if values.len() <= index {
                values.resize_with(index + 1, || None);
            }
            values[index] = Some(value);
        })
        .await;
        values.into_iter().flatten().collect()
    }
}

/// Runs all `futures` at once, in this task, and waits for all; their values in their order.
///
/// ```
/// # async fn demo() {
/// let values = anyrt_core::join_all([1, 2, 3].map(|n| async move { n * n })).await;
/// assert_eq!(values, [1, 4, 9]);
/// # }
/// ```
///
/// # Panics
///
/// With the first panic of a future; the others are dropped then.
///
/// # Cancel safety
///
/// Cancelled, each future is dropped by itself, when nothing in it holds. Dropped by foreign code,
/// all are dropped with it.
pub async fn join_all<I>(futures: I) -> Vec<<I::Item as Future>::Output>
where
    I: IntoIterator,
    I::Item: Future,
{
    let mut running = Unordered::new();
    for (index, future) in futures.into_iter().enumerate() {
        running.push(index, future);
    }
    let mut values: Vec<_> = std::iter::repeat_with(|| None).take(running.len()).collect();
    while let Some((index, value)) = poll_fn(|cx| running.poll_next("join_all", cx)).await {
        values[index] = Some(value);
    }
    values.into_iter().flatten().collect()
}

/// The values of `futures`, run at once in the calling task, in the order in which they are ready.
///
/// ```
/// # async fn demo() {
/// let mut values = anyrt_core::as_completed([1, 2, 3].map(|n| async move { n }));
/// let mut sum = 0;
/// while let Some(value) = values.next().await {
///     sum += value;
/// }
/// assert_eq!(sum, 6);
/// # }
/// ```
pub fn as_completed<I>(futures: I) -> AsCompleted<I::Item>
where
    I: IntoIterator,
    I::Item: Future,
{
    let running = Unordered::new();
    for (index, future) in futures.into_iter().enumerate() {
        running.push(index, future);
    }
    AsCompleted(running)
}

/// What [`as_completed`] returns.
#[must_use = "the futures do nothing unless `next` is awaited"]
pub struct AsCompleted<F: Future>(Unordered<F>);

impl<F: Future> AsCompleted<F> {
    /// The next value; none when all have come. The futures run while it is awaited, and only then.
    ///
    /// # Panics
    ///
    /// With the panic of a future.
    ///
    /// # Cancel safety
    ///
    /// No value is lost when it is dropped, and the futures stay: the next call goes on. Cancelled, each
    /// future is dropped by itself, when nothing in it holds.
    pub async fn next(&mut self) -> Option<F::Output> {
        poll_fn(|cx| {
            // The budget is spent: other tasks get a turn.
            if budget::is_spent(cx.waker()) {
                return Poll::Pending;
            }
            let polled = self.0.poll_next("as_completed", cx);
            if polled.is_ready() {
                budget::spend();
            }
            polled
        })
        .await
        .map(|(_, value)| value)
    }

    /// How many values have not come yet.
    pub fn remaining(&self) -> usize {
        self.0.len()
    }
}

impl<F: Future> std::fmt::Debug for AsCompleted<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsCompleted").field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}

/// The caller, for messages and the task view.
struct What {
    name: &'static str,
    called: Called,
}

/// Runs `each` for every item, and hands the values to `take` as they come.
async fn run<I, F, T>(
    what: What,
    items: I,
    limit: Option<NonZeroUsize>,
    each: F,
    mut take: impl FnMut(usize, T),
) where
    I: IntoIterator,
    F: AsyncFn(I::Item) -> T,
{
    let limit = limit.map_or(usize::MAX, NonZeroUsize::get);
    let mut items = Items::new(items.into_iter());
    let mut running = Unordered::new();
    poll_fn(|cx| {
        loop {
            while !items.exhausted && running.len() < limit {
                if leaf(true, what.called, cx, |_| Poll::Ready(())).is_pending() {
                    if context::view().0 {
                        break;
                    }
                    // The budget is spent: other tasks get a turn.
                    return Poll::Pending;
                }
                if let Some((index, item)) = items.take() {
                    running.push(index, each(item));
                }
            }
            // A cancellation begins nothing more, but does not take away what has ended.
            if running.len() == 0 && !items.exhausted && !(context::view().0 && items.are_all_taken()) {
                return Poll::Pending;
            }
            match running.poll_next(what.name, cx) {
                Poll::Ready(Some((index, value))) => take(index, value),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

/// The items that were not taken yet.
struct Items<I: Iterator> {
    rest: I,
    /// Taken ahead, to see whether there is one.
    next: Option<I::Item>,
    taken: usize,
    /// The iterator has ended.
    exhausted: bool,
}

impl<I: Iterator> Items<I> {
    fn new(rest: I) -> Items<I> {
        Items { rest, next: None, taken: 0, exhausted: false }
    }

    /// The next one, with its index.
    fn take(&mut self) -> Option<(usize, I::Item)> {
        let Some(item) = self.next.take().or_else(|| self.rest.next()) else {
            self.exhausted = true;
            return None;
        };
        self.taken += 1;
        Some((self.taken - 1, item))
    }

    /// Whether no item is left; found out without taking one, where the iterator can say.
    fn are_all_taken(&mut self) -> bool {
        if self.next.is_none() {
            self.exhausted = match self.rest.size_hint() {
                (_, Some(0)) => true,
                (0, _) => {
                    self.next = self.rest.next();
                    self.next.is_none()
                }
                _ => false,
            };
        }
        self.exhausted
    }
}
