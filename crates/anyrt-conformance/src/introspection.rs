//! RT: what a program sees of itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use anyrt_core::{
    CancelScope, Event, Handle, Mutex, Run, RunError, RunLocal, Runtime, ScopeKind, Sequencer, TaskState,
    TaskTree, TaskView, TreeEntry, assert_checkpoints, assert_no_checkpoints, checkpoint, current_task,
    embed, finally, move_on_after, run_blocking, shield, sleep, task_group, task_local, tasks,
    wait_all_tasks_blocked,
};
use futures::FutureExt;
use futures::future::pending;

use crate::counting::Counter;
use crate::time::{A_MOMENT, AN_HOUR};
use crate::warnings::Warnings;

pub(crate) async fn rt_01_a_run_inside_a_run_is_an_error() {
    let runtime = Handle::current().runtime().clone();
    let here = runtime.name();
    let nested = Run::on(runtime.clone()).run(async {});
    assert!(
        matches!(nested, Err(RunError::Nested { running, asked }) if running == here && asked == here),
        "{nested:?}"
    );
    let in_task = task_group(async |group| {
        let nested = group.spawn(async move { Run::on(runtime).run(async {}).is_err() });
        nested.await.expect("it finished")
    });
    assert!(in_task.await.expect("nothing fails"));
}

pub(crate) fn rt_03_a_run_local_is_separate_for_each_run_and_key(runtime: Arc<dyn Runtime>) {
    static ONE: RunLocal<AtomicUsize> = RunLocal::new(|| AtomicUsize::new(1));
    static TWO: RunLocal<AtomicUsize> = RunLocal::new(|| AtomicUsize::new(2));

    async fn adds(expected: (usize, usize)) {
        assert_eq!(ONE.get().load(SeqCst), expected.0);
        assert_eq!(TWO.get().fetch_add(10, SeqCst), expected.1);
    }

    assert!(ONE.try_get().is_err(), "there is no run");
    Run::on(runtime)
        .run(async {
            adds((1, 2)).await;
            let of_task = task_group(async |group| group.spawn(adds((1, 12))).await);
            of_task.await.expect("nothing fails").expect("it finished");
            let embedded = embed(adds((1, 2)));
            embedded.await.expect("nothing is left at its root");
            assert_eq!(
                run_blocking(|| TWO.get().load(SeqCst)).await,
                22,
                "a job is in the run of its caller"
            );
        })
        .expect("the run ends well");
}

pub(crate) async fn rt_04_task_locals_go_to_children_and_not_to_siblings() {
    task_local! {
        static WHO: &'static str;
    }
    let host = WHO.with_value("host", async {
        task_group(async |group| {
            let child = group
                .spawn(async { (WHO.get(), WHO.with_value("child", async { WHO.get() }).await, WHO.get()) });
            let sibling = WHO.with_value("spawner", async { group.spawn(async { WHO.get() }).await }).await;
            assert_eq!(child.await.expect("it finished"), ("host", "child", "host"));
            assert_eq!(sibling.expect("it finished"), "spawner");
            assert_eq!(WHO.get(), "host", "nothing comes back");
        })
        .await
    });
    host.await.expect("nothing fails");
    assert!(WHO.try_with(|_| ()).is_err(), "it is not set here");
}

pub(crate) fn rt_05_outside_of_any_runtime_there_is_a_clear_error(_: Arc<dyn Runtime>) {
    let error = Handle::try_current().expect_err("no runtime is here").to_string();
    assert!(error.contains("no runtime here") && error.contains("anyrt::run("), "{error}");
    let line = line!() + 1;
    let panic = catch_unwind(|| sleep(AN_HOUR).now_or_never()).expect_err("there is no runtime");
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.contains(&format!("introspection.rs:{line}")), "it names the caller: {text}");
}

pub(crate) async fn rt_06_it_is_quiet_when_all_other_tasks_wait() {
    task_group(async |group| {
        let (go, steps) = (Event::new(), Counter::new());
        for _ in 0..5 {
            let (go, steps) = (go.clone(), steps.clone());
            group.spawn(async move {
                for _ in 0..20 {
                    steps.add();
                    checkpoint().await;
                }
                go.wait().await;
                steps.add();
                pending::<()>().await;
            });
        }
        wait_all_tasks_blocked().await;
        assert_eq!((steps.get(), go.waiting()), (100, 5));

        let cancelled = group.spawn(pending::<()>());
        let waits = group.spawn(async { wait_all_tasks_blocked().await });
        wait_all_tasks_blocked().await;
        waits.await.expect("those who wait do not wait for each other");

        go.set();
        cancelled.cancel_with("while somebody waits");
        wait_all_tasks_blocked().await;
        assert_eq!((steps.get(), cancelled.is_finished()), (105, true));

        let by_thread = move_on_after(A_MOMENT, async {
            loop {
                checkpoint().await;
                wait_all_tasks_blocked().await;
            }
        });
        assert!(by_thread.await.is_none(), "it is cancelled as every leaf");
        group.cancel_with("done");
    })
    .await
    .expect("the body ended");
}

pub(crate) async fn steps_are_taken_in_their_order() {
    let (sequence, order) = (Sequencer::new(), Arc::new(StdMutex::new(Vec::new())));
    task_group(async |group| {
        for step in [3, 1, 4, 0, 2] {
            let (sequence, order) = (sequence.clone(), order.clone());
            group.spawn(async move {
                let _step = sequence.at(step).await;
                checkpoint().await;
                order.lock().expect("nobody panics").push(step);
            });
        }
    })
    .await
    .expect("nothing fails");
    assert_eq!(*order.lock().expect("nobody panics"), [0, 1, 2, 3, 4]);

    assert!(catch_unwind(|| drop(sequence.at(3))).is_err(), "a step is taken once");
    drop(sequence.at(5));
    let broken = task_group(async |group| group.spawn(async move { drop(sequence.at(6).await) }).await);
    let broken = AssertUnwindSafe(broken).catch_unwind().await;
    assert!(broken.is_err(), "a step that was given up never comes");
}

pub(crate) async fn checkpoints_are_asserted() {
    assert_checkpoints(checkpoint()).await;
    assert_checkpoints(async { drop(Mutex::new(1).lock().await) }).await;
    assert_no_checkpoints(async { drop(Mutex::new(1).try_lock()) }).await;
    let none = AssertUnwindSafe(assert_checkpoints(async {})).catch_unwind();
    assert!(none.await.is_err(), "there is no checkpoint");
    let one = AssertUnwindSafe(assert_no_checkpoints(checkpoint())).catch_unwind();
    assert!(one.await.is_err(), "there is one");
    let cut = move_on_after(Duration::ZERO, assert_checkpoints(pending::<()>()));
    assert!(cut.await.is_none(), "it is cancelled as ever");
}

pub(crate) fn a_cancellation_is_told_to_subscribers(runtime: Arc<dyn Runtime>) {
    let told = Warnings::of("anyrt::cancel");
    told.catch(|| {
        Run::on(runtime)
            .run(async {
                let cancelled = CancelScope::new().run(async |scope| {
                    scope.cancel_with("to be told");
                    checkpoint().await;
                });
                cancelled.await.expect_err("it is cancelled");
            })
            .expect("the run ends well");
    });
    assert!(told.caught().iter().any(|text| text.contains("to be told")), "{:?}", told.caught());
}

pub(crate) async fn rt_07_the_tree_tells_the_names_and_parents_of_tasks() {
    let host = current_task().expect("a task runs this").id();
    task_group(async |group| {
        let outer = group.named("outer").spawn(async {
            let ended = task_group(async |group| {
                group.named("inner").spawn(pending::<()>());
                pending::<()>().await;
            });
            ended.await.expect_err("it is cancelled");
        });
        let tree = until(|tree| named(tree, "inner").is_some()).await;
        let view = named(&tree, "outer").expect("it is alive");
        assert_eq!((view.id, view.parent), (outer.id(), Some(host)));
        assert_eq!(named(&tree, "inner").expect("it is alive").parent, Some(outer.id()));
        assert_eq!(named(&tree, "main").expect("it looks").state, TaskState::Running);
        group.cancel_with("seen");
    })
    .await
    .expect("the body ended");
    assert!(named(&tasks(), "outer").is_none(), "what has ended is not in the tree");
}

pub(crate) async fn rt_08_the_tree_is_consistent_at_every_level() {
    task_group(async |group| {
        for _ in 0..3 {
            group.named("outer").spawn(move_on_after(AN_HOUR, async {
                task_group(async |group| {
                    for _ in 0..2 {
                        group.named("inner").spawn(move_on_after(AN_HOUR, pending::<()>()));
                    }
                })
                .await
                .expect("nothing fails");
            }));
        }
        let tree = until(|tree| tree.tasks().filter(|task| task.name == "inner").count() == 6).await;
        for (index, entry) in tree.entries.iter().enumerate() {
            let Some(parent) = entry.parent else {
                assert_eq!((index, entry.kind, entry.depth), (0, ScopeKind::Root, 0));
                continue;
            };
            assert!(parent < index, "what is around a place comes before it");
            assert_eq!(entry.depth, tree.entries[parent].depth + 1);
            if let Some(task) = &entry.task {
                assert!(matches!(tree.entries[parent].kind, ScopeKind::Group | ScopeKind::Root));
                assert_eq!(task.parent, host(&tree, entry), "the host is the task around: {}", task.name);
            }
        }
        group.cancel_with("seen");
    })
    .await
    .expect("the body ended");
}

pub(crate) async fn the_tree_tells_how_it_is_with_a_task() {
    task_group(async |group| {
        let release = Event::new();
        let (shielded, cleaning) = (release.clone(), release.clone());
        group.named("shielded").spawn(async move { shield(shielded.wait()).await });
        let clean = async move |_| cleaning.wait().await;
        group.named("cleaning").spawn(finally(pending::<()>(), clean));
        group.named("waiting").spawn(pending::<()>());
        until(|tree| tree.tasks().count() == 4).await;
        group.cancel_with("let us see");
        let tree = shield(until(|tree| state(tree, "cleaning") == Some(TaskState::InCleanUp))).await;
        assert_eq!(state(&tree, "shielded"), Some(TaskState::InShield));
        let cancelled = tree.entries.iter().find(|entry| entry.cause.is_some()).expect("the group");
        assert_eq!(cancelled.kind, ScopeKind::Group);
        assert_eq!(cancelled.cause.as_ref().and_then(|cause| cause.reason()), Some("let us see"));
        let told = tree.to_string();
        assert!(told.contains("in clean-up") && told.contains("let us see"), "{told}");
        release.set();
    })
    .await
    .expect("the body ended");
}

/// The tree, as soon as it is so.
async fn until(mut is_so: impl FnMut(&TaskTree) -> bool) -> TaskTree {
    loop {
        let tree = tasks();
        if is_so(&tree) {
            return tree;
        }
        checkpoint().await;
    }
}

fn named<'a>(tree: &'a TaskTree, name: &str) -> Option<&'a TaskView> {
    tree.tasks().find(|task| task.name == name)
}

fn state(tree: &TaskTree, name: &str) -> Option<TaskState> {
    named(tree, name).map(|task| task.state)
}

/// The id of the task around a place.
fn host(tree: &TaskTree, entry: &TreeEntry) -> Option<anyrt_core::TaskId> {
    let mut next = entry.parent;
    while let Some(index) = next {
        if let Some(task) = &tree.entries[index].task {
            return Some(task.id);
        }
        next = tree.entries[index].parent;
    }
    None
}
