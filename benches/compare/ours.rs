//! Our side of each row, the same on every backend.

mod blocking;
mod groups;
mod scopes;
mod timeouts;

pub(crate) use blocking::{blocking_default, blocking_one, blocking_unlimited};
pub(crate) use groups::{borrowing, cancel, group, group_results, spawn};
pub(crate) use scopes::{
    handle_ready, handle_yields, scope_ready, scope_yields, shield_ready, shield_yields,
};
pub(crate) use timeouts::{LIMIT, deadline_ready, deadline_yields, timeout_ready, timeout_yields};
