//! RD-05: what tokio's own abort does to a host.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyrt::sync::Event;
use anyrt::{CancelScope, checkpoint, finally, task_group};

#[test]
fn rd_05_an_aborted_host_loses_no_clean_up_of_its_children() {
    for with_its_own_cancel in [false, true] {
        let cleaned = Arc::new(AtomicUsize::new(0));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads for the runtime");
        runtime.block_on(abort_a_host(Arc::clone(&cleaned), with_its_own_cancel));
        assert_eq!(cleaned.load(Ordering::SeqCst), 1, "with its own cancel: {with_its_own_cancel}");
    }
}

/// A host in a tokio task that anyrt knows nothing of, aborted when its child is inside.
async fn abort_a_host(cleaned: Arc<AtomicUsize>, with_its_own_cancel: bool) {
    let (inside, ended) = (Event::new(), Event::new());
    let (entered, end) = (inside.clone(), ended.clone());
    let scope = CancelScope::new();
    let own = scope.handle();
    let host = tokio::spawn(async move {
        scope
            .run(async |_| {
                task_group(async |group| {
                    group.spawn(finally(
                        async move {
                            entered.set();
                            std::future::pending::<()>().await;
                        },
                        async move |_| {
                            checkpoint().await;
                            cleaned.fetch_add(1, Ordering::SeqCst);
                            end.set();
                        },
                    ));
                    std::future::pending::<()>().await;
                })
                .await
            })
            .await
    });
    inside.wait().await;
    if with_its_own_cancel {
        own.cancel_with("in the same moment");
    }
    host.abort();
    let joined = host.await;
    // The scope may have been quicker; if not, nothing has made a result of the abort.
    assert!(joined.is_err_and(|error| error.is_cancelled()) || with_its_own_cancel);
    ended.wait().await;
}
