//! The operations that are compared, in the order in which they are told.

use std::fmt;

/// How many children a group has.
pub(crate) const CHILDREN: u64 = 10_000;

/// How many blocking calls are in flight at once.
pub(crate) const CALLS: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    Spawn,
    Group,
    GroupResults,
    Cancel,
    ScopeReady,
    ScopeYields,
    HandleReady,
    HandleYields,
    ShieldReady,
    ShieldYields,
    TimeoutReady,
    TimeoutYields,
    DeadlineReady,
    DeadlineYields,
    BlockingOne,
    BlockingDefault,
    BlockingUnlimited,
    Borrowing,
}

impl Row {
    /// What a time is the time of.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Row::Spawn => "ns/task",
            Row::Group | Row::GroupResults | Row::Cancel | Row::Borrowing => "ns/child",
            Row::BlockingOne | Row::BlockingDefault | Row::BlockingUnlimited => "ns/call",
            _ => "ns/future",
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Row::Spawn => "spawn + await one task",
            Row::Group => "group of 10,000 children, spawned and joined",
            Row::GroupResults => "group of 10,000 children, each result awaited",
            Row::Cancel => "cancel 10,000 waiting children, until all are gone",
            Row::ScopeReady => "scope (move_on_at without a deadline) around a ready future",
            Row::ScopeYields => "scope (move_on_at without a deadline) around a future that yields once",
            Row::HandleReady => "scope with a handle (CancelScope) around a ready future",
            Row::HandleYields => "scope with a handle (CancelScope) around a future that yields once",
            Row::ShieldReady => "shield around a ready future",
            Row::ShieldYields => "shield around a future that yields once",
            Row::TimeoutReady => "timeout around a ready future",
            Row::TimeoutYields => "timeout around a future that yields once",
            Row::DeadlineReady => "absolute deadline around a ready future",
            Row::DeadlineYields => "absolute deadline around a future that yields once",
            Row::BlockingOne => "run_blocking, one in flight",
            Row::BlockingDefault => "run_blocking, 1,000 in flight, the default limiter of 40",
            Row::BlockingUnlimited => "run_blocking, 1,000 in flight, no limit",
            Row::Borrowing => "borrowing scope with 10,000 children",
        })
    }
}
