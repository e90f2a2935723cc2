//! TT: blocking jobs.

use std::cell::RefCell;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use anyrt_core::{
    Borrower, CancelScope, CapacityLimiter, Handle, Limiter, Run, Runtime, Semaphore, StartError, checkpoint,
    from_thread, join, run_blocking, run_cpu, sleep, task_group, task_local,
};
use futures::FutureExt as _;

use crate::by_hand::ByHand;
use crate::counting::Counter;
use crate::late::a_job_ends_late;
use crate::warnings::Warnings;

const AN_INSTANT: Duration = Duration::from_millis(1);

pub(crate) async fn tt_01_a_job_runs_on_another_thread_and_gives_its_result() {
    let here = thread::current().id();
    let there = run_blocking(|| thread::current().id()).await;
    assert_ne!(here, there);
    assert_eq!(run_blocking(|| "7".parse::<u8>()).await, Ok(7));
    assert!(run_blocking(|| "seven".parse::<u8>()).await.is_err());
    assert_eq!(run_cpu(|| 6 * 7).await, 42);
    a_job_ends_late().await;
}

pub(crate) async fn tt_02_other_tasks_run_meanwhile() {
    let (tell, told) = mpsc::channel();
    task_group(async |group| {
        group.spawn(async move {
            checkpoint().await;
            tell.send(42).expect("the job listens");
        });
        assert_eq!(run_blocking(move || told.recv()).await, Ok(42));
    })
    .await
    .expect("no child fails");
    a_job_ends_late().await;
}

pub(crate) async fn tt_03_a_job_that_is_cancelled_before_its_start_never_runs() {
    let limiter = CapacityLimiter::new(1);
    let token = limiter.acquire().await.detach();
    let ran = Counter::new();
    task_group(async |group| {
        let call = {
            let (limiter, ran) = (limiter.clone(), ran.clone());
            group.spawn(async move { run_blocking(move || _ = ran.add()).limiter(&limiter).await })
        };
        while limiter.waiting() == 0 {
            checkpoint().await;
        }
        call.cancel_with("while it waits");
        assert!(call.await.expect_err("cancelled").is_cancelled());
    })
    .await
    .expect("no child fails");
    drop(token);
    run_blocking(|| ()).limiter(&limiter).await;
    let runs = ran.clone();
    let left = CancelScope::new()
        .run(async |scope| {
            scope.cancel_with("before it asks");
            run_blocking(move || _ = runs.add()).await;
        })
        .await;
    left.expect_err("cancelled");
    assert_eq!((ran.get(), limiter.borrowed()), (0, 0));
    a_job_ends_late().await;
}

pub(crate) async fn tt_05_a_cancelled_caller_gets_the_result_and_is_cancelled_after_it() {
    let got = Counter::new();
    let left = CancelScope::new()
        .run(async |scope| {
            let (begun, begin) = mpsc::channel();
            let cancels = scope.clone();
            let seven = run_blocking(move || {
                begun.send(()).expect("it is kept");
                cancels.cancel_with("while it runs");
                7
            })
            .await;
            begin.recv().expect("it has begun");
            got.add();
            assert_eq!(seven, 7);
            checkpoint().await;
            got.add();
        })
        .await;
    left.expect_err("cancelled");
    assert_eq!(got.get(), 1);
    a_job_ends_late().await;
}

pub(crate) async fn tt_06_a_caller_that_abandons_is_released_and_the_job_runs_on() {
    let limiter = CapacityLimiter::new(1);
    let (go, wait) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let left = CancelScope::new()
        .run(async |scope| {
            let cancels = scope.clone();
            run_blocking(move || {
                cancels.cancel_with("while it runs");
                let _ = wait.recv();
                tell.send("to its end").expect("somebody listens");
            })
            .limiter(&limiter)
            .abandon_on_cancel()
            .await;
        })
        .await;
    left.expect_err("cancelled");
    assert_eq!(limiter.borrowed(), 1, "the token stays taken until the end");
    go.send(()).expect("it waits");
    assert_eq!(run_blocking(move || told.recv()).await, Ok("to its end"));
    drop(limiter.acquire().await);
    a_job_ends_late().await;
}

pub(crate) async fn tt_07_the_result_of_an_abandoned_job_is_discarded() {
    let limiter = CapacityLimiter::new(1);
    for panics in [false, true] {
        let (go, wait) = mpsc::channel::<()>();
        let left = CancelScope::new()
            .run(async |scope| {
                let cancels = scope.clone();
                run_blocking(move || {
                    cancels.cancel_with("while it runs");
                    // Until the caller has gone.
                    let _ = wait.recv();
                    assert!(!panics, "expected: nobody hears of it");
                    Err::<(), _>("nobody hears of it")
                })
                .limiter(&limiter)
                .abandon_on_cancel()
                .await
            })
            .await;
        left.expect_err("cancelled");
        drop(go);
        drop(limiter.acquire().await);
    }
    assert_eq!(run_blocking(|| 1).limiter(&limiter).await, 1);
    a_job_ends_late().await;
}

/// Tells when its thread ends, and whether that was by a panic.
struct AtTheEnd(Option<mpsc::Sender<bool>>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            // Long enough to tell who joins the thread from who only knows that it has no work.
            thread::sleep(Duration::from_millis(30));
            let _ = tell.send(thread::panicking());
        }
    }
}

thread_local! {
    static AT_THE_END: RefCell<AtTheEnd> = const { RefCell::new(AtTheEnd(None)) };
}

fn at_the_end_of_this_thread(tell: mpsc::Sender<bool>) {
    AT_THE_END.with_borrow_mut(|end| end.0 = Some(tell));
}

pub(crate) fn tt_09_an_abandoned_job_may_end_after_the_runtime(runtime: Arc<dyn Runtime>) {
    let (go, wait) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    Run::on(runtime)
        .abandoned_patience(AN_INSTANT)
        .run(async move {
            let left = CancelScope::new()
                .run(async |scope| {
                    let cancels = scope.clone();
                    run_blocking(move || {
                        at_the_end_of_this_thread(tell);
                        cancels.cancel_with("while it runs");
                        let _ = wait.recv();
                        "for nobody"
                    })
                    .abandon_on_cancel()
                    .await
                })
                .await;
            left.expect_err("cancelled");
            a_job_ends_late().await;
        })
        .expect("the run ends well");
    go.send(()).expect("it waits");
    assert_eq!(told.recv(), Ok(false), "the thread ends without a panic");
}

pub(crate) async fn tt_10_never_more_jobs_run_than_there_are_tokens() {
    let limiter = CapacityLimiter::new(3);
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    task_group(async |group| {
        for number in 0..60 {
            let (limiter, running, most) = (limiter.clone(), running.clone(), most.clone());
            group.spawn(async move {
                let left = CancelScope::new()
                    .run(async |scope| {
                        let cancels = scope.clone();
                        let call = run_blocking(move || {
                            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            if number % 3 == 0 {
                                cancels.cancel_with("every third");
                            }
                            thread::sleep(AN_INSTANT);
                            running.fetch_sub(1, Ordering::SeqCst);
                        });
                        let call = call.limiter(&limiter);
                        if number % 2 == 0 { call.abandon_on_cancel().await } else { call.await }
                    })
                    .await;
                drop(left);
            });
        }
    })
    .await
    .expect("no child fails");
    while limiter.borrowed() > 0 {
        checkpoint().await;
    }
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    a_job_ends_late().await;
}

pub(crate) async fn tt_11_the_default_limiter_has_forty_tokens_and_is_adjusted_while_it_runs() {
    let limiter = Handle::current().limiter().clone();
    assert_eq!(limiter.total(), 40);
    limiter.set_total(1);
    let (most, running) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    task_group(async |group| {
        for _ in 0..10 {
            let (running, most) = (running.clone(), most.clone());
            group.spawn(
                run_blocking(move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    running.fetch_sub(1, Ordering::SeqCst);
                })
                .into_future(),
            );
        }
    })
    .await
    .expect("no child fails");
    assert_eq!(most.load(Ordering::SeqCst), 1);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    assert_eq!(Handle::current().cpu_limiter().total(), cores);
    a_job_ends_late().await;
}

pub(crate) async fn tt_12_a_limiter_of_ones_own_is_used_in_place_of_the_default() {
    let default = Handle::current().limiter().clone();
    default.set_total(0);
    let own = CapacityLimiter::new(50);
    let together = Arc::new(Barrier::new(50));
    task_group(async |group| {
        for _ in 0..50 {
            let together = together.clone();
            group.spawn(run_blocking(move || together.wait().is_leader()).limiter(&own).into_future());
        }
    })
    .await
    .expect("no child fails");
    assert_eq!((default.borrowed(), own.borrowed()), (0, 0));
    default.set_total(1);
    a_job_ends_late().await;
}

/// Lets a number of borrowers in, and writes down what it is asked.
struct Doorman {
    free: Semaphore,
    asked: Mutex<Vec<(&'static str, Borrower)>>,
    /// It panics when it is told of the end.
    panics: bool,
}

impl Doorman {
    fn new(free: usize, panics: bool) -> Arc<Doorman> {
        Arc::new(Doorman { free: Semaphore::new(free), asked: Mutex::default(), panics })
    }

    fn write(&self, what: &'static str, borrower: Borrower) {
        self.asked.lock().expect("nobody panics here").push((what, borrower));
    }

    fn asked_of_none(&self) -> bool {
        self.asked.lock().expect("nobody panics here").is_empty()
    }

    /// What was asked since the last time, and that it was asked on behalf of one borrower.
    fn asked_of_one(&self) -> Vec<&'static str> {
        let asked = std::mem::take(&mut *self.asked.lock().expect("nobody panics here"));
        assert!(asked.iter().all(|(_, borrower)| *borrower == asked[0].1), "{asked:?}");
        asked.into_iter().map(|(what, _)| what).collect()
    }
}

impl Limiter for Doorman {
    fn acquire_on_behalf_of(&self, borrower: Borrower) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.write("acquire", borrower);
        let free = self.free.clone();
        Box::pin(async move { free.acquire().await.forget() })
    }

    fn release_on_behalf_of(&self, borrower: Borrower) {
        self.write("release", borrower);
        self.free.add_permits(1).expect("there is no maximum");
        assert!(!self.panics, "a doorman that panics");
    }
}

pub(crate) async fn tt_13_a_limiter_of_ones_own_making_is_asked_and_told_and_no_more() {
    let default = Handle::current().limiter().clone();
    default.set_total(0);
    let doorman = Doorman::new(1, false);
    let call = async |seven| run_blocking(move || seven).limited_by(doorman.clone()).await;
    assert_eq!(call(7).await, 7);
    assert_eq!(doorman.asked_of_one(), ["acquire", "release"]);

    // The borrower is the call, not the task.
    join(call(1), call(2)).await;
    let asked = std::mem::take(&mut *doorman.asked.lock().expect("nobody panics here"));
    let borrowers: HashSet<Borrower> = asked.iter().map(|(_, borrower)| *borrower).collect();
    assert_eq!((asked.len(), borrowers.len()), (4, 2), "{asked:?}");

    // Cancelled before it begins, it asks nobody; while it waits, it has borrowed nothing.
    let early = CancelScope::new().run(async |scope| {
        scope.cancel_with("before it begins");
        call(0).await
    });
    early.await.expect_err("it is cancelled");
    assert!(doorman.asked_of_none());
    let all = doorman.free.acquire().await;
    let scope = CancelScope::new();
    let handle = scope.handle();
    let mut waits = ByHand::new(scope.run(async |_| call(0).await));
    assert!(waits.poll().is_pending(), "nobody is let in");
    handle.cancel_with("while it waits");
    assert!(matches!(waits.poll(), Poll::Ready(Err(_))));
    drop((waits, all));
    assert_eq!(doorman.asked_of_one(), ["acquire"]);

    // A job that waits for async code gives back what it has, and asks again.
    let inner = doorman.clone();
    let outer = run_blocking(move || {
        from_thread::run(async move {
            checkpoint().await;
            run_blocking(|| 3).limited_by(inner).await
        })
    });
    assert_eq!(outer.limited_by(doorman.clone()).await.expect("it is not cancelled"), 3);
    let asked = std::mem::take(&mut *doorman.asked.lock().expect("nobody panics here"));
    let of_the_outer = asked.iter().filter(|(_, borrower)| *borrower == asked[0].1).map(|(what, _)| *what);
    assert_eq!(of_the_outer.collect::<Vec<_>>(), ["acquire", "release", "acquire", "release"]);
    assert_eq!(asked.len(), 6, "{asked:?}");

    let panics = Doorman::new(1, true);
    let ended =
        AssertUnwindSafe(run_blocking(|| 1).limited_by(panics.clone()).into_future()).catch_unwind().await;
    ended.expect_err("its panic is the caller's");
    assert_eq!(panics.asked_of_one(), ["acquire", "release"]);

    assert_eq!((doorman.free.available(), default.borrowed()), (1, 0));
    default.set_total(1);
    a_job_ends_late().await;
}

pub(crate) async fn tt_14_a_thread_that_cannot_be_started_is_an_error_and_costs_no_token() {
    let limiter = CapacityLimiter::new(1);
    let handle = Handle::current();
    handle.deny_blocking_threads(true);
    let dropped = Counter::new();
    for _ in 0..3 {
        let local = dropped.on_drop();
        let refused = run_blocking(move || drop(local)).limiter(&limiter).try_start().await;
        let error = refused.expect_err("there is no thread");
        assert!(matches!(error, StartError::NoThread(_)), "{error}");
        assert_eq!(limiter.borrowed(), 0);
    }
    assert_eq!(dropped.get(), 3);
    let doorman = Doorman::new(1, false);
    let refused = run_blocking(|| ()).limited_by(doorman.clone()).try_start().await;
    assert!(matches!(refused, Err(StartError::NoThread(_))), "{refused:?}");
    assert_eq!(doorman.asked_of_one(), ["acquire", "release"], "one of your own making is told, too");
    let awaited = AssertUnwindSafe(run_blocking(|| ()).into_future()).catch_unwind().await;
    awaited.expect_err("where there is no error value it is a panic");
    handle.deny_blocking_threads(false);
    assert_eq!(run_blocking(|| 1).limiter(&limiter).await, 1);
    handle.deny_blocking_threads(true);
    assert_eq!(run_blocking(|| 2).limiter(&limiter).await, 2, "the thread that there is takes it");
    // While that thread waits for a job, nobody would ever come to the job.
    let inner = limiter.clone();
    let nested = run_blocking(move || {
        from_thread::run(async move { run_blocking(|| 3).limiter(&inner).try_start().await.is_err() })
    });
    assert!(nested.limiter(&limiter).await.expect("it is not cancelled"));
    assert_eq!(limiter.borrowed(), 0);
    a_job_ends_late().await;
}

pub(crate) fn tt_15_threads_are_used_again_and_end_when_they_are_idle(runtime: Arc<dyn Runtime>) {
    Run::on(runtime)
        .blocking_idle(Duration::from_millis(50))
        .run(async {
            let first = run_blocking(|| thread::current().id()).await;
            let second = run_blocking(|| thread::current().id()).await;
            assert_eq!(first, second);
            assert_eq!(Handle::current().blocking_threads(), 1);
            while Handle::current().blocking_threads() > 0 {
                sleep(AN_INSTANT).await;
            }
            assert_ne!(run_blocking(|| thread::current().id()).await, first);
            a_job_ends_late().await;
        })
        .expect("the run ends well");
}

pub(crate) fn tt_17_idle_threads_are_joined_at_the_end_and_a_stuck_one_is_named(runtime: Arc<dyn Runtime>) {
    let (go, wait) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let (tell_stuck, told_stuck) = mpsc::channel();
    let warnings = Warnings::of("anyrt::blocking");
    warnings.catch(|| {
        Run::on(runtime)
            .name("ending")
            .abandoned_patience(Duration::from_secs(1))
            .run(async move {
                let left = CancelScope::new()
                    .run(async |scope| {
                        let cancels = scope.clone();
                        run_blocking(move || {
                            at_the_end_of_this_thread(tell_stuck);
                            cancels.cancel_with("while it runs");
                            let _ = wait.recv();
                        })
                        .name("stuck")
                        .abandon_on_cancel()
                        .await;
                    })
                    .await;
                left.expect_err("cancelled");
                run_blocking(|| at_the_end_of_this_thread(tell)).await;
                a_job_ends_late().await;
            })
            .expect("the run ends well");
    });
    assert_eq!(told.try_recv(), Ok(false), "the idle thread has ended, to its last destructor");
    assert_eq!(told_stuck.try_recv(), Err(mpsc::TryRecvError::Empty));
    let [report] = &warnings.caught()[..] else { panic!("one report: {:?}", warnings.caught()) };
    assert!(report.contains("stuck") && report.contains("ending-blocking-0"), "{report}");
    assert!(report.contains("blocking.rs"), "{report}");
    drop(go);
    assert_eq!(told_stuck.recv(), Ok(false));
}

task_local! {
    static COLOUR: &'static str;
    static KEPT: Arc<()>;
}

pub(crate) async fn tt_18_the_context_goes_in_and_nothing_comes_back_or_stays() {
    let kept = Arc::new(());
    let inside = kept.clone();
    COLOUR
        .with_value(
            "of the caller",
            KEPT.with_value(inside, async {
                let seen = run_blocking(|| {
                    let seen = COLOUR.get();
                    let own = from_thread::run(COLOUR.with_value("of the job", async { COLOUR.get() }));
                    (seen, own.expect("it is not cancelled"), COLOUR.get())
                })
                .await;
                assert_eq!(seen, ("of the caller", "of the job", "of the caller"));
                assert_eq!(COLOUR.get(), "of the caller");
            }),
        )
        .await;
    // The runtime drops the task of the job's own call when it has told of its end.
    while Arc::strong_count(&kept) > 1 {
        checkpoint().await;
    }
    assert!(run_blocking(|| COLOUR.try_with(|colour| *colour).is_err()).await);
    a_job_ends_late().await;
}

pub(crate) async fn tt_19_the_borrower_is_the_call_and_a_task_does_not_wait_for_itself() {
    let limiter = CapacityLimiter::new(2);
    let together = Arc::new(Barrier::new(2));
    let (one, two) = (together.clone(), together);
    join(
        run_blocking(move || one.wait().is_leader()).limiter(&limiter).into_future(),
        run_blocking(move || two.wait().is_leader()).limiter(&limiter).into_future(),
    )
    .await;
    limiter.set_total(1);
    let guard = limiter.acquire().await;
    let error =
        run_blocking(|| ()).limiter(&limiter).try_start().await.expect_err("it would wait for itself");
    assert!(matches!(error, StartError::WaitsForItself), "{error}");
    assert_eq!((limiter.borrowed(), limiter.waiting()), (1, 0));
    // A guard that somebody else drops is none of this task's.
    let detached = guard.detach();
    join(run_blocking(|| ()).limiter(&limiter).into_future(), async move {
        checkpoint().await;
        drop(detached);
    })
    .await;
    assert_eq!(limiter.borrowed(), 0);
    a_job_ends_late().await;
}

pub(crate) async fn tt_20_nested_calls_end_on_a_saturated_limiter() {
    fn level(deep: usize, limiter: CapacityLimiter) -> usize {
        if deep == 0 {
            return 1;
        }
        let inner = limiter.clone();
        let below = async move {
            let next = inner.clone();
            run_blocking(move || level(deep - 1, next)).limiter(&inner).await
        };
        1 + from_thread::run(below).expect("nobody cancels it")
    }

    let limiter = CapacityLimiter::new(3);
    let finished = Counter::new();
    task_group(async |group| {
        for _ in 0..100 {
            let (limiter, finished) = (limiter.clone(), finished.clone());
            group.spawn(async move {
                let next = limiter.clone();
                assert_eq!(run_blocking(move || level(2, next)).limiter(&limiter).await, 3);
                finished.add();
            });
        }
    })
    .await
    .expect("no child fails");
    assert_eq!((finished.get(), limiter.borrowed(), limiter.waiting()), (100, 0, 0));
    // No more than those that wait for async code, two for each outer call, and those with a token.
    let threads = Handle::current().blocking_threads();
    assert!(threads <= 203, "{threads} threads");
    a_job_ends_late().await;
}

pub(crate) async fn rule_55_what_has_begun_goes_before_what_starts() {
    let limiter = CapacityLimiter::new(1);
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let note = |what: &'static str| {
        let order = order.clone();
        move || order.lock().expect("nobody panics").push(what)
    };
    let (nested, starts, of_nested) = (note("nested"), note("starts"), limiter.clone());
    let waiting = limiter.clone();
    join(
        run_blocking(move || {
            while waiting.waiting() == 0 {
                thread::yield_now();
            }
            from_thread::run(async move { run_blocking(nested).limiter(&of_nested).await })
                .expect("nobody cancels it");
        })
        .limiter(&limiter)
        .into_future(),
        run_blocking(starts).limiter(&limiter).into_future(),
    )
    .await;
    assert_eq!(*order.lock().expect("nobody panics"), ["nested", "starts"]);
    a_job_ends_late().await;
}

pub(crate) async fn tt_21_a_panic_reaches_the_caller_and_the_thread_lives_on() {
    let first = run_blocking(|| thread::current().id()).await;
    let call = run_blocking(|| panic!("expected: boom")).name("fuse");
    let payload = AssertUnwindSafe(call.into_future()).catch_unwind().await;
    let payload = payload.expect_err("it panicked");
    let text = payload.downcast_ref::<String>().expect("a text");
    assert!(text.contains("boom") && text.contains("`fuse`") && text.contains("-blocking-0"), "{text}");
    let call = run_blocking(|| std::panic::panic_any(42_u8));
    let payload = AssertUnwindSafe(call.into_future()).catch_unwind().await;
    assert_eq!(payload.expect_err("it panicked").downcast_ref::<u8>(), Some(&42));
    assert_eq!(run_blocking(|| thread::current().id()).await, first);
    assert_eq!(Handle::current().limiter().borrowed(), 0);
    a_job_ends_late().await;
}

pub(crate) async fn rule_58_there_are_never_more_threads_than_tokens() {
    let handle = Handle::current();
    handle.limiter().set_total(4);
    task_group(async |group| {
        for _ in 0..8 {
            group.spawn(async {
                for _ in 0..100 {
                    run_blocking(|| ()).await;
                }
            });
        }
    })
    .await
    .expect("no child fails");
    assert!(handle.blocking_threads() <= 4, "{} threads", handle.blocking_threads());
    a_job_ends_late().await;
}
