//! What users of structured concurrency in other places have complained about, as programs of our own, on
//! every backend. Each is named after the complaint, and shows that it does not happen here.
#![allow(missing_docs, clippy::unwrap_used)]

use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anyrt::group::Ready;
use anyrt::scope::Cause;
use anyrt::sync::Event;
use anyrt::{
    BoxError, CancelScope, Cancelled, Either, channel, checkpoint, fail_after, finally, race, shield,
    task_group, try_task_group,
};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);
const A_MOMENT: Duration = Duration::from_millis(50);

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future that counts its polls.
struct Counted<T> {
    inner: Boxed<T>,
    polls: Arc<AtomicUsize>,
}

impl<T> Future for Counted<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.polls.fetch_add(1, SeqCst);
        self.inner.as_mut().poll(cx)
    }
}

async fn many_checkpoints() {
    for _ in 0..1_000 {
        checkpoint().await;
    }
}

fn boom() -> io::Error {
    io::Error::other("boom")
}

/// AnyIO delivers a cancellation again and again until the task takes it, and a shielded one does not.
#[anyrt::test]
async fn cancelling_a_task_in_a_shield_takes_all_of_a_processor() {
    let polls = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&polls);
    task_group(async |tg| {
        let (begun, release) = (Event::new(), Event::new());
        let (begins, released) = (begun.clone(), release.clone());
        let inner = async move {
            shield(async {
                begins.set();
                released.wait().await;
            })
            .await;
        };
        tg.spawn(Counted { inner: Box::pin(inner), polls: counts });
        begun.wait().await;
        while release.waiting() == 0 {
            checkpoint().await;
        }
        tg.cancel_with("from outside of the shield");
        shield(async {
            many_checkpoints().await;
            release.set();
        })
        .await;
    })
    .await
    .unwrap();
    // When it began, when it was cancelled, when it was released; never in between.
    assert!((2..=3).contains(&polls.load(SeqCst)), "{polls:?}");
}

/// Elsewhere a scope belongs to the task that entered it, and leaving it in another corrupts both.
#[anyrt::test]
async fn a_scope_that_is_entered_in_one_task_and_left_in_another_breaks_both() {
    let release = Event::new();
    let released = release.clone();
    let mut scope: Boxed<Result<u32, Cancelled>> =
        Box::pin(CancelScope::new().timeout(LONG).run(async move |_| {
            released.wait().await;
            7
        }));
    let cancelled_there = CancelScope::new()
        .run(async |outer| {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(scope.as_mut().poll(&mut cx).is_pending());
            outer.cancel_with("the scope that it was entered in");
            checkpoint().await;
        })
        .await;
    assert!(cancelled_there.is_err());
    let value = task_group(async |tg| {
        let elsewhere = tg.spawn(async move { scope.await.unwrap() });
        release.set();
        elsewhere.await.unwrap()
    });
    assert_eq!(value.await.unwrap(), 7, "it belongs to the task that polls it now");
}

/// AnyIO on asyncio loses the error of a child when the caller of `start` was cancelled before.
#[anyrt::test]
async fn the_error_of_a_child_is_lost_when_its_starter_was_cancelled() {
    let outcome = task_group(async |tg| {
        CancelScope::new()
            .run(async |scope| {
                let failing = async |_: Ready<()>| {
                    // Not ready yet, and on its way out it fails.
                    shield(many_checkpoints()).await;
                    Err::<(), _>(boom())
                };
                scope.cancel_with("the starter");
                tg.try_start(failing).await.map_err(|error| error.to_string())
            })
            .await
    })
    .await;
    let started = outcome.expect("the group is not concerned").expect("the child's error came first");
    assert_eq!(started.unwrap_err(), "boom");
}

/// AnyIO and Trio look at the clock, or at nothing, and call any cancellation of a `fail_after` a timeout.
#[anyrt::test]
async fn an_explicit_cancel_is_reported_as_a_timeout() {
    let ended = CancelScope::new()
        .timeout(A_MOMENT)
        .run(async |scope| {
            scope.cancel_with("by hand");
            std::thread::sleep(A_MOMENT * 2);
            checkpoint().await;
        })
        .await;
    assert_eq!(ended.unwrap_err().cause(), Cause::Explicit);
    // An outer cancel during an inner time limit is no timeout of the inner one.
    let inner = CancelScope::new()
        .run(async |outer| {
            let limited = fail_after(LONG, async {
                outer.cancel_with("the outer one");
                checkpoint().await;
            });
            limited.await.map_err(|timed_out| timed_out.to_string())
        })
        .await;
    assert_eq!(inner.unwrap_err().reason(), Some("the outer one"));
}

/// AnyIO on asyncio cancels a group one turn of the loop late, and not at all while its host is shielded.
#[anyrt::test]
async fn an_error_never_cancels_the_group_while_its_host_is_busy() {
    let ended = task_group(async |tg| {
        let (sibling_ended, ended) = (Event::new(), Event::new());
        let (says, told) = (sibling_ended.clone(), ended.clone());
        tg.spawn(finally(pending::<()>(), async move |_| says.set()));
        tg.try_spawn(async { Err::<(), _>(boom()) });
        // The host is shielded, and waits for the end of the sibling: it is cancelled nevertheless.
        shield(async {
            sibling_ended.wait().await;
            ended.set();
        })
        .await;
        assert!(told.is_set());
        "the host has ended well"
    })
    .await;
    assert_eq!(ended.unwrap_err().to_string(), "boom");
}

/// asyncio: after `TaskGroup.cancel()` a timeout around the group is swallowed.
#[anyrt::test]
async fn a_group_that_cancelled_itself_swallows_the_timeout_around_it() {
    let after = AtomicUsize::new(0);
    let ended = fail_after(A_MOMENT, async {
        let _ = task_group(async |tg| {
            let begun = Event::new();
            let begins = begun.clone();
            tg.spawn(async move {
                let work = async {
                    begins.set();
                    pending::<()>().await;
                };
                finally(work, async |_| anyrt::sleep(A_MOMENT * 4).await).await;
            });
            begun.wait().await;
            tg.cancel_with("the group itself");
            checkpoint().await;
        })
        .await;
        after.fetch_add(1, SeqCst);
    })
    .await;
    assert!(ended.is_err(), "it took longer than it might");
    assert_eq!(after.load(SeqCst), 0, "and nothing after it runs");
}

/// asyncio with eager tasks: a child that cancels its group before its first await is not yet in it.
#[anyrt::test]
async fn a_child_that_cancels_its_group_before_its_first_await_is_waited_for_for_ever() {
    let ended = task_group(async |tg| {
        let group = tg.clone();
        tg.spawn(async move {
            group.cancel_with("from a child that has awaited nothing");
            pending::<()>().await;
        });
        pending::<()>().await;
    })
    .await;
    assert!(ended.unwrap_err().is_cancelled());
}

/// asyncio: errors that children raise while the parent is cancelled are suppressed.
#[anyrt::test]
async fn an_error_on_the_way_out_is_suppressed_because_the_parent_was_cancelled() {
    let ended = CancelScope::new()
        .run(async |outer| {
            task_group(async |tg| {
                let begun = Event::new();
                let begins = begun.clone();
                tg.named("flusher").try_spawn(async move {
                    shield(async {
                        begins.set();
                        many_checkpoints().await;
                    })
                    .await;
                    Err::<(), _>(boom())
                });
                begun.wait().await;
                outer.cancel_with("the parent");
                pending::<()>().await;
            })
            .await
        })
        .await;
    let error = ended.expect("an error goes before a cancellation").unwrap_err();
    assert_eq!(error.first().unwrap().task_name(), Some("flusher"));
    assert_eq!(error.to_string(), "boom");
}

/// tokio: a frame that was half read is lost when another branch of the `select!` is ready first.
#[anyrt::test]
async fn a_frame_that_was_half_read_is_lost_when_another_branch_is_ready() {
    let (bytes, wire) = channel::bounded::<u8>(1);
    let (frames, whole) = channel::bounded::<[u8; 2]>(1);
    let received = task_group(async |tg| {
        // The reading is a child's, that nobody drops; what is raced is a receive, which loses nothing.
        tg.spawn_service(async move {
            while let (Ok(first), Ok(second)) = (wire.recv().await, wire.recv().await) {
                if frames.send([first, second]).await.is_err() {
                    break;
                }
            }
        });
        let (half, rest) = (Event::new(), Event::new());
        let (sent, ticked) = (half.clone(), rest.clone());
        tg.spawn(async move {
            bytes.send(1).await.unwrap();
            sent.set();
            ticked.wait().await;
            bytes.send(2).await.unwrap();
        });
        let first = race(whole.recv(), half.wait()).await;
        assert_eq!(first, Either::Right(()), "half a frame is none");
        rest.set();
        whole.recv().await
    })
    .await;
    assert_eq!(received.unwrap(), Ok([1, 2]));
}

/// Trio: connections that are open when the server ends have no chance to say goodbye.
#[anyrt::test]
async fn open_connections_are_cut_without_a_goodbye_when_the_server_ends() {
    const CONNECTIONS: usize = 20;
    let goodbyes = Arc::new(AtomicUsize::new(0));
    let said = Arc::clone(&goodbyes);
    let ended = task_group(async |server| {
        let open = Arc::new(AtomicUsize::new(0));
        for _ in 0..CONNECTIONS {
            let (open, said) = (Arc::clone(&open), Arc::clone(&said));
            server.spawn(async move {
                task_group(async move |connection| {
                    connection.cancel_scope().on_exit(async move |_| {
                        many_checkpoints().await;
                        said.fetch_add(1, SeqCst);
                    });
                    open.fetch_add(1, SeqCst);
                    connection.spawn(pending::<()>());
                    pending::<()>().await;
                })
                .await
                .unwrap();
            });
        }
        while open.load(SeqCst) < CONNECTIONS {
            checkpoint().await;
        }
        server.cancel_with("Ctrl-C");
        pending::<()>().await;
    })
    .await;
    assert!(ended.unwrap_err().is_cancelled());
    assert_eq!(goodbyes.load(SeqCst), CONNECTIONS, "all before the server was left");
}

/// Trio, once: a scope that nobody has cancelled, shielded on the way out, swallowed the outer cancellation.
#[anyrt::test]
async fn a_scope_that_was_not_cancelled_swallows_a_cancellation() {
    let after = AtomicUsize::new(0);
    let ended = CancelScope::new()
        .run(async |outer| {
            let _ = CancelScope::new()
                .run(async |inner| {
                    outer.cancel_with("the outer one");
                    finally(pending::<()>(), async |_| inner.set_shield(true)).await;
                })
                .await;
            after.fetch_add(1, SeqCst);
        })
        .await;
    assert!(ended.is_err());
    assert_eq!(after.load(SeqCst), 0);
}

/// tokio: what a dropped `JoinSet` has aborted may still run when the block is left.
#[anyrt::test]
async fn tasks_of_a_dropped_set_still_run_when_the_block_is_left() {
    struct Running(Arc<AtomicUsize>);
    impl Drop for Running {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }
    let running = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&running);
    let ended = try_task_group(async |tg| {
        for _ in 0..20 {
            counted.fetch_add(1, SeqCst);
            let runs = Running(Arc::clone(&counted));
            tg.spawn(async move {
                let _runs = runs;
                pending::<()>().await;
            });
        }
        Err::<(), BoxError>(boom().into())
    })
    .await;
    assert_eq!(ended.unwrap_err().to_string(), "boom");
    assert_eq!(running.load(SeqCst), 0);
}
