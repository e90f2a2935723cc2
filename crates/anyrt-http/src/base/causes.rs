//! What is behind an error: a middleware may have put its own around it.

use std::error::Error;

/// Whether such an error is among the causes: a middleware may have put its own error around it.
pub(crate) fn among_causes<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    cause::<E>(error).is_some()
}

/// Such an error among the causes.
pub(crate) fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    error.downcast_ref().or_else(|| cause(error.source()?))
}

/// The texts of an error and of all that is behind it: `the lifespan failed: no such file`.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
