//! How the sending of a response ended: all its waiters are told the same.
//!
//! The server that sends a response drops its body when it has all that it needs of it, which is not always when the body
//! has said its last: a declared length was reached, trailers were the end, the status has no content. Only the
//! outermost body knows; it tells those inside of it while it drops them, through whatever is in between.

use std::cell::RefCell;
use std::sync::Arc;

use super::sent::Sent;

/// How the sending of a response ended.
#[derive(Debug, Clone)]
pub(crate) enum Ended {
    /// All of it was taken; what of it is not yet with the system is still to be seen.
    Whole(Option<Arc<Sent>>),
    /// The body failed, or gave less than was declared.
    Failed(Arc<str>),
    /// The body panicked, with this message.
    Panicked(Arc<str>),
    /// It was no response that can be sent: another one was sent in its place.
    Refused(Arc<str>),
    /// The client left.
    Left,
    /// The server's shutdown had no more time for it.
    Cut,
}

thread_local! {
    static TOLD: RefCell<Option<Ended>> = const { RefCell::new(None) };
}

/// Runs what drops a body, and tells those inside how its sending ended.
pub(crate) fn telling<T>(ended: Ended, run: impl FnOnce() -> T) -> T {
    struct Before(Option<Ended>);
    impl Drop for Before {
        fn drop(&mut self) {
            TOLD.replace(self.0.take());
        }
    }
    let _before = Before(TOLD.replace(Some(ended)));
    run()
}

/// What is told, if anybody tells: else the body is dropped by others, and has to judge by itself.
pub(crate) fn told_ended() -> Option<Ended> {
    TOLD.with_borrow(Clone::clone)
}
