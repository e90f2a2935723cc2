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
    SpawnMeasured,
    GroupMeasured,
    GroupLookedAt,
    /// A group of so many children: that cost grows linearly.
    GroupOf(u64),
    Cancel,
    CancelOf(u64),
    /// So many groups, each in a child of the one before.
    NestedOf(u64),
    /// So many tasks that wait for one token.
    WaitersOf(u64),
    Parked,
    ScopeReady,
    ScopeYields,
    HandleReady,
    HandleYields,
    ChildReady,
    ChildYields,
    CancelFlat,
    CancelTree,
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
            Row::Spawn | Row::SpawnMeasured => "ns/task",
            Row::Group | Row::GroupResults | Row::GroupOf(_) => "ns/child",
            Row::GroupMeasured | Row::GroupLookedAt => "ns/child",
            Row::Cancel | Row::CancelOf(_) | Row::Borrowing => "ns/child",
            Row::CancelFlat | Row::CancelTree => "ns/scope",
            Row::NestedOf(_) => "ns/group",
            Row::WaitersOf(_) => "ns/task",
            Row::Parked => "bytes/task, as asked of the allocator",
            Row::BlockingOne | Row::BlockingDefault | Row::BlockingUnlimited => "ns/call",
            _ => "ns/future",
        }
    }

    /// Whether memory is what is told, not time.
    pub(crate) fn is_memory(self) -> bool {
        self == Row::Parked
    }

    /// How often it is measured at most: what is counted needs no more, and large ones take long.
    pub(crate) fn most_rounds(self) -> usize {
        match self {
            Row::Parked => 1,
            Row::GroupOf(children) | Row::CancelOf(children) if children >= 1_000_000 => 3,
            Row::GroupOf(many) | Row::CancelOf(many) | Row::NestedOf(many) if many >= 100_000 => 11,
            _ => usize::MAX,
        }
    }
}

/// The sizes that show whether cost grows linearly.
pub(crate) const CURVE: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// The same for groups in groups, and for those who wait in a line.
pub(crate) const SHORT_CURVE: [u64; 3] = [1_000, 10_000, 100_000];

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Row::GroupOf(children) => {
                return write!(f, "curve: a group of {children} children, spawned and joined");
            }
            Row::CancelOf(children) => {
                return write!(f, "curve: cancel {children} waiting children, until all are gone");
            }
            Row::NestedOf(depth) => {
                return write!(f, "curve: {depth} groups, each in a child of the one before");
            }
            Row::WaitersOf(waiters) => {
                return write!(
                    f,
                    "curve: {waiters} tasks wait for the only token, and have it one after the other"
                );
            }
            Row::Parked => "memory of a parked task, one of 10,000 in a group",
            Row::ChildReady => "new child scope, around a ready future",
            Row::ChildYields => "new child scope, around a future that yields once",
            Row::CancelFlat => "cancel a tree of 10,000 scopes below one",
            Row::CancelTree => "cancel a tree of 100 scopes with 100 below each",
            Row::Spawn => "spawn + await one task",
            Row::Group => "group of 10,000 children, spawned and joined",
            Row::GroupResults => "group of 10,000 children, each result awaited",
            Row::SpawnMeasured => "seeing: spawn + await one task, in a measured run",
            Row::GroupMeasured => "seeing: group of 10,000 children, in a measured run",
            Row::GroupLookedAt => "seeing: group of 10,000 children, the view read once",
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
            Row::Borrowing => "local group with 10,000 children",
        })
    }
}
