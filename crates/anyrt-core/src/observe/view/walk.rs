//! From the scope tree to a [`TaskTree`]: iteratively, one lock at a time.

use std::collections::HashMap;
use std::time::Duration;

use super::{LimiterView, TaskState, TaskTree, TaskView, TreeEntry};
use crate::base::clock;
use crate::blocking::CapacityLimiter;
use crate::current::handle::Handle;
use crate::tree::{NodeRef, ScopeKind, Snapshot, TaskId, TaskInfo, task_around};

/// All places below the root of a run, as entries and as nodes.
pub(crate) fn places(handle: &Handle) -> (Vec<TreeEntry>, Vec<NodeRef>) {
    let shared = &handle.0.shared;
    let now = clock::to_u64(handle.now());
    let mut entries = Vec::new();
    // Beside each entry its node; by the address of a group, how many of its children were seen.
    let (mut places, mut linked): (Vec<NodeRef>, HashMap<usize, usize>) = Default::default();
    let mut work = vec![(shared.root.clone() as NodeRef, None)];
    while let Some((node, parent)) = work.pop() {
        let polled = node.is_polled();
        let Some(mut seen) = node.node().snapshot() else { continue };
        let depth = parent.map_or(0, |parent: usize| {
            let parent: &TreeEntry = &entries[parent];
            parent.depth + 1
        });
        let mut children = std::mem::take(&mut seen.children);
        // The table of children is not kept in their order.
        children.sort_by_key(|child| child.as_task().map(TaskInfo::id));
        let index = entries.len();
        let counted_in = match seen.kind {
            ScopeKind::Child => parent.map_or(0, |parent| places[parent].node().address()),
            _ => node.counted_in(),
        };
        *linked.entry(counted_in).or_default() += 1;
        entries.push(entry(&node, seen, depth, parent, now, polled));
        places.push(node);
        work.extend(children.into_iter().rev().map(|child| (child, Some(index))));
    }
    for (entry, node) in entries.iter_mut().zip(&places) {
        if let Some(group) = node.clone().as_group() {
            let seen = linked.get(&node.node().address()).copied().unwrap_or(0);
            entry.unpolled = group.alive().saturating_sub(seen);
        }
    }
    (entries, places)
}

pub(super) fn walk(handle: &Handle) -> TaskTree {
    let shared = &handle.0.shared;
    let (mut entries, places) = places(handle);
    tell_states(&mut entries);
    if shared.observer.is_measuring() {
        let now = clock::to_u64(handle.now());
        for (entry, node) in entries.iter_mut().zip(&places) {
            if let (Some(task), Some(track)) = (&mut entry.task, node.node().tracked()) {
                task.measured(&track.measured(), now);
            }
        }
    }
    let limiters = vec![limiter("blocking", &shared.limiter), limiter("cpu", &shared.cpu)];
    TaskTree {
        run: shared.name.to_string(),
        runtime: handle.runtime().name().to_owned(),
        entries,
        limiters,
        blocking_threads: shared.pool.threads(),
    }
}

fn entry(
    node: &NodeRef,
    seen: Snapshot,
    depth: usize,
    parent: Option<usize>,
    now: u64,
    running: bool,
) -> TreeEntry {
    let task = node.as_task().map(|info| TaskView {
        id: info.id(),
        name: info.name().to_owned(),
        parent: info.parent(),
        state: if running { TaskState::Running } else { TaskState::Waiting },
        running,
        polls: None,
        busy: None,
        since: None,
    });
    TreeEntry {
        kind: seen.kind,
        depth,
        parent,
        task,
        name: node.clone().as_job().and_then(|job| job.name()).map(|name| name.to_string()),
        opened: seen.opened,
        waits: seen.waits,
        waits_for: seen.waits_for,
        expires_in: seen.deadline.map(|at| Duration::from_nanos(at.saturating_sub(now))),
        cancelled: seen.cancelled,
        cause: seen.cause,
        shielded: seen.shielded,
        holds: seen.holds,
        held: seen.held,
        held_for: seen
            .held_since
            .filter(|_| seen.cancelled && seen.held)
            .map(|since| Duration::from_nanos(now.saturating_sub(since))),
        unpolled_since_cancelled: seen.unseen,
        unpolled: 0,
    }
}

/// Sets the state of tasks that a shield or clean-up inside them decides.
fn tell_states(entries: &mut [TreeEntry]) {
    for index in 0..entries.len() {
        let entry = &mut entries[index];
        let told = match entry.kind {
            ScopeKind::Task if entry.cancelled => TaskState::Cancelling,
            ScopeKind::CleanUp => TaskState::InCleanUp,
            _ if entry.shielded => TaskState::InShield,
            _ => continue,
        };
        let mut place = Some(index);
        while let Some(at) = place {
            let entry = &mut entries[at];
            if let Some(task) = &mut entry.task {
                if task.state != TaskState::InCleanUp {
                    task.state = told;
                }
                break;
            }
            place = entry.parent;
        }
    }
}

fn limiter(name: &str, limiter: &CapacityLimiter) -> LimiterView {
    let (stand, scopes) = (limiter.statistics(), limiter.waiting_scopes());
    let waiting_tasks: Vec<TaskId> = scopes
        .iter()
        .filter_map(|scope| task_around(scope).and_then(|task| task.as_task().map(TaskInfo::id)))
        .collect();
    LimiterView {
        name: name.to_owned(),
        total: (stand.total != usize::MAX).then_some(stand.total),
        borrowed: stand.borrowed,
        waiting: stand.waiting,
        waiting_tasks,
    }
}
