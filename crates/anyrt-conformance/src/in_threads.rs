//! WT: what a framework relies on that runs plain functions in threads.

use anyrt_core::{CancelScope, Handle, run_blocking};

use crate::counting::Counter;
use crate::late::a_job_ends_late;

pub(crate) async fn rule_57_a_call_without_a_limit_waits_for_no_token() {
    let limiter = Handle::current().limiter().clone();
    limiter.set_total(0);
    assert_eq!(run_blocking(|| 1).unlimited().await, 1);
    let ran = Counter::new();
    let runs = ran.clone();
    let left = CancelScope::new()
        .run(async |scope| {
            scope.cancel("before it asks");
            run_blocking(move || _ = runs.add()).unlimited().await;
        })
        .await;
    left.expect_err("cancelled");
    assert_eq!(ran.get(), 0, "it is a checkpoint all the same");
    limiter.set_total(1);
    a_job_ends_late().await;
}
