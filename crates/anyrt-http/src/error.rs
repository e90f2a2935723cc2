//! Why an app could not be built or served.

use std::io;

/// Why an [`App`](crate::App) could not be built or served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A path is not one that routes can be made of, or two of them cannot be told apart.
    #[error("the route `{path}` does not work: {reason}")]
    Route {
        /// The path as it was given.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A path operation or provider asks for a dependency that nothing provides.
    #[error(
        "{by} needs a `Dep<{needed}>`, and nothing provides one: add `.provide(a function that returns it)` or `.provide_value(one)`"
    )]
    MissingProvider {
        /// Who asks.
        by: String,
        /// The type that is asked for.
        needed: &'static str,
    },
    /// A dependency needs itself, at last.
    #[error("the dependencies go in a circle: {}: take one of them apart", around(circle))]
    Cycle {
        /// The types along the circle, from the first to the one that needs the first again.
        circle: Vec<String>,
    },
    /// Two providers give the same type, so that nobody could say which one is asked.
    #[error("`{0}` is provided twice: keep one, or give each a type of its own")]
    ProvidedTwice(&'static str),
    /// An argument type that could never work here.
    #[error("{by} takes a `{argument}`, which only axum's own router can fill: take `{instead}`")]
    Argument {
        /// Who takes it.
        by: String,
        /// The type of the argument.
        argument: &'static str,
        /// What does the same here.
        instead: &'static str,
    },
    /// The address could not be listened on.
    #[error("cannot listen: {source}")]
    Listen {
        /// The address as it was given.
        address: String,
        /// What the system said, with the address that was tried.
        source: io::Error,
    },
    /// The end of the program cannot be waited for.
    #[error("cannot wait for Ctrl-C and SIGTERM: {0}")]
    Signal(io::Error),
}

/// `A` needs `B`, which needs `A`.
fn around(circle: &[String]) -> String {
    let ends = circle.iter().chain(circle.first());
    let mut text = String::new();
    for (place, name) in ends.enumerate() {
        text += ["", " needs ", ", which needs "][place.min(2)];
        text += name;
    }
    text
}

/// A result whose error is this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
