//! Seeing what runs: a program with a hundred tasks prints its tree, and one sees at a glance why it does
//! not end.
//!
//! ```console
//! $ cargo run --example inspect
//! $ ANYRT_BACKEND=smol cargo run --example inspect
//! ```
//!
//! It checks itself what it says.

use std::time::Duration;

use anyrt::observe::{TaskState, TaskTree};
use anyrt::sync::{Event, Mutex};

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct Account {
    balance: u32,
}

/// Takes two locks, one after the other. Somebody else takes them the other way round.
async fn transfer(from: Mutex<Account>, to: Mutex<Account>) {
    let mut from = from.lock().await;
    anyrt::checkpoint().await; // look at the balance, say
    let mut to = to.lock().await;
    from.balance -= 1;
    to.balance += 1;
}

async fn worker(work: Event) {
    anyrt::move_on_after(A_DAY, work.wait()).await;
}

async fn backup(disk: std::sync::mpsc::Receiver<()>) {
    anyrt::run_blocking(move || disk.recv()).name("backup").await.expect_err("the disk goes away");
}

/// What has many tasks, and will not end by itself.
async fn program() -> TaskTree {
    let (mine, yours) = (Mutex::new(Account { balance: 100 }), Mutex::new(Account { balance: 100 }));
    let (disk, disk_of_backup) = std::sync::mpsc::channel();
    let ended = anyrt::task_group(async |tg| {
        let work = Event::new();
        for _ in 0..96 {
            tg.spawn(worker(work.clone()));
        }
        tg.named("backup").spawn(backup(disk_of_backup));
        let logbook = work.clone();
        tg.named("logbook").spawn(anyrt::finally(anyrt::sleep(A_DAY), async move |_| {
            logbook.wait().await; // written, and waited for
        }));
        // It happens once in a million times, or now: each takes its first lock before the other its second.
        let busy = mine.lock().await;
        tg.named("ann").spawn(transfer(mine.clone(), yours.clone()));
        anyrt::testing::wait_all_tasks_blocked().await;
        tg.named("bob").spawn(transfer(yours.clone(), mine.clone()));
        anyrt::testing::wait_all_tasks_blocked().await;
        drop(busy);
        anyrt::testing::wait_all_tasks_blocked().await;

        let tree = anyrt::tasks();
        tg.cancel_with("seen enough");
        anyrt::shield(async {
            anyrt::testing::wait_all_tasks_blocked().await;
            let clean_up = anyrt::tasks();
            let state = clean_up.tasks().find(|task| task.name == "logbook").map(|task| task.state);
            assert_eq!(state, Some(TaskState::InCleanUp));
        })
        .await;
        drop(disk);
        work.set();
        tree
    });
    ended.await.expect("nothing fails")
}

#[anyrt::main]
async fn main() {
    let tree = program().await;
    println!("{tree}");
    check(&tree);
}

fn check(tree: &TaskTree) {
    assert_eq!(tree.tasks().count(), 101);
    let told = tree.to_string();
    assert!(told.contains("96 × inspect::worker#"), "what is alike is told once");
    assert!(told.contains("blocking call `backup`"), "and what a thread does");
    assert!(told.contains("deadlock: "), "and who waits for whom");
    if tree.runtime == "tokio" {
        assert!(include_str!("../README.md").contains(&told), "as the README shows it");
    }
    let name = |id| tree.tasks().find(|task| task.id == id).map(|task| task.name.as_str());
    let mut circle: Vec<_> = tree.deadlocks().concat().into_iter().filter_map(name).collect();
    circle.sort_unstable();
    assert_eq!(circle, ["ann", "bob"]);
}
