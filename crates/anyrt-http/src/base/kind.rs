//! The two kinds of functions.

/// The kind of a function that returns a future: it runs on the event loop.
#[derive(Debug)]
pub enum Async {}

/// The kind of a plain function: it runs in the thread pool, where it may block.
#[derive(Debug)]
pub enum Blocking {}
