//! Several futures at once in one task, each a drop point by itself.
//!
//! Where one branch ends the others (`race`, `try_join`), these are not polled from then on, and what their
//! leaves were handed goes back: nothing that was sent is lost with a loser. Only a loser in which something
//! holds is awaited.
//!
//! In a foreign combinator (`join!`, `select!`, `FuturesUnordered`) all branches are one future for the rule of
//! cancellation: they are dropped together. Here each branch is dropped by itself, the first time that it is
//! pending and nothing in it holds.

mod branch;
mod each;
mod join;
mod race;
mod unordered;

pub use each::{AsCompleted, as_completed, for_each_concurrent, join_all, map_concurrent};
pub use join::{join, try_join};
pub use race::{Either, race};
