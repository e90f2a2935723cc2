//! A child that reports that it is ready, against its own end, the cancellation of its starter, and the drop of
//! its starter.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Mutex;
use std::task::Poll;

use loom::thread;

use super::stage::{Count, check, on_stage, poll_once};
use crate::base::sync::Arc;
use crate::group::{TaskGroup, task_group};
use crate::scope::CancelScope;

/// Waits until the last child has ended, and looks for its node.
async fn nothing_is_left(group: &TaskGroup) {
    let state = group.home().group().clone();
    poll_fn(|cx| state.close_or_wait(cx.waker()).map_or(Poll::Pending, |_| Poll::Ready(()))).await;
    assert_eq!(state.as_node().node().children(), 0, "a node is left in the group");
}

#[test]
fn a_child_is_ready_and_ends_at_once() {
    check("a_child_is_ready_and_ends_at_once", || {
        on_stage(async |_| {
            task_group(async |tg| {
                let (value, child) = tg.start(async |ready| ready.started(7)).await.expect("it is ready");
                assert_eq!(value, 7);
                child.await.unwrap();
                nothing_is_left(&tg).await;
            })
            .await
            .unwrap();
        });
    });
}

#[test]
fn a_child_ends_while_another_thread_says_that_it_is_ready() {
    check("a_child_ends_while_another_thread_says_that_it_is_ready", || {
        on_stage(async |_| {
            task_group(async |tg| {
                let other = Arc::new(Mutex::new(None));
                let told = other.clone();
                let started = tg.start(async move |ready| {
                    let thread = thread::spawn(move || ready.started(7));
                    *told.lock().unwrap() = Some(thread);
                });
                match started.await {
                    Ok((value, _)) => assert_eq!(value, 7),
                    Err(not_ready) => assert!(!not_ready.is_cancelled()),
                }
                let thread = poll_fn(|_| Poll::Ready(other.lock().unwrap().take())).await;
                if let Some(thread) = thread {
                    thread.join().unwrap();
                }
                nothing_is_left(&tg).await;
            })
            .await
            .unwrap();
        });
    });
}

#[test]
fn a_child_is_ready_while_its_starter_is_cancelled() {
    check("a_child_is_ready_while_its_starter_is_cancelled", || {
        on_stage(async |_| {
            let ended = Count::default();
            let child = ended.on_drop();
            let told = ended.clone();
            task_group(async |tg| {
                let scope = CancelScope::new();
                let handle = scope.handle();
                thread::spawn(move || handle.cancel_with("the starter"));
                let started = scope
                    .run(async |_| {
                        tg.start(async |ready| {
                            let _child = child;
                            ready.started(7);
                            pending::<()>().await;
                        })
                        .await
                    })
                    .await;
                match started {
                    // The child is the group's now, or it has ended with its starter: the end of the group
                    // shows it.
                    Ok(value) => assert_eq!(value.expect("it is ready").0, 7),
                    Err(_) => assert_eq!(told.get(), 1, "a cancelled starter waits for its child"),
                }
                tg.cancel_with("enough");
            })
            .await
            .unwrap();
            assert_eq!(ended.get(), 1);
        });
    });
}

#[test]
fn a_child_is_ready_while_its_group_is_cancelled() {
    check("a_child_is_ready_while_its_group_is_cancelled", || {
        on_stage(async |_| {
            let ended = Count::default();
            let child = ended.on_drop();
            let _ = task_group(async |tg| {
                let group = tg.clone();
                thread::spawn(move || group.cancel_with("now"));
                // The caller is in the group's scope: it may be cut short, its child never.
                let _ = tg
                    .start(async |ready| {
                        let _child = child;
                        ready.started(7);
                        pending::<()>().await;
                    })
                    .await;
            })
            .await;
            assert_eq!(ended.get(), 1);
        });
    });
}

#[test]
fn a_child_is_ready_while_its_starter_is_dropped() {
    check("a_child_is_ready_while_its_starter_is_dropped", || {
        on_stage(async |_| {
            let ended = Count::default();
            let child = ended.on_drop();
            task_group(async |tg| {
                let mut start = pin!(Some(tg.start(async |ready| {
                    let _child = child;
                    ready.started(7);
                    pending::<()>().await;
                })));
                if let Some(start) = start.as_mut().as_pin_mut() {
                    let _ = poll_once(start).await;
                }
                start.set(None);
                tg.cancel_with("enough");
            })
            .await
            .unwrap();
            assert_eq!(ended.get(), 1);
        });
    });
}

#[test]
fn a_child_is_ready_and_ends_while_its_starter_is_dropped() {
    check("a_child_is_ready_and_ends_while_its_starter_is_dropped", || {
        on_stage(async |_| {
            task_group(async |tg| {
                let mut start = pin!(Some(tg.start(async |ready| ready.started(7))));
                if let Some(start) = start.as_mut().as_pin_mut() {
                    let _ = poll_once(start).await;
                }
                start.set(None);
                nothing_is_left(&tg).await;
            })
            .await
            .unwrap();
        });
    });
}
