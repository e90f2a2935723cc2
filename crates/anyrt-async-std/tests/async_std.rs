//! What only async-std has: tasks and timers of its own beside ours.

use std::time::Duration;

use anyrt_core::{BlockingPool, Run, run_blocking};
use async_std::task;

/// `Runtime::enter` enters nothing here: what is async-std's works on any thread.
#[test]
fn what_is_async_stds_works_in_blocking_jobs_of_either_pool() {
    for pool in [BlockingPool::Core, BlockingPool::Native] {
        let sum = Run::on(anyrt_async_std::runtime())
            .blocking_pool(pool)
            .run(async {
                run_blocking(|| {
                    let spawned = task::spawn(async {
                        task::sleep(Duration::from_millis(1)).await;
                        20
                    });
                    task::block_on(spawned)
                })
                .await
            })
            .expect("the run ends well");
        assert_eq!(sum, 20);
    }
}
