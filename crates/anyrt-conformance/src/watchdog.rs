//! The watchdog: a case that hangs is an outcome, not the end of the test run.

use std::any::Any;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed: the message of its panic.
    Failed(String),
    /// It had not ended when its time was up.
    Hung(Duration),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Passed => write!(f, "passed"),
            Outcome::Failed(message) => write!(f, "failed: {message}"),
            Outcome::Hung(patience) => write!(f, "hangs: it has not ended after {patience:?}"),
        }
    }
}

/// Enough for thousands of futures inside each other, polled without optimisation. Only what is
/// used of it is ever backed by memory.
const STACK: usize = 256 << 20;

/// Runs `case` on a thread of its own and waits for its end, but not for ever.
pub(crate) fn watch(name: &str, patience: Duration, case: impl FnOnce() + Send + 'static) -> Outcome {
    let (ended, end) = mpsc::channel();
    thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK)
        .spawn(move || {
            let result = panic::catch_unwind(AssertUnwindSafe(case));
            // Nobody listens any more when the case was given up.
            let _ = ended.send(result.map_err(|panic| message(&*panic)));
        })
        .expect("a thread for the case");
    match end.recv_timeout(patience) {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(message)) => Outcome::Failed(message),
        Err(_) => Outcome::Hung(patience),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_that_ends_passes() {
        assert_eq!(watch("ends", Duration::from_secs(20), || ()), Outcome::Passed);
    }

    #[test]
    fn a_panic_is_a_failure_with_its_message() {
        let outcome = watch("panics", Duration::from_secs(20), || panic!("expected, in {}", "vain"));
        assert_eq!(outcome, Outcome::Failed("expected, in vain".to_owned()));
    }

    #[test]
    fn a_case_that_never_ends_is_given_up() {
        let patience = Duration::from_millis(50);
        let outcome = watch("hangs", patience, || {
            let (_kept, never) = mpsc::channel::<()>();
            let _ = never.recv();
        });
        assert_eq!(outcome, Outcome::Hung(patience));
    }
}
