//! What only smol has: a choice of two.

use std::io;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::time::Duration;

use anyrt_core::{BlockingPool, NotOwned, Run, run_blocking};

#[test]
fn the_global_executor_may_be_driven_also_after_a_shutdown() -> Result<(), NotOwned> {
    let runtime = anyrt_smol::global();
    runtime.shutdown();
    runtime.block_on(pin!(async { assert_eq!(smol::spawn(async { 1 }).await, 1) }))
}

#[test]
fn a_name_that_no_thread_can_have_is_an_error() {
    let error = anyrt_smol::executor(None, "a\0b").err();
    assert_eq!(error.map(|error| error.kind()), Some(io::ErrorKind::InvalidInput));
}

#[test]
fn two_shutdowns_are_one() -> io::Result<()> {
    let runtime = anyrt_smol::executor(NonZeroUsize::new(1), "twice")?;
    runtime.shutdown();
    runtime.shutdown();
    assert_eq!(runtime.block_on(pin!(async { unreachable!("polled") })), Err(NotOwned));
    Ok(())
}

/// `Runtime::enter` enters nothing here: what is smol's works on any thread.
#[test]
fn what_is_smols_works_in_blocking_jobs_of_either_pool() -> io::Result<()> {
    for pool in [BlockingPool::Core, BlockingPool::Native] {
        let runtime = anyrt_smol::executor(NonZeroUsize::new(1), "jobs")?;
        let sum = Run::on(runtime)
            .blocking_pool(pool)
            .run(async {
                run_blocking(|| {
                    let spawned = smol::spawn(async { 20 });
                    smol::block_on(async {
                        smol::Timer::after(Duration::from_millis(1)).await;
                        spawned.await
                    })
                })
                .await
            })
            .expect("the run ends well");
        assert_eq!(sum, 20);
    }
    Ok(())
}
