//! Random programs: a tree of constructs, and what is done to it from outside.

use proptest::collection::vec;
use proptest::prelude::*;

/// A program. Its parts are numbered in the order in which they are written.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    /// Waits until it is told how to end.
    Leaf,
    /// Takes nothing, but only in a scope that is not cancelled.
    Checkpoint,
    /// Waits until it is told to stop, or to finish.
    Stopping,
    Sequence(Vec<Plan>),
    /// A foreign `join_all`: its branches are one future.
    Join(Vec<Plan>),
    Scope {
        shield: bool,
        body: Box<Plan>,
    },
    Shield(Box<Plan>),
    Finally {
        work: Box<Plan>,
        cleanup: Box<Plan>,
    },
    Group {
        body: Box<Plan>,
        children: Vec<Plan>,
    },
    /// Starts a child in the group around, which is ready between the two. Without a group it is a sequence.
    Start {
        before: Box<Plan>,
        after: Box<Plan>,
    },
    /// Foreign code that may drop what is inside.
    Abandon(Box<Plan>),
    /// Polls what is inside in one scope, and when that ends, in another; when that ends as well, drops it. See
    /// [`survives_a_cut`].
    Relay(Box<Plan>),
}

/// One thing that is done from outside. The number picks among those that it can be done to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    Finish(usize),
    Fail(usize),
    Panic(usize),
    Cancel(usize),
    /// The first phase of a cancellation in two, with a grace that never ends here.
    Stop(usize),
    Toggle(usize),
    Abandon(usize),
    /// A lap of a relay ends, and what is inside goes on in the next.
    HandOn(usize),
}

/// What a part is, with the parts that a construct makes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Root,
    Leaf,
    Checkpoint,
    Stopping,
    Sequence,
    Join,
    Scope,
    Shield,
    Finally,
    Work,
    Cleanup,
    Group,
    Child,
    Start,
    Started,
    Abandon,
    Relay,
    Lap,
}

/// One part of a program.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) kind: Kind,
    /// Whether it begins with its shield up.
    pub(crate) shield: bool,
    pub(crate) parent: usize,
    /// The group around it in the plan.
    pub(crate) group: Option<usize>,
    pub(crate) inside: Vec<usize>,
}

/// The parts of a plan; the first is the root.
pub(crate) fn parts(plan: &Plan) -> Vec<Part> {
    let mut parts =
        vec![Part { kind: Kind::Root, shield: false, parent: 0, group: None, inside: Vec::new() }];
    add(&mut parts, 0, plan);
    parts
}

fn add(parts: &mut Vec<Part>, parent: usize, plan: &Plan) {
    match plan {
        Plan::Leaf => _ = part(parts, parent, Kind::Leaf, false),
        Plan::Checkpoint => _ = part(parts, parent, Kind::Checkpoint, false),
        Plan::Stopping => _ = part(parts, parent, Kind::Stopping, false),
        Plan::Sequence(plans) => {
            let index = part(parts, parent, Kind::Sequence, false);
            plans.iter().for_each(|plan| add(parts, index, plan));
        }
        Plan::Join(plans) => {
            let index = part(parts, parent, Kind::Join, false);
            plans.iter().for_each(|plan| add(parts, index, plan));
        }
        Plan::Scope { shield, body } => {
            let index = part(parts, parent, Kind::Scope, *shield);
            add(parts, index, body);
        }
        Plan::Shield(body) => {
            let index = part(parts, parent, Kind::Shield, true);
            add(parts, index, body);
        }
        Plan::Finally { work, cleanup } => {
            let index = part(parts, parent, Kind::Finally, false);
            let inside = part(parts, index, Kind::Work, false);
            let after = part(parts, index, Kind::Cleanup, true);
            add(parts, inside, work);
            add(parts, after, cleanup);
        }
        Plan::Group { body, children } => {
            let index = part(parts, parent, Kind::Group, false);
            add(parts, index, body);
            for child in children {
                let task = part(parts, index, Kind::Child, false);
                add(parts, task, child);
            }
        }
        Plan::Start { before, after } => {
            let kind = if around(parts, parent).is_some() { Kind::Start } else { Kind::Sequence };
            let start = part(parts, parent, kind, false);
            let task = if kind == Kind::Start { part(parts, start, Kind::Started, false) } else { start };
            add(parts, task, before);
            add(parts, task, after);
        }
        Plan::Abandon(body) => {
            let index = part(parts, parent, Kind::Abandon, false);
            add(parts, index, body);
        }
        Plan::Relay(body) => {
            let index = part(parts, parent, Kind::Relay, false);
            part(parts, index, Kind::Lap, false);
            part(parts, index, Kind::Lap, false);
            add(parts, index, body);
        }
    }
}

/// Whether what a relay hands on goes on when a lap was cut short. A scope inside, which could not end by itself, may
/// or may not have given up its own by then: that hangs on who was polled first, so these are dropped.
pub(crate) fn survives_a_cut(parts: &[Part], relay: usize) -> bool {
    fn is_sure(parts: &[Part], part: usize) -> bool {
        let Part { kind, inside, .. } = &parts[part];
        !matches!(kind, Kind::Scope | Kind::Relay) && inside.iter().all(|&part| is_sure(parts, part))
    }
    is_sure(parts, parts[relay].inside[2])
}

/// One more part; its number.
fn part(parts: &mut Vec<Part>, parent: usize, kind: Kind, shield: bool) -> usize {
    let index = parts.len();
    let group = around(parts, parent);
    parts.push(Part { kind, shield, parent, group, inside: Vec::new() });
    parts[parent].inside.push(index);
    index
}

/// The group around what is inside a part.
fn around(parts: &[Part], part: usize) -> Option<usize> {
    if parts[part].kind == Kind::Group { Some(part) } else { parts[part].group }
}

pub(crate) fn plans() -> impl Strategy<Value = Plan> {
    let leaf = prop_oneof![6 => Just(Plan::Leaf), 2 => Just(Plan::Checkpoint), 1 => Just(Plan::Stopping)];
    let inner = leaf.prop_recursive(6, 40, 2, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            2 => vec(inner.clone(), 1..4).prop_map(Plan::Sequence),
            2 => vec(inner.clone(), 1..4).prop_map(Plan::Join),
            4 => (any::<bool>(), boxed()).prop_map(|(shield, body)| Plan::Scope { shield, body }),
            1 => boxed().prop_map(Plan::Shield),
            2 => (boxed(), boxed()).prop_map(|(work, cleanup)| Plan::Finally { work, cleanup }),
            4 => (boxed(), vec(inner.clone(), 0..4))
                .prop_map(|(body, children)| Plan::Group { body, children }),
            4 => (boxed(), boxed()).prop_map(|(before, after)| Plan::Start { before, after }),
            1 => boxed().prop_map(Plan::Abandon),
            3 => boxed().prop_map(Plan::Relay),
        ]
    });
    // A child can only be started in a group.
    let in_a_group = (inner.clone(), vec(inner.clone(), 0..3))
        .prop_map(|(body, children)| Plan::Group { body: Box::new(body), children });
    prop_oneof![1 => inner, 2 => in_a_group]
}

pub(crate) fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        4 => any::<usize>().prop_map(Action::Finish),
        1 => any::<usize>().prop_map(Action::Fail),
        1 => any::<usize>().prop_map(Action::Panic),
        4 => any::<usize>().prop_map(Action::Cancel),
        2 => any::<usize>().prop_map(Action::Stop),
        3 => any::<usize>().prop_map(Action::Toggle),
        2 => any::<usize>().prop_map(Action::Abandon),
        3 => any::<usize>().prop_map(Action::HandOn),
    ];
    vec(action, 0..16)
}
