//! What a cancellation tells: its cause, where it came from, in which task below which, and the reason.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use anyrt_core::{
    CancelScope, Cancelled, Event, Exit, Handle, Run, Runtime, ScopeHandle, checkpoint, now, run_blocking,
    task_group,
};
use futures::future::pending;

use crate::by_hand::ByHand;
use crate::endings::Failure;
use crate::time::{A_MOMENT, AN_HOUR};

/// The message, with `HERE` for a place in this file and `N` for the number of a task.
fn told(cancelled: &Cancelled) -> String {
    let is_place = |c: char| c == ':' || c.is_ascii_digit();
    let mut text = cancelled.to_string();
    for (before, after) in [(file!(), "HERE"), ("#", "#N")] {
        let mut parts = text.split(before);
        let mut message = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let rest = part.trim_start_matches(is_place);
            // The colon before a reason is none of a place.
            let colon = if part.len() > rest.len()
                && rest.starts_with(' ')
                && part[..part.len() - rest.len()].ends_with(':')
            {
                ":"
            } else {
                ""
            };
            message.push_str(after);
            message.push_str(colon);
            message.push_str(rest);
        }
        text = message;
    }
    text
}

/// Runs a scope in the task `conn` below the task `server`, and gives what its cancellation tells.
async fn in_a_connection<F>(
    scope: CancelScope,
    body: impl FnOnce(ScopeHandle) -> F + Send + 'static,
) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let result = task_group(async move |group| {
        let server = group.named("server").spawn(async move {
            let result = task_group(async move |group| {
                let conn = group.named("conn").spawn(async move {
                    let ended = scope.run(async move |scope| body(scope).await).await;
                    told(&ended.expect_err("it was cancelled"))
                });
                conn.await.expect("it ended")
            });
            result.await.expect("nothing failed")
        });
        server.await.expect("it ended")
    });
    result.await.expect("nothing failed")
}

pub(crate) async fn story_of_a_deadline_tells_its_time_its_place_and_whose_it_was() {
    let scope = CancelScope::new().timeout(A_MOMENT);
    let story = in_a_connection(scope, async |_| pending::<()>().await).await;
    // It was set where `run` begins to count: the line that opened the scope.
    assert_eq!(story, format!("cancelled by a deadline of {A_MOMENT:?} set at HERE in task server/conn#N"));

    let scope = CancelScope::new().reason("too slow");
    let story = in_a_connection(scope, async |scope| {
        scope.set_deadline(Some(now()));
        checkpoint().await;
    })
    .await;
    assert_eq!(story, "cancelled by a deadline set at HERE in task server/conn#N: too slow");
}

pub(crate) async fn story_of_a_deadline_that_another_task_notices_tells_whose_it_was() {
    let result = task_group(async |group| {
        let host = group.named("host").spawn(async {
            let ended = CancelScope::new().timeout(A_MOMENT).run(async |_| {
                let _ = task_group(async |inner| {
                    // Its awaits are always ready: it is the one that looks at the clock.
                    inner.named("busy").spawn(async {
                        loop {
                            checkpoint().await;
                        }
                    });
                })
                .await;
            });
            told(&ended.await.expect_err("it passed"))
        });
        host.await.expect("it ended")
    })
    .await;
    let story = result.expect("nothing failed");
    assert_eq!(story, format!("cancelled by a deadline of {A_MOMENT:?} set at HERE in task host#N"));
}

pub(crate) async fn story_of_a_cancel_names_the_task_that_called_it_with_those_around_it() {
    let (scope, handles) = (CancelScope::new(), mpsc::channel());
    handles.0.send(scope.handle()).expect("it is read below");
    let story = in_a_connection(CancelScope::new(), async move |inner| {
        let _ = task_group(async move |group| {
            group.named("sibling").spawn(async move { inner.cancel_with("enough") });
            pending::<()>().await;
        })
        .await;
    });
    assert_eq!(story.await, "cancelled at HERE in task server/conn/sibling#N: enough");

    // By a task that stands elsewhere, as one does that waits for a signal.
    let result = task_group(async move |group| {
        group
            .named("signals")
            .spawn(async move { handles.1.recv().expect("it was sent").cancel_with("asked to end") });
        told(&scope.run(async |_| pending::<()>().await).await.expect_err("it was cancelled"))
    });
    assert_eq!(result.await.expect("nothing failed"), "cancelled at HERE in task signals#N: asked to end");
}

pub(crate) async fn story_of_a_cancel_names_the_thread_that_called_it() {
    let scope = CancelScope::new();
    let handle = scope.handle();
    let thread =
        thread::Builder::new().name("operator".to_owned()).spawn(move || handle.cancel_with("by hand"));
    thread.expect("a thread").join().expect("it does not panic");
    let cancelled = scope.run(async |_| checkpoint().await).await.expect_err("it was cancelled");
    assert_eq!(told(&cancelled), "cancelled at HERE in thread operator: by hand");
    assert_eq!(cancelled.task(), None);

    // A blocking job is its caller's.
    let result = CancelScope::new().run(async |scope| {
        let cancel = scope.clone();
        run_blocking(move || cancel.cancel_with("from a job")).await;
        checkpoint().await;
    });
    let cancelled = result.await.expect_err("it was cancelled");
    assert_eq!(told(&cancelled), "cancelled at HERE in task main#N: from a job");
}

pub(crate) async fn story_of_a_grace_tells_who_gave_it() {
    let story = in_a_connection(CancelScope::new(), async |scope| {
        scope.cancel_after_with(A_MOMENT, "shutting down");
        pending::<()>().await;
    });
    let expected =
        format!("cancelled after a grace of {A_MOMENT:?} given at HERE in task server/conn#N: shutting down");
    assert_eq!(story.await, expected);
}

pub(crate) async fn story_of_a_siblings_failure_names_the_sibling_and_the_group() {
    let stories = Arc::new(Mutex::new(String::new()));
    let noted = Arc::clone(&stories);
    let result = task_group(async move |group| {
        let host = group.named("host").spawn(async move {
            let failed = task_group(async |group| {
                group.named("bad").try_spawn(async {
                    checkpoint().await;
                    Err::<(), _>(Failure("boom"))
                });
                let other = group.cancel_scope();
                group.cancel_scope().on_exit(async move |_| {
                    *noted.lock().unwrap_or_else(PoisonError::into_inner) =
                        told(&other.cause().expect("it was"));
                });
                pending::<()>().await;
            });
            failed.await.is_err()
        });
        host.await.expect("it ended")
    });
    assert!(result.await.expect("the outer group has no error"));
    let story = stories.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(story, "cancelled because a sibling failed in task host/bad#N, in the group opened at HERE");
}

pub(crate) async fn story_of_what_a_parent_cancelled_is_the_parents() {
    let result = CancelScope::new()
        .run(async |outer| {
            let inner = CancelScope::new();
            let handle = inner.handle();
            let run = ByHand::new(inner.run(async |_| pending::<()>().await));
            let mut run = run;
            assert!(run.poll().is_pending());
            outer.cancel_with("the parent");
            assert!(!handle.cancel_called());
            told(&handle.cause().expect("its parent's"))
        })
        .await;
    assert_eq!(result.expect("no checkpoint follows"), "cancelled at HERE in task main#N: the parent");
}

pub(crate) async fn story_of_a_service_and_of_a_dropped_group_tells_where_the_group_was_opened() {
    let stories = Arc::new(Mutex::new(Vec::new()));
    let service = Arc::clone(&stories);
    task_group(async |group| {
        group.spawn_service(note_the_end(service));
    })
    .await
    .expect("nothing failed");

    let dropped = Arc::clone(&stories);
    let entered = Event::new();
    let enters = entered.clone();
    task_group(async |_| {
        let mut inner = ByHand::new(task_group(async |group| {
            group.spawn(async move {
                enters.set();
                note_the_end(dropped).await;
            });
            pending::<()>().await;
        }));
        assert!(inner.poll().is_pending());
        entered.wait().await;
        inner.drop_future();
    })
    .await
    .expect("nothing failed");

    let stories = stories.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let expected = [
        "cancelled because all else is done in its group, opened at HERE",
        "cancelled because its owner dropped it in task main#N, opened at HERE",
    ];
    assert_eq!(stories, expected);
}

pub(crate) fn story_of_the_end_of_a_run(runtime: Arc<dyn Runtime>) {
    let stories = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&stories);
    Run::on(runtime)
        .shutdown_grace(A_MOMENT)
        .shutdown_timeout(AN_HOUR)
        .run(async move {
            let begun = Event::new();
            let begins = begun.clone();
            Handle::current().spawn(async move {
                begins.set();
                note_the_end(noted).await;
            });
            begun.wait().await;
        })
        .expect("the run ends well");
    let stories = stories.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(stories, [format!("cancelled because the run ends, after a grace of {A_MOMENT:?}")]);
}

/// A scope that waits for ever, and notes what its cancellation tells.
async fn note_the_end(stories: Arc<Mutex<Vec<String>>>) {
    let ended = CancelScope::new().run(async move |scope| {
        scope.on_exit(async move |exit| {
            let Exit::Cancelled(cancelled) = exit else { return };
            stories.lock().unwrap_or_else(PoisonError::into_inner).push(told(&cancelled));
        });
        pending::<()>().await;
    });
    drop(ended.await);
}
