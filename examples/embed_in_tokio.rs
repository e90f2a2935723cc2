//! anyrt as a guest: a tokio program that exists, and uses structured concurrency inside.
//!
//! ```console
//! $ cargo run --example embed_in_tokio
//! ```

use std::time::Duration;

const FOR_EVER: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() {
    // Nothing was set up: what is ambient finds the tokio runtime that is entered here.
    println!("1. found: {}", anyrt::current_handle().runtime().name());

    // A group in a task of tokio. If that task is aborted, so are the children.
    let task = tokio::spawn(anyrt::try_task_group(async |tg| {
        let blocking = tg.spawn(async { anyrt::run_blocking(|| 20).await });
        let tokios_own = tg.spawn(async {
            tokio::time::sleep(MOMENT).await;
            tokio::spawn(async { 22 }).await.unwrap_or_default()
        });
        Ok(blocking.await? + tokios_own.await?)
    }));
    let answer = task.await.expect("no panic").expect("no error");
    println!("2. a group in a task of tokio: {answer}");
    assert_eq!(answer, 42);

    // A time limit of tokio around a group of ours: the group is dropped, its children are cancelled.
    let in_time = tokio::time::timeout(
        MOMENT,
        anyrt::task_group(async |tg| {
            tg.spawn(anyrt::sleep(FOR_EVER));
        }),
    )
    .await;
    println!("3. a time limit of tokio: {}", if in_time.is_ok() { "in time" } else { "time was up" });
    assert!(in_time.is_err());

    // At the root nobody waits for a task: tokio drops it at the end of the program. `embed` opens a
    // root that is awaited. It cancels what is left, and waits for the clean-up.
    let (said_goodbye, goodbye) = tokio::sync::oneshot::channel();
    anyrt::embed(async {
        let at_work = anyrt::sync::Event::new();
        let started = at_work.clone();
        anyrt::spawn(anyrt::finally(
            async move {
                started.set();
                anyrt::sleep(FOR_EVER).await;
            },
            async move |_| {
                anyrt::sleep(MOMENT).await;
                let _ = said_goodbye.send("goodbye");
            },
        ));
        at_work.wait().await;
    })
    .await
    .expect("nobody failed");
    // It is there already: nothing has to be waited for.
    let said = { goodbye }.try_recv();
    println!("4. a root task, cleaned up when `embed` returned: {said:?}");
    assert_eq!(said, Ok("goodbye"));
}
