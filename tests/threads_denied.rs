//! What becomes of blocking calls while the system gives no threads. `threads_denied/run` starts this under a
//! tracer that denies them; without it, nothing is denied.
//!
//! Ends with an error if a call is neither served nor refused, if a token is lost, or if the pool does not go on
//! afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use anyrt::blocking::StartError;
use anyrt::{run_blocking, task_group};

const CALLS: usize = 200;

fn main() {
    // It needs no thread of its own, so those denied are the pool's.
    let runtime = anyrt_tokio::current_thread("denied").expect("it needs no thread");
    let run = anyrt::Run::on(runtime);
    let (served, refused, threads, counts) = run
        .run(async {
            let (served, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            task_group(async |group| {
                for _ in 0..CALLS {
                    let (served, refused) = (served.clone(), refused.clone());
                    group.spawn(async move {
                        match run_blocking(|| 42).try_start().await {
                            Ok(value) => assert_eq!((value, served.fetch_add(1, SeqCst) < CALLS), (42, true)),
                            Err(StartError::NoThread(error)) => {
                                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
                                refused.fetch_add(1, SeqCst);
                            }
                            Err(other) => panic!("{other}"),
                        }
                    });
                }
            })
            .await
            .expect("no call panics");
            let handle = anyrt::current_handle();
            let counts = (handle.limiter().borrowed(), handle.limiter().waiting());
            (served.load(SeqCst), refused.load(SeqCst), handle.blocking_threads(), counts)
        })
        .expect("the run ends well");
    println!(
        "{CALLS} calls, {served} served, {refused} refused, {threads} threads, {counts:?} tokens out and callers waiting"
    );
    assert_eq!((served + refused, counts), (CALLS, (0, 0)));
    if let Ok(expected) = std::env::var("EXPECTED") {
        let told = match (served, refused) {
            (_, 0) => "all served",
            (0, _) => "all refused",
            _ => "some refused",
        };
        assert_eq!(told, expected);
    }
}
