//! Sync code beside async code: blocking calls async calls blocking, on a limiter that is saturated.
//!
//! ```text
//! cargo run -p examples --example blocking
//! ANYRT_BACKEND=smol cargo run -p examples --example blocking
//! ```
//!
//! A hundred calls, three levels deep, on few tokens. A thread that keeps its token while it waits for async code
//! would hang here, with all tokens taken by the first level. A thread that waits lends its token, and takes
//! one back before it goes on; and those who continue go before those who start.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyrt::blocking::CapacityLimiter;
use anyrt::{current_handle, embed, from_thread, iterate_blocking, run_blocking, task_group};

const CALLS: usize = 100;
const LEVELS: usize = 3;

/// What happened, noted as it happens.
#[derive(Default)]
struct Tally {
    /// Closures that do not wait for async code, now and at most.
    working: AtomicUsize,
    most_working: AtomicUsize,
    /// Which call worked at which level, in the order in which they did.
    order: Mutex<Vec<(usize, usize)>>,
}

impl Tally {
    fn work(&self, call: usize, level: usize) {
        let now = self.working.fetch_add(1, SeqCst) + 1;
        self.most_working.fetch_max(now, SeqCst);
        self.order.lock().unwrap_or_else(PoisonError::into_inner).push((call, level));
        // What blocks: a query, a file, a library without async.
        thread::sleep(Duration::from_micros(500));
        self.working.fetch_sub(1, SeqCst);
    }

    fn order(&self) -> Vec<(usize, usize)> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A closure of one level: works, and calls the next one through async code.
fn descend(call: usize, level: usize, limiter: CapacityLimiter, tally: Arc<Tally>) -> usize {
    tally.work(call, level);
    if level + 1 == LEVELS {
        return 1;
    }
    let below = from_thread::run(async move {
        let inner = limiter.clone();
        run_blocking(move || descend(call, level + 1, inner, tally)).limiter(&limiter).await
    });
    1 + below.expect("nobody cancels it")
}

/// `calls` at once on `tokens`; what happened, and how many threads there were.
async fn saturate(calls: usize, tokens: usize) -> (Arc<Tally>, usize) {
    let (limiter, tally) = (CapacityLimiter::new(tokens), Arc::new(Tally::default()));
    let depths = task_group(async |group| {
        let calls: Vec<_> = (0..calls)
            .map(|call| {
                let (limiter, tally) = (limiter.clone(), tally.clone());
                group.spawn(async move {
                    let inner = limiter.clone();
                    run_blocking(move || descend(call, 0, inner, tally)).limiter(&limiter).await
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
    assert_eq!(depths, calls * LEVELS, "each call came to the bottom");
    assert!(tally.most_working.load(SeqCst) <= tokens, "a limit is a limit");
    assert_eq!((limiter.borrowed(), limiter.waiting()), (0, 0), "all tokens are back");
    (tally, current_handle().blocking_threads())
}

#[anyrt::main]
async fn main() {
    println!("{CALLS} calls, {LEVELS} levels, all of them ended:");
    println!("  tokens   worked at once   threads   never more than");
    for tokens in [1, 3, 10] {
        // A root of its own, with a pool of its own.
        let (tally, threads) = embed(saturate(CALLS, tokens)).await.expect("nothing is left at its root");
        let bound = CALLS * (LEVELS - 1) + tokens;
        let most = tally.most_working.load(SeqCst);
        println!("  {tokens:>6}   {most:>14}   {threads:>7}   {bound:>15}");
        assert!(threads <= bound);
    }

    let (tally, _) = embed(saturate(4, 1)).await.expect("nothing is left at its root");
    let order: Vec<String> = tally.order().iter().map(|(call, level)| format!("{call}.{level}")).collect();
    println!("who worked, with one token (call.level): {}", order.join(" "));
    for levels in tally.order().chunks(LEVELS) {
        let call = levels[0].0;
        assert!(
            levels.iter().copied().eq((0..LEVELS).map(|level| (call, level))),
            "who has begun goes on first"
        );
    }

    let mut lines = iterate_blocking(include_str!("blocking.rs").lines());
    let mut count = 0;
    while let Some(line) = lines.next().await {
        count += usize::from(!line.is_empty());
    }
    println!("a blocking iterator as a stream: {count} lines that are not empty");
    assert!(count > 100);
}
