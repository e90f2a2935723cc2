//! The task view: each leaf tells where it waits, the tree reads well, and becomes JSON.
#![allow(missing_docs, clippy::unwrap_used)]

use std::future::{Future, pending};
use std::num::NonZeroUsize;
use std::time::Duration;

use anyrt::blocking::CapacityLimiter;
use anyrt::net::{TcpListener, UdpSocket};
use anyrt::observe::TaskTree;
use anyrt::scope::ScopeKind;
use anyrt::sync::{Event, Mutex, Semaphore};
use anyrt::{channel, checkpoint, task_group, tasks};

const LONG: Duration = Duration::from_secs(3600);

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

/// The line of this file at which a task of this name waits, as soon as it does.
async fn line_of(name: &str) -> u32 {
    let mut line = None;
    until(|tree| {
        let entry =
            tree.entries.iter().find(|entry| entry.task.as_ref().is_some_and(|task| task.name == name));
        line = entry.and_then(|entry| entry.waits).filter(|place| place.file().ends_with("seeing.rs"));
        line.is_some()
    })
    .await;
    line.unwrap().line()
}

/// Each waits at its own line.
macro_rules! tell_where {
    ($($name:literal: $waits:expr;)*) => {$(
        task_group(async |group| {
            let (waits, line) = ($waits, line!());
            group.named($name).spawn(waits);
            assert_eq!(line_of($name).await, line, $name);
            group.cancel_with("seen");
        })
        .await
        .unwrap();
    )*};
}

#[anyrt::test]
#[rustfmt::skip]
async fn every_leaf_tells_the_line_that_called_it() {
    let (event, lock, semaphore) = (Event::new(), Mutex::new(()), Semaphore::new(0));
    let (limiter, guard) = (CapacityLimiter::new(0), lock.try_lock().unwrap());
    let (sender, receiver) = channel::bounded::<u8>(0);
    let (other_sender, other_receiver) = channel::bounded::<u8>(0);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    tell_where! { "sleep": async { anyrt::sleep(LONG).await }; }
    tell_where! { "tick": async { let mut ticks = anyrt::interval(LONG); ticks.tick().await; ticks.tick().await; }; }
    tell_where! { "event": { let event = event.clone(); async move { event.wait().await } }; }
    tell_where! { "lock": { let lock = lock.clone(); async move { drop(lock.lock().await) } }; }
    tell_where! { "semaphore": { let semaphore = semaphore.clone(); async move { drop(semaphore.acquire().await) } }; }
    tell_where! { "limiter": { let limiter = limiter.clone(); async move { drop(limiter.acquire().await) } }; }
    tell_where! { "key": { let limiter = limiter.clone(); async move { drop(limiter.acquire_on_behalf_of(1).await) } }; }
    tell_where! { "receive": { let receiver = receiver.clone(); async move { receiver.recv().await.unwrap(); } }; }
    tell_where! { "send": { let sender = other_sender.clone(); async move { sender.send(1).await.unwrap(); } }; }
    tell_where! { "handle": async { anyrt::spawn(pending::<()>()).await.unwrap() }; }
    tell_where! { "wait": async { anyrt::spawn(pending::<()>()).wait().await; }; }
    tell_where! { "by reference": async { let mut handle = anyrt::spawn(pending::<()>()); (&mut handle).await.unwrap() }; }
    tell_where! { "children": async { task_group(async |group| { group.spawn(pending::<()>()); }).await.unwrap() }; }
    tell_where! { "borrowing": async { anyrt::LocalGroup::sendable().run(async |scope| { scope.spawn(pending::<()>()); }).await.unwrap() }; }
    tell_where! { "start": async { task_group(async |group| { let _ = group.start(async |ready| { pending::<()>().await; ready.started(()); }).await; }).await.unwrap() }; }
    tell_where! { "limited": async { task_group(async |group| { let group = group.limit(NonZeroUsize::MIN); group.spawn(pending::<()>()).await; group.spawn(pending::<()>()).await; }).await.unwrap() }; }
    tell_where! { "token": { let limiter = limiter.clone(); async move { anyrt::run_blocking(|| ()).limiter(&limiter).await } }; }
    tell_where! { "accept": async move { drop(listener.accept().await) }; }
    tell_where! { "datagram": async move { drop(socket.recv_from(&mut [0]).await) }; }
    tell_where! { "cancelled": async { anyrt::CancelScope::new().run(async |scope| scope.cancelled().await).await.unwrap() }; }
    drop((guard, sender, other_receiver));
}

#[anyrt::test]
#[rustfmt::skip]
async fn a_blocking_call_tells_where_it_was_made() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    task_group(async |group| {
        let line = line!() + 1;
        group.named("caller").spawn(async move { anyrt::run_blocking(move || released.recv()).name("slow").await.unwrap_err() });
        assert_eq!(line_of("caller").await, line);
        let call = until(|tree| tree.entries.iter().any(|entry| entry.name.is_some())).await;
        let told = call.to_string();
        assert!(told.contains("blocking call `slow` at "), "{told}");
        assert_eq!(call.limiters[0].borrowed, 1);
        drop(release);
    })
    .await
    .unwrap();
}

#[anyrt::test]
#[rustfmt::skip]
async fn of_several_branches_each_tells_its_own_line() {
    let (one, two) = (Event::new(), Event::new());
    task_group(async |group| {
        let first = line!() + 1;
        group.named("joins").spawn(anyrt::join(one.wait(),
            two.wait()));
        let tree = until(|tree| branches(tree).len() == 2 && branches(tree).iter().all(|line| *line > 0)).await;
        assert_eq!(branches(&tree), [first, first + 1]);
        group.cancel_with("seen");
    })
    .await
    .unwrap();
}

fn branches(tree: &TaskTree) -> Vec<u32> {
    let branches = tree.entries.iter().filter(|entry| entry.kind == ScopeKind::Branch);
    branches.map(|entry| entry.waits.map_or(0, |place| place.line())).collect()
}

/// What was ready is not told as what is waited for, when something of somebody else is pending then.
#[anyrt::test]
async fn what_is_not_of_anyrt_has_no_place() {
    let event = Event::new();
    task_group(async |group| {
        let (happened, other) = (event.clone(), Event::new());
        happened.set();
        group.named("stranger").spawn(async move {
            let _waits = other.clone();
            happened.wait().await;
            strange(&other).await;
        });
        let seen = |tree: &TaskTree| {
            let task = tree
                .entries
                .iter()
                .find(|entry| entry.task.as_ref().is_some_and(|task| task.name == "stranger"));
            task.is_some_and(|entry| entry.waits.is_none())
        };
        until(seen).await;
        group.cancel_with("seen");
    })
    .await
    .unwrap();
}

/// Pending for ever, and not by a leaf.
fn strange(_: &Event) -> impl Future<Output = ()> + use<> {
    pending()
}

#[anyrt::test]
async fn the_tree_becomes_json() {
    task_group(async |group| {
        let release = Event::new();
        let released = release.clone();
        let shielded = async move { anyrt::shield(released.wait()).await };
        group.named("sleeper").spawn(anyrt::move_on_after(LONG, shielded));
        line_of("sleeper").await;
        group.cancel_with("in JSON");
        let json = serde_json::to_value(tasks()).unwrap();
        let entries = json["entries"].as_array().unwrap();
        let entry = |kind: &str| entries.iter().find(|entry| entry["kind"] == kind).unwrap();
        let task = entries.iter().find(|entry| entry["task"]["name"] == "sleeper").unwrap();
        assert_eq!((json["run"].as_str(), entries[0]["kind"].as_str()), (Some("anyrt"), Some("root")));
        assert!(task["task"]["id"].is_u64() && task["task"]["state"] == "in-shield", "{task}");
        assert!(task["waits"].as_str().unwrap().contains("seeing.rs:"), "{task}");
        assert!(entry("timeout")["expires_in"].as_f64().unwrap() > 3000.0);
        assert_eq!(entry("group")["cause"]["reason"], "in JSON");
        assert_eq!(json["limiters"][0]["total"], 40);
        release.set();
    })
    .await
    .unwrap();
}

#[anyrt::test]
async fn what_is_alike_is_told_once() {
    task_group(async |group| {
        let event = Event::new();
        for _ in 0..100 {
            let event = event.clone();
            group.named("alike").spawn(async move { anyrt::move_on_after(LONG, event.wait()).await });
        }
        anyrt::testing::wait_all_tasks_blocked().await;
        let tree = tasks();
        let (short, long) = (tree.to_string(), format!("{tree:#}"));
        assert_eq!((short.matches("alike#").count(), short.matches("100 × ").count()), (1, 1), "{short}");
        assert_eq!(long.matches("alike#").count(), 100, "{long}");
        group.cancel_with("seen");
    })
    .await
    .unwrap();
}

/// Three thousand groups inside each other, each in a task of its own.
#[anyrt::test]
async fn a_deep_tree_is_looked_at_and_printed_without_recursion() {
    const LEVELS: usize = 3_000;

    fn level(left: usize, bottom: Event) -> futures::future::BoxFuture<'static, ()> {
        Box::pin(async move {
            if left == 0 {
                bottom.set();
                return pending().await;
            }
            task_group(async |group| drop(group.spawn(level(left - 1, bottom)))).await.unwrap();
        })
    }

    let bottom = Event::new();
    anyrt::CancelScope::new()
        .run(async |scope| {
            let ends = bottom.clone();
            task_group(async |group| {
                group.spawn(level(LEVELS, ends));
                bottom.wait().await;
                let tree = tasks();
                assert!(tree.entries.len() > 2 * LEVELS);
                assert_eq!(tree.to_string().lines().count(), tree.entries.len());
                scope.cancel_with("seen");
            })
            .await
        })
        .await
        .unwrap_err();
}

mod watched {
    use std::sync::mpsc::{Receiver, channel};

    use anyrt::observe::{Alarm, Watchdog};
    use anyrt::{Backend, Run};

    use super::*;

    /// A run with a watchdog, and its alarms.
    fn watched(backend: Backend, watchdog: Watchdog) -> (Run, Receiver<Alarm>) {
        let (tell, alarms) = channel();
        let watchdog = watchdog.on_alarm(move |alarm| drop(tell.send(alarm.clone())));
        (Run::on(backend).watchdog(watchdog), alarms)
    }

    #[test]
    fn a_poll_that_blocks_is_told_of_while_it_blocks_once_a_place() {
        for backend in Backend::enabled() {
            let (run, alarms) = watched(*backend, Watchdog::new().slow_poll(Duration::from_millis(20)));
            run.run(async {
                let task = task_group(async |group| {
                    let place = line!() + 2;
                    let task = group.named("blocks").spawn(async move {
                        checkpoint().await;
                        // Blocks this thread until the alarm has come. On a busy machine another poll may be slow, too.
                        let alarm = alarms.iter().find(|alarm| is_told(alarm, "blocks", place)).unwrap();
                        checkpoint().await;
                        (alarm, alarms)
                    });
                    (task.await.unwrap(), place)
                });
                let ((alarm, alarms), place) = task.await.unwrap();
                assert!(alarm.to_string().contains("seeing.rs"), "{alarm}");
                // The end of that poll is no news.
                assert!(!alarms.try_iter().any(|alarm| is_told(&alarm, "blocks", place)), "it is told once");
            })
            .expect("the run ends well");
        }
    }

    /// Whether it tells of a slow poll of that task, which had waited at that line.
    fn is_told(alarm: &Alarm, whose: &str, line: u32) -> bool {
        match alarm {
            Alarm::SlowPoll { name, resumed: Some(resumed), .. } => name == whose && resumed.line() == line,
            _ => false,
        }
    }

    #[test]
    fn a_run_that_stands_still_is_told_of_with_its_tree() {
        for backend in Backend::enabled() {
            let (run, alarms) = watched(*backend, Watchdog::new().standstill(Duration::from_millis(20)));
            run.run(async {
                let event = Event::new();
                let sets = event.clone();
                let thread = std::thread::Builder::new().spawn(move || {
                    let alarm = alarms.recv().unwrap();
                    sets.set();
                    alarm
                });
                event.wait().await;
                let alarm = thread.unwrap().join().unwrap();
                let Alarm::Standstill { tree, .. } = &alarm else { panic!("{alarm}") };
                assert_eq!(tree.tasks().map(|task| task.name.as_str()).collect::<Vec<_>>(), ["main"]);
            })
            .expect("the run ends well");
        }
    }

    #[test]
    fn a_task_that_wakes_itself_without_end_is_told_of_once() {
        for backend in Backend::enabled() {
            let (run, alarms) = watched(*backend, Watchdog::new().spinning(50));
            run.run(async {
                task_group(async |group| {
                    group.named("spins").spawn(async {
                        for _ in 0..200 {
                            checkpoint().await;
                        }
                    });
                    group.named("yields a little").spawn(async {
                        for _ in 0..20 {
                            checkpoint().await;
                        }
                    });
                })
                .await
                .unwrap();
            })
            .expect("the run ends well");
            let told: Vec<Alarm> = alarms.iter().collect();
            assert!(matches!(&*told, [Alarm::Spinning { name, .. }] if name == "spins"), "{told:?}");
        }
    }

    #[test]
    fn a_measured_run_tells_polls_and_busy_time() {
        for backend in Backend::enabled() {
            Run::on(*backend)
                .measure(true)
                .run(async {
                    task_group(async |group| {
                        let event = Event::new();
                        let waits = event.clone();
                        group.named("polled").spawn(async move {
                            for _ in 0..9 {
                                checkpoint().await;
                            }
                            waits.wait().await;
                        });
                        anyrt::testing::wait_all_tasks_blocked().await;
                        let tree = tasks();
                        let task = tree.tasks().find(|task| task.name == "polled").unwrap();
                        assert!(task.polls >= Some(10), "{task:?}");
                        assert!(task.busy > Some(Duration::ZERO) && task.since.is_some(), "{task:?}");
                        assert!(tree.to_string().contains(" polls in "), "{tree}");
                        event.set();
                    })
                    .await
                    .unwrap();
                    assert!(tasks().tasks().all(|task| task.name == "main"));
                })
                .expect("the run ends well");
        }
    }

    #[anyrt::test]
    async fn a_run_that_is_not_measured_tells_none() {
        assert!(tasks().tasks().all(|task| task.polls.is_none() && task.busy.is_none()));
    }
}

mod deadlocks {
    use super::*;

    #[anyrt::test]
    async fn who_waits_for_whom_is_told_and_a_circle_named() {
        let (one, two) = (Mutex::new(()), Mutex::new(()));
        task_group(async |group| {
            let takes = |first: Mutex<()>, second: Mutex<()>| async move {
                let _first = first.lock().await;
                checkpoint().await;
                drop(second.lock().await);
            };
            let busy = one.lock().await;
            let ann = group.named("ann").spawn(takes(one.clone(), two.clone())).id();
            anyrt::testing::wait_all_tasks_blocked().await;
            let bob = group.named("bob").spawn(takes(two.clone(), one.clone())).id();
            anyrt::testing::wait_all_tasks_blocked().await;
            let host = anyrt::current_task().unwrap().id();
            let waits_for = |id| {
                let tree = tasks();
                tree.entries
                    .iter()
                    .find(|entry| entry.task.as_ref().is_some_and(|task| task.id == id))?
                    .waits_for
            };
            assert_eq!((waits_for(ann), waits_for(bob)), (Some(host), Some(host)));
            assert!(tasks().deadlocks().is_empty());
            drop(busy);
            anyrt::testing::wait_all_tasks_blocked().await;
            assert_eq!((waits_for(ann), waits_for(bob)), (Some(bob), Some(ann)), "the lock has gone on");
            let mut circle = tasks().deadlocks().concat();
            circle.sort_unstable();
            assert_eq!(circle, [ann, bob]);
            group.cancel_with("seen");
        })
        .await
        .unwrap();
    }
}
