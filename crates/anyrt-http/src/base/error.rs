//! Why an app could not be built or served.

use std::io;

use anyrt::BoxError;

use super::lifetime::Lifetime;

/// Why an [`App`](crate::App) could not be built or served.
///
/// The text says nothing of what is behind it: a program that prints it prints the chain of its
/// [`source`](std::error::Error::source)s, too.
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
        /// The function that asks.
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
    /// Two providers give the same type, so that it is open which one is asked.
    #[error("`{0}` is provided twice: keep one, or give each a type of its own")]
    ProvidedTwice(&'static str),
    /// An argument type that could never work here.
    #[error("{by} takes a `{argument}`, which only axum's own router can fill: take `{instead}`")]
    Argument {
        /// The function that takes it.
        by: String,
        /// The type of the argument.
        argument: &'static str,
        /// What does the same here.
        instead: &'static str,
    },
    /// A dependency needs another one that is undone before it.
    #[error(
        "what {by} makes lives {}, and needs a `Dep<{needed}>`, which lives {}: give both the same `lifetime`",
        lives(*.lifetime), lives(*.until)
    )]
    Lifetime {
        /// The function that asks.
        by: String,
        /// How long what it makes lives.
        lifetime: Lifetime,
        /// The type that is asked for.
        needed: &'static str,
        /// How long that lives.
        until: Lifetime,
    },
    /// A dependency of the app's lifetime asks for a part of a request.
    #[error("{by} is called at start-up, where there is no request, and takes a `{argument}`")]
    AtStart {
        /// The function that takes it.
        by: String,
        /// The type of the argument.
        argument: &'static str,
    },
    /// A setting that means nothing where it was given.
    #[error("{by}: {reason}")]
    Setting {
        /// Where it was given.
        by: String,
        /// Why it means nothing there.
        reason: &'static str,
    },
    /// There is no dependency of the type that an override makes.
    #[error("nothing provides `{0}`, so that there is nothing to override")]
    NothingToOverride(&'static str),
    /// A dependency of the app's lifetime could not be made at start-up.
    #[error("the app could not start: {by} was refused: {reason}")]
    Start {
        /// The provider that was refused.
        by: String,
        /// The status and, if it has one, the source of the response that it refused with.
        reason: String,
    },
    /// A lifespan failed, at start-up, while the app ran, or at shutdown.
    #[error("the lifespan failed")]
    Lifespan(#[source] BoxError),
    /// The app has something to start and to end, which a service alone cannot do.
    #[error(
        "this app has a lifespan or dependencies of the app's lifetime: serve it, or mount it inside of `App::run_with`"
    )]
    NeedsStart,
    /// A certificate or its key cannot be used.
    #[error("TLS: {reason}")]
    #[cfg(feature = "tls")]
    Tls {
        /// What is wrong.
        reason: String,
    },
    /// The address could not be listened on.
    #[error("cannot listen at {address}")]
    Listen {
        /// The address as it was given.
        address: String,
        /// What the system said, with the address that was tried.
        source: io::Error,
    },
    /// The end of the program cannot be waited for.
    #[error("cannot wait for Ctrl-C and SIGTERM")]
    Signal(#[source] io::Error),
}

fn lives(lifetime: Lifetime) -> &'static str {
    match lifetime {
        Lifetime::App => "as long as the app",
        Lifetime::Request => "to the end of the request",
        Lifetime::Function => "until the handler has returned",
    }
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
