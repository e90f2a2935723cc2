//! Everything that works as a lock, behind one face: what holds for one holds for all.

use std::any::Any;

use anyrt_core::{CapacityLimiter, Mutex, RwLock, Semaphore, channel};
use futures::FutureExt;
use futures::future::BoxFuture;

/// What has the lock; dropped, it is released.
pub(crate) type Held = Box<dyn Any + Send>;

/// A lock of some type.
pub(crate) struct LockLike {
    pub(crate) name: &'static str,
    enter: Box<dyn Fn() -> BoxFuture<'static, Held> + Send + Sync>,
    try_enter: Box<dyn Fn() -> Option<Held> + Send + Sync>,
    waiting: Box<dyn Fn() -> usize + Send + Sync>,
}

impl LockLike {
    pub(crate) fn enter(&self) -> BoxFuture<'static, Held> {
        (self.enter)()
    }

    pub(crate) fn try_enter(&self) -> Option<Held> {
        (self.try_enter)()
    }

    pub(crate) fn waiting(&self) -> usize {
        (self.waiting)()
    }
}

/// A lock of each type, free.
pub(crate) fn lock_likes() -> Vec<LockLike> {
    vec![
        {
            let (lock, again, asked) = three(Mutex::new(()));
            LockLike {
                name: "lock",
                enter: Box::new(move || lock.lock().map(held).boxed()),
                try_enter: Box::new(move || again.try_lock().ok().map(held)),
                waiting: Box::new(move || asked.waiting()),
            }
        },
        {
            let (lock, again, asked) = three(RwLock::new(()));
            LockLike {
                name: "writing",
                enter: Box::new(move || lock.write().map(held).boxed()),
                try_enter: Box::new(move || again.try_write().ok().map(held)),
                waiting: Box::new(move || asked.waiting()),
            }
        },
        {
            let (semaphore, again, asked) = three(Semaphore::new(1));
            LockLike {
                name: "semaphore",
                enter: Box::new(move || semaphore.acquire().map(held).boxed()),
                try_enter: Box::new(move || again.try_acquire().ok().map(held)),
                waiting: Box::new(move || asked.waiting()),
            }
        },
        {
            let (limiter, again, asked) = three(CapacityLimiter::new(1));
            LockLike {
                name: "limiter",
                enter: Box::new(move || limiter.acquire().map(held).boxed()),
                try_enter: Box::new(move || again.try_acquire().ok().map(held)),
                waiting: Box::new(move || asked.waiting()),
            }
        },
        channel_as_lock(),
    ]
}

fn three<T: Clone>(of: T) -> (T, T, T) {
    (of.clone(), of.clone(), of)
}

fn held<T: Send + 'static>(guard: T) -> Held {
    Box::new(guard)
}

/// Who has received the one item has the lock, and sends it back.
fn channel_as_lock() -> LockLike {
    struct SendsBack(channel::Sender<()>);
    impl Drop for SendsBack {
        fn drop(&mut self) {
            let _ = self.0.try_send(());
        }
    }

    let (sender, receiver) = channel::bounded(1);
    assert!(sender.try_send(()).is_ok());
    let (receiver, again, asked) = three(receiver);
    let (sender, also) = (sender.clone(), sender);
    LockLike {
        name: "channel",
        enter: Box::new(move || {
            let (receiver, sender) = (receiver.clone(), sender.clone());
            async move {
                receiver.recv().await.expect("there is a sender");
                held(SendsBack(sender))
            }
            .boxed()
        }),
        try_enter: Box::new(move || again.try_recv().ok().map(|()| held(SendsBack(also.clone())))),
        waiting: Box::new(move || asked.waiting()),
    }
}
