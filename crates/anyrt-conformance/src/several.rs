//! RS: several futures in one task, of which some hold a cancelled scope open.

use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::{Arc, mpsc};

use anyrt_core::channel::{self, Receiver};
use anyrt_core::{
    CancelScope, Either, Event, Mutex, Run, Runtime, ScopeHandle, ScopeKind, checkpoint, finally,
    for_each_concurrent, join, local_group, move_on_after, race, run_blocking, shield, sleep, task_group,
    tasks, yield_shielded,
};
use futures::future::{FutureExt, LocalBoxFuture, pending};
use futures::stream::{self, FuturesUnordered, StreamExt};

use crate::by_hand::ByHand;
use crate::counting::{Counter, count_polls};
use crate::time::{A_MOMENT, AN_HOUR, Stopwatch};
use crate::warnings::Warnings;

pub(crate) async fn rs_01_a_clean_up_that_wants_the_lock_of_a_sleeping_branch_gets_it() {
    for wants in [wants_in_a_finally, wants_in_a_shield] {
        let watch = Stopwatch::start();
        let lock = Arc::new(Mutex::new(0));
        let owned = Arc::clone(&lock);
        let wanted = Arc::clone(&lock);
        let result = CancelScope::new()
            .run(async move |scope| {
                let owner = async {
                    let mut guard = owned.lock().await;
                    sleep(A_MOMENT).await;
                    *guard += 1;
                };
                let cancel = async { scope.cancel_with("while the owner sleeps") };
                futures::join!(owner, wants(wanted), cancel);
                checkpoint().await;
            })
            .await;
        assert!(result.is_err());
        watch.has_run_for(A_MOMENT);
        assert_eq!(*lock.try_lock().expect("free again"), 11, "first the owner, then the clean-up");
    }
}

pub(crate) async fn rs_02_an_inner_scope_gives_up_its_lock_to_a_clean_up_at_once() {
    for wants in [wants_in_a_finally, wants_in_a_shield] {
        let watch = Stopwatch::start();
        let lock = Arc::new(Mutex::new(0));
        let owned = Arc::clone(&lock);
        let wanted = Arc::clone(&lock);
        let result = CancelScope::new()
            .run(async move |scope| {
                let owner = CancelScope::new().run(async |_| {
                    let _guard = owned.lock().await;
                    sleep(AN_HOUR).await;
                });
                let cancel = async { scope.cancel_with("while the owner sleeps") };
                let _ = futures::join!(owner, wants(wanted), cancel);
            })
            .await;
        assert!(result.is_err());
        watch.shows_no_wait();
        assert_eq!(*lock.try_lock().expect("free again"), 10, "the clean-up had it");
    }
}

pub(crate) async fn rs_03_a_clean_up_drains_a_channel_until_the_other_branch_drops_its_sender() {
    let watch = Stopwatch::start();
    let received = Counter::new();
    let drained = received.clone();
    let result = CancelScope::new()
        .run(async move |scope| {
            let (sender, receiver) = channel::bounded::<u32>(4);
            let branches = FuturesUnordered::<LocalBoxFuture<'_, ()>>::new();
            branches.push(Box::pin(async move {
                assert!(sender.try_send(1).is_ok());
                assert!(sender.try_send(2).is_ok());
                sleep(A_MOMENT).await;
                assert!(sender.try_send(3).is_ok());
            }));
            branches.push(Box::pin(finally(pending::<()>(), async move |_| {
                while receiver.recv().await.is_ok() {
                    drained.add();
                }
            })));
            branches.push(Box::pin(async move { scope.cancel_with("while one branch sleeps") }));
            branches.collect::<()>().await;
        })
        .await;
    assert!(result.is_err());
    watch.has_run_for(A_MOMENT);
    assert_eq!(received.get(), 3);
}

pub(crate) async fn rs_04_a_blocking_job_waits_for_a_sender_that_another_branch_owns() {
    let watch = Stopwatch::start();
    let result = CancelScope::new()
        .run(async |scope| {
            let (sender, receiver) = mpsc::channel();
            let job = run_blocking(move || receiver.recv().expect("it is sent")).into_future();
            let sends = async move {
                sleep(A_MOMENT).await;
                sender.send(7).expect("the job waits");
            };
            let cancel = async { scope.cancel_with("while the job waits") };
            futures::join!(job, sends, cancel).0
        })
        .await;
    watch.has_run_for(A_MOMENT);
    assert_eq!(result.expect("the job returned, so its value is there"), 7);

    // Where the job ends just after it was polled, its value must be waited for all the same.
    for round in 0..200 {
        let result = CancelScope::new()
            .run(async |scope| {
                let (sender, receiver) = mpsc::channel();
                let job = run_blocking(move || receiver.recv().expect("it is sent")).into_future();
                let sends = async move {
                    yield_shielded().await;
                    sender.send(round).expect("the job waits");
                };
                let cancel = async { scope.cancel_with("while the job waits") };
                futures::join!(job, sends, cancel).0
            })
            .await;
        assert_eq!(result.expect("the job returned, so its value is there"), round);
    }
}

pub(crate) async fn rs_05_an_operation_that_is_not_polled_while_a_message_is_handled_is_cleaned_up() {
    let cleaned = Counter::new();

    let clean_up = cleaned.clone();
    handles_messages_beside(finally(pending::<()>(), async move |_| {
        checkpoint().await;
        clean_up.add();
    }))
    .await;
    assert_eq!(cleaned.get(), 1, "the clean-up of the finally ran");

    let shielded = cleaned.clone();
    handles_messages_beside(shield(async move {
        sleep(A_MOMENT).await;
        shielded.add();
    }))
    .await;
    assert_eq!(cleaned.get(), 2, "the shield ran to its end");

    let child = cleaned.clone();
    handles_messages_beside(
        task_group(async move |group| {
            group.spawn(finally(pending::<()>(), async move |_| {
                checkpoint().await;
                child.add();
            }));
        })
        .map(drop),
    )
    .await;
    assert_eq!(cleaned.get(), 3, "the clean-up of the group's child ran");
}

/// The loop that everybody writes: an operation in one branch, messages in the other. The scope is
/// cancelled while a message is handled, so that nobody polls the operation then.
async fn handles_messages_beside(operation: impl Future<Output = ()>) {
    let result = CancelScope::new()
        .run(async |scope| {
            let (sender, receiver) = channel::bounded::<&str>(1);
            let mut operation = pin!(operation.fuse());
            assert!(sender.try_send("a message").is_ok());
            loop {
                futures::select_biased! {
                    () = operation => break,
                    message = receiver.recv().fuse() => {
                        assert_eq!(message.expect("the sender is alive"), "a message");
                        scope.cancel_with("while the message is handled");
                        sleep(A_MOMENT / 2).await;
                    }
                }
            }
            checkpoint().await;
        })
        .await;
    assert!(result.is_err());
}

pub(crate) async fn rs_06_a_started_shield_that_is_not_polled_ends_with_the_other_await() {
    let watch = Stopwatch::start();
    let passed = Counter::new();
    let inside = passed.clone();
    let result = CancelScope::new()
        .run(async move |scope| {
            {
                let mut shielded = pin!(shield(sleep(AN_HOUR)));
                assert!(futures::poll!(&mut shielded).is_pending());
                scope.cancel_with("while the shield is begun");
                sleep(A_MOMENT).await;
                inside.add();
            }
            checkpoint().await;
            inside.add();
        })
        .await;
    assert!(result.is_err());
    watch.has_run_for(A_MOMENT);
    assert_eq!(passed.get(), 1, "the other await ended, then nothing held any more");
}

/// Nothing can cure it but the owner of the shield; so it is made visible.
pub(crate) fn rs_07_the_view_and_a_warning_name_a_started_shield_that_nobody_polls(
    runtime: Arc<dyn Runtime>,
) {
    let warnings = Warnings::of("anyrt::held");
    let told = warnings.clone();
    // The root is polled on this thread, so this is where it warns.
    warnings.catch(|| {
        Run::on(runtime).warn_held_after(A_MOMENT).run(async move {
            let (forgotten, polled) = (Event::new(), Event::new());
            let held = CancelScope::new().run(async |scope| {
                let mut shielded = pin!(shield(forgotten.wait()));
                assert!(futures::poll!(&mut shielded).is_pending());
                let cancels = async {
                    // Once both are pending.
                    checkpoint().await;
                    scope.cancel_with("while the shield is begun");
                    pending::<()>().await;
                };
                futures::join!(shield(polled.wait()), cancels);
            });
            let looks = async {
                while told.caught().is_empty() {
                    sleep(A_MOMENT / 4).await;
                }
                tasks()
            };
            // A foreign `select!`: it drops the scope with the shield in it.
            futures::select_biased! {
                result = Box::pin(held).fuse() => panic!("it is held, but ended: {result:?}"),
                tree = Box::pin(looks).fuse() => {
                    let shields: Vec<_> = tree.entries.iter().filter(|entry| entry.kind == ScopeKind::Shield).collect();
                    let polled: Vec<bool> = shields.iter().map(|shield| !shield.unpolled_since_cancelled).collect();
                    assert_eq!(polled, [false, true], "{tree}");
                    let scope = tree.entries.iter().find(|entry| entry.kind == ScopeKind::Scope).expect("it is held");
                    assert!(scope.held_for.is_some() && tree.to_string().contains(", held for "), "{tree}");
                    let line = shields[0].opened.expect("its place is known").line();
                    let told = format!("several.rs:{line}, not polled since");
                    assert!(tree.to_string().contains(&told), "{tree}");
                }
            }
        }).expect("the run ends well");
    });
    let caught = warnings.caught();
    assert_eq!(caught.len(), 1, "one warning is enough: {caught:?}");
    assert_eq!(caught[0].matches("several.rs").count(), 3, "it names the places: {caught:?}");
    assert_eq!(
        caught[0].matches("(not polled since)").count(),
        1,
        "and which of them is forgotten: {caught:?}"
    );
    assert!(caught[0].contains("while the shield is begun"), "and the cause: {caught:?}");
}

pub(crate) async fn rs_08_two_loops_out_of_step_end() {
    let begun = [Counter::new(), Counter::new()];
    let result = CancelScope::new()
        .run(async |scope| {
            let cancel = async {
                while begun.iter().any(|begun| begun.get() < 3) {
                    checkpoint().await;
                }
                scope.cancel_with("while one of them is in its shield");
            };
            let (one, two) = (shields_for_ever(&begun, 0), shields_for_ever(&begun, 1));
            futures::join!(one, two, cancel);
        })
        .await;
    assert!(result.is_err());
}

/// `{ checkpoint; shield }` in a loop. The shield ends when the other loop has begun its next one, so
/// that one of them is in its shield at any time; or after a moment, when the other has stopped.
async fn shields_for_ever(begun: &[Counter; 2], this: usize) {
    loop {
        checkpoint().await;
        begun[this].add();
        let seen = begun[1 - this].get();
        shield(move_on_after(A_MOMENT, async {
            while begun[1 - this].get() == seen {
                checkpoint().await;
            }
        }))
        .await;
    }
}

pub(crate) async fn rs_09_receivers_and_blocking_jobs_take_no_new_work_after_the_cancel() {
    // Two loops `{ recv; shield }`: the shield of the one must not let the other receive.
    let taken = Counter::new();
    let (sender, receiver) = channel::bounded::<u32>(64);
    for message in 0..64 {
        assert!(sender.try_send(message).is_ok());
    }
    let result = CancelScope::new()
        .run(async |scope| {
            let one = receives_for_ever(&receiver, &taken, &scope, 2);
            let two = receives_for_ever(&receiver, &taken, &scope, 4);
            let cancel = async {
                while taken.get() < 2 {
                    checkpoint().await;
                }
                scope.cancel_with("while both are in their shields");
            };
            futures::join!(one, two, cancel);
        })
        .await;
    assert!(result.is_err());
    assert_eq!(taken.get(), 2);
    assert_eq!(std::iter::from_fn(|| receiver.try_recv().ok()).count(), 62, "the rest is still there");

    // `rx.map(run_blocking).buffer_unordered(8)`: those that run are waited for, no more are begun.
    let begun = Counter::new();
    let (release, blocked) = mpsc::channel::<()>();
    let blocked = Arc::new(std::sync::Mutex::new(blocked));
    for message in 0..32 {
        assert!(sender.try_send(message).is_ok());
    }
    let messages = receiver.clone();
    let jobs = begun.clone();
    let result = CancelScope::new()
        .run(async move |scope| {
            let work = stream::unfold(messages, |messages| async {
                let message = messages.recv().await.ok()?;
                Some((message, messages))
            })
            .map(|_| {
                let (jobs, blocked) = (jobs.clone(), Arc::clone(&blocked));
                run_blocking(move || {
                    jobs.add();
                    // Until the sender is gone.
                    let _ = blocked.lock().expect("not poisoned").recv();
                })
                .into_future()
            })
            .buffer_unordered(8)
            .collect::<()>();
            let cancel = async {
                while jobs.get() < 8 {
                    checkpoint().await;
                }
                scope.cancel_with("while eight of them run");
                drop(release);
            };
            futures::join!(work, cancel);
        })
        .await;
    assert!(result.is_err());
    assert_eq!(begun.get(), 8);
    assert_eq!(std::iter::from_fn(|| receiver.try_recv().ok()).count(), 24, "the rest is still there");
}

async fn receives_for_ever(receiver: &Receiver<u32>, taken: &Counter, scope: &ScopeHandle, more: usize) {
    while receiver.recv().await.is_ok() {
        taken.add();
        shield(async {
            while !scope.is_cancelled() {
                checkpoint().await;
            }
            for _ in 0..more {
                checkpoint().await;
            }
        })
        .await;
    }
}

pub(crate) async fn rs_10_a_fair_lock_passes_over_a_waiter_whose_scope_is_cancelled() {
    let lock = Arc::new(Mutex::new(()));
    let guard = lock.lock().await;
    let scope = CancelScope::new();
    let handle = scope.handle();
    let entered = Counter::new();

    let (wanted, entry) = (Arc::clone(&lock), entered.clone());
    let mut cancelled = ByHand::new(scope.run(async move |_| {
        // The shield beside it holds the scope open, so that the waiter is cancelled and still there.
        futures::join!(shield(pending::<()>()), async {
            let _guard = wanted.lock().await;
            entry.add();
        });
    }));
    let mut alive = ByHand::new(lock.lock());
    assert!(cancelled.poll().is_pending());
    assert!(alive.poll().is_pending(), "second in the queue");
    handle.cancel_with("the first in the queue");
    assert!(cancelled.poll().is_pending(), "its shield keeps it");
    drop(guard);
    assert!(alive.poll().is_ready(), "it is handed to the next live waiter");
    assert!(cancelled.poll().is_pending());
    assert_eq!(entered.get(), 0);

    // The same when the cancelled one has not been polled since the cancellation.
    let guard = lock.lock().await;
    let scope = CancelScope::new();
    let handle = scope.handle();
    let wanted = Arc::clone(&lock);
    let mut unaware = ByHand::new(scope.run(async move |_| drop(wanted.lock().await)));
    let mut alive = ByHand::new(lock.lock());
    assert!(unaware.poll().is_pending() && alive.poll().is_pending());
    handle.cancel_with("the first in the queue");
    drop(guard);
    assert!(alive.poll().is_ready(), "the cancelled one is skipped");
}

pub(crate) async fn rs_11_a_branch_that_parked_is_woken_when_a_shield_begins_beside_it() {
    let polls = Counter::new();
    let passed = Counter::new();
    let (counted, inside) = (polls.clone(), passed.clone());
    let shield_ends = Arc::new(Event::new());
    let branch_ends = Arc::new(Event::new());
    let (until, done) = (Arc::clone(&branch_ends), Arc::clone(&shield_ends));
    let scope = CancelScope::new();
    scope.handle().cancel_with("before it starts");
    let mut run = ByHand::new(scope.run(async move |_| {
        futures::join!(
            count_polls(&counted, async move {
                // Nothing holds the scope when this waits first: it parks.
                until.wait().await;
                inside.add();
            }),
            shield(async move { done.wait().await }),
        );
        checkpoint().await;
    }));
    assert!(run.poll().is_pending());
    // The shield is there now, so the wait goes on: one wake-up for that, no more.
    settle(&mut run);
    branch_ends.set();
    settle(&mut run);
    assert_eq!(passed.get(), 1, "what waits goes on while something holds");
    assert!(polls.get() <= 4, "polled {} times", polls.get());
    shield_ends.set();
    let result = loop {
        if let std::task::Poll::Ready(result) = run.poll() {
            break result;
        }
        assert!(run.wakes() < 20, "it spins");
    };
    assert!(result.is_err());
}

/// Polls it as long as it is woken, which is not for ever.
fn settle<T>(run: &mut ByHand<'_, T>) {
    let mut seen = 0;
    while run.wakes() > seen {
        seen = run.wakes();
        assert!(seen < 20, "it spins");
        assert!(run.poll().is_pending());
    }
}

pub(crate) async fn rs_12_each_branch_of_our_own_combinators_is_dropped_by_itself() {
    // `join`: the owner sleeps for an hour and is dropped at once.
    let watch = Stopwatch::start();
    let lock = Arc::new(Mutex::new(0));
    let (owned, wanted) = (Arc::clone(&lock), Arc::clone(&lock));
    let result = CancelScope::new()
        .run(async move |scope| {
            let owner = async {
                let _guard = owned.lock().await;
                scope.cancel_with("while the owner sleeps");
                sleep(AN_HOUR).await;
            };
            join(owner, wants_in_a_finally(wanted)).await;
        })
        .await;
    assert!(result.is_err());
    assert_eq!(*lock.try_lock().expect("free again"), 10);

    // `race`: the loser's clean-up wants the lock that the other branch owns.
    let (owned, wanted) = (Arc::clone(&lock), Arc::clone(&lock));
    let result = CancelScope::new()
        .run(async move |scope| {
            let owner = async {
                let _guard = owned.lock().await;
                scope.cancel_with("while the owner sleeps");
                sleep(AN_HOUR).await;
            };
            match race(owner, wants_in_a_finally(wanted)).await {
                Either::Left(()) | Either::Right(()) => panic!("neither wins"),
            }
        })
        .await;
    assert!(result.is_err());
    assert_eq!(*lock.try_lock().expect("free again"), 20);

    // `for_each_concurrent`: one body owns the lock, the clean-up of the other wants it.
    let shared = Arc::clone(&lock);
    let result = CancelScope::new()
        .run(async move |scope| {
            for_each_concurrent([true, false], NonZeroUsize::new(2), async |owns| {
                if owns {
                    let _guard = shared.lock().await;
                    scope.cancel_with("while the owner sleeps");
                    sleep(AN_HOUR).await;
                } else {
                    wants_in_a_finally(Arc::clone(&shared)).await;
                }
            })
            .await;
        })
        .await;
    assert!(result.is_err());
    assert_eq!(*lock.try_lock().expect("free again"), 30);

    // The borrowing `scope`: the same with two of its children.
    let shared = &lock;
    let result = CancelScope::new()
        .run(async move |outer| {
            local_group(async move |children| {
                children.spawn(async move {
                    let _guard = shared.lock().await;
                    outer.cancel_with("while the owner sleeps");
                    sleep(AN_HOUR).await;
                });
                children.spawn(wants_in_a_finally(Arc::clone(shared)));
            })
            .await
        })
        .await;
    assert!(result.is_err());
    assert_eq!(*lock.try_lock().expect("free again"), 40);
    watch.shows_no_wait();
}

/// Work for ever with a clean-up that wants the lock, and adds ten.
fn wants_in_a_finally(lock: Arc<Mutex<i32>>) -> LocalBoxFuture<'static, ()> {
    Box::pin(finally(pending::<()>(), async move |_| *lock.lock().await += 10))
}

/// A shield that wants the lock, and adds ten.
fn wants_in_a_shield(lock: Arc<Mutex<i32>>) -> LocalBoxFuture<'static, ()> {
    Box::pin(shield(async move { *lock.lock().await += 10 }))
}
