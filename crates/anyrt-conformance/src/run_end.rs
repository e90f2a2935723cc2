//! The end of a run: who is told to stop, who is cancelled, and who is gone without.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use anyrt_core::{
    CancelScope, Cause, Event, Exit, Handle, Run, RunError, Runtime, checkpoint, is_stopping, shield, sleep,
    stopping, task_group,
};
use futures::future::pending;

use crate::by_hand::ByHand;
use crate::counting::Counter;
use crate::endings::{Failure, fails_after};
use crate::time::{A_MOMENT, AN_HOUR};
use crate::warnings::Warnings;

pub(crate) fn end_of_a_run_goes_without_what_holds_for_ever_and_names_it(runtime: Arc<dyn Runtime>) {
    let dropped = Counter::new();
    let counted = dropped.on_drop();
    let before = runtime.now();
    let warnings = Warnings::of("anyrt::unfinished");
    let run = Run::on(Arc::clone(&runtime)).shutdown_timeout(A_MOMENT);
    let main = async move {
        let (holds, held) = (Event::new(), Event::new());
        let (says, told) = (holds.clone(), held.clone());
        let handle = Handle::current();
        handle.spawn(async move {
            let _host = task_group(async move |group| {
                group.named("keeper").spawn(async move {
                    let _counted = counted;
                    says.set();
                    shield(pending::<()>()).await;
                });
                told.set();
            })
            .await;
        });
        drop(handle.spawn(async { pending::<()>().await }));
        holds.wait().await;
        held.wait().await;
        checkpoint().await;
        7
    };
    let ended = warnings.catch(|| run.run(main));
    let Err(RunError::ShutdownTimedOut(unfinished)) = ended else { panic!("it did not wait: {ended:?}") };
    assert!(runtime.now() - before >= A_MOMENT, "not before its time");
    let text = unfinished.to_string();
    assert_eq!((unfinished.left().len(), unfinished.more()), (1, 0), "the other two have ended: {text}");
    assert!(text.contains("/keeper#"), "{text}");
    assert!(text.contains(file!()), "{text}");
    assert!(dropped.get() <= 1);
    let caught = warnings.caught();
    assert!(caught.len() == 1 && caught[0].contains("keeper#"), "with its tree: {caught:?}");
}

pub(crate) fn end_of_a_run_that_takes_long_is_told_of_with_its_tree(runtime: Arc<dyn Runtime>) {
    let warnings = Warnings::of("anyrt::unfinished");
    let told = warnings.clone();
    // The root is polled on this thread, so this is where it warns.
    warnings.catch(|| {
        Run::on(runtime)
            .warn_held_after(A_MOMENT)
            .run(async {
                let begun = Event::new();
                let begins = begun.clone();
                Handle::current().spawn(async move {
                    shield(async {
                        // Once it is in the tree.
                        checkpoint().await;
                        begins.set();
                        while told.caught().is_empty() {
                            sleep(A_MOMENT / 4).await;
                        }
                    })
                    .await;
                });
                begun.wait().await;
            })
            .expect("the run ends well");
    });
    let caught = warnings.caught();
    assert_eq!(caught.len(), 1, "once: {caught:?}");
    assert!(caught[0].contains("in a shield, waits at "), "{caught:?}");
    assert!(caught[0].contains(", cancelled because the run ends"), "the root, and why: {caught:?}");
}

pub(crate) fn end_of_a_run_in_time_is_no_error(runtime: Arc<dyn Runtime>) {
    let cleaned = Counter::new();
    let counted = cleaned.clone();
    let ended = Run::on(runtime).shutdown_timeout(AN_HOUR).run(async move {
        let begun = Event::new();
        let begins = begun.clone();
        Handle::current().spawn(async move {
            anyrt_core::finally(
                async move {
                    begins.set();
                    pending::<()>().await;
                },
                async move |_| {
                    checkpoint().await;
                    counted.add();
                },
            )
            .await;
        });
        begun.wait().await;
        7
    });
    assert_eq!(ended.expect("all have ended"), 7);
    assert_eq!(cleaned.get(), 1);
}

pub(crate) fn end_of_a_run_tells_what_failed_beside_what_is_left(runtime: Arc<dyn Runtime>) {
    let ended = Run::on(runtime).shutdown_timeout(A_MOMENT * 5).run(async {
        let holds = Event::new();
        let says = holds.clone();
        let handle = Handle::current();
        handle.spawn(async move {
            says.set();
            shield(pending::<()>()).await;
        });
        holds.wait().await;
        // The error of a group that was dropped is the root's.
        let group = Arc::new(Mutex::new(None));
        let opened = Arc::clone(&group);
        let release = Arc::new(Event::new());
        let released = Arc::clone(&release);
        let mut dropped = ByHand::new(task_group(async move |group| {
            group.try_spawn(fails_after(released, "boom"));
            *opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(group);
            pending::<()>().await;
        }));
        assert!(dropped.poll().is_pending());
        dropped.drop_future();
        release.set();
        let group = group.lock().unwrap_or_else(PoisonError::into_inner).take().expect("it was opened");
        // It is closed, then the root has its error, and its task is gone.
        while !group.is_closed() {
            checkpoint().await;
        }
        for _ in 0..100 {
            checkpoint().await;
        }
    });
    let Err(RunError::ShutdownTimedOut(unfinished)) = ended else { panic!("it did not wait: {ended:?}") };
    let text = unfinished.to_string();
    assert!(unfinished.errors().and_then(|errors| errors.downcast_ref()) == Some(&Failure("boom")), "{text}");
    assert!(text.contains("failure boom"), "{text}");
    assert_eq!(unfinished.left().len(), 1, "{text}");
}

pub(crate) fn end_of_a_run_gives_its_tasks_a_grace(runtime: Arc<dyn Runtime>) {
    let finished = Counter::new();
    let counted = finished.clone();
    let (tells, told) = mpsc::channel();
    let before = runtime.now();
    Run::on(Arc::clone(&runtime))
        .shutdown_grace(A_MOMENT)
        .run(async move {
            assert!(!is_stopping());
            let handle = Handle::current();
            let begun = Event::new();
            let begins = begun.clone();
            handle.spawn(async move {
                begins.set();
                stopping().await;
                checkpoint().await; // not cancelled: it finishes what it has begun
                counted.add();
            });
            handle.spawn(CancelScope::new().run(async move |scope| {
                scope.on_exit(async move |exit| tells.send(exit).expect("it is read below"));
                pending::<()>().await;
            }));
            begun.wait().await;
        })
        .expect("the run ends well");
    assert!(runtime.now() - before >= A_MOMENT, "the deaf one has its grace");
    assert_eq!(finished.get(), 1);
    let Ok(Exit::Cancelled(cancelled)) = told.try_recv() else { panic!("the deaf one was cancelled") };
    assert_eq!(cancelled.cause(), Cause::Shutdown);
    assert!(cancelled.to_string().contains("after a grace of"), "{cancelled}");
}
