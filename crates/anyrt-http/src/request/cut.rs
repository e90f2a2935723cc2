//! Work that is cut short by a cancelled scope.

use std::future::Future;

use anyrt::Cancelled;

/// Runs `work`; when it is cut short by a cancelled scope, `cut` runs, shielded, and this stays pending.
pub(crate) async fn unless_cut<T: Send>(
    work: impl Future<Output = T>,
    cut: impl AsyncFnOnce(&Cancelled),
) -> T {
    anyrt::finally(work, async |exit| {
        if let anyrt::scope::Exit::Cancelled(why) = exit {
            cut(&why).await;
        }
    })
    .await
}
