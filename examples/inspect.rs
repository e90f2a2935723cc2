//! Seeing what runs: a program with a hundred tasks prints its tree, and why it does not end.
//!
//! ```console
//! $ cargo run --example inspect
//! $ ANYRT_BACKEND=smol cargo run --example inspect
//! ```

use std::time::Duration;

use anyrt::sync::{Event, Lock};

async fn worker(work: Event) {
    let _ = anyrt::move_on_after(Duration::from_secs(5), work.wait()).await;
}

async fn transfer(from: Lock<u32>, to: Lock<u32>, both: Event, first: Event) {
    let mut from = from.lock().await;
    first.set();
    both.wait().await;
    let mut to = to.lock().await;
    *from -= 1;
    *to += 1;
}

#[anyrt::main]
async fn main() {
    let (work, mine, yours) = (Event::new(), Lock::new(100), Lock::new(100));
    let (has_mine, has_yours) = (Event::new(), Event::new());
    let told = anyrt::task_group(async |tg| {
        for _ in 0..98 {
            tg.spawn(worker(work.clone()));
        }
        tg.named("ann").spawn(transfer(mine.clone(), yours.clone(), has_yours.clone(), has_mine.clone()));
        tg.named("bob").spawn(transfer(yours.clone(), mine.clone(), has_mine.clone(), has_yours.clone()));
        tg.named("backup").spawn(async {
            anyrt::finally(
                async { anyrt::run_blocking(|| std::thread::sleep(Duration::from_millis(300))).await },
                async || (),
            )
            .await
        });
        while mine.waiting() + yours.waiting() < 2 || work.waiting() < 98 {
            anyrt::checkpoint().await;
        }
        let tree = anyrt::tasks();
        println!("{tree}");
        tg.cancel("seen enough");
        tree
    })
    .await;
    println!("{}", told.is_err());
}
