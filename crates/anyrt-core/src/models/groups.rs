//! The count of children and the host's waker; and which group waits for the children of a group that was
//! dropped.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

use loom::thread;

use super::stage::{Count, check, on_stage, poll_once};
use crate::base::sync::{Arc, Mutex};
use crate::group::{LocalGroup, task_group, try_task_group};
use crate::scope::shield;
use crate::wait::primitives::Event;

#[test]
fn the_last_child_ends_while_the_host_begins_to_wait() {
    check("the_last_child_ends_while_the_host_begins_to_wait", || {
        on_stage(async |_| {
            let ended = Count::default();
            let child = ended.on_drop();
            task_group(async |tg| drop(tg.spawn(async move { drop(child) }))).await.unwrap();
            assert_eq!(ended.get(), 1);
        });
    });
}

#[test]
fn two_children_end_at_once() {
    check("two_children_end_at_once", || {
        on_stage(async |_| {
            let ended = Count::default();
            let (one, two) = (ended.on_drop(), ended.on_drop());
            task_group(async |tg| {
                tg.spawn(async move { drop(one) });
                tg.spawn(async move { drop(two) });
            })
            .await
            .unwrap();
            assert_eq!(ended.get(), 2);
        });
    });
}

#[test]
fn a_child_spawns_another_while_the_host_begins_to_wait() {
    check("a_child_spawns_another_while_the_host_begins_to_wait", || {
        on_stage(async |_| {
            let ended = Count::default();
            let inner = ended.on_drop();
            task_group(async |tg| {
                let group = tg.clone();
                tg.spawn(async move {
                    let last = group.spawn(async move { drop(inner) });
                    assert!(!last.is_finished() || !group.is_closed());
                });
            })
            .await
            .unwrap();
            assert_eq!(ended.get(), 1);
        });
    });
}

#[test]
fn a_child_ends_while_its_handle_is_awaited() {
    check("a_child_ends_while_its_handle_is_awaited", || {
        on_stage(async |_| {
            let value = try_task_group(async |tg| Ok(tg.spawn(async { 7 }).await?)).await.unwrap();
            assert_eq!(value, 7);
        });
    });
}

#[test]
fn a_child_fails_while_its_sibling_begins_to_wait() {
    check("a_child_fails_while_its_sibling_begins_to_wait", || {
        on_stage(async |_| {
            let ended = Count::default();
            let sibling = ended.on_drop();
            let result = task_group(async |tg| {
                tg.try_spawn(async { Err::<(), _>(io::Error::other("no")) });
                tg.spawn(async move {
                    let _sibling = sibling;
                    pending::<()>().await;
                });
            })
            .await;
            assert_eq!(result.unwrap_err().to_string(), "no");
            assert_eq!(ended.get(), 1);
        });
    });
}

#[test]
fn the_host_is_dropped_while_the_last_child_ends() {
    check("the_host_is_dropped_while_the_last_child_ends", || {
        on_stage(async |_| {
            let ended = Count::default();
            let child = ended.on_drop();
            task_group(async |_| {
                let mut inner = pin!(Some(task_group(async |tg| {
                    tg.spawn(async move { drop(child) });
                    pending::<()>().await;
                })));
                if let Some(inner) = inner.as_mut().as_pin_mut() {
                    assert!(poll_once(inner).await.is_pending());
                }
                inner.set(None);
            })
            .await
            .unwrap();
            assert_eq!(ended.get(), 1, "the group around waits for the child of the one that was dropped");
        });
    });
}

#[test]
fn the_host_is_dropped_while_a_child_fails() {
    check("the_host_is_dropped_while_a_child_fails", || {
        on_stage(async |_| {
            let result = task_group(async |_| {
                let mut inner = pin!(Some(task_group(async |tg| {
                    tg.try_spawn(async { Err::<(), _>(io::Error::other("no")) });
                    pending::<()>().await;
                })));
                if let Some(inner) = inner.as_mut().as_pin_mut()
                    && let Poll::Ready(result) = poll_once(inner).await
                {
                    return result;
                }
                inner.set(None);
                Ok(())
            })
            .await;
            let error = result.and_then(|inner| inner).unwrap_err();
            assert_eq!(error.to_string(), "no", "the group around gets the error, once");
        });
    });
}

#[test]
fn a_borrowing_scope_is_dropped_while_it_takes_in_a_group() {
    check("a_borrowing_scope_is_dropped_while_it_takes_in_a_group", || {
        on_stage(async |handle| {
            let (begun, release) = (Event::new(), Event::new());
            let (begins, released) = (begun.clone(), release.clone());
            let inner: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
                let _ = task_group(async move |tg| {
                    tg.spawn(async move {
                        begins.set();
                        shield(released.wait()).await;
                    });
                    pending::<()>().await;
                })
                .await;
            });
            let inner = Arc::new(Mutex::new(Some(inner)));
            let polled = inner.clone();
            let mut around: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
                let _ = LocalGroup::sendable()
                    .run(|_| {
                        poll_fn(move |cx| {
                            if let Some(inner) = &mut *polled.lock() {
                                assert!(inner.as_mut().poll(cx).is_pending());
                            }
                            Poll::<()>::Pending
                        })
                    })
                    .await;
            });
            assert!(poll_once(around.as_mut()).await.is_pending());
            begun.wait().await;
            // On threads that are in no run: only the group that was taken in knows the root.
            let inner = inner.lock().take();
            let dropping = thread::spawn(move || drop(inner));
            thread::spawn(move || drop(around)).join().unwrap();
            dropping.join().unwrap();
            assert_eq!(handle.0.shared.root.alive(), 1, "the root waits for the child, through whomever");
            release.set();
        });
    });
}
