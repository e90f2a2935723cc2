//! A job that ends late, so that its end is a wake-up and no answer to a first question.

use std::future::IntoFuture as _;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyrt_core::{join, run_blocking};

/// Waits for a job that ends when its caller is pending for certain. The cases about blocking jobs end
/// with it: on a runtime that loses the wake-up all of them hang, and not only those whose jobs
/// happened to be slow.
pub(crate) async fn a_job_ends_late() {
    let (go, wait) = mpsc::channel::<()>();
    let job = run_blocking(move || {
        let _ = wait.recv();
        // Until the poll has ended, too.
        thread::sleep(Duration::from_millis(30));
    });
    join(job.into_future(), async move { drop(go) }).await;
}
