//! Our side of each row, the same on every backend.

mod blocking;
mod groups;
mod scopes;
mod seeing;
mod timeouts;

pub(crate) use blocking::{blocking_default, blocking_one, blocking_unlimited};
pub(crate) use groups::{
    borrowing, cancel, cancel_of, group, group_of, group_results, nested_of, parked, spawn, waiters_of,
};
pub(crate) use scopes::{
    cancel_flat, cancel_tree, child_ready, child_yields, handle_ready, handle_yields, scope_ready,
    scope_yields, shield_ready, shield_yields,
};
pub(crate) use seeing::{group_looked_at, group_measured, spawn_measured};
pub(crate) use timeouts::{LIMIT, deadline_ready, deadline_yields, timeout_ready, timeout_yields};
