//! What it costs to look.

use std::hint::black_box;

use anyrt::{task_group, tasks};

use super::groups::{group, spawn};
use crate::row::CHILDREN;
use crate::stopwatch::{Sample, Stopwatch};

pub(crate) async fn spawn_measured(count: u64) -> Sample {
    measured(spawn(count)).await
}

pub(crate) async fn group_measured(count: u64) -> Sample {
    measured(group(count)).await
}

async fn measured(operations: impl Future<Output = Sample>) -> Sample {
    let handle = anyrt::current_handle();
    handle.measure(true);
    let sample = operations.await;
    handle.measure(false);
    sample
}

/// The view is read when all children are spawned.
pub(crate) async fn group_looked_at(count: u64) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..count {
        let ended = task_group(async |tg| {
            for _ in 0..CHILDREN {
                tg.spawn(async { black_box(1) });
            }
            black_box(tasks());
        })
        .await;
        assert!(ended.is_ok());
    }
    watch.stop(count * CHILDREN)
}
