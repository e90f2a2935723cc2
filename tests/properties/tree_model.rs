//! Random trees of scopes, shields, clean-ups and groups, on the core and in a naive model of it:
//! after each action both must have dropped, finished and cleaned up the same.
//!
//! The cases are the same in each run; `PROPTEST_CASES=100000` runs more of them, and
//! `PROPTEST_RNG_SEED` others. The campaign, which tells how many it has run:
//!
//! ```console
//! $ PROPTEST_CASES=100000 cargo test --release -p tests --test properties tree_model::random -- --nocapture
//! ```

mod by_turns;
mod naive;
mod plan;
mod real;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyrt_core::{Run, RunError};
use proptest::test_runner::{Config, RngSeed, TestRunner};

use self::by_turns::{ByTurns, lock};
use self::naive::{End, Naive};
use self::plan::{Action, Kind, Part, Plan};
use self::real::{Real, ToldToPanic};

const SEED: u64 = 20;

#[test]
fn random_trees_end_as_in_the_naive_model() {
    let number = |name| env::var(name).ok().and_then(|text: String| text.parse().ok());
    let cases = number("PROPTEST_CASES").map_or(4_000, |cases: u64| u32::try_from(cases).unwrap_or(u32::MAX));
    let seed = number("PROPTEST_RNG_SEED").unwrap_or(SEED);
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let done = Arc::new(<[AtomicUsize; 3]>::default());
    let counted = Arc::clone(&done);
    if let Err(failure) = runner.run(&(plan::plans(), plan::actions()), move |(plan, actions)| {
        let (started, handed_on) = check(&plan, &actions);
        for (count, more) in counted.iter().zip([actions.len(), started, handed_on]) {
            count.fetch_add(more, Ordering::Relaxed);
        }
        Ok(())
    }) {
        panic!("{failure}");
    }
    let [actions, started, handed_on] = done.each_ref().map(|count| count.load(Ordering::Relaxed));
    println!(
        "{cases} random trees, {actions} actions, {started} children started, {handed_on} futures moved half-polled, \
         seed {seed}: none differs from the model"
    );
    let rare = cases as usize / 100;
    assert!(started > rare && handed_on > rare, "the plans have become too tame");
}

/// A group that was dropped holds the scopes around its guardian, not the guardian's own body.
#[test]
fn a_dropped_group_does_not_keep_the_body_of_the_group_that_waits_for_it() {
    let leaf = || Box::new(Plan::Leaf);
    let dropped =
        Plan::Group { body: leaf(), children: vec![Plan::Finally { work: leaf(), cleanup: leaf() }] };
    let body = Box::new(Plan::Sequence(vec![Plan::Abandon(Box::new(dropped)), Plan::Leaf]));
    check(&Plan::Group { body, children: Vec::new() }, &[Action::Abandon(0), Action::Cancel(0)]);
}

#[test]
fn a_taker_in_a_scope_that_is_held_does_not_spin() {
    let body = Plan::Join(vec![
        Plan::Shield(Box::new(Plan::Leaf)),
        Plan::Sequence(vec![Plan::Leaf, Plan::Checkpoint, Plan::Leaf]),
    ]);
    check(&Plan::Scope { shield: false, body: Box::new(body) }, &[Action::Cancel(0), Action::Finish(1)]);
}

/// The scope around is cancelled, and what holds keeps the taker there until a shield begins to keep it.
#[test]
fn a_taker_goes_on_when_the_shield_of_its_held_scope_is_put_up() {
    let body = Plan::Join(vec![
        Plan::Shield(Box::new(Plan::Leaf)),
        Plan::Sequence(vec![Plan::Leaf, Plan::Checkpoint, Plan::Leaf]),
    ]);
    let inner = Plan::Scope { shield: false, body: Box::new(body) };
    let plan = Plan::Scope { shield: false, body: Box::new(inner) };
    check(&plan, &[Action::Cancel(0), Action::Finish(1), Action::Toggle(1)]);
}

#[test]
fn a_start_whose_child_was_cut_inside_and_ended_is_told_so() {
    let leaf = || Box::new(Plan::Leaf);
    let before = Box::new(Plan::Scope { shield: true, body: leaf() });
    let after = Box::new(Plan::Abandon(Box::new(Plan::Finally { work: leaf(), cleanup: leaf() })));
    let plan = Plan::Group { body: Box::new(Plan::Start { before, after }), children: Vec::new() };
    check(&plan, &[Action::Cancel(0), Action::Cancel(1), Action::Abandon(0)]);
}

/// What was around the group has ended when its future is dropped: whoever drops it is around it then.
#[test]
fn a_group_that_outlives_its_scope_and_is_dropped_is_waited_for() {
    let leaf = || Box::new(Plan::Leaf);
    let dropped =
        Plan::Group { body: leaf(), children: vec![Plan::Finally { work: leaf(), cleanup: leaf() }] };
    let in_a_scope = Plan::Scope { shield: false, body: Box::new(dropped.clone()) };
    for dropped in [dropped, in_a_scope] {
        let plan = Plan::Group { body: Box::new(Plan::Relay(Box::new(dropped))), children: Vec::new() };
        check(&plan, &[Action::HandOn(0), Action::HandOn(0)]);
    }
}

/// A group whose body starts a child in a scope of its own.
fn starts_in_a_scope(before: Plan) -> Plan {
    let start = Plan::Start { before: Box::new(before), after: Box::new(Plan::Leaf) };
    let body = Box::new(Plan::Scope { shield: false, body: Box::new(start) });
    Plan::Group { body, children: Vec::new() }
}

#[test]
fn a_child_that_is_ready_too_late_ends_with_its_starter() {
    let plan = starts_in_a_scope(Plan::Shield(Box::new(Plan::Leaf)));
    // The scope, then what is in the shield.
    check(&plan, &[Action::Cancel(1), Action::Finish(0)]);
}

#[test]
fn a_child_that_is_ready_outlives_the_scope_of_its_starter() {
    check(&starts_in_a_scope(Plan::Leaf), &[Action::Finish(0), Action::Fail(0)]);
}

#[test]
fn a_child_whose_start_is_dropped_is_the_groups_to_wait_for() {
    let before = Box::new(Plan::Shield(Box::new(Plan::Leaf)));
    let start = Plan::Start { before, after: Box::new(Plan::Leaf) };
    let body = Box::new(Plan::Sequence(vec![Plan::Abandon(Box::new(start)), Plan::Leaf]));
    let plan = Plan::Group { body, children: Vec::new() };
    check(&plan, &[Action::Abandon(0), Action::Finish(1), Action::Fail(0)]);
}

/// Runs a plan on both sides, and looks after each action; [`moves`](Naive::moves).
fn check(plan: &Plan, actions: &[Action]) -> (usize, usize) {
    let parts = plan::parts(plan);
    let real = Real::new(&parts);
    let sides = Arc::new(Sides {
        parts: parts.clone(),
        real: Arc::clone(&real),
        model: Mutex::new(Model {
            naive: Naive::new(&parts),
            actions: actions.iter().rev().copied().collect(),
        }),
    });
    let acting = Arc::clone(&sides);
    let runtime = ByTurns::new(move || acting.act());
    let main = real.main();
    let ended = catch_unwind(AssertUnwindSafe(|| Run::on(runtime).run(main)));
    real.let_go();
    let model = lock(&sides.model);
    sides.compare(&model.naive);
    let (errors, panics) = model.naive.group_totals();
    let end = match ended {
        Ok(Ok(Ok(()))) => (End::Done, 0),
        Ok(Ok(Err(_))) => (End::Failed, 0),
        Ok(Err(RunError::UnobservedFailures(errors))) => (End::Failed, errors.iter().count()),
        Ok(Err(error)) => panic!("{error}"),
        Err(payload) if payload.is::<ToldToPanic>() => (End::Panicked, 0),
        Err(payload) => std::panic::resume_unwind(payload),
    };
    let expected = match model.naive.end.expect("the comparison has seen to it") {
        End::Panicked => (End::Panicked, 0),
        _ if panics > 0 => (End::Panicked, 0),
        _ if errors > 0 => (End::Failed, errors),
        end => (end, 0),
    };
    assert_eq!(end, expected, "how the run ended");
    model.naive.moves()
}

struct Sides {
    parts: Vec<Part>,
    real: Arc<Real>,
    model: Mutex<Model>,
}

struct Model {
    naive: Naive,
    actions: Vec<Action>,
}

impl Sides {
    /// Compares, then does the next thing to both sides; false when there is nothing left to do.
    fn act(&self) -> bool {
        let mut model = lock(&self.model);
        self.compare(&model.naive);
        while let Some(action) = model.actions.pop() {
            if self.apply(&mut model.naive, action) {
                return true;
            }
        }
        // In the end every leaf is told to finish, one after the other, and who still waits for no leaf is handed on.
        self.apply(&mut model.naive, Action::Finish(0)) || self.apply(&mut model.naive, Action::HandOn(0))
    }

    fn compare(&self, naive: &Naive) {
        let (real, naive) = (self.real.seen(), &naive.seen);
        let differ = (0..real.len()).find(|&part| real[part] != naive[part]);
        if let Some(part) = differ {
            let kind = self.parts[part].kind;
            panic!("part {part}, a {kind:?}: {:?}, and in the model {:?}", real[part], naive[part]);
        }
    }

    /// Whether there was something to do it to.
    fn apply(&self, naive: &mut Naive, action: Action) -> bool {
        let (kinds, number): (&[Kind], _) = match action {
            Action::Finish(number) => (&[Kind::Leaf, Kind::Stopping], number),
            Action::Fail(number) | Action::Panic(number) => (&[Kind::Leaf], number),
            Action::Cancel(number) | Action::Stop(number) => (&[Kind::Scope, Kind::Lap, Kind::Group], number),
            Action::Toggle(number) => (&[Kind::Scope, Kind::Lap], number),
            Action::HandOn(number) => (&[Kind::Lap], number),
            Action::Abandon(number) => (&[Kind::Abandon], number),
        };
        let targets = match action {
            Action::HandOn(_) => naive.running(kinds),
            _ => naive.targets(kinds),
        };
        if targets.is_empty() {
            return false;
        }
        let target = targets[number % targets.len()];
        let end = match action {
            Action::Fail(_) => End::Failed,
            Action::Panic(_) => End::Panicked,
            _ => End::Done,
        };
        match action {
            Action::Finish(_)
            | Action::Fail(_)
            | Action::Panic(_)
            | Action::Abandon(_)
            | Action::HandOn(_) => {
                naive.signal(target, end);
                self.real.signal(target, end);
            }
            Action::Cancel(_) => {
                naive.cancel(target);
                self.real.cancel(target);
            }
            Action::Stop(_) => {
                naive.stop(target);
                self.real.stop(target);
            }
            Action::Toggle(_) => {
                let up = naive.toggle(target);
                self.real.set_shield(target, up);
            }
        }
        true
    }
}
