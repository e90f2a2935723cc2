//! The programs, as `programs.py` writes them.

use serde::Deserialize;

/// A program: what it is made of, and what its main task does.
#[derive(Debug, Deserialize)]
pub(crate) struct Program {
    /// After so many ticks a round begins. Each statement acts at one tick of a round, which is its own.
    pub(crate) round: u64,
    /// The round in which the rescuer begins to cancel everything.
    pub(crate) rescue: u64,
    /// The rescuer's own tick of a round.
    pub(crate) rescuer: u64,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) groups: usize,
    pub(crate) events: usize,
    pub(crate) locks: usize,
    pub(crate) conditions: usize,
    pub(crate) semaphores: Vec<usize>,
    pub(crate) limiters: Vec<usize>,
    pub(crate) channels: Vec<usize>,
    pub(crate) body: Vec<Statement>,
}

/// A cancel scope, which is there from the beginning of the program on.
#[derive(Debug, Deserialize)]
pub(crate) struct Scope {
    pub(crate) shield: bool,
    pub(crate) limit: Option<Limit>,
}

/// A time: that tick of a round, so many rounds after the next time it comes.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Limit {
    pub(crate) tick: u64,
    pub(crate) rounds: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Statement {
    /// Its name, and its own tick of a round.
    pub(crate) id: u64,
    /// It acts at once, and does not wait for its tick.
    #[serde(default)]
    pub(crate) tight: bool,
    #[serde(flatten)]
    pub(crate) op: Op,
}

type Block = Vec<Statement>;

#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Op {
    Sleep {
        rounds: u64,
    },
    Checkpoint,
    Raise,
    Catch {
        body: Block,
    },
    Scope {
        scope: usize,
        body: Block,
    },
    MoveOn {
        limit: Limit,
        body: Block,
    },
    FailAfter {
        limit: Limit,
        body: Block,
    },
    /// A shield, and in it a scope for the rescuer.
    Shield {
        scope: usize,
        body: Block,
    },
    /// The clean-up is in a scope for the rescuer.
    Finally {
        body: Block,
        scope: usize,
        cleanup: Block,
    },
    Group {
        group: usize,
        local: bool,
        body: Block,
    },
    Spawn {
        group: usize,
        body: Block,
    },
    Start {
        group: usize,
        body: Block,
    },
    Started,
    Join {
        branches: [Block; 2],
    },
    Race {
        branches: [Block; 2],
    },
    /// Several things in one step.
    Act {
        acts: Vec<Act>,
    },
    Wait {
        event: usize,
    },
    /// Waits by its handle for the child that was spawned there.
    Ended {
        child: u64,
    },
    Lock {
        lock: usize,
        body: Block,
    },
    Semaphore {
        semaphore: usize,
        body: Block,
    },
    Limiter {
        limiter: usize,
        body: Block,
    },
    Send {
        channel: usize,
    },
    Receive {
        channel: usize,
    },
    /// Takes the lock of the condition, waits, does the rest with the lock.
    Await {
        condition: usize,
        body: Block,
    },
    Notify {
        condition: usize,
        number: usize,
    },
}

#[derive(Debug, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub(crate) enum Act {
    CancelScope {
        scope: usize,
    },
    CancelGroup {
        group: usize,
    },
    /// By the handle of the child that was spawned there.
    CancelChild {
        child: u64,
    },
    Shield {
        scope: usize,
        up: bool,
    },
    Deadline {
        scope: usize,
        limit: Limit,
    },
    /// A deadline that has passed already.
    Expire {
        scope: usize,
    },
    Set {
        event: usize,
    },
    TrySend {
        channel: usize,
    },
    TryReceive {
        channel: usize,
    },
    CloseSender {
        channel: usize,
    },
    CloseReceiver {
        channel: usize,
    },
    Total {
        limiter: usize,
        total: usize,
    },
    /// The deadline in sight.
    Look,
    /// Whether that scope was cancelled.
    Called {
        scope: usize,
    },
}
