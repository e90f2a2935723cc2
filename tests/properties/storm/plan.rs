//! What happens in a round, made of a seed.

use std::sync::Arc;

/// Steps, one after the other.
pub(crate) type Steps = Arc<[Step]>;

/// Times are in microseconds.
#[derive(Debug)]
pub(crate) enum Step {
    Nap(u64),
    Checkpoint,
    /// Pending once at a future that is not ours.
    ForeignYield,
    /// Never ready, in a limit.
    Never(u64),
    Locked(u64),
    Permitted(u64),
    Limit(u64, Steps),
    Scope {
        deadline: Option<u64>,
        shield: bool,
        on_exit: Option<Steps>,
        body: Steps,
    },
    Shield(Steps),
    ShieldOwned(Steps),
    Finally {
        work: Steps,
        clean: Steps,
    },
    FinallyOwned {
        work: Steps,
        clean: Steps,
    },
    Group {
        children: Vec<Child>,
        body: Steps,
    },
    Borrowing {
        children: Vec<Steps>,
        body: Steps,
    },
    Blocking {
        works: u64,
        abandon: bool,
        calls_back: Option<Steps>,
    },
    Race(Steps, Steps),
    Join(Steps, Steps),
    /// A foreign select: it drops the loser.
    Select(Steps, Steps),
    /// Dropped by foreign code when a timer of somebody else's fires.
    Timeout(u64, Steps),
    /// Dropped by foreign code when a meddler says so.
    Cut(Steps),
    /// Its own code cancels one of the scopes around.
    CancelAround,
}

#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) steps: Steps,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Spawned,
    /// The body waits for its handle.
    Awaited,
    /// Started: the steps before it is ready, and again after that.
    Started,
    Service,
}

/// Numbers that look random, the same for the same seed (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    pub(crate) fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}

/// The plan of a round.
pub(crate) fn of(seed: u64) -> Steps {
    let mut planner = Planner { dice: Dice::new(seed), left: 60 };
    planner.steps(0)
}

struct Planner {
    dice: Dice,
    /// So many steps may be added.
    left: u32,
}

impl Planner {
    fn steps(&mut self, depth: u64) -> Steps {
        let count = 1 + self.dice.below(3);
        (0..count).map(|_| self.step(depth)).collect()
    }

    fn step(&mut self, depth: u64) -> Step {
        self.left = self.left.saturating_sub(1);
        // The deeper, the sooner there is an end of it.
        if self.left == 0 || depth > 0 && self.dice.below(8) < depth {
            return self.leaf();
        }
        let deeper = depth + 1;
        match self.dice.below(26) {
            0..3 => self.group(deeper),
            3..5 => Step::Borrowing {
                children: (0..=self.dice.below(3)).map(|_| self.steps(deeper)).collect(),
                body: self.steps(deeper),
            },
            5..8 => self.scope(deeper),
            8 => Step::Limit(self.dice.below(1_500), self.steps(deeper)),
            9 => Step::Shield(self.steps(deeper)),
            10 => Step::ShieldOwned(self.steps(deeper)),
            11..13 => Step::Finally { work: self.steps(deeper), clean: self.steps(deeper + 2) },
            13..15 => Step::FinallyOwned { work: self.steps(deeper), clean: self.steps(deeper + 2) },
            15..17 => self.blocking(deeper),
            17 => Step::Race(self.steps(deeper), self.steps(deeper)),
            18 => Step::Join(self.steps(deeper), self.steps(deeper)),
            19..21 => Step::Select(self.steps(deeper), self.steps(deeper)),
            21..23 => Step::Timeout(self.dice.below(1_000), self.steps(deeper)),
            23..25 => Step::Cut(self.steps(deeper)),
            _ => self.leaf(),
        }
    }

    fn leaf(&mut self) -> Step {
        match self.dice.below(10) {
            0..4 => Step::Nap(self.dice.below(800)),
            4 => Step::Checkpoint,
            5 => Step::ForeignYield,
            6 => Step::Never(self.dice.below(1_000)),
            7 => Step::Locked(self.dice.below(200)),
            8 => Step::Permitted(self.dice.below(200)),
            _ => Step::CancelAround,
        }
    }

    fn scope(&mut self, deeper: u64) -> Step {
        Step::Scope {
            deadline: self.dice.one_in(2).then(|| self.dice.below(1_500)),
            shield: self.dice.one_in(5),
            on_exit: self.dice.one_in(3).then(|| self.steps(deeper + 2)),
            body: self.steps(deeper),
        }
    }

    fn group(&mut self, deeper: u64) -> Step {
        let children = (0..=self.dice.below(3)).map(|_| Child {
            steps: self.steps(deeper),
            kind: match self.dice.below(8) {
                0..3 => Kind::Spawned,
                3..6 => Kind::Awaited,
                6 => Kind::Started,
                _ => Kind::Service,
            },
        });
        let children = children.collect();
        Step::Group { children, body: self.steps(deeper) }
    }

    fn blocking(&mut self, deeper: u64) -> Step {
        Step::Blocking {
            works: self.dice.below(300),
            abandon: self.dice.one_in(3),
            calls_back: self.dice.one_in(3).then(|| self.steps(deeper)),
        }
    }
}
