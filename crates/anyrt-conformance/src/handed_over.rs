//! What is handed over before a cancellation is the waiter's; what comes after is not. For each leaf, and
//! by order alone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use anyrt_core::channel::{bounded, broadcast, oneshot, unbounded, watch};
use anyrt_core::{
    CancelScope, Condition, Event, Mutex, RwLock, ScopeHandle, Semaphore, checkpoint, iterate_blocking,
    local_group, sleep, task_group, wait_all_tasks_blocked,
};

use crate::counting::Counter;
use crate::time::AN_HOUR;

/// One who waits, and what hands over what it waits for.
struct Pair {
    waits: Pin<Box<dyn Future<Output = ()> + Send>>,
    give: Box<dyn FnOnce() + Send>,
}

impl Pair {
    fn new(waits: impl Future<Output = ()> + Send + 'static, give: impl FnOnce() + Send + 'static) -> Pair {
        Pair { waits: Box::pin(waits), give: Box::new(give) }
    }
}

type Make = fn() -> Pair;

/// A pair of each kind whose giver is a call. Who waited may be gone when it gives.
const PAIRS: [(&str, Make); 14] = [
    ("event", || {
        let event = Event::new();
        let told = event.clone();
        Pair::new(async move { event.wait().await }, move || told.set())
    }),
    ("receiving", || {
        let (sender, receiver) = bounded(1);
        Pair::new(
            async move {
                let _ = receiver.recv().await;
            },
            move || {
                let _ = sender.try_send(1);
            },
        )
    }),
    ("receiving without a buffer", || {
        let (sender, receiver) = bounded(0);
        Pair::new(
            async move {
                let _ = receiver.recv().await;
            },
            move || {
                let _ = sender.try_send(1);
            },
        )
    }),
    ("receiving without bounds", || {
        let (sender, receiver) = unbounded();
        Pair::new(
            async move {
                let _ = receiver.recv().await;
            },
            move || {
                let _ = sender.try_send(1);
            },
        )
    }),
    ("the end of a channel", || {
        let (sender, receiver) = bounded::<u8>(1);
        Pair::new(
            async move {
                let _ = receiver.recv().await;
            },
            move || drop(sender),
        )
    }),
    ("sending", || {
        let (sender, receiver) = bounded(1);
        sender.try_send(1).expect("there is room");
        Pair::new(
            async move {
                let _ = sender.send(2).await;
            },
            move || {
                let _ = receiver.try_recv();
            },
        )
    }),
    ("oneshot", || {
        let (sender, mut receiver) = oneshot();
        Pair::new(async move { assert_eq!(receiver.recv().await, Ok(1)) }, move || {
            let _ = sender.send(1);
        })
    }),
    ("oneshot without an item", || {
        let (sender, mut receiver) = oneshot::<u8>();
        Pair::new(async move { assert!(receiver.recv().await.is_err()) }, move || drop(sender))
    }),
    ("watch", || {
        let (sender, mut receiver) = watch(1);
        Pair::new(async move { assert_eq!(receiver.changed().await.as_deref(), Ok(&2)) }, move || {
            sender.send(2);
        })
    }),
    ("broadcast", || {
        let (sender, mut receiver) = broadcast(2);
        Pair::new(async move { assert_eq!(receiver.recv().await, Ok(1)) }, move || {
            let _ = sender.send(1);
        })
    }),
    ("lock", || {
        let lock = Mutex::new(());
        let guard = lock.try_lock().expect("nobody has it");
        Pair::new(async move { drop(lock.lock().await) }, move || drop(guard))
    }),
    ("readers' lock", || {
        let lock = RwLock::new(());
        let guard = lock.try_write().expect("nobody has it");
        Pair::new(async move { drop(lock.read().await) }, move || drop(guard))
    }),
    ("semaphore", || {
        let semaphore = Semaphore::new(1);
        let permit = semaphore.try_acquire().expect("there is one");
        Pair::new(async move { drop(semaphore.acquire().await) }, move || drop(permit))
    }),
    ("condition", || {
        let lock = Mutex::new(());
        let condition = Condition::new(&lock);
        let told = condition.clone();
        Pair::new(
            async move {
                let mut guard = lock.lock().await;
                condition.wait(&mut guard).await;
            },
            move || {
                let guard = told.lock().try_lock().expect("who waits has given it up");
                told.notify_one(&guard);
            },
        )
    }),
];

/// In one step of one task: gives, and cancels the scope of the waiter, which is another task.
async fn between_two_polls(make: Make, cancels_first: bool) -> usize {
    let went_on = Counter::new();
    let counts = went_on.clone();
    let _ = task_group(async move |group| {
        let Pair { waits, give } = make();
        group.spawn(async move {
            waits.await;
            counts.add();
        });
        wait_all_tasks_blocked().await;
        if cancels_first {
            group.cancel_with("before");
            give();
        } else {
            give();
            group.cancel_with("after");
        }
    })
    .await;
    went_on.get()
}

/// The same between the poll of the waiter and the end of that poll.
async fn inside_a_poll(make: Make, cancels_first: bool) -> usize {
    let went_on = Counter::new();
    let counts = went_on.clone();
    let _ = CancelScope::new()
        .run(async move |scope| {
            let Pair { waits, give } = make();
            let waits = async move {
                waits.await;
                counts.add();
            };
            let steps = async move {
                if cancels_first {
                    scope.cancel_with("before");
                    give();
                } else {
                    give();
                    scope.cancel_with("after");
                }
            };
            futures::join!(waits, steps);
            checkpoint().await;
        })
        .await;
    went_on.get()
}

pub(crate) async fn rule_67_what_is_given_before_the_cancellation_is_the_waiters() {
    for (leaf, make) in PAIRS {
        assert_eq!(between_two_polls(make, false).await, 1, "{leaf}");
    }
}

pub(crate) async fn rule_67_what_is_given_after_the_cancellation_is_not_the_waiters() {
    for (leaf, make) in PAIRS {
        assert_eq!(between_two_polls(make, true).await, 0, "{leaf}");
    }
}

pub(crate) async fn rule_67_what_is_given_between_a_poll_and_its_end_counts_by_the_same_order() {
    for (leaf, make) in PAIRS {
        assert_eq!(inside_a_poll(make, false).await, 1, "{leaf}: given before");
        assert_eq!(inside_a_poll(make, true).await, 0, "{leaf}: given after");
    }
}

pub(crate) async fn rule_67_a_task_that_ends_after_the_cancellation_lets_nobody_go_on() {
    let went_on = Counter::new();
    for _ in 0..100 {
        let (by_value, by_status) = (went_on.clone(), went_on.clone());
        let _ = task_group(async move |group| {
            let one = group.spawn(sleep(AN_HOUR));
            let mut two = group.spawn(sleep(AN_HOUR));
            group.spawn(async move {
                let _ = one.await;
                by_value.add();
            });
            group.spawn(async move {
                two.wait().await;
                by_status.add();
            });
            wait_all_tasks_blocked().await;
            group.cancel_with("enough");
        })
        .await;
        let _ = local_group(async |children| {
            let one = children.spawn(sleep(AN_HOUR));
            let mut two = children.spawn(sleep(AN_HOUR));
            children.spawn(async {
                let _ = one.await;
                went_on.add();
            });
            let by_status = &went_on;
            children.spawn(async move {
                two.wait().await;
                by_status.add();
            });
            checkpoint().await;
            checkpoint().await;
            children.cancel_with("enough");
        })
        .await;
    }
    assert_eq!(went_on.get(), 0);
}

/// Cancels a scope when what it polls is woken: after the end of what that waits for, and before it is polled.
struct CancelsWhenWoken<F> {
    waits: Pin<Box<F>>,
    scope: ScopeHandle,
    /// Happens when it has begun to wait.
    go: Event,
}

impl<F> CancelsWhenWoken<F> {
    fn new(waits: F, scope: &ScopeHandle, go: &Event) -> Self {
        CancelsWhenWoken { waits: Box::pin(waits), scope: scope.clone(), go: go.clone() }
    }
}

struct Cancels {
    scope: ScopeHandle,
    then: Waker,
}

impl Wake for Cancels {
    fn wake(self: Arc<Self>) {
        self.scope.cancel_with("just after the end");
        self.then.wake_by_ref();
    }
}

impl<F: Future> Future for CancelsWhenWoken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::new(Cancels { scope: self.scope.clone(), then: cx.waker().clone() }));
        let polled = self.waits.as_mut().poll(&mut Context::from_waker(&waker));
        self.go.set();
        polled
    }
}

pub(crate) async fn rule_67_a_task_that_ended_before_the_cancellation_is_heard_of() {
    let heard = Counter::new();
    let counts = heard.clone();
    task_group(async move |group| {
        let (go, goes) = (Event::new(), Event::new());
        let waits = (go.clone(), goes.clone());
        let one = group.spawn(async move {
            waits.0.wait().await;
            7
        });
        let mut two = group.spawn(async move { waits.1.wait().await });
        let _ = CancelScope::new()
            .run(async |scope| {
                assert_eq!(CancelsWhenWoken::new(one, &scope, &go).await.ok(), Some(7));
                assert!(scope.is_cancelled());
                counts.add();
            })
            .await;
        let _ = CancelScope::new()
            .run(async |scope| {
                CancelsWhenWoken::new(two.wait(), &scope, &goes).await;
                counts.add();
            })
            .await;
    })
    .await
    .expect("nobody cancels the group");
    assert_eq!(heard.get(), 2);

    let _ = local_group(async |children| {
        let one = children.spawn(checkpoint());
        let _ = CancelScope::new()
            .run(async |scope| {
                let _ = CancelsWhenWoken::new(one, &scope, &Event::new()).await;
                heard.add();
            })
            .await;
    })
    .await;
    assert_eq!(heard.get(), 3);
}

pub(crate) async fn rule_67_an_item_that_a_thread_pulled_before_the_cancellation_is_received() {
    let result = CancelScope::new()
        .run(async |scope| {
            let mut items = iterate_blocking(0..3);
            // The item may be there at the first poll: then nobody is woken, and nothing is cancelled.
            CancelsWhenWoken::new(items.next(), &scope, &Event::new()).await
        })
        .await;
    assert_eq!(result.expect("it ended by itself"), Some(0));
}

pub(crate) async fn rule_68_what_a_cancelled_waiter_may_not_have_goes_to_the_next_or_back() {
    let (sender, receiver) = bounded(1);
    let (lock, semaphore) = (Mutex::new(()), Semaphore::new(1));
    let (last, mut only) = oneshot();
    let (guard, permit) =
        (lock.try_lock().expect("it is free"), semaphore.try_acquire().expect("it is free"));
    let went_on = Counter::new();
    let result = CancelScope::new()
        .run(async |scope| {
            let steps = async {
                scope.cancel_with("before");
                sender.try_send(1).expect("there is room");
                last.send(2).expect("somebody may receive it");
                drop((guard, permit));
            };
            let counted = async |waits: Pin<Box<dyn Future<Output = ()> + '_>>| {
                waits.await;
                went_on.add();
            };
            futures::join!(
                counted(Box::pin(async { _ = receiver.recv().await })),
                counted(Box::pin(async { _ = only.recv().await })),
                counted(Box::pin(async { drop(lock.lock().await) })),
                counted(Box::pin(async { drop(semaphore.acquire().await) })),
                steps,
            );
        })
        .await;
    result.expect_err("it was cancelled");
    assert_eq!(went_on.get(), 0);
    assert_eq!(receiver.try_recv().ok(), Some(1));
    assert_eq!(only.try_recv().ok(), Some(2));
    assert!(!lock.is_locked());
    assert_eq!(semaphore.available(), 1);
}
