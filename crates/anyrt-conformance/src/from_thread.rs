//! FT: from threads back into the run.

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyrt_core::from_thread::{self, CheckError};
use anyrt_core::{
    BlockingPortal, CallError, CancelScope, CapacityLimiter, Event, Handle, PortalThread, Run, RunError,
    Runtime, SharedPortal, TaskStatus, blocking_portal, checkpoint, current_deadline, finally, move_on_after,
    run_blocking, sleep, task_group, task_local, try_blocking_portal,
};
use futures::future::pending;

use crate::counting::Counter;
use crate::late::a_job_ends_late;
use crate::time::{A_MOMENT, AN_HOUR};

/// A thread that the runtime does not know.
fn foreign<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::Builder::new().name("foreign".to_owned()).spawn(run).expect("a thread")
}

/// Joins a foreign thread without keeping the runtime from its work.
async fn joined<T: Send + 'static>(thread: JoinHandle<T>) -> T {
    run_blocking(move || thread.join()).await.expect("its assertions hold")
}

pub(crate) async fn ft_01_a_sync_call_runs_on_a_thread_of_the_runtime() {
    let (job, there) = run_blocking(|| {
        let there = from_thread::run_sync(|| thread::current().id()).expect("it is not cancelled");
        (thread::current().id(), there)
    })
    .await;
    assert_ne!(job, there);
    let error = run_blocking(|| from_thread::run_sync(|| "x".parse::<u8>())).await;
    assert!(error.expect("it ran").is_err());
    a_job_ends_late().await;
}

pub(crate) async fn ft_02_an_async_call_gives_its_result_or_panic() {
    let value = run_blocking(|| {
        from_thread::run(async {
            checkpoint().await;
            42
        })
    });
    assert_eq!(value.await.expect("it is not cancelled"), 42);
    let error = run_blocking(|| from_thread::run(async { "x".parse::<u8>() })).await;
    assert!(error.expect("it ran").is_err());
    let caught = run_blocking(|| {
        let call = || from_thread::run(async { panic!("expected: in async code") });
        let payload = std::panic::catch_unwind(call).map(|_| ()).expect_err("it panicked");
        payload.downcast_ref::<&str>().map(|text| (*text).to_owned())
    });
    assert_eq!(caught.await.as_deref(), Some("expected: in async code"), "the panic resumes in the closure");
    a_job_ends_late().await;
}

pub(crate) async fn ft_03_a_foreign_thread_needs_a_portal() {
    let outside = foreign(|| from_thread::run(async {}));
    let error = joined(outside).await.expect_err("it belongs to no run");
    assert!(matches!(error, CallError::NotInJob), "{error}");
    assert!(error.to_string().contains("BlockingPortal"), "{error}");
    let spawned = foreign(|| from_thread::spawn(async {}).map(drop));
    assert!(matches!(joined(spawned).await, Err(CallError::NotInJob)));
    let value = blocking_portal(async |portal| joined(foreign(move || portal.call(async { 1 }))).await).await;
    assert_eq!(value.expect("it is not cancelled").expect("it is open"), 1);
    a_job_ends_late().await;
}

pub(crate) async fn ft_04_on_a_thread_that_polls_a_task_it_is_an_error() {
    let error = from_thread::run(async {}).expect_err("it would block the runtime");
    assert!(matches!(error, CallError::OnRuntimeThread), "{error}");
    let in_task = run_blocking(|| from_thread::run(async { from_thread::run_sync(|| ()) }));
    assert!(matches!(in_task.await, Ok(Err(CallError::OnRuntimeThread))));
    let polls = Counter::new();
    let counts = polls.clone();
    let answer = blocking_portal(async |portal| portal.call(async move { _ = counts.add() })).await;
    assert!(matches!(answer, Ok(Err(CallError::OnRuntimeThread))), "{answer:?}");
    assert_eq!(polls.get(), 0, "what is refused does not run");
    let spawned = blocking_portal(async |portal| portal.spawn(async {}).wait()).await;
    assert!(matches!(spawned, Ok(Err(CallError::OnRuntimeThread))), "{spawned:?}");
    a_job_ends_late().await;
}

pub(crate) fn ft_05_after_the_end_of_the_run_it_is_an_error(runtime: Arc<dyn Runtime>) {
    let (go, wait) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    Run::on(runtime)
        .abandoned_patience(Duration::from_millis(1))
        .run(async move {
            let left = CancelScope::new()
                .run(async |scope| {
                    let cancels = scope.clone();
                    run_blocking(move || {
                        cancels.cancel_with("while it runs");
                        let _ = wait.recv();
                        let calls = [from_thread::run(async {}), from_thread::spawn(async {}).map(drop)];
                        tell.send(calls).expect("somebody listens");
                    })
                    .abandon_on_cancel()
                    .await;
                })
                .await;
            left.expect_err("cancelled");
            a_job_ends_late().await;
        })
        .expect("the run ends well");
    drop(go);
    let calls = told.recv().expect("it tells");
    assert!(matches!(calls, [Err(CallError::RunEnded), Err(CallError::RunEnded)]), "{calls:?}");
}

pub(crate) fn ft_06_the_end_of_the_run_ends_the_calls_that_wait(runtime: Arc<dyn Runtime>) {
    let (tell, told) = mpsc::channel();
    let of_portal = tell.clone();
    let thread = Run::on(runtime)
        .run(async move {
            let begun = Arc::new(Event::new());
            let (begins, begins_too) = (begun.clone(), Arc::new(Event::new()));
            let begun_too = begins_too.clone();
            let handle = Handle::current();
            let root = handle.spawn(async move {
                run_blocking(move || {
                    let call = from_thread::run(async move {
                        begins.set();
                        pending::<()>().await;
                    });
                    tell.send(call).expect("somebody listens");
                })
                .await;
            });
            drop(root);
            let opened = Arc::new(std::sync::Mutex::new(None::<BlockingPortal>));
            let open = opened.clone();
            let portal = handle.spawn(async move {
                let ended = blocking_portal(async |portal| {
                    *open.lock().expect("nobody panics") = Some(portal);
                    pending::<()>().await;
                });
                drop(ended.await);
            });
            drop(portal);
            let portal = loop {
                let portal = opened.lock().expect("nobody panics").clone();
                match portal {
                    Some(portal) => break portal,
                    None => checkpoint().await,
                }
            };
            let thread = foreign(move || {
                let call = portal.call(async move {
                    begins_too.set();
                    pending::<()>().await;
                });
                of_portal.send(call).expect("somebody listens");
            });
            begun.wait().await;
            begun_too.wait().await;
            a_job_ends_late().await;
            thread
        })
        .expect("the run ends well");
    thread.join().expect("its assertions hold");
    for _ in 0..2 {
        let call = told.recv().expect("both tell");
        assert!(matches!(call, Err(CallError::Cancelled(_))), "{call:?}");
    }
}

pub(crate) async fn ft_08_a_sync_call_is_not_cancelled() {
    let called = Counter::new();
    let calls = called.clone();
    let left = CancelScope::new()
        .run(async |scope| {
            let cancels = scope.clone();
            let value = run_blocking(move || {
                cancels.cancel_with("before it calls");
                from_thread::run_sync(move || _ = calls.add())
            })
            .await;
            value.expect("it ran");
            checkpoint().await;
        })
        .await;
    left.expect_err("cancelled");
    assert_eq!(called.get(), 1);
    a_job_ends_late().await;
}

pub(crate) async fn ft_09_check_cancelled_tells_whether_the_caller_is_cancelled() {
    let left = CancelScope::new()
        .run(async |scope| {
            let cancels = scope.clone();
            run_blocking(move || {
                from_thread::check_cancelled().expect("it is not");
                cancels.cancel_with("the reason");
                let error = from_thread::check_cancelled().expect_err("it is");
                assert!(matches!(error, CheckError::Cancelled(_)), "{error}");
                assert!(error.to_string().contains("the reason"), "{error}");
            })
            .await;
        })
        .await;
    // It returned its value, and no checkpoint followed.
    left.expect("it ended before it could be cancelled");
    a_job_ends_late().await;
}

pub(crate) async fn ft_11_check_cancelled_works_in_an_abandoned_thread() {
    let (go, wait) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let left = CancelScope::new()
        .run(async |scope| {
            let cancels = scope.clone();
            run_blocking(move || {
                cancels.cancel_with("the reason");
                let _ = wait.recv();
                let calls = from_thread::run(pending::<()>());
                tell.send((from_thread::check_cancelled(), calls)).expect("somebody listens");
            })
            .abandon_on_cancel()
            .await;
        })
        .await;
    left.expect_err("cancelled");
    drop(go);
    let (checked, called) = run_blocking(move || told.recv()).await.expect("it tells");
    assert!(checked.expect_err("it is cancelled").to_string().contains("the reason"));
    assert!(matches!(called, Err(CallError::Cancelled(_))), "{called:?}");
    a_job_ends_late().await;
}

pub(crate) async fn ft_12_check_cancelled_outside_of_a_job_is_an_error() {
    assert!(matches!(from_thread::check_cancelled(), Err(CheckError::NotInJob)));
    let outside = joined(foreign(from_thread::check_cancelled)).await;
    assert!(matches!(outside, Err(CheckError::NotInJob)));
    a_job_ends_late().await;
}

pub(crate) async fn ft_13_what_check_cancelled_says_ends_in_its_own_scope() {
    let after = Counter::new();
    let outer = CancelScope::new()
        .run(async |_| {
            let inner = CancelScope::new()
                .run(async |scope| {
                    let cancels = scope.clone();
                    let stopped = run_blocking(move || {
                        cancels.cancel_with("the inner one");
                        from_thread::check_cancelled()?;
                        Ok::<_, CheckError>(())
                    })
                    .await;
                    stopped.expect_err("it stopped early");
                    checkpoint().await;
                })
                .await;
            inner.expect_err("its own cancellation");
            checkpoint().await;
            after.add();
        })
        .await;
    outer.expect("nothing escapes");
    assert_eq!(after.get(), 1);
    a_job_ends_late().await;
}

pub(crate) async fn ft_15_many_threads_call_in_order_and_starve_nobody() {
    const THREADS: usize = 8;
    const CALLS: usize = 125;
    let seen = Arc::new(std::sync::Mutex::new(vec![Vec::new(); THREADS]));
    let ticks = Counter::new();
    task_group(async |group| {
        let ticking = ticks.clone();
        let ticker = group.spawn(async move {
            loop {
                ticking.add();
                checkpoint().await;
            }
        });
        let calls: Vec<_> = (0..THREADS)
            .map(|number| {
                let (seen, ticks) = (seen.clone(), ticks.clone());
                group.spawn(
                    run_blocking(move || {
                        let before = ticks.get();
                        for call in 0..CALLS {
                            let seen = seen.clone();
                            from_thread::run_sync(move || {
                                seen.lock().expect("nobody panics")[number].push(call);
                            })
                            .expect("it is not cancelled");
                        }
                        while ticks.get() == before {
                            thread::yield_now();
                        }
                    })
                    .into_future(),
                )
            })
            .collect();
        for call in calls {
            call.await.expect("its assertions hold");
        }
        ticker.cancel_with("all have called");
    })
    .await
    .expect("no child fails");
    let seen = std::mem::take(&mut *seen.lock().expect("nobody panics"));
    let all: Vec<usize> = (0..CALLS).collect();
    assert!(seen.iter().all(|calls| *calls == all));
    a_job_ends_late().await;
}

task_local! {
    static COLOUR: &'static str;
}

pub(crate) async fn ft_16_a_portal_calls_spawns_starts_and_carries_names_and_context() {
    let seen = blocking_portal(async |portal| {
        let (of_thread, of_job) = (portal.clone(), portal);
        joined(foreign(move || {
            assert_eq!(of_thread.call(async { 1 }).expect("it is open"), 1);
            assert_eq!(of_thread.call_sync(|| 2).expect("it is open"), 2);
            let named = of_thread.spawn_named("named", async {
                checkpoint().await;
                anyrt_core::current_task().expect("a task").name().to_owned()
            });
            assert_eq!(named.name(), "named");
            assert_eq!(named.wait().expect("it ends"), "named");
            let (port, served) = of_thread
                .start(async |ready| {
                    ready.started(8080);
                    checkpoint().await;
                    "served"
                })
                .expect("it starts");
            assert_eq!((port, served.wait().expect("it ends")), (8080, "served"));
            let never = of_thread.start(async |_: anyrt_core::Ready<()>| ());
            assert!(matches!(never, Err(CallError::NotReady)), "{never:?}");
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                of_thread.call(async { panic!("expected: in the call") })
            }));
            assert!(panicked.is_err(), "the panic of a call is the caller's");
        }))
        .await;
        let of_job = COLOUR.with_value("of the job", async move {
            run_blocking(move || of_job.call(async { COLOUR.get() })).await
        });
        of_job.await
    })
    .await;
    assert_eq!(seen.expect("no task failed").expect("it is open"), "of the job");
    a_job_ends_late().await;
}

pub(crate) async fn ft_17_a_portal_waits_for_its_tasks_or_cancels_them_when_its_block_fails() {
    let ended = Counter::new();
    let release = Arc::new(Event::new());
    let (counts, waits) = (ended.clone(), release.clone());
    let left = blocking_portal(async |portal| {
        joined(foreign(move || {
            drop(portal.spawn(async move {
                waits.wait().await;
                checkpoint().await;
                counts.add();
            }));
        }))
        .await;
        release.set();
    });
    left.await.expect("no task fails");
    assert_eq!(ended.get(), 1, "it was waited for");
    let dropped = Counter::new();
    let local = dropped.on_drop();
    let left = try_blocking_portal(async |portal| {
        joined(foreign(move || {
            drop(portal.spawn(async move {
                let _local = local;
                pending::<()>().await;
            }));
        }))
        .await;
        Err::<(), _>("the block fails".into())
    });
    assert_eq!(left.await.expect_err("it failed").to_string(), "the block fails");
    assert_eq!(dropped.get(), 1, "it was cancelled");
    a_job_ends_late().await;
}

pub(crate) async fn ft_18_a_task_of_a_portal_is_cancelled_at_once_later_and_after_the_end() {
    let kept = blocking_portal(async |portal| {
        joined(foreign(move || {
            let at_once = portal.spawn(pending::<()>());
            at_once.cancel_with("at once");
            assert!(matches!(at_once.wait(), Err(CallError::Cancelled(_))));
            let begun = Arc::new(Event::new());
            let begins = begun.clone();
            let later = portal.spawn(async move {
                begins.set();
                pending::<()>().await;
            });
            portal.call(async move { begun.wait().await }).expect("it is open");
            assert!(!later.is_finished());
            later.cancel_with("later");
            assert!(matches!(later.wait(), Err(CallError::Cancelled(_))));
            portal.spawn(async { 42 })
        }))
        .await
    })
    .await
    .expect("no task fails");
    assert_eq!(kept.status(), TaskStatus::Finished);
    kept.cancel_with("after the end");
    let value = joined(foreign(move || kept.wait())).await;
    assert_eq!(value.expect("it has its value"), 42);
    a_job_ends_late().await;
}

pub(crate) async fn ft_19_a_portal_that_is_closed_is_an_error() {
    let portal = blocking_portal(async |portal| portal).await.expect("nothing fails");
    assert!(portal.is_closed());
    joined(foreign(move || {
        assert!(matches!(portal.call(async {}), Err(CallError::RunEnded)));
        assert!(matches!(portal.call_sync(|| ()), Err(CallError::RunEnded)));
        assert!(matches!(portal.spawn(async {}).wait(), Err(CallError::RunEnded)));
    }))
    .await;
    a_job_ends_late().await;
}

pub(crate) async fn ft_20_cancelling_the_caller_cancels_what_its_job_calls() {
    for abandons in [false, true] {
        let cleaned = Arc::new(Event::new());
        let limiter = CapacityLimiter::new(1);
        let (cleans, seen) = (cleaned.clone(), Counter::new());
        let sees = seen.clone();
        let (tell, told) = mpsc::channel();
        let (release, released) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let cleaning = released.clone();
        let left = CancelScope::new()
            .run(async |scope| {
                let cancels = scope.clone();
                let call = run_blocking(move || {
                    let work = async move {
                        cancels.cancel_with("while it waits");
                        pending::<()>().await;
                    };
                    let answer = from_thread::run(finally(work, async move |_| {
                        if abandons {
                            release.set();
                            cleaning.wait().await;
                        }
                        checkpoint().await;
                        sees.add();
                        cleans.set();
                    }));
                    tell.send(matches!(answer, Err(CallError::Cancelled(_)))).expect("somebody listens");
                });
                let call = call.limiter(&limiter);
                if abandons {
                    call.abandon_on_cancel().await
                } else {
                    call.await
                }
                checkpoint().await;
            })
            .await;
        left.expect_err("cancelled");
        if abandons {
            assert_eq!(seen.get(), 0, "who abandons does not wait for the clean-up");
            released.set();
            cleaned.wait().await;
        }
        assert_eq!(seen.get(), 1, "the clean-up ran to its end");
        assert_eq!(run_blocking(move || told.recv()).await, Ok(true));
    }
    a_job_ends_late().await;
}

pub(crate) fn ft_21_a_shared_portal_starts_with_its_first_user_and_stops_with_its_last(
    runtime: Arc<dyn Runtime>,
) {
    // Each start takes the runtime; there is one, so the second start fails, and so did the zeroth.
    let starts = Counter::new();
    let (counts, runtime) = (starts.clone(), std::sync::Mutex::new(Some(runtime)));
    let shared = SharedPortal::new(move || match counts.add() {
        0 => Err(RunError::Start(std::io::Error::other("the zeroth"))),
        _ => runtime
            .lock()
            .expect("nobody panics")
            .take()
            .map(Run::on)
            .ok_or_else(|| RunError::Start(std::io::Error::other("it was taken"))),
    });
    assert!(shared.open().is_err(), "the first start fails");
    let one = shared.open().expect("and is tried again");
    let two = shared.open().expect("it is open");
    assert_eq!(starts.get(), 2, "one start for both");
    drop(one);
    assert_eq!(two.call(async { 42 }).expect("it is open"), 42);
    two.call(a_job_ends_late()).expect("it is open");
    let portal = two.portal().clone();
    drop(two);
    assert!(portal.is_closed() && matches!(portal.call(async {}), Err(CallError::RunEnded)));
    assert!(shared.open().is_err(), "a new start");
    assert_eq!(starts.get(), 3);
}

pub(crate) async fn rule_53_async_code_of_a_job_sees_the_deadline_of_the_caller() {
    let (outside, inside) = move_on_after(AN_HOUR, async {
        let inside = run_blocking(|| from_thread::run(async { current_deadline() })).await;
        (current_deadline(), inside.expect("it is not cancelled"))
    })
    .await
    .expect("in time");
    assert_eq!(format!("{outside:?}"), format!("{inside:?}"));
    let timed_out = move_on_after(A_MOMENT, async {
        let call = run_blocking(|| from_thread::run(sleep(AN_HOUR)));
        assert!(matches!(call.await, Err(CallError::Cancelled(_))), "the deadline cancels it");
        checkpoint().await;
    });
    assert!(timed_out.await.is_none());
    a_job_ends_late().await;
}

pub(crate) async fn rule_53_tasks_that_a_job_spawned_end_with_its_call() {
    let ended = Counter::new();
    let counts = ended.clone();
    run_blocking(move || {
        let task = from_thread::spawn(async { 7 }).expect("it is not cancelled");
        assert_eq!(task.wait().expect("it ends"), 7);
        drop(from_thread::spawn(async move {
            checkpoint().await;
            counts.add();
        }));
    })
    .await;
    assert_eq!(ended.get(), 1, "the call waited for it");
    let left = CancelScope::new()
        .run(async |scope| {
            let cancels = scope.clone();
            run_blocking(move || {
                drop(from_thread::spawn(pending::<()>()));
                cancels.cancel_with("with its tasks");
            })
            .await;
        })
        .await;
    drop(left);
    let panicked = run_blocking(|| {
        drop(from_thread::spawn(async { panic!("expected: in a task") }));
    });
    let caught = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(panicked.into_future())).await;
    caught.expect_err("the panic of a task is the caller's");
    a_job_ends_late().await;
}

pub(crate) fn rule_54_a_portal_needs_no_runtime_around_it(runtime: Arc<dyn Runtime>) {
    let thread = PortalThread::start(Run::on(runtime)).expect("it starts");
    let ended = Counter::new();
    let counts = ended.clone();
    assert_eq!(thread.call(async { 42 }).expect("it is open"), 42);
    drop(thread.spawn(async move {
        checkpoint().await;
        counts.add();
    }));
    thread.call(a_job_ends_late()).expect("it is open");
    let portal = thread.portal().clone();
    thread.stop();
    assert_eq!(ended.get(), 1, "stop waits for the tasks");
    assert!(matches!(portal.call(async {}), Err(CallError::RunEnded)));
}
