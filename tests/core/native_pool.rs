//! The cases of blocking work with the runtime's own pool in place of the core's: all hold but those listed
//! here, which ask for what only the core's own threads promise.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyrt::blocking::BlockingPool;
use anyrt::{Backend, Run, RunError, run_blocking};
use anyrt_conformance::{Case, Outcome, PATIENCE, Runtime, with_native_jobs};

/// Cases that do not hold, on which runtimes, by the start of their names, and why.
const EXCEPTIONS: [(&str, &str, &str); 7] = [
    (
        "rs_04_a_blocking_job_waits_for_a_sender_that_another_branch_owns",
        "",
        "it cancels at once, when a thread has perhaps not begun the job: then it never runs",
    ),
    (
        "tt_09_an_abandoned_job_may_end_after_the_runtime",
        "",
        "it waits for the end of a thread, and those have more to do or are waited for",
    ),
    ("tt_14_a_thread_that_cannot_be_started_is_an_error_and_costs_no_token", "", "the test denies ours"),
    ("tt_15_threads_are_used_again_and_end_when_they_are_idle", "", "it counts ours"),
    ("tt_17_idle_threads_are_joined_at_the_end_and_a_stuck_one_is_named", "", "nobody joins, nobody names"),
    ("tt_21_a_panic_reaches_the_caller_and_the_thread_lives_on", "", "threads have other names"),
    ("ft_05_after_the_end_of_the_run_it_is_an_error", "tokio", "tokio waits for its threads at its end"),
];

/// Long enough to tell a case that hangs from one that is slow.
const SHORT: Duration = Duration::from_secs(4);

type Make = fn() -> std::sync::Arc<dyn Runtime>;

fn natives() -> Vec<(&'static str, Make)> {
    vec![
        #[cfg(feature = "tokio")]
        ("tokio", || anyrt_tokio::multi_thread(None, "native").expect("threads for the runtime")),
        #[cfg(feature = "tokio")]
        ("tokio-current-thread", || anyrt_tokio::current_thread("native").expect("a runtime")),
        #[cfg(feature = "smol")]
        ("smol", || anyrt_smol::executor(None, "native").expect("threads for the runtime")),
        #[cfg(feature = "async-std")]
        ("async-std", anyrt_async_std::runtime),
    ]
}

fn is_of_blocking_work(case: &Case) -> bool {
    let families = [
        "tt_", "ft_", "wt_", "cl_", "rs_04", "rs_09", "rule_49", "rule_50", "rule_53", "rule_54", "rule_55",
        "rule_57",
    ];
    families.iter().any(|family| case.name().starts_with(family))
}

fn is_exception(case: &Case, backend: &str) -> bool {
    EXCEPTIONS.iter().any(|(name, on, _)| *name == case.name() && backend.starts_with(on))
}

/// The outcomes of the cases that are `chosen`, by case and backend.
fn outcomes(
    chosen: impl Fn(&Case, &str) -> bool,
    patience: Duration,
) -> BTreeMap<(&'static str, &'static str), Outcome> {
    let all: Vec<_> = Case::all()
        .iter()
        .flat_map(|case| natives().into_iter().map(move |on| (case, on)))
        .filter(|(case, (backend, _))| chosen(case, backend))
        .collect();
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                while let Some((case, (backend, make))) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let make = *make;
                    let outcome = case.check(patience, move || with_native_jobs(make()));
                    outcomes.lock().expect("not poisoned").insert((case.name(), *backend), outcome);
                }
            });
        }
    });
    outcomes.into_inner().expect("not poisoned")
}

#[test]
fn the_cases_of_blocking_work_hold_but_for_the_exceptions() {
    let outcomes =
        outcomes(|case, backend| is_of_blocking_work(case) && !is_exception(case, backend), PATIENCE);
    assert!(outcomes.len() >= 50 * natives().len(), "{} outcomes", outcomes.len());
    let failed: BTreeMap<_, _> =
        outcomes.into_iter().filter(|(_, outcome)| *outcome != Outcome::Passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn an_exception_that_holds_everywhere_is_none() {
    let outcomes = outcomes(is_exception, SHORT);
    for (name, on, why) in EXCEPTIONS {
        assert!(Case::named(name).is_some(), "{name} is a case");
        let mut there = outcomes.iter().filter(|((case, _), _)| *case == name).peekable();
        let is_tried = natives().iter().any(|(backend, _)| backend.starts_with(on));
        assert_eq!(there.peek().is_some(), is_tried, "{name}");
        let holds = there.all(|(_, outcome)| *outcome == Outcome::Passed);
        assert!(!holds || !is_tried, "{name} holds on every backend, though {why}");
    }
}

fn thread_name() -> Option<String> {
    thread::current().name().map(str::to_owned)
}

#[test]
fn a_run_chooses_and_its_jobs_go_there() {
    for backend in Backend::enabled() {
        let run = || Run::on(*backend).name("chosen");
        let core = run().run(async { run_blocking(thread_name).await }).expect("the run ends well");
        assert_eq!(core.as_deref(), Some("chosen-blocking-0"), "{backend}");
        let (native, ours) = run()
            .blocking_pool(BlockingPool::Native)
            .run(async { (run_blocking(thread_name).await, anyrt::current_handle().blocking_threads()) })
            .expect("the run ends well");
        let native = native.expect("those pools name their threads");
        assert!(!native.starts_with("chosen-blocking") && ours == 0, "{native} on {backend}, {ours} of ours");
    }
}

#[test]
fn an_embedded_run_chooses_for_itself() {
    for backend in Backend::enabled() {
        let names = anyrt::run_on(*backend, async {
            let inside = Run::here().name("inside").blocking_pool(BlockingPool::Native);
            let native = inside.embed(async {
                // What is embedded in it goes there too.
                (
                    run_blocking(thread_name).await,
                    anyrt::embed(async { run_blocking(thread_name).await }).await.expect("it ends well"),
                )
            });
            let native = native.await.expect("it ends well");
            let own = Run::here().name("inside").embed(async { run_blocking(thread_name).await });
            [native.0, native.1, own.await.expect("it ends well")].map(Option::unwrap_or_default)
        });
        assert!(
            !names[0].contains("-blocking-") && !names[1].contains("-blocking-"),
            "{names:?} on {backend}"
        );
        assert_eq!(names[2], "inside-blocking-0", "{backend}");
        let refused = anyrt::run_on(*backend, async { Run::here().threads(1).embed(async {}).await });
        assert!(matches!(refused, Err(RunError::Start(_))), "{refused:?}");
    }
}

#[cfg(feature = "tokio")]
#[test]
fn a_tokio_program_shares_its_pool_with_an_embedded_run() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("of-the-program")
        .build()
        .expect("threads for the runtime");
    let name = runtime.block_on(async {
        let run = Run::here().blocking_pool(BlockingPool::Native);
        run.embed(async { run_blocking(thread_name).await }).await.expect("it ends well")
    });
    assert_eq!(name.as_deref(), Some("of-the-program"));
}

#[cfg(feature = "tokio")]
#[test]
fn tokio_is_entered_in_jobs_of_either_pool() {
    for backend in [Backend::Tokio, Backend::TokioCurrentThread] {
        for pool in [BlockingPool::Core, BlockingPool::Native] {
            let sum = Run::on(backend)
                .blocking_pool(pool)
                .run(async {
                    let spawned =
                        run_blocking(|| tokio::runtime::Handle::current().spawn(async { 20 })).await;
                    spawned.await.expect("it ends")
                })
                .expect("the run ends well");
            assert_eq!(sum, 20);
        }
    }
}
