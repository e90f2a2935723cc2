//! TG: the children of a task group: what they inherit, and what they are called.

use std::sync::Arc;

use anyrt_core::{
    CancelScope, Event, Run, Runtime, TaskContext, checkpoint, current_task, move_on_after, run_blocking,
    shield, task_group, task_local,
};
use futures::future::pending;

use crate::counting::{Counter, count_polls};
use crate::double::Double;
use crate::time::{A_MOMENT, Stopwatch};

pub(crate) async fn tg_28_an_outer_timeout_applies_to_the_children() {
    let watch = Stopwatch::start();
    let drops = Counter::new();
    let local = drops.on_drop();
    let result = move_on_after(A_MOMENT, async move {
        task_group(async move |group| {
            group.spawn(async move {
                let _local = local;
                pending::<()>().await;
            });
        })
        .await
    })
    .await;
    assert!(result.is_none());
    assert_eq!(drops.get(), 1);
    watch.has_run_for(A_MOMENT);
}

task_local! {
    static COLOUR: &'static str;
}

pub(crate) async fn tg_29_a_child_gets_a_copy_of_the_context_of_its_spawner() {
    let seen = COLOUR
        .with_value("host", async {
            task_group(async |group| {
                let by_host = group.spawn(async { COLOUR.get() });
                let siblings = group.clone();
                let spawner = group.spawn(COLOUR.with_value("spawner", async move {
                    let by_spawner = siblings.spawn(async {
                        let seen = COLOUR.get();
                        let own = COLOUR.with_value("its own", async { COLOUR.get() }).await;
                        (seen, own)
                    });
                    let seen = by_spawner.await.expect("the child ends");
                    (seen, COLOUR.get())
                }));
                let by_host = by_host.await.expect("the child ends");
                (by_host, spawner.await.expect("the child ends"), COLOUR.get())
            })
            .await
            .expect("no child fails")
        })
        .await;
    assert_eq!(seen, ("host", (("spawner", "its own"), "spawner"), "host"));
}

pub(crate) async fn a_value_that_is_set_stays_in_its_task_and_goes_to_later_children() {
    task_local! {
        static OTHER: u8;
    }
    let seen = task_group(async |group| {
        let task = group.spawn(async {
            COLOUR.set("first");
            OTHER.set(7);
            COLOUR.set("second");
            checkpoint().await;
            let in_scope = COLOUR
                .with_value("scoped", async {
                    COLOUR.set("set in the scope");
                    checkpoint().await;
                    COLOUR.get()
                })
                .await;
            let in_job = run_blocking(|| {
                let inherited = COLOUR.get();
                COLOUR.set("set in the job");
                (inherited, COLOUR.get())
            })
            .await;
            let mut apart = TaskContext::capture();
            apart.run(|| COLOUR.set("apart"));
            let apart = apart.run(|| COLOUR.get());
            let child = task_group(async |group| group.spawn(async { COLOUR.get() }).await).await;
            let child = child.expect("no child fails").expect("the child ends");
            (in_scope, in_job, apart, child, COLOUR.get(), OTHER.get())
        });
        let seen = task.await.expect("the child ends");
        let sibling = group.spawn(async { COLOUR.try_with(|_| ()).is_err() }).await.expect("the child ends");
        (seen, sibling && COLOUR.try_with(|_| ()).is_err())
    })
    .await
    .expect("no child fails");
    let in_job = ("second", "set in the job");
    assert_eq!(seen, (("set in the scope", in_job, "apart", "second", "second", 7), true));
}

pub(crate) async fn tg_30_an_explicit_context_is_used_instead() {
    let captured = COLOUR.with_value("captured", async { TaskContext::capture() }).await;
    let seen = COLOUR
        .with_value("host", async {
            task_group(async move |group| {
                let captured = group.named("one").with_context(captured).spawn(async { COLOUR.get() });
                let empty = group
                    .named("two")
                    .with_context(TaskContext::empty())
                    .spawn(async { COLOUR.try_with(|colour| *colour).is_err() });
                (captured.await.expect("the child ends"), empty.await.expect("the child ends"))
            })
            .await
            .expect("no child fails")
        })
        .await;
    assert_eq!(seen, ("captured", true));
}

pub(crate) async fn a_named_handle_of_a_group_names_each_child() {
    let context = COLOUR.with_value("given", async { TaskContext::capture() }).await;
    let names = task_group(async move |group| {
        let named = group.named("worker").with_context(context);
        let again = named.clone();
        let (started, in_start) =
            named.start(async |ready| ready.started(COLOUR.get())).await.expect("it is ready");
        let limited = named.limit(std::num::NonZeroUsize::MIN);
        let of_limit = limited.spawn(async { COLOUR.get() }).await;
        let children =
            [named.spawn(async { COLOUR.get() }), again.spawn_service(async { COLOUR.get() }), of_limit];
        let mut names = vec![in_start.name().to_owned()];
        let mut colours = vec![started];
        for child in children {
            names.push(child.name().to_owned());
            colours.push(child.await.expect("it ends"));
        }
        assert_eq!(colours, ["given"; 4]);
        assert_eq!(named.named("other").spawn(async { COLOUR.get() }).await.expect("it ends"), "given");
        assert_ne!(group.spawn(async {}).name(), "worker", "the group itself is as it was");
        names
    })
    .await;
    assert_eq!(names.expect("no child fails"), ["worker"; 4]);
}

pub(crate) fn tg_35_a_runtime_that_refuses_a_task_is_reported_to_the_spawner(runtime: Arc<dyn Runtime>) {
    let refusing = Arc::new(Double::of(runtime));
    let refuse = Arc::clone(&refusing);
    Run::on(refusing)
        .run(async move {
            let polls = Counter::new();
            let drops = Counter::new();
            let (child_polls, local) = (polls.clone(), drops.on_drop());
            let reported = Counter::new();
            let report = reported.clone();
            let result = task_group(async move |group| {
                refuse.refuse_tasks();
                let child = group.spawn(count_polls(&child_polls, async move {
                    let _local = local;
                }));
                // Shielded: the loss of a child cancels the body.
                let ended = shield(child).await.expect_err("it was never started");
                assert!(ended.is_not_started(), "{ended}");
                report.add();
            })
            .await;
            assert_eq!((polls.get(), drops.get()), (0, 1), "it was dropped without a poll");
            assert_eq!(reported.get(), 1, "the spawner was told");
            assert_eq!(result.expect_err("a child is missing").len(), 1, "and so is the group");
        })
        .expect("the run ends well");
}

pub(crate) async fn tg_37_the_parent_of_a_child_is_the_host_and_not_the_spawner() {
    task_group(async |around| {
        // In a task of its own, so that the host is certain to be one.
        let host = around.spawn(async {
            let host = current_task().expect("a task").id();
            let parents = task_group(async |group| {
                let siblings = group.clone();
                let spawner = group.spawn(async move {
                    let sibling = siblings.spawn(async { current_task().and_then(|task| task.parent()) });
                    (current_task().and_then(|task| task.parent()), sibling.await.expect("it ends"))
                });
                spawner.await.expect("it ends")
            })
            .await
            .expect("no child fails");
            assert_eq!(parents, (Some(host), Some(host)));
        });
        host.await.expect("its assertions hold");
    })
    .await
    .expect("no child fails");
}

pub(crate) async fn tg_38_a_child_is_named_after_its_function_unless_it_is_named() {
    async fn reads_its_own_name() -> String {
        current_task().expect("a task").name().to_string()
    }

    task_group(async |group| {
        let default = group.spawn(reads_its_own_name());
        let default = default.await.expect("the child ends");
        assert!(default.contains("reads_its_own_name"), "the default name is {default:?}");

        let named = group.named("by hand").spawn(reads_its_own_name());
        assert_eq!(named.name(), "by hand");
        assert_eq!(named.await.expect("the child ends"), "by hand");
    })
    .await
    .expect("no child fails");
}

pub(crate) async fn rule_37_a_child_belongs_to_the_group_and_not_to_the_scope_of_its_spawner() {
    let value = task_group(async |group| {
        let release = Arc::new(Event::new());
        let released = Arc::clone(&release);
        let begun = Arc::new(Event::new());
        let begins = Arc::clone(&begun);
        let spawner = group.clone();
        let mut child = None;
        let result = CancelScope::new()
            .run(async |scope| {
                child = Some(spawner.spawn(async move {
                    begins.set();
                    released.wait().await;
                    checkpoint().await;
                    "alive"
                }));
                begun.wait().await;
                scope.cancel_with("the spawner's scope");
                checkpoint().await;
            })
            .await;
        assert!(result.is_err());
        release.set();
        child.expect("it was spawned").await.expect("it was not cancelled")
    })
    .await;
    assert_eq!(value.expect("no child fails"), "alive");
}
