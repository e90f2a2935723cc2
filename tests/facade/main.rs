//! Runs: which runtime, where one may be started, and what becomes of bad input and faults.
#![allow(missing_docs, clippy::unwrap_used)]

mod forms;
mod macros;

use std::any::Any;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use anyrt::blocking::CapacityLimiter;
use anyrt::net::{TcpListener, TcpStream, UdpSocket};
use anyrt::runtime::{Handle, NoRuntime};
use anyrt::sync::Event;
use anyrt::{Backend, BackendError, CancelScope, Run, RunError};
use futures::executor::block_on;

/// Longer than any test: what ends before it was not ended by it.
const LONG: Duration = Duration::from_secs(3600);

/// What `run` panics with.
fn panic_of<T>(run: impl FnOnce() -> T) -> String {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(_) => panic!("it did not panic"),
        Err(payload) => text_of(&*payload),
    }
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).expect("a panic with a text")
}

/// What there is to enter and to leave where that is not the point.
fn entered<T>() -> io::Result<((), Leave<T>)> {
    Ok(((), |_| Ok(())))
}

type Leave<T> = fn(anyrt::blocking::Leaving<'_, T, io::Error>) -> io::Result<()>;

/// Sets a flag when it is dropped.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// This test program once more, with one test of it, ignored otherwise, as a program of its own.
fn program(test: &str, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env_remove("ANYRT_BACKEND").envs(environment.iter().copied());
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("1 passed"), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    let answer = told.lines().find_map(|line| line.split_once("answer: ")).expect("an answer");
    answer.1.to_owned()
}

mod no_runtime {
    use super::*;

    /// Each names the cure, and the line of this file that asked.
    macro_rules! tells_where {
        ($($asks:expr;)*) => {$(
            let (text, line) = (panic_of(|| $asks), line!());
            assert!(text.contains("no runtime here"), "{text}");
            assert!(text.contains("anyrt::run(") && text.contains("anyrt::embed("), "no cure: {text}");
            let place = format!("facade/main.rs:{line}:");
            assert!(text.contains(&place), "the place should be {place}: {text}");
        )*};
    }

    #[test]
    #[rustfmt::skip]
    fn every_ambient_function_names_the_cure_and_the_caller() {
        tells_where! { Handle::current(); }
        tells_where! { anyrt::current_handle(); }
        tells_where! { anyrt::now(); }
        tells_where! { anyrt::spawn(async {}); }
        tells_where! { block_on(anyrt::sleep(LONG)); }
        tells_where! { block_on(anyrt::sleep_until(later())); }
        tells_where! { block_on(anyrt::interval(LONG).tick()); }
        tells_where! { block_on(async { anyrt::run_blocking(|| ()).await }); }
        tells_where! { block_on(anyrt::blocking::asyncify(|()| ())(()).into_future()); }
        tells_where! { block_on(async { anyrt::iterate_blocking([1]).next().await }); }
        tells_where! { block_on(anyrt::blocking::blocking_context(entered, async |()| Ok(()))).unwrap(); }
        tells_where! { block_on(anyrt::task_group(async |_| ())).unwrap(); }
        tells_where! { block_on(anyrt::try_task_group(async |_| Ok(()))).unwrap(); }
        tells_where! { block_on(anyrt::move_on_after(LONG, async {})); }
        tells_where! { block_on(anyrt::fail_after(LONG, async {})).unwrap(); }
        tells_where! { block_on(anyrt::move_on_at(later(), std::future::pending::<()>())); }
        tells_where! { block_on(anyrt::fail_at(later(), std::future::pending::<()>())).unwrap(); }
        tells_where! { block_on(CancelScope::new().timeout(LONG).run(async |_| ())).unwrap(); }
        tells_where! { block_on(Run::here().embed(async {})).unwrap(); }
        tells_where! { block_on(anyrt::embed(async {})).unwrap(); }
        tells_where! { block_on(TcpListener::bind("127.0.0.1:0")).unwrap(); }
        tells_where! { block_on(TcpStream::connect("127.0.0.1:1")).unwrap(); }
        tells_where! { block_on(anyrt::net::resolve("localhost", 1)).unwrap(); }
        tells_where! { block_on(UdpSocket::bind("127.0.0.1:0")).unwrap(); }
        tells_where! { TcpListener::from_std(std::net::TcpListener::bind("127.0.0.1:0").unwrap()).unwrap(); }
        tells_where! { UdpSocket::from_std(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap(); }
        #[cfg(unix)]
        tells_where! { block_on(anyrt::net::UnixStream::connect("/nowhere")).unwrap(); }
    }

    #[expect(clippy::disallowed_methods, reason = "there is no runtime to ask")]
    fn later() -> Instant {
        Instant::now() + LONG
    }

    #[test]
    fn try_current_gives_an_error() {
        assert_eq!(Handle::try_current().unwrap_err(), NoRuntime);
    }

    #[test]
    fn what_needs_no_runtime_works_without_one() {
        let event = Event::new();
        event.set();
        block_on(async {
            event.wait().await;
            anyrt::shield(anyrt::checkpoint()).await;
            drop(CapacityLimiter::new(1).acquire().await);
            anyrt::join(async {}, anyrt::finally(async {}, async |_| ())).await;
        });
    }

    #[anyrt::test]
    async fn a_handle_is_what_other_threads_need() {
        let handle = Handle::current();
        let thread = std::thread::Builder::new().spawn(move || {
            assert_eq!(Handle::try_current().unwrap_err(), NoRuntime);
            handle.enter(|| anyrt::spawn(async { 42 }))
        });
        assert_eq!(thread.unwrap().join().unwrap().await.unwrap(), 42);
        assert!(Handle::try_current().is_ok());
    }
}

mod which_runtime {
    use super::*;

    #[test]
    #[ignore = "a program of its own"]
    fn program_that_is_told_by_the_environment() {
        let ran = anyrt::builder().run(async { Handle::current().runtime().name() });
        println!("answer: {}", ran.map_or_else(|error| error.to_string(), str::to_owned));
    }

    fn told_by_the_environment(name: &str) -> String {
        program("which_runtime::program_that_is_told_by_the_environment", &[("ANYRT_BACKEND", name)])
    }

    #[test]
    fn the_environment_names_one() {
        for backend in [Backend::Tokio, Backend::TokioCurrentThread, Backend::Smol, Backend::AsyncStd] {
            let answer = told_by_the_environment(backend.name());
            if backend.is_enabled() {
                assert_eq!(answer, backend.name().trim_end_matches("-current-thread"));
            } else {
                let missing = format!(
                    "backend `{backend}` is not compiled in: enable the feature `{}`",
                    backend.feature()
                );
                assert!(answer.starts_with(&missing), "{answer}");
            }
        }
    }

    #[test]
    fn rt_02_an_unknown_one_is_an_error_with_the_names_there_are() {
        let answer = told_by_the_environment("Tokio");
        assert!(answer.starts_with("unknown backend `Tokio`"), "{answer}");
        assert!(answer.ends_with("tokio, tokio-current-thread, smol, async-std"), "{answer}");
    }

    #[test]
    fn without_a_name_the_first_enabled_runs() {
        let first = Backend::enabled()[0];
        assert_eq!(told_by_the_environment(""), first.name());
        assert_eq!(program("which_runtime::program_that_is_told_by_the_environment", &[]), first.name());
    }

    #[test]
    #[ignore = "a program of its own"]
    fn program_that_names_one_in_the_code() {
        let last = *Backend::enabled().last().unwrap();
        println!("answer: {}", anyrt::run_on(last, async { Handle::current().runtime().name() }));
    }

    #[test]
    fn the_code_goes_before_the_environment() {
        let last = *Backend::enabled().last().unwrap();
        let answer =
            program("which_runtime::program_that_names_one_in_the_code", &[("ANYRT_BACKEND", "nonsense")]);
        assert_eq!(answer, last.name().trim_end_matches("-current-thread"));
    }

    #[test]
    fn rt_02_one_that_is_not_compiled_in_is_an_error_that_names_the_feature() {
        for backend in [Backend::Tokio, Backend::TokioCurrentThread, Backend::Smol, Backend::AsyncStd] {
            match anyrt::Run::on(backend).run(async { 42 }) {
                Ok(answer) => assert!(backend.is_enabled() && answer == 42),
                Err(RunError::Backend(error)) => {
                    assert!(!backend.is_enabled());
                    let error = error.downcast_ref::<BackendError>();
                    assert_eq!(error, Some(&BackendError::NotCompiledIn { backend }));
                    let feature = backend.feature();
                    let told = panic_of(|| anyrt::run_on(backend, async {}));
                    assert!(told.contains(&format!("`{feature}`")), "{told}");
                }
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for backend in Backend::enabled() {
            assert_eq!(backend.name().parse::<Backend>().unwrap(), *backend);
            assert_eq!(backend.to_string(), backend.name());
        }
        assert!(matches!("".parse::<Backend>(), Err(BackendError::Unknown { name }) if name.is_empty()));
    }

    #[test]
    fn zeros_are_errors() {
        for (run, what) in
            [(anyrt::builder().threads(0), "threads"), (anyrt::builder().blocking_limit(0), "blocking_limit")]
        {
            let error = run.run(async {}).unwrap_err();
            assert!(matches!(&error, RunError::Start(error) if error.kind() == io::ErrorKind::InvalidInput));
            assert!(error.to_string().contains(what), "{error}");
        }
        let error = anyrt::builder().name("a\0b").run(async {});
        assert!(Backend::enabled()[0] == Backend::AsyncStd || matches!(error, Err(RunError::Start(_))));
    }
}

mod nested {
    use super::*;

    fn is_refused() {
        assert!(matches!(anyrt::builder().run(async {}), Err(RunError::Nested { .. })));
        for backend in Backend::enabled() {
            assert!(
                matches!(anyrt::Run::on(*backend).run(async {}), Err(RunError::Nested { .. })),
                "{backend}"
            );
        }
        let told = panic_of(|| anyrt::run(async {}));
        assert!(told.contains("inside a task") && told.contains("anyrt::embed(..).await"), "{told}");
    }

    fn is_allowed() {
        for backend in Backend::enabled() {
            let answer = anyrt::run_on(*backend, async { anyrt::spawn(async { 42 }).await.unwrap() });
            assert_eq!(answer, 42, "{backend}");
        }
    }

    #[anyrt::test]
    async fn in_the_main_future_it_is_refused() {
        is_refused();
    }

    #[anyrt::test]
    async fn in_a_task_it_is_refused() {
        anyrt::spawn(async { is_refused() }).await.unwrap();
        anyrt::task_group(async |tg| {
            is_refused();
            tg.spawn(async { is_refused() });
        })
        .await
        .unwrap();
    }

    #[anyrt::test]
    async fn in_a_scope_it_is_refused() {
        anyrt::move_on_after(LONG, async { is_refused() }).await.unwrap();
        anyrt::shield(async { is_refused() }).await;
    }

    #[anyrt::test]
    async fn where_a_task_has_entered_a_handle_it_is_refused() {
        let handle = Handle::current();
        handle.enter(is_refused);
        anyrt::move_on_after(LONG, async { handle.enter(is_refused) }).await.unwrap();
        is_refused();
    }

    #[anyrt::test]
    async fn in_a_blocking_job_it_is_allowed() {
        anyrt::run_blocking(is_allowed).await;
        anyrt::move_on_after(LONG, async { anyrt::run_blocking(is_allowed).await }).await.unwrap();
        anyrt::task_group(async |tg| {
            tg.spawn(async { anyrt::run_blocking(is_allowed).await });
        })
        .await
        .unwrap();
    }

    #[anyrt::test]
    async fn where_a_blocking_job_has_entered_a_handle_it_is_allowed() {
        anyrt::run_blocking(|| Handle::current().enter(is_allowed)).await;
        let in_scope = async { anyrt::run_blocking(|| Handle::current().enter(is_allowed)).await };
        anyrt::move_on_after(LONG, in_scope).await.unwrap();
    }

    #[anyrt::test]
    async fn in_the_tasks_of_a_run_in_a_blocking_job_it_is_refused() {
        anyrt::run_blocking(|| {
            anyrt::run(async {
                is_refused();
                anyrt::run_blocking(is_allowed).await;
                is_refused();
            });
            is_allowed();
        })
        .await;
        is_refused();
    }

    #[test]
    fn on_a_thread_that_has_only_entered_a_handle_it_is_allowed() {
        let (handle, end) = (Arc::new(std::sync::Mutex::new(None)), Event::new());
        let run = std::thread::Builder::new().spawn({
            let (handle, end) = (handle.clone(), end.clone());
            move || {
                anyrt::run(async {
                    *handle.lock().unwrap() = Some(Handle::current());
                    end.wait().await;
                });
            }
        });
        let handle = loop {
            if let Some(handle) = handle.lock().unwrap().take() {
                break handle;
            }
            std::thread::yield_now();
        };
        handle.enter(is_allowed);
        is_allowed();
        end.set();
        run.unwrap().join().unwrap();
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn where_tokio_polls_it_is_refused() {
        for runtime in super::in_tokio::runtimes() {
            runtime.block_on(async {
                is_refused();
                tokio::spawn(async { is_refused() }).await.unwrap();
            });
        }
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn where_tokio_is_only_entered_it_is_allowed() {
        for runtime in super::in_tokio::runtimes() {
            let _entered = runtime.enter();
            is_allowed();
            drop(_entered);
            runtime.block_on(async { tokio::task::spawn_blocking(is_allowed).await.unwrap() });
        }
    }
}

/// In a program that tokio runs, and of which anyrt is a guest.
#[cfg(feature = "tokio")]
mod in_tokio {
    use super::*;

    pub(crate) fn runtimes() -> [tokio::runtime::Runtime; 2] {
        [
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        ]
    }

    /// What may be the first use of anyrt in a program.
    async fn use_of_anyrt(which: &str) {
        const MOMENT: Duration = Duration::from_millis(1);
        match which {
            "current_handle" => assert_eq!(anyrt::current_handle().runtime().name(), "tokio"),
            "tasks" => assert_eq!(anyrt::tasks().runtime, "tokio"),
            "wait_all_tasks_blocked" => anyrt::testing::wait_all_tasks_blocked().await,
            #[cfg(unix)]
            "print_tasks_on_sigusr1" => drop(anyrt::observe::print_tasks_on_sigusr1().unwrap()),
            "spawn" => assert_eq!(anyrt::spawn(async { 42 }).await.unwrap(), 42),
            "now" => assert!(anyrt::now() <= tokio::time::Instant::now().into_std()),
            "sleep" => anyrt::sleep(MOMENT).await,
            "sleep_until" => anyrt::sleep_until(tokio::time::Instant::now().into_std() + MOMENT).await,
            "interval" => drop(anyrt::interval(MOMENT).tick().await),
            "run_blocking" => assert_eq!(anyrt::run_blocking(|| 42).await, 42),
            "run_cpu" => assert_eq!(anyrt::run_cpu(|| 42).await, 42),
            "blocking_portal" => assert_eq!(anyrt::blocking_portal(async |_| 42).await.unwrap(), 42),
            "try_blocking_portal" => {
                assert_eq!(anyrt::try_blocking_portal(async |_| Ok(42)).await.unwrap(), 42)
            }
            "asyncify" => assert_eq!(anyrt::blocking::asyncify(|n: u32| n + 1)(41).await, 42),
            "iterate_blocking" => assert_eq!(anyrt::iterate_blocking([42]).next().await, Some(42)),
            "blocking_context" => {
                let entered = anyrt::blocking::blocking_context(entered, async |()| Ok(42));
                assert_eq!(entered.await.unwrap(), 42);
            }
            "Run::embed" => Run::here().embed(async { anyrt::sleep(MOMENT).await }).await.unwrap(),
            "move_on_after" => {
                assert!(anyrt::move_on_after(MOMENT, std::future::pending::<()>()).await.is_none())
            }
            "fail_after" => assert!(anyrt::fail_after(MOMENT, std::future::pending::<()>()).await.is_err()),
            "move_on_at" => {
                let at = tokio::time::Instant::now().into_std() + MOMENT;
                assert!(anyrt::move_on_at(at, std::future::pending::<()>()).await.is_none());
            }
            "fail_at" => {
                let at = tokio::time::Instant::now().into_std() + MOMENT;
                assert!(anyrt::fail_at(at, std::future::pending::<()>()).await.is_err());
            }
            "shield(..).within" => {
                assert!(anyrt::shield(std::future::pending::<()>()).within(MOMENT).await.is_none())
            }
            "finally(..).within" => {
                anyrt::finally(async {}, async |_| std::future::pending().await).within(MOMENT).await
            }
            "shield(..).owned" => assert_eq!(anyrt::shield(yields(42)).owned().await, 42),
            "finally(..).owned" => assert_eq!(anyrt::finally(yields(42), async |_| ()).owned().await, 42),
            "finally(..).within.owned" => {
                let work =
                    anyrt::finally(yields(42), async |_| std::future::pending().await).within(MOMENT).owned();
                assert_eq!(work.await, 42);
            }
            "LocalGroup::sendable" => {
                anyrt::LocalGroup::sendable().run(async |scope| drop(scope.spawn(yields(())))).await.unwrap()
            }
            "join" => assert_eq!(anyrt::join(yields(1), yields(2)).await, (1, 2)),
            "task_group" => anyrt::task_group(async |tg| drop(tg.spawn(async {}))).await.unwrap(),
            "try_task_group" => anyrt::try_task_group(async |_| Ok(())).await.unwrap(),
            "embed" => anyrt::embed(async { anyrt::sleep(MOMENT).await }).await.unwrap(),
            "resolve" => drop(anyrt::net::resolve("localhost", 80).await),
            "bind" => {
                TcpListener::bind("127.0.0.1:0").await.unwrap();
            }
            "a scope" => {
                let scope = CancelScope::new().timeout(MOMENT);
                assert!(scope.run(async |_| std::future::pending::<()>().await).await.is_err());
            }
            other => panic!("unknown: {other}"),
        }
    }

    /// Is pending once.
    async fn yields<T>(value: T) -> T {
        tokio::task::yield_now().await;
        value
    }

    const USES: &[&str] = &[
        "current_handle",
        "tasks",
        "wait_all_tasks_blocked",
        #[cfg(unix)]
        "print_tasks_on_sigusr1",
        "spawn",
        "now",
        "sleep",
        "sleep_until",
        "interval",
        "run_blocking",
        "run_cpu",
        "blocking_portal",
        "try_blocking_portal",
        "asyncify",
        "iterate_blocking",
        "blocking_context",
        "Run::embed",
        "move_on_after",
        "fail_after",
        "move_on_at",
        "fail_at",
        "shield(..).within",
        "finally(..).within",
        "shield(..).owned",
        "finally(..).owned",
        "finally(..).within.owned",
        "LocalGroup::sendable",
        "join",
        "task_group",
        "try_task_group",
        "embed",
        "resolve",
        "bind",
        "a scope",
    ];

    #[test]
    #[ignore = "a program of its own"]
    fn program_that_uses_anyrt_once() {
        let which = std::env::var("FIRST_USE").unwrap();
        runtimes()[1].block_on(use_of_anyrt(&which));
        println!("answer: {which}");
    }

    #[test]
    fn any_ambient_function_may_be_the_first_use_of_anyrt() {
        for &which in USES {
            assert_eq!(program("in_tokio::program_that_uses_anyrt_once", &[("FIRST_USE", which)]), which);
        }
    }

    #[test]
    fn ambient_functions_work_in_its_tasks() {
        for runtime in runtimes() {
            runtime.block_on(async {
                for &which in USES {
                    use_of_anyrt(which).await;
                    tokio::spawn(use_of_anyrt(which)).await.unwrap();
                }
                assert_eq!(Handle::current().runtime().name(), "tokio");
                let in_pool = tokio::task::spawn_blocking(|| Handle::current().runtime().name());
                assert_eq!(in_pool.await.unwrap(), "tokio");
            });
        }
    }

    #[test]
    fn a_root_task_is_detached_there_and_runs() {
        for runtime in runtimes() {
            let (done, was_done) = tokio::sync::oneshot::channel();
            runtime.block_on(async {
                drop(anyrt::spawn(async { done.send(()).unwrap() }));
                was_done.await.unwrap();
            });
        }
    }

    #[test]
    fn embed_awaits_the_root_tasks_and_their_clean_up() {
        for runtime in runtimes() {
            let cleaned = Arc::new(AtomicBool::new(false));
            let by_task = cleaned.clone();
            let answer = runtime.block_on(anyrt::embed(async {
                let started = Event::new();
                let says = started.clone();
                drop(anyrt::spawn(anyrt::finally(
                    async move {
                        says.set();
                        std::future::pending::<()>().await;
                    },
                    async move |_| {
                        anyrt::run_blocking(|| ()).await;
                        by_task.store(true, SeqCst);
                    },
                )));
                started.wait().await;
                42
            }));
            let answer = answer.expect("nobody failed");
            assert!(cleaned.load(SeqCst), "it returned before the clean-up had ended");
            assert_eq!(answer, 42);
        }
    }

    #[test]
    fn embed_resumes_the_panic_of_a_root_task_whose_handle_was_dropped() {
        for runtime in runtimes() {
            let told = panic_of(|| {
                let _ = runtime
                    .block_on(anyrt::embed(async { drop(anyrt::spawn(async { panic!("of the task") })) }));
            });
            assert_eq!(told, "of the task");
        }
    }

    #[anyrt::test(backend = "tokio")]
    async fn its_own_things_work_in_our_tasks_and_jobs() {
        own_things().await;
    }

    #[anyrt::test(flavor = "current_thread")]
    async fn its_own_things_work_in_our_tasks_and_jobs_on_one_thread() {
        own_things().await;
    }

    async fn own_things() {
        async fn of_tokio() -> u32 {
            let runtime = tokio::runtime::Handle::current();
            let slept = tokio::time::timeout(LONG, tokio::time::sleep(Duration::from_millis(1)));
            slept.await.unwrap();
            runtime.spawn(async { 20 }).await.unwrap() + tokio::spawn(async { 22 }).await.unwrap()
        }
        assert_eq!(of_tokio().await, 42);
        assert_eq!(anyrt::spawn(of_tokio()).await.unwrap(), 42);
        anyrt::task_group(async |tg| {
            tg.spawn(async { assert_eq!(of_tokio().await, 42) });
        })
        .await
        .unwrap();
        let in_job = anyrt::run_blocking(|| tokio::runtime::Handle::current().block_on(of_tokio()));
        assert_eq!(in_job.await, 42);
        let spawned_in_job = anyrt::run_blocking(|| tokio::spawn(of_tokio())).await;
        assert_eq!(spawned_in_job.await.unwrap(), 42);
    }
}

mod end_of_the_run {
    use super::*;

    #[test]
    fn the_panic_of_a_root_task_whose_handle_was_dropped_is_resumed() {
        for backend in Backend::enabled() {
            let told = panic_of(|| {
                anyrt::run_on(*backend, async { drop(anyrt::spawn(async { panic!("of the task") })) });
            });
            assert_eq!(told, "of the task", "{backend}");
        }
    }

    #[anyrt::test]
    async fn a_handle_that_was_kept_has_the_panic() {
        let ended = anyrt::spawn(async { panic!("of the task") }).await.unwrap_err();
        assert!(ended.is_panic() && ended.to_string().contains("of the task"), "{ended}");
        assert_eq!(text_of(&*ended.into_panic().unwrap()), "of the task");
    }

    #[test]
    fn the_panic_of_the_main_future_comes_after_the_end_of_the_others() {
        for backend in Backend::enabled() {
            let dropped = Arc::new(AtomicBool::new(false));
            let flag = Flag(dropped.clone());
            let told = panic_of(|| {
                anyrt::run_on(*backend, async {
                    drop(anyrt::spawn(async move {
                        let _flag = flag;
                        std::future::pending::<()>().await;
                    }));
                    panic!("of main")
                })
            });
            assert_eq!(told, "of main");
            assert!(dropped.load(SeqCst), "{backend}");
        }
    }

    #[test]
    fn tasks_that_are_alive_are_cancelled_cleaned_up_and_awaited() {
        for backend in Backend::enabled() {
            let cleaned = Arc::new(AtomicUsize::new(0));
            anyrt::run_on(*backend, async {
                for _ in 0..3 {
                    let (started, cleaned) = (Event::new(), cleaned.clone());
                    let says = started.clone();
                    drop(anyrt::spawn(anyrt::finally(
                        async move {
                            says.set();
                            std::future::pending::<()>().await;
                        },
                        async move |_| {
                            anyrt::run_blocking(|| ()).await;
                            cleaned.fetch_add(1, SeqCst);
                        },
                    )));
                    started.wait().await;
                }
            });
            assert_eq!(cleaned.load(SeqCst), 3, "{backend}");
        }
    }

    /// A thread of the pool that still starts, while another has done its work, is no reason to wait.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the clock of the thread that waits for the run")]
    fn it_does_not_wait_for_threads_of_the_pool_without_work() {
        for _ in 0..500 {
            let begun = Instant::now();
            anyrt::run(async {
                anyrt::run_blocking(|| ()).await;
                let job = async || anyrt::run_blocking(|| ()).await;
                anyrt::join(job(), job()).await;
            });
            // Far more than it needs, and less than the ten seconds that it waits for those at work.
            assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        }
    }

    #[test]
    fn the_value_of_the_main_future_may_borrow_and_need_not_be_send() {
        let text = String::from("borrowed");
        let value = anyrt::run(async { std::rc::Rc::new(text.as_str()) });
        assert_eq!(*value, "borrowed");
    }
}

mod bad_addresses {
    use super::*;

    #[anyrt::test]
    async fn a_port_in_use_is_told_with_the_code_of_the_system() {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = first.local_addr().unwrap();
        let error = TcpListener::bind(address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let native = std::net::TcpListener::bind(address).unwrap_err();
        assert_eq!(error.raw_os_error(), native.raw_os_error());
        assert!(error.raw_os_error().is_some(), "{error}");
    }

    #[anyrt::test]
    async fn one_that_does_not_resolve_is_named() {
        // Longer than a name can be: no name server is asked.
        let name = format!("{}.invalid", "x".repeat(64));
        let error = TcpStream::connect(format!("{name}:80")).await.unwrap_err();
        let told = error.to_string();
        assert!(told.contains(&name) && told.contains("does not resolve"), "{told}");
        assert!(TcpListener::bind((name.as_str(), 80)).await.is_err());
    }

    #[anyrt::test]
    async fn one_that_is_none_says_what_one_is() {
        for wrong in ["", "localhost", "localhost:http", "127.0.0.1:99999"] {
            let error = TcpStream::connect(wrong).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            let told = error.to_string();
            assert!(told.contains(&format!("`{wrong}`")) && told.contains("host:port"), "{told}");
        }
    }

    #[anyrt::test]
    async fn nobody_listening_is_told_with_the_code_of_the_system() {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let native = std::net::TcpStream::connect(address).unwrap_err();
        assert_eq!(error.raw_os_error(), native.raw_os_error());
        assert!(error.raw_os_error().is_some(), "{error}");
    }
}

mod faults {
    use super::*;

    #[anyrt::test]
    async fn a_closed_group_takes_no_child_and_says_so() {
        let group = anyrt::task_group(async |tg| tg).await.unwrap();
        assert!(group.is_closed());
        let dropped = Arc::new(AtomicBool::new(false));
        let flag = Flag(dropped.clone());
        let child = group.spawn(async move {
            let _flag = flag;
            unreachable!("it is never polled")
        });
        assert!(dropped.load(SeqCst), "the future is dropped at once");
        let ended = child.await.map(|_: ()| ()).unwrap_err();
        assert!(ended.is_not_started(), "{ended}");
    }

    #[anyrt::test]
    async fn a_limiter_of_zero_makes_wait_until_it_is_raised() {
        let limiter = CapacityLimiter::new(0);
        assert!(limiter.try_acquire().is_err());
        let ran = Arc::new(AtomicBool::new(false));
        anyrt::task_group(async |tg| {
            let (of_job, ran) = (limiter.clone(), ran.clone());
            let call = tg.spawn(async move {
                let runs = ran.clone();
                anyrt::run_blocking(move || runs.store(true, SeqCst)).limiter(&of_job).await;
            });
            while limiter.waiting() == 0 {
                anyrt::checkpoint().await;
            }
            assert!(!call.is_finished());
            limiter.set_total(1);
            call.await.unwrap();
        })
        .await
        .unwrap();
        assert!(ran.load(SeqCst));
    }

    #[anyrt::test]
    async fn a_limiter_of_zero_lets_the_cancelled_go() {
        let limiter = CapacityLimiter::new(0);
        let call = async { anyrt::run_blocking(|| ()).limiter(&limiter).await };
        assert!(anyrt::move_on_after(Duration::ZERO, call).await.is_none());
        assert_eq!(limiter.waiting(), 0);
    }

    #[anyrt::test]
    async fn a_panic_in_a_poll_cancels_the_siblings_and_is_resumed_in_the_host() {
        let dropped = Arc::new(AtomicBool::new(false));
        let flag = Flag(dropped.clone());
        let told = catch(anyrt::task_group(async |tg| {
            tg.spawn(async move {
                let _flag = flag;
                std::future::pending::<()>().await;
            });
            tg.spawn(async { panic!("in a poll") });
        }))
        .await;
        assert_eq!(told, "in a poll");
        assert!(dropped.load(SeqCst), "the sibling has ended before");
        // The threads live on.
        assert_eq!(anyrt::spawn(async { 42 }).await.unwrap(), 42);
    }

    struct PanicsInDrop;

    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            panic!("in a drop");
        }
    }

    #[anyrt::test]
    async fn a_panic_in_a_drop_is_the_child_s_panic() {
        let ended = catch(anyrt::task_group(async |tg| {
            let bomb = PanicsInDrop;
            tg.spawn(async move {
                let _bomb = bomb;
                anyrt::checkpoint().await;
            });
        }));
        assert_eq!(ended.await, "in a drop");

        let started = Event::new();
        let says = started.clone();
        let cancelled = catch(anyrt::task_group(async |tg| {
            let bomb = PanicsInDrop;
            tg.spawn(async move {
                let _bomb = bomb;
                says.set();
                std::future::pending::<()>().await;
            });
            started.wait().await;
            tg.cancel_with("the bomb is dropped by a cancellation");
        }));
        assert_eq!(cancelled.await, "in a drop");
    }

    #[anyrt::test]
    async fn a_panic_in_a_drop_at_the_root_is_in_the_handle() {
        let bomb = PanicsInDrop;
        let task = anyrt::spawn(async move {
            let _bomb = bomb;
            anyrt::checkpoint().await;
        });
        let ended = task.await.unwrap_err();
        assert!(ended.is_panic() && ended.to_string().contains("in a drop"), "{ended}");
    }

    #[anyrt::test]
    async fn a_group_that_select_drops_is_cancelled_and_awaited_by_the_group_around() {
        let (started, goodbye) = (Event::new(), Arc::new(AtomicBool::new(false)));
        anyrt::task_group(async |_| {
            let (says, by_child) = (started.clone(), goodbye.clone());
            let inner = std::pin::pin!(anyrt::task_group(async move |tg| {
                tg.spawn(anyrt::finally(
                    async move {
                        says.set();
                        std::future::pending::<()>().await;
                    },
                    async move |_| {
                        anyrt::run_blocking(|| ()).await;
                        by_child.store(true, SeqCst);
                    },
                ));
                std::future::pending::<()>().await;
            }));
            let other = std::pin::pin!(started.wait());
            // Both are dropped here, one of them half-way.
            assert!(matches!(futures::future::select(inner, other).await, futures::future::Either::Right(_)));
        })
        .await
        .unwrap();
        assert!(goodbye.load(SeqCst), "the outer group returned before the clean-up of the child had ended");
    }

    #[anyrt::test]
    async fn a_blocking_call_that_select_drops_runs_to_its_end() {
        let (started, end) = (Event::new(), Arc::new(std::sync::Barrier::new(2)));
        let ran = Arc::new(AtomicBool::new(false));
        let limiter = CapacityLimiter::new(1);
        {
            let (says, end, ran) = (started.clone(), end.clone(), ran.clone());
            let job = anyrt::run_blocking(move || {
                says.set();
                end.wait();
                ran.store(true, SeqCst);
            });
            let call = std::pin::pin!(async { job.limiter(&limiter).await });
            let other = std::pin::pin!(started.wait());
            assert!(matches!(futures::future::select(call, other).await, futures::future::Either::Right(_)));
        }
        assert_eq!(limiter.borrowed(), 1, "the token stays with the thread");
        end.wait();
        drop(limiter.acquire().await);
        assert!(ran.load(SeqCst));
    }

    /// The panic of a future.
    async fn catch<T>(future: impl Future<Output = T>) -> String {
        let caught = futures::FutureExt::catch_unwind(AssertUnwindSafe(future)).await;
        text_of(&*caught.map(drop).unwrap_err())
    }
}
