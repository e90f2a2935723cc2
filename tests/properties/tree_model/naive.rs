//! The rule of cancellation in the most naive way: no flags that are passed down, no counts that are
//! passed up, no wake-ups. After each action everything is worked out anew from the tree, until
//! nothing changes any more.

use super::plan::{Kind, Part, survives_a_cut};

/// What can be seen of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing yet, or it was never begun.
    Nothing,
    Begun,
    Done,
    /// It ended with an error; of a group, with so many.
    Failed(usize),
    Cancelled,
    Panicked,
    /// Its future was dropped after it was begun and before it was done.
    Dropped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Failed,
    Panicked,
    Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    NotBegun,
    Running,
    Over,
}

pub(crate) struct Naive {
    parts: Vec<Part>,
    life: Vec<Life>,
    pub(crate) seen: Vec<Seen>,
    own: Vec<bool>,
    /// Told to stop, itself.
    stopped: Vec<bool>,
    shield: Vec<bool>,
    /// Something inside was cut short by a cancellation from outside of it.
    cut_from_outside: Vec<bool>,
    /// The same of a child of the group, and not only of something inside it.
    child_cut: Vec<bool>,
    /// How a finally's work, or a group's body, ended.
    ended: Vec<Option<End>>,
    /// How the branches of a join ended.
    branches: Vec<Vec<End>>,
    errors: Vec<usize>,
    panics: Vec<usize>,
    /// The group, or the root, that waits for the children of a group that was dropped.
    guardian: Vec<Option<usize>>,
    /// Children that were started and are their group's now.
    moved: Vec<bool>,
    /// The lap of a relay.
    lap: Vec<usize>,
    /// A scope that could not end has dropped its own future.
    gone: Vec<bool>,
    signals: Vec<Option<End>>,
    /// How the whole program ended.
    pub(crate) end: Option<End>,
}

impl Naive {
    pub(crate) fn new(parts: &[Part]) -> Naive {
        let count = parts.len();
        let mut naive = Naive {
            parts: parts.to_vec(),
            life: vec![Life::NotBegun; count],
            seen: vec![Seen::Nothing; count],
            own: vec![false; count],
            stopped: vec![false; count],
            shield: parts.iter().map(|part| part.shield).collect(),
            cut_from_outside: vec![false; count],
            child_cut: vec![false; count],
            ended: vec![None; count],
            branches: vec![Vec::new(); count],
            errors: vec![0; count],
            panics: vec![0; count],
            guardian: vec![None; count],
            moved: vec![false; count],
            lap: parts.iter().map(|part| part.inside.first().copied().unwrap_or(0)).collect(),
            gone: vec![false; count],
            signals: vec![None; count],
            end: None,
        };
        naive.begin(0);
        naive.settle();
        naive
    }

    /// Those of a kind that something can be done to: they have begun and not ended, or are scopes,
    /// which have handles before they begin.
    pub(crate) fn targets(&self, kinds: &[Kind]) -> Vec<usize> {
        let alive = |part: usize| match self.life[part] {
            Life::NotBegun => matches!(self.parts[part].kind, Kind::Scope | Kind::Lap),
            Life::Running => self.is_polled(part) && !self.gone[part],
            Life::Over => false,
        };
        self.indices().filter(|&part| kinds.contains(&self.parts[part].kind) && alive(part)).collect()
    }

    /// Those among them that have begun.
    pub(crate) fn running(&self, kinds: &[Kind]) -> Vec<usize> {
        self.targets(kinds).into_iter().filter(|&part| self.is_running(part)).collect()
    }

    pub(crate) fn signal(&mut self, leaf: usize, end: End) {
        self.signals[leaf] = Some(end);
        self.settle();
    }

    pub(crate) fn cancel(&mut self, part: usize) {
        self.own[part] = true;
        self.settle();
    }

    pub(crate) fn stop(&mut self, part: usize) {
        self.stopped[part] = true;
        self.settle();
    }

    pub(crate) fn toggle(&mut self, scope: usize) -> bool {
        self.shield[scope] = !self.shield[scope];
        self.settle();
        self.shield[scope]
    }

    /// How many children were ready in time, and how many futures went on in another scope.
    pub(crate) fn moves(&self) -> (usize, usize) {
        let handed_on = self
            .indices()
            .filter(|&part| self.parts[part].inside.first() != Some(&self.lap[part]) && self.lap[part] != 0);
        (self.moved.iter().filter(|&&moved| moved).count(), handed_on.count())
    }

    pub(crate) fn group_totals(&self) -> (usize, usize) {
        (self.errors[0], self.panics[0])
    }

    // Questions

    fn indices(&self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        0..self.parts.len()
    }

    fn is_running(&self, part: usize) -> bool {
        self.life[part] == Life::Running
    }

    /// Whether it runs, and the relays around it still poll it.
    fn is_polled(&self, part: usize) -> bool {
        let mut next = part;
        while next != 0 {
            let parent = self.parts[next].parent;
            let Part { kind, .. } = self.parts[parent];
            if kind == Kind::Relay && self.parts[next].kind != Kind::Lap && self.gone[self.lap[parent]] {
                return false;
            }
            next = if matches!(self.parts[next].kind, Kind::Child | Kind::Started) { 0 } else { parent };
        }
        self.is_running(part)
    }

    /// The scope around a part, whatever construct makes it.
    fn around(&self, part: usize) -> Option<usize> {
        if part == 0 {
            return None;
        }
        if let Some(guardian) = self.guardian[part] {
            return Some(guardian);
        }
        if self.moved[part] {
            return self.parts[part].group;
        }
        let parent = self.parts[part].parent;
        match self.parts[parent].kind {
            Kind::Relay if self.parts[part].kind != Kind::Lap => Some(self.lap[parent]),
            Kind::Sequence | Kind::Relay | Kind::Join | Kind::Finally | Kind::Abandon => self.around(parent),
            _ => Some(parent),
        }
    }

    fn is_in_a_cancelled_scope(&self, part: usize) -> bool {
        self.around(part).is_some_and(|around| self.is_cancelled(around))
    }

    fn is_cancelled(&self, scope: usize) -> bool {
        self.own[scope] || self.inherits(scope)
    }

    fn is_stopping(&self, scope: usize) -> bool {
        self.own[scope]
            || self.stopped[scope]
            || !self.is_shielded(scope) && self.around(scope).is_some_and(|around| self.is_stopping(around))
    }

    fn is_told_to_stop(&self, leaf: usize) -> bool {
        self.around(leaf).is_some_and(|around| self.is_stopping(around))
    }

    /// Whether a leaf that only waits may go on.
    fn is_open(&self, leaf: usize) -> bool {
        self.around(leaf).is_none_or(|around| !self.is_cancelled(around) || self.is_held(around))
    }

    fn inherits(&self, scope: usize) -> bool {
        !self.is_shielded(scope) && self.is_in_a_cancelled_scope(scope)
    }

    fn is_shielded(&self, scope: usize) -> bool {
        self.shield[scope] && !self.cut_from_outside[scope]
    }

    /// Whether something inside holds: inside its own task, the body of a group without the children.
    fn is_held(&self, scope: usize) -> bool {
        self.bodies(scope).into_iter().any(|part| self.holds(part))
    }

    fn holds(&self, part: usize) -> bool {
        if !self.is_running(part) {
            return false;
        }
        let by_itself = match self.parts[part].kind {
            Kind::Scope | Kind::Lap | Kind::Shield | Kind::Cleanup => self.is_shielded(part),
            Kind::Work => true,
            Kind::Group => self.is_alive(part),
            // Until the child is ready or has ended.
            Kind::Start => self.ended[part].is_none(),
            _ => false,
        };
        by_itself || self.is_held(part)
    }

    fn bodies(&self, part: usize) -> Vec<usize> {
        let Part { kind, parent, .. } = self.parts[part];
        if kind == Kind::Relay {
            return vec![self.lap[part]];
        }
        if kind == Kind::Lap {
            let polls = self.lap[parent] == part && !self.gone[part];
            return if polls { vec![self.parts[parent].inside[2]] } else { Vec::new() };
        }
        let inside = self.parts[part].inside.iter().copied();
        inside.filter(|&part| !matches!(self.parts[part].kind, Kind::Child | Kind::Started)).collect()
    }

    /// Whether a group has children, or takes care of a group that was dropped.
    fn is_alive(&self, group: usize) -> bool {
        self.parts[group]
            .inside
            .iter()
            .any(|&part| self.parts[part].kind == Kind::Child && self.is_running(part))
            || self
                .indices()
                .any(|part| self.guardian[part] == Some(group) || self.is_started_in(part, group))
    }

    fn is_started_in(&self, part: usize, group: usize) -> bool {
        let Part { kind, group: around, .. } = self.parts[part];
        kind == Kind::Started && around == Some(group) && self.is_running(part)
    }

    // What changes

    fn settle(&mut self) {
        while self.changes_in(None) {}
    }

    /// One change, in one task or anywhere.
    fn changes_in(&mut self, task: Option<usize>) -> bool {
        self.goes_on(task) || self.ends_a_group(task) || self.is_cut(task)
    }

    /// What is in a task, or everything.
    fn parts_in(&self, task: Option<usize>) -> Vec<usize> {
        self.indices().filter(|&part| task.is_none_or(|task| self.task_of(part) == task)).collect()
    }

    fn task_of(&self, part: usize) -> usize {
        let is_task = matches!(self.parts[part].kind, Kind::Root | Kind::Child | Kind::Started);
        if is_task { part } else { self.task_of(self.parts[part].parent) }
    }

    /// What can go on by itself does so, before anything is dropped.
    fn goes_on(&mut self, task: Option<usize>) -> bool {
        for part in self.parts_in(task).into_iter().filter(|&part| self.is_polled(part)).collect::<Vec<_>>() {
            let done = match (self.parts[part].kind, self.signals[part]) {
                (Kind::Leaf, Some(end)) => end,
                (Kind::Abandon, Some(_)) => {
                    self.drop_inside(part);
                    End::Done
                }
                (Kind::Stopping, Some(_)) => End::Done,
                (Kind::Lap, Some(_)) if !self.gone[part] => End::Done,
                (Kind::Stopping, _) if self.is_told_to_stop(part) && self.is_open(part) => End::Done,
                (Kind::Checkpoint, _) if !self.is_in_a_cancelled_scope(part) => End::Done,
                _ => continue,
            };
            self.finish(part, done);
            return true;
        }
        false
    }

    fn ends_a_group(&mut self, task: Option<usize>) -> bool {
        let parts = self.parts_in(task).into_iter();
        for group in parts.filter(|&part| self.parts[part].kind == Kind::Group).collect::<Vec<_>>() {
            if self.is_alive(group) {
                continue;
            }
            if let Some(guardian) = self.guardian[group].take() {
                // Its host is gone: the guardian gets what it has to tell.
                self.hand_over(group, guardian);
                return true;
            }
            let (true, Some(body)) = (self.is_polled(group), self.ended[group]) else { continue };
            if self.panics[group] > 0 {
                self.finish(group, End::Panicked);
                return true;
            }
            if self.errors[group] > 0 {
                self.finish(group, End::Failed);
                return true;
            }
            let cut = self.child_cut[group] || body == End::Cancelled;
            if cut && self.inherits(group) {
                continue;
            }
            self.finish(group, body);
            return true;
        }
        false
    }

    /// Innermost first, and one after the other, as futures are polled: what comes later may still hold, and a group
    /// inside may still have an error to tell.
    fn is_cut(&mut self, task: Option<usize>) -> bool {
        let parts = self.in_the_order_of_polls(0).into_iter();
        let parts = parts.filter(|&part| task.is_none_or(|task| self.task_of(part) == task));
        for part in parts.filter(|&part| self.is_polled(part)).collect::<Vec<_>>() {
            if self.gone[part] && !self.is_cancelled(part) {
                self.finish(part, End::Cancelled);
                return true;
            }
            let has_body = self.bodies(part).into_iter().any(|part| self.is_running(part));
            let drop_point = matches!(
                self.parts[part].kind,
                Kind::Scope | Kind::Lap | Kind::Work | Kind::Group | Kind::Child | Kind::Started
            );
            if !drop_point || !self.is_cancelled(part) || self.is_held(part) {
                continue;
            }
            let inherits = self.inherits(part);
            let returns = match self.parts[part].kind {
                Kind::Scope | Kind::Lap => !inherits,
                _ => true,
            };
            // Gone already, or only what its body had was to be dropped.
            if !has_body && (!returns || self.parts[part].kind == Kind::Group) {
                continue;
            }
            // The scope around it will drop it, unless that is held itself.
            if !returns && !self.around(part).is_some_and(|around| self.is_held(around)) {
                continue;
            }
            if inherits {
                self.note_cut(part);
                self.note_child_cut(part);
            }
            if self.parts[part].kind != Kind::Lap {
                self.drop_bodies(part);
            }
            self.gone[part] = !returns;
            if returns {
                if self.parts[part].kind == Kind::Group {
                    self.ended[part] = Some(End::Cancelled);
                } else {
                    self.finish(part, End::Cancelled);
                }
            }
            return true;
        }
        false
    }

    /// What is in a part, then itself.
    fn in_the_order_of_polls(&self, part: usize) -> Vec<usize> {
        let inside = &self.parts[part].inside;
        // Of a relay a lap polls the rest.
        let laps = if self.parts[part].kind == Kind::Relay { 2 } else { 0 };
        let order = inside[laps..].iter().chain(&inside[..laps]);
        order.flat_map(|&part| self.in_the_order_of_polls(part)).chain([part]).collect()
    }

    fn note_cut(&mut self, from: usize) {
        let mut next = Some(from);
        // The first cut counts: what a scope's own cancellation has begun to unwind stays its own matter.
        while let Some(scope) = next.filter(|&scope| self.inherits(scope) && !self.cut_from_outside[scope]) {
            self.cut_from_outside[scope] = true;
            next = self.around(scope);
        }
    }

    /// A child that is its group's: one that was started is only when it was ready.
    fn note_child_cut(&mut self, part: usize) {
        let group = match self.parts[part].kind {
            Kind::Child => Some(self.parts[part].parent),
            Kind::Started if self.moved[part] => self.parts[part].group,
            _ => None,
        };
        if let Some(group) = group.filter(|&group| self.inherits(group)) {
            self.child_cut[group] = true;
        }
    }

    fn begin(&mut self, part: usize) {
        self.life[part] = Life::Running;
        let inside = self.parts[part].inside.clone();
        match self.parts[part].kind {
            Kind::Leaf => self.seen[part] = Seen::Begun,
            Kind::Checkpoint | Kind::Stopping | Kind::Lap => (),
            Kind::Relay => {
                self.begin(inside[0]);
                self.begin(inside[2]);
            }
            Kind::Join | Kind::Group => inside.into_iter().for_each(|part| self.begin(part)),
            Kind::Cleanup => {
                self.seen[part] = Seen::Begun;
                self.begin(inside[0]);
            }
            _ => self.begin(inside[0]),
        }
    }

    fn finish(&mut self, part: usize, end: End) {
        self.life[part] = Life::Over;
        let kind = self.parts[part].kind;
        let seen = match end {
            End::Done => Seen::Done,
            End::Failed if kind == Kind::Group => Seen::Failed(self.errors[part]),
            End::Failed => Seen::Failed(1),
            End::Cancelled => Seen::Cancelled,
            End::Panicked => Seen::Panicked,
        };
        if kind == Kind::Leaf
            || matches!(kind, Kind::Scope | Kind::Lap | Kind::Group | Kind::Cleanup) && end != End::Panicked
        {
            self.seen[part] = seen;
        }
        if part == 0 {
            self.end = Some(end);
            return;
        }
        // Whoever was cancelled by itself says so and goes on.
        let end = match (kind, end) {
            (Kind::Scope | Kind::Lap | Kind::Group, End::Cancelled) => End::Done,
            _ => end,
        };
        let parent = self.parts[part].parent;
        let inside = self.parts[parent].inside.clone();
        match (self.parts[parent].kind, kind) {
            (Kind::Sequence, _) => {
                let after = inside.iter().position(|&other| other == part).map_or(0, |at| at + 1);
                match inside.get(after) {
                    Some(&next) if end == End::Done => self.begin(next),
                    _ => self.finish(parent, end),
                }
            }
            (Kind::Join, _) if end == End::Panicked => {
                self.drop_inside(parent);
                self.finish(parent, end);
            }
            (Kind::Join, _) => {
                self.branches[parent].push(end);
                if self.branches[parent].len() == inside.len() {
                    let failed = self.branches[parent].contains(&End::Failed);
                    self.finish(parent, if failed { End::Failed } else { End::Done });
                }
            }
            (Kind::Relay, Kind::Lap) if self.is_running(inside[2]) && end == End::Done => {
                let cut = self.seen[part] == Seen::Cancelled;
                if part == inside[0] && (!cut || survives_a_cut(&self.parts, parent)) {
                    self.lap[parent] = inside[1];
                    self.begin(inside[1]);
                } else {
                    self.drop_part(inside[2]);
                    self.finish(parent, End::Done);
                }
            }
            (Kind::Relay, Kind::Lap) => self.finish(parent, end),
            (Kind::Relay, _) => self.finish(self.lap[parent], end),
            (Kind::Finally, Kind::Work) => {
                self.ended[parent] = Some(end);
                self.begin(inside[1]);
            }
            (Kind::Finally, _) => match (end, self.ended[parent]) {
                (End::Panicked, _) => self.finish(parent, end),
                // It has no value: it waits to be dropped.
                (_, Some(End::Cancelled) | None) => (),
                (_, Some(work)) => self.finish(parent, work),
            },
            (Kind::Started, _) if part == inside[0] && end == End::Done => {
                let ready = self.is_ready(parent);
                self.begin(inside[1]);
                // It goes on until it waits, then its starter does.
                while self.changes_in(Some(parent)) {}
                let start = self.parts[parent].parent;
                if ready && self.is_running(start) {
                    self.finish(start, End::Done);
                }
            }
            (Kind::Start, _) => match (self.moved[part], end) {
                (true, _) => self.told_group_of(part, end),
                // Cut short with its starter, which waits to be dropped.
                (false, End::Cancelled) => self.ended[parent] = Some(end),
                (false, _) => self.finish(parent, end),
            },
            (Kind::Group, Kind::Child) => self.told(parent, end),
            (Kind::Group, _) => {
                self.told(parent, end);
                self.ended[parent] = Some(end);
            }
            _ => self.finish(parent, end),
        }
    }

    /// A child that was started says that it is ready; whether that comes in time.
    fn is_ready(&mut self, child: usize) -> bool {
        let in_time = !self.moved[child] && !self.is_cancelled(self.parts[child].parent);
        self.moved[child] |= in_time;
        in_time
    }

    fn told_group_of(&mut self, child: usize, end: End) {
        if let Some(group) = self.parts[child].group {
            self.told(group, end);
        }
    }

    /// A group hears how its body or a child has ended.
    fn told(&mut self, group: usize, end: End) {
        match end {
            End::Failed => self.errors[group] += 1,
            End::Panicked => self.panics[group] += 1,
            End::Done | End::Cancelled => return,
        }
        self.own[group] = true;
    }

    fn drop_bodies(&mut self, part: usize) {
        self.bodies(part).into_iter().for_each(|part| self.drop_part(part));
    }

    fn drop_inside(&mut self, part: usize) {
        self.parts[part].inside.clone().into_iter().for_each(|part| self.drop_part(part));
    }

    fn drop_part(&mut self, part: usize) {
        if !self.is_running(part) {
            return;
        }
        if self.parts[part].kind != Kind::Group {
            self.life[part] = Life::Over;
        }
        match self.parts[part].kind {
            Kind::Leaf => self.seen[part] = Seen::Dropped,
            Kind::Cleanup => {
                self.seen[part] = Seen::Dropped;
                self.drop_inside(part);
            }
            Kind::Start => {
                // The child, cancelled, is the group's from now on.
                let child = self.parts[part].inside[0];
                if !self.moved[child] && self.is_running(child) {
                    self.own[child] = true;
                    self.moved[child] = true;
                }
            }
            Kind::Group => {
                // A group inside it still finds it open.
                self.drop_bodies(part);
                self.life[part] = Life::Over;
                self.own[part] = true;
                let guardian = self.nearest_group(part);
                if self.is_alive(part) {
                    self.guardian[part] = Some(guardian);
                } else {
                    self.hand_over(part, guardian);
                }
            }
            _ => self.drop_inside(part),
        }
    }

    /// The nearest group around that still takes children, or the root.
    fn nearest_group(&self, part: usize) -> usize {
        let mut next = self.around(part);
        while let Some(scope) = next {
            let dropped = self.guardian[scope].is_some();
            if self.parts[scope].kind == Kind::Group && (self.is_running(scope) || dropped) {
                return scope;
            }
            next = self.around(scope);
        }
        0
    }

    fn hand_over(&mut self, group: usize, guardian: usize) {
        let (errors, panics) = (self.errors[group], self.panics[group]);
        self.errors[guardian] += errors;
        self.panics[guardian] += panics;
        if guardian != 0 && errors + panics > 0 {
            self.own[guardian] = true;
        }
    }
}
