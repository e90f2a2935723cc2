//! What a node of the tree stands for.

use std::fmt;

/// What a node in the tree of a run stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum ScopeKind {
    /// The root of a run: the main task and the tasks spawned at the root stand below it.
    Root,
    /// A task.
    Task,
    /// A task group.
    Group,
    /// A local group, whose children are polled in the task of their parent.
    Borrowing,
    /// The body of a local group.
    Body,
    /// A child of a local group.
    Child,
    /// A cancel scope.
    Scope,
    /// A time limit.
    Timeout,
    /// A shield.
    Shield,
    /// The work of a `finally`.
    Work,
    /// The clean-up of a `finally`.
    CleanUp,
    /// A branch of a `join`, a `race`, a `for_each_concurrent`.
    Branch,
    /// A child that is being started and is not ready yet.
    Start,
    /// A blocking call.
    Blocking,
}

impl fmt::Display for ScopeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ScopeKind::Root => "root",
            ScopeKind::Task => "task",
            ScopeKind::Group => "group",
            ScopeKind::Borrowing => "local group",
            ScopeKind::Body => "body",
            ScopeKind::Child => "child",
            ScopeKind::Scope => "scope",
            ScopeKind::Timeout => "timeout",
            ScopeKind::Shield => "shield",
            ScopeKind::Work => "work of a finally",
            ScopeKind::CleanUp => "clean-up",
            ScopeKind::Branch => "branch",
            ScopeKind::Start => "start",
            ScopeKind::Blocking => "blocking call",
        })
    }
}
