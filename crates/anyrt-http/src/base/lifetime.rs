//! How long dependencies live.

/// When a dependency is undone, and how long it lives.
///
/// | lifetime | made | undone |
/// |---|---|---|
/// | `App` | at start-up, before the first request | at shutdown, after the last request |
/// | `Request` | when a function asks for it | after the response and the background tasks |
/// | `Function` | when a function asks for it | when the handler has returned, before the response starts |
///
/// A dependency may need others of its own lifetime, and of a longer one: above it in this table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Lifetime {
    /// One for the whole run of the app.
    App,
    /// One a request. The default.
    Request,
    /// One a request, for as long as the handler runs.
    Function,
}
