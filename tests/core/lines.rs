//! Lines of waiters under load, on every backend: half of those who wait are cancelled while they are served, and
//! nothing is lost, served twice, or left behind.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex as StdMutex};

use anyrt::channel::bounded;
use anyrt::sync::{Mutex, RwLock, Semaphore};
use anyrt::{Backend, checkpoint, run_on, task_group};

/// Random enough, and the same each time.
fn coin(number: usize) -> bool {
    number.wrapping_mul(0x9E37_79B9).rotate_left(7) & 1 == 0
}

#[test]
fn a_lock_for_which_thousands_wait_and_half_are_cancelled_is_free_in_the_end() {
    const TASKS: usize = 4_000;
    for backend in Backend::enabled() {
        run_on(*backend, async {
            let lock = Mutex::new(0_usize);
            let guard = lock.lock().await;
            let served = Arc::new(AtomicUsize::new(0));
            let cancelled = task_group(async |group| {
                let tasks: Vec<_> = (0..TASKS)
                    .map(|_| {
                        let (lock, served) = (lock.clone(), served.clone());
                        group.spawn(async move {
                            *lock.lock().await += 1;
                            served.fetch_add(1, SeqCst);
                        })
                    })
                    .collect();
                while lock.waiting() < TASKS {
                    checkpoint().await;
                }
                let mut guard = Some(guard);
                let mut cancelled = 0;
                for (number, task) in tasks.iter().enumerate().filter(|(number, _)| coin(*number)) {
                    // Half of them while the line is served, half before.
                    if number > TASKS / 2 {
                        guard = None;
                    }
                    task.cancel_with("by the coin");
                    cancelled += 1;
                }
                drop(guard);
                cancelled
            })
            .await
            .expect("no child fails");
            let served = served.load(SeqCst);
            assert!(served >= TASKS - cancelled, "{served} were served, {cancelled} cancelled");
            assert_eq!((*lock.try_lock().expect("it is free"), lock.waiting()), (served, 0));
        });
    }
}

#[test]
fn readers_and_writers_of_which_half_are_cancelled_leave_the_lock_free() {
    const TASKS: usize = 3_000;
    for backend in Backend::enabled() {
        run_on(*backend, async {
            let (lock, seats) = (RwLock::new(0_usize), Semaphore::new(3));
            let writing = Arc::new(AtomicUsize::new(0));
            task_group(async |group| {
                let tasks: Vec<_> = (0..TASKS)
                    .map(|number| {
                        let (lock, seats, writing) = (lock.clone(), seats.clone(), writing.clone());
                        group.spawn(async move {
                            let _seats = seats.acquire_many(1 + number % 3).await;
                            if number % 4 == 0 {
                                let mut value = lock.write().await;
                                assert_eq!(writing.fetch_add(1, SeqCst), 0, "it writes alone");
                                *value += 1;
                                writing.fetch_sub(1, SeqCst);
                            } else {
                                let _value = lock.read().await;
                                assert_eq!(writing.load(SeqCst), 0, "nobody writes while it reads");
                            }
                        })
                    })
                    .collect();
                for (_, task) in tasks.iter().enumerate().filter(|(number, _)| coin(*number)) {
                    task.cancel_with("by the coin");
                }
            })
            .await
            .expect("no child fails");
            assert_eq!((seats.available(), seats.waiting()), (3, 0));
            assert!(lock.try_write().is_ok());
        });
    }
}

#[test]
fn of_items_that_were_sent_each_is_received_once_whoever_is_cancelled() {
    const ITEMS: usize = 1_000;
    for (backend, capacity) in Backend::enabled().iter().flat_map(|backend| [0, 1, 7].map(|of| (backend, of)))
    {
        run_on(*backend, async move {
            let (sender, receiver) = bounded(capacity);
            let (sent, received) =
                (Arc::new(StdMutex::new(HashSet::new())), Arc::new(StdMutex::new(Vec::new())));
            task_group(async |group| {
                let mut tasks = Vec::new();
                for item in 0..ITEMS {
                    let (sender, sent) = (sender.clone(), sent.clone());
                    tasks.push(group.spawn(async move {
                        sender.send(item).await.expect("there is a receiver");
                        sent.lock().expect("not poisoned").insert(item);
                    }));
                    let (receiver, received) = (receiver.clone(), received.clone());
                    tasks.push(group.spawn(async move {
                        let item = receiver.recv().await.expect("there is a sender");
                        received.lock().expect("not poisoned").push(item);
                    }));
                }
                for (_, task) in tasks.iter().enumerate().filter(|(number, _)| coin(*number)) {
                    task.cancel_with("by the coin");
                }
                // Whoever is left meets one of these.
                for _ in 0..ITEMS {
                    let (receiver, received) = (receiver.clone(), received.clone());
                    group.spawn_service(async move {
                        let item = receiver.recv().await.expect("there is a sender");
                        received.lock().expect("not poisoned").push(item);
                    });
                    let sender = sender.clone();
                    group.spawn_service(async move {
                        let _ = sender.send(usize::MAX).await;
                    });
                }
            })
            .await
            .expect("no child fails");
            let mut received = std::mem::take(&mut *received.lock().expect("not poisoned"));
            while let Ok(item) = receiver.try_recv() {
                received.push(item);
            }
            received.retain(|item| *item != usize::MAX);
            let sent = sent.lock().expect("not poisoned");
            let distinct: HashSet<_> = received.iter().copied().collect();
            assert_eq!(received.len(), distinct.len(), "an item came twice");
            assert!(sent.is_subset(&distinct), "{backend}, capacity {capacity}: items were lost");
            let statistics = sender.statistics();
            assert_eq!(
                (statistics.waiting_senders, statistics.waiting_receivers, statistics.reserved),
                (0, 0, 0)
            );
        });
    }
}
