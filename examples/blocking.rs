//! Sync code beside async code: blocking calls async calls blocking, on a limiter that is saturated.
//!
//! ```text
//! cargo run -p examples --example blocking
//! ANYRT_BACKEND=smol cargo run -p examples --example blocking
//! ```
//!
//! Three tokens, a hundred calls, three levels deep. A thread that keeps its token while it waits for
//! async code would hang here, with all three tokens taken by the first level. A thread that waits
//! lends its token, and takes one back before it goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use anyrt::{CapacityLimiter, from_thread, run_blocking, task_group};

const TOKENS: usize = 3;
const CALLS: usize = 100;
const LEVELS: usize = 3;

/// What happened, counted as it happens.
#[derive(Default)]
struct Tally {
    /// Closures that do not wait for async code, now and at most.
    working: AtomicUsize,
    most_working: AtomicUsize,
    /// Closures that ran, by level.
    ran: [AtomicUsize; LEVELS],
}

impl Tally {
    fn work(&self, level: usize) {
        let now = self.working.fetch_add(1, SeqCst) + 1;
        self.most_working.fetch_max(now, SeqCst);
        self.ran[level].fetch_add(1, SeqCst);
        // What blocks: a query, a file, a library without async.
        thread::sleep(Duration::from_millis(1));
        self.working.fetch_sub(1, SeqCst);
    }
}

/// A closure of one level: works, and calls the next one through async code.
fn descend(level: usize, limiter: CapacityLimiter, tally: Arc<Tally>) -> usize {
    tally.work(level);
    if level + 1 == LEVELS {
        return 1;
    }
    let below = from_thread::run(async move {
        let inner = limiter.clone();
        run_blocking(move || descend(level + 1, inner, tally)).limiter(&limiter).await
    });
    1 + below.expect("nobody cancels it")
}

#[anyrt::main]
async fn main() {
    let limiter = CapacityLimiter::new(TOKENS);
    let tally = Arc::new(Tally::default());
    let depths = task_group(async |group| {
        let calls: Vec<_> = (0..CALLS)
            .map(|_| {
                let (limiter, tally) = (limiter.clone(), tally.clone());
                group.spawn(async move {
                    let inner = limiter.clone();
                    run_blocking(move || descend(0, inner, tally)).limiter(&limiter).await
                })
            })
            .collect();
        let mut depths = 0;
        for call in calls {
            depths += call.await.expect("its own end");
        }
        depths
    })
    .await
    .expect("no child fails");

    println!("{CALLS} calls, {LEVELS} levels, {TOKENS} tokens: all ended");
    for (level, ran) in tally.ran.iter().enumerate() {
        println!("  level {level}: {} closures", ran.load(SeqCst));
    }
    println!("  at most {} closures worked at once", tally.most_working.load(SeqCst));
    println!("  {} threads in the pool at the end", anyrt::current_handle().blocking_threads());
    println!("  longest wait for a token: {:?}", limiter.statistics().longest_wait);
    assert_eq!(depths, CALLS * LEVELS);
    assert!(tally.most_working.load(SeqCst) <= TOKENS);
    assert_eq!((limiter.borrowed(), limiter.waiting()), (0, 0));
}
