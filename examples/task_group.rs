//! Structured concurrency in ten minutes: task groups, scopes, shields, clean-up, time limits.
//!
//! ```console
//! $ cargo run --example task_group
//! $ ANYRT_BACKEND=smol cargo run --example task_group
//! ```
//!
//! The output is the same on every backend. Each chapter checks what it says.

use std::io;
use std::time::Duration;

use anyrt::sync::Event;
use anyrt::{CancelScope, GroupError, sleep};

/// Longer than anybody wants to wait.
const FOR_EVER: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(20);

#[anyrt::main]
async fn main() -> Result<(), GroupError> {
    println!("on {}\n", anyrt::current_handle().runtime().name());
    children().await?;
    first_error().await;
    time_limits().await;
    shields().await;
    clean_up().await;
    borrowing().await?;
    scopes().await;
    first_of_two().await;
    Ok(())
}

/// A group is a block of code that is left only when all its children have ended. They are tasks of
/// the runtime, so they run at once; what they return comes back through handles.
async fn children() -> Result<(), GroupError> {
    println!("1. children");
    let sum = anyrt::try_task_group(async |tg| {
        let one = tg.spawn(async { 1 });
        let two = tg.try_spawn(async { "2".parse::<u32>() });
        // The handle of this one is dropped, which changes nothing: the group owns its children.
        tg.spawn(async {
            sleep(MOMENT).await;
            println!("   a child whose handle was dropped has ended");
        });
        Ok(one.await? + two.await?)
    })
    .await?;
    println!("   the group has ended, with {sum}");
    assert_eq!(sum, 3);
    Ok(())
}

/// The first error cancels the siblings and the body, at that moment. The group returns it when all
/// have ended.
async fn first_error() {
    println!("2. the first error");
    let result = anyrt::task_group(async |tg| {
        tg.spawn(sleep(FOR_EVER));
        tg.named("reader").try_spawn(async { Err::<(), _>(io::Error::other("the disk is full")) });
        sleep(FOR_EVER).await;
    })
    .await;
    let error = result.expect_err("the reader has failed");
    println!("   the group failed: {error}");
    for child in &error {
        println!("   in task {}", child.task_name().unwrap_or("body").split('#').next().unwrap_or_default());
    }
    // As an `io::Error` it is the one that the child returned.
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::Other);
}

/// A limit around anything. All that runs inside is cancelled, tasks of groups included.
async fn time_limits() {
    println!("3. time limits");
    let slow = anyrt::move_on_after(MOMENT, sleep(FOR_EVER)).await;
    println!("   moved on with {slow:?}");

    let group = anyrt::task_group(async |tg| {
        tg.spawn(sleep(FOR_EVER));
        tg.spawn(sleep(FOR_EVER));
    });
    let error = anyrt::fail_after(MOMENT, group).reason("the answer").await.expect_err("it takes for ever");
    println!("   failed, for want of {}", error.reason().unwrap_or("time"));
}

/// What has to be finished once it has begun stands in a shield. The scopes around wait for it.
async fn shields() {
    println!("4. shields");
    let mut steps = 0;
    let in_time = anyrt::move_on_after(MOMENT, async {
        anyrt::shield(async {
            sleep(MOMENT * 2).await; // The time runs out here,
            steps += 1; // and still it goes on.
        })
        .await;
        sleep(FOR_EVER).await; // Here is the end.
        steps += 1;
    })
    .await;
    println!("   the time was up ({in_time:?}), and {steps} step was done");
    assert_eq!(steps, 1);
}

/// Clean-up may await, and runs however the work has ended: by itself, cancelled, with a panic.
async fn clean_up() {
    println!("5. clean-up");
    let result = anyrt::task_group(async |tg| {
        let at_work = Event::new();
        let started = at_work.clone();
        tg.spawn(anyrt::finally(
            async move {
                started.set();
                sleep(FOR_EVER).await;
            },
            async |_| {
                // Not cancelled, although all around it is.
                sleep(MOMENT).await;
                println!("   the child has said goodbye");
            },
        ));
        at_work.wait().await;
        tg.cancel_with("enough");
    })
    .await;
    // The body had its end, so its value counts: cancelling children is no failure of the group.
    println!("   the group has ended: {result:?}");
    assert!(result.is_ok());
}

/// Children of a `local_group` may borrow. They take turns in this task: at once, but not in parallel.
async fn borrowing() -> Result<(), GroupError> {
    println!("6. borrowing");
    let words = vec!["structured".to_owned(), "concurrency".to_owned()];
    let letters = anyrt::local_group(async |s| {
        let lengths: Vec<_> = words.iter().map(|word| s.spawn(async { word.len() })).collect();
        let mut letters = 0;
        for length in lengths {
            letters += length.await.unwrap_or_default();
        }
        letters
    })
    .await?;
    println!("   {words:?} have {letters} letters");
    assert_eq!(letters, 21);
    Ok(())
}

/// A scope can be cancelled from anywhere, and says why.
async fn scopes() {
    println!("7. scopes");
    let scope = CancelScope::new();
    let handle = scope.handle();
    let result = anyrt::task_group(async |tg| {
        tg.spawn(async move { handle.cancel_with("the user has pressed Escape") });
        scope.run(async |_| sleep(FOR_EVER).await).await
    })
    .await;
    match result {
        Ok(Err(cancelled)) => println!("   cancelled: {}", cancelled.reason().unwrap_or("no reason")),
        other => panic!("the scope should have been cancelled, and nothing else: {other:?}"),
    }
}

/// The loser of a race is cancelled, and its clean-up awaited.
async fn first_of_two() {
    println!("8. a race");
    let slow = anyrt::finally(sleep(FOR_EVER), async |_| println!("   the slow one has cleaned up"));
    let quick = async {
        sleep(MOMENT).await;
        "the quick one"
    };
    match anyrt::race(slow, quick).await {
        anyrt::Either::Left(()) => panic!("for ever is not over"),
        anyrt::Either::Right(who) => println!("   {who} has won"),
    }
}
