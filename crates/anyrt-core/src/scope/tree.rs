//! The scope tree: what is cancelled, what holds, and who is woken. The README beside `scope.rs`'s
//! modules explains it.
//!
//! A node and its questions (`node`), its place (`place`, `children`), what is passed down (`cancel`,
//! `stop`) and up (`hold`), and the rule (`verdict`).

mod cancel;
mod children;
mod hold;
mod node;
mod place;
mod stop;
mod verdict;

pub(crate) use cancel::{cancel, expire, mark_unwinding, orphaned, set_deadline, set_shield};
pub(crate) use hold::{hold_no_parent, hold_parent, holders};
pub(crate) use node::{HasNode, NEVER, Node, NodeRef};
pub(crate) use place::{born, end, link, link_new, unlink};
pub(crate) use stop::{begin_grace, stop};
pub(crate) use verdict::Verdict;
