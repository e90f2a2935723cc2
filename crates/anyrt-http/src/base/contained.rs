//! Code of others, kept from harming what is around it: its panic is reported, and ends nothing else.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::panics::message;
use super::panics::report;

/// A panic that was reported, and its message.
#[derive(Debug, Clone, thiserror::Error)]
#[error("it panicked: {0}")]
pub(crate) struct Panicked(pub(crate) Arc<str>);

/// Runs code that may panic.
pub(crate) fn contained<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        report(&*panic);
        let panicked = Panicked(message(&*panic).into());
        // What was thrown may have a destructor of its own.
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            std::mem::forget(again);
        }
        panicked
    })
}

/// Drops what may panic.
pub(crate) fn let_go<T>(value: T) {
    let _ = contained(|| drop(value));
}

pin_project! {
    /// A future that ends in nothing when it panics, in a poll or when it is dropped.
    pub(crate) struct Contained<F> {
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Contained<F> {
        fn drop(this: Pin<&mut Self>) {
            let _ = contained(|| this.project().future.set(None));
        }
    }
}

impl<F> Contained<F> {
    pub(crate) fn new(future: F) -> Self {
        Contained { future: Some(future) }
    }
}

impl<F: Future> Future for Contained<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut future = self.project().future;
        let Some(inner) = future.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let ended = match contained(|| inner.poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Some(value),
            Err(_) => None,
        };
        let _ = contained(|| future.set(None));
        Poll::Ready(ended)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{poll_fn, ready};
    use std::panic::panic_any;
    use std::task::Poll;

    use futures_util::FutureExt;

    use super::{Contained, contained};

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("when dropped");
        }
    }

    #[test]
    fn a_panic_is_its_message_whatever_was_thrown() {
        assert_eq!(
            &*contained(|| panic!("a text")).map_err(|panicked| panicked.0).expect_err("a panic"),
            "a text"
        );
        assert!(contained(|| panic_any(Bomb)).is_err());
        assert_eq!(contained(|| 7).ok(), Some(7));
    }

    #[test]
    fn a_future_harms_nobody_in_its_polls_and_its_drop() {
        assert_eq!(Contained::new(ready(7)).now_or_never(), Some(Some(7)));
        let panics = async { panic!("in a poll") };
        assert_eq!(Contained::new(panics).now_or_never(), Some(None::<()>));
        let bomb = Bomb;
        drop(Contained::new(async move { drop(bomb) }));
        let bomb = Bomb;
        let keeps = poll_fn(move |_| {
            let _kept = &bomb;
            Poll::Ready(7)
        });
        assert_eq!(Contained::new(keeps).now_or_never(), Some(Some(7)), "it has ended when it is dropped");
    }
}
