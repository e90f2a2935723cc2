//! RT: what a program sees of itself.

use anyrt_core::{
    Event, ScopeKind, TaskState, TaskTree, TaskView, TreeEntry, checkpoint, current_task, finally,
    move_on_after, shield, task_group, tasks,
};
use futures::future::pending;

use crate::time::AN_HOUR;

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
        group.cancel("seen");
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
        group.cancel("seen");
    })
    .await
    .expect("the body ended");
}

pub(crate) async fn the_tree_tells_how_it_is_with_a_task() {
    task_group(async |group| {
        let release = Event::new();
        let (shielded, cleaning) = (release.clone(), release.clone());
        group.named("shielded").spawn(async move { shield(shielded.wait()).await });
        let clean = async move || cleaning.wait().await;
        group.named("cleaning").spawn(finally(pending::<()>(), clean));
        group.named("waiting").spawn(pending::<()>());
        until(|tree| tree.tasks().count() == 4).await;
        group.cancel("let us see");
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
