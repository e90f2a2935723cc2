//! The scope tree: what is cancelled, what holds, and who is woken. The README beside
//! these modules explains it.
//!
//! A node and its questions (`node`), its place (`link`, `children`), what is passed down (`cancel`,
//! `stop`) and up (`hold`), the rule (`verdict`), and what the task view sees (`kind`, `snapshot`).

mod cancel;
mod cause;
mod children;
mod cut;
mod exits;
mod hold;
mod kind;
pub(crate) mod lazy;
mod link;
pub(crate) mod moment;
mod node;
mod path;
pub(crate) mod site;
mod snapshot;
mod stop;
mod task_info;
mod verdict;

pub(crate) use crate::base::clock::NEVER;
pub(crate) use cancel::{
    Due, cancel, cancel_by_call, come_due, expire, orphaned, set_deadline, set_shield, time_out,
};
pub use cause::{Cancelled, Cause};
pub(crate) use cut::Cut;
#[cfg(all(test, anyrt_loom))]
pub(crate) use cut::touch_globals;
pub(crate) use exits::{add_exit, close_exits, take_exits};
pub(crate) use hold::{hold_no_parent, hold_parent, holders};
pub use kind::ScopeKind;
pub(crate) use link::{end, link, link_new, link_owned, new_linked, unlink};
pub(crate) use node::{Attended, HasNode, Node, NodeRef};
pub(crate) use path::Path;
pub(crate) use snapshot::{Snapshot, task_around};
pub(crate) use stop::{begin_grace, stop};
pub(crate) use task_info::{GivenName, Label, MAIN, default_name};
pub use task_info::{TaskId, TaskInfo};
pub(crate) use verdict::{Park, Verdict};
