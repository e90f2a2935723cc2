//! The scope tree: what is cancelled, what holds, and who is woken. The README beside `scope.rs`'s
//! modules explains it.
//!
//! A node and its questions (`node`), its place (`place`, `children`), what is passed down (`cancel`,
//! `stop`) and up (`hold`), the rule (`verdict`), and what the task view sees (`kind`, `seen`).

mod cancel;
mod children;
mod cut;
mod exits;
mod hold;
mod kind;
mod node;
mod place;
mod seen;
mod stop;
mod verdict;

pub(crate) use cancel::{Due, cancel, come_due, expire, orphaned, set_deadline, set_shield, time_out};
pub(crate) use cut::Cut;
#[cfg(all(test, anyrt_loom))]
pub(crate) use cut::touch_globals;
pub(crate) use exits::{add_exit, close_exits, take_exits};
pub(crate) use hold::{hold_no_parent, hold_parent, holders};
pub use kind::ScopeKind;
pub(crate) use node::{Attended, HasNode, NEVER, Node, NodeRef};
pub(crate) use place::{born, end, link, link_new, link_owned, unlink};
pub(crate) use seen::{Seen, task_around};
pub(crate) use stop::{begin_grace, stop};
pub(crate) use verdict::{Park, Verdict};
