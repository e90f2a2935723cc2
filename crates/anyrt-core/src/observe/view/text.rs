//! A [`TaskTree`] as text for people.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use super::{LimiterView, TaskState, TaskTree, TreeEntry};
use crate::tree::{ScopeKind, TaskId};

/// Below this depth, a place is shown with the number of its depth instead of being indented.
const INDENTED: usize = 32;

/// From this many on, siblings that look alike become one line.
const ALIKE: usize = 4;

impl fmt::Display for TaskTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks = self.tasks().count();
        write!(f, "run `{}` on {}: {}", self.run, self.runtime, counted(tasks, "task"))?;
        match self.entries.first().and_then(|root| root.cause.as_ref()) {
            Some(cause) => writeln!(f, ", {cause}")?,
            None => f.write_char('\n')?,
        }
        let names = Names(self.tasks().map(|task| (task.id, &*task.name)).collect());
        let children = self.children();
        let alike = if f.alternate() { None } else { Some(self.shapes(&children)) };
        let mut work: Vec<Line> = Vec::new();
        if let Some(root) = children.first() {
            push(&mut work, root, alike.as_deref(), &Rc::from(""));
        }
        let unpolled = self.entries.first().map_or(0, |root| root.unpolled);
        while let Some(line) = work.pop() {
            let entry = &self.entries[line.index];
            let last = line.last && (entry.depth > 1 || unpolled == 0);
            let deep = entry.depth > INDENTED;
            let branch = if last { "└─ " } else { "├─ " };
            write!(f, "{}{branch}", line.before)?;
            if deep {
                write!(f, "[{}] ", entry.depth)?;
            }
            match &line.alike {
                Some((number, upto)) => {
                    write!(f, "{number} × {}", Described { entry, upto: Some(upto), names: &names })?;
                }
                None => write!(f, "{}", Described { entry, upto: None, names: &names })?,
            }
            f.write_char('\n')?;
            let before: Rc<str> = if deep {
                line.before.clone()
            } else {
                format!("{}{}", line.before, if last { "   " } else { "│  " }).into()
            };
            push(&mut work, &children[line.index], alike.as_deref(), &before);
        }
        if unpolled > 0 {
            writeln!(f, "└─ {} more, not polled yet", counted(unpolled, "task"))?;
        }
        self.limiters
            .iter()
            .filter(|limiter| limiter.borrowed > 0 || limiter.waiting > 0)
            .try_for_each(|limiter| writeln!(f, "{limiter}"))?;
        if self.blocking_threads > 0 {
            writeln!(f, "{} for blocking calls", counted(self.blocking_threads, "thread"))?;
        }
        for circle in self.deadlocks() {
            f.write_str("deadlock: ")?;
            for task in &circle {
                write!(f, "{} waits for ", names.of(*task))?;
            }
            writeln!(f, "{}", names.of(circle[0]))?;
        }
        Ok(())
    }
}

/// A line to write; the lines inside it follow.
struct Line {
    index: usize,
    last: bool,
    before: Rc<str>,
    /// How many siblings look like it, and the name of the last one.
    alike: Option<(usize, String)>,
}

/// Adds the lines of siblings; those that look alike as one.
fn push(work: &mut Vec<Line>, siblings: &[usize], shapes: Option<&[Shape]>, before: &Rc<str>) {
    let mut lines: Vec<Line> = Vec::new();
    let line = |index: usize| Line { index, last: false, before: before.clone(), alike: None };
    match shapes {
        None => lines.extend(siblings.iter().map(|index| line(*index))),
        Some(shapes) => {
            let mut numbers: HashMap<u64, usize> = HashMap::new();
            let mut last: HashMap<u64, &str> = HashMap::new();
            for index in siblings {
                *numbers.entry(shapes[*index].hash).or_default() += 1;
                last.insert(shapes[*index].hash, &shapes[*index].id);
            }
            for index in siblings {
                let hash = &shapes[*index].hash;
                match numbers.get(hash) {
                    Some(number) if *number >= ALIKE => {
                        let upto = last.get(hash).map_or_else(String::new, |id| (*id).to_owned());
                        lines.push(Line { alike: Some((*number, upto)), ..line(*index) });
                        numbers.insert(*hash, 0);
                    }
                    Some(0) => (),
                    _ => lines.push(line(*index)),
                }
            }
        }
    }
    if let Some(last) = lines.last_mut() {
        last.last = true;
    }
    work.extend(lines.into_iter().rev());
}

/// What a place and everything inside it looks like, apart from ids and times.
struct Shape {
    hash: u64,
    id: String,
}

impl TaskTree {
    fn children(&self) -> Vec<Vec<usize>> {
        let mut children = vec![Vec::new(); self.entries.len()];
        for (index, entry) in self.entries.iter().enumerate() {
            if let Some(parent) = entry.parent {
                children[parent].push(index);
            }
        }
        children
    }

    /// From the end, so that what is inside comes before what is around it.
    fn shapes(&self, children: &[Vec<usize>]) -> Vec<Shape> {
        let mut shapes: Vec<Shape> = Vec::with_capacity(self.entries.len());
        let end = self.entries.len();
        for (index, entry) in self.entries.iter().enumerate().rev() {
            let mut hasher = DefaultHasher::new();
            entry.look_alike(&mut hasher);
            for child in &children[index] {
                shapes[end - 1 - child].hash.hash(&mut hasher);
            }
            let id = entry.task.as_ref().map_or_else(String::new, |task| task.id.to_string());
            shapes.push(Shape { hash: hasher.finish(), id });
        }
        shapes.reverse();
        shapes
    }
}

impl TreeEntry {
    fn look_alike(&self, hasher: &mut impl Hasher) {
        let task = self.task.as_ref().map(|task| (&task.name, task.state));
        (self.kind, task, &self.name, self.opened, self.waits, self.cancelled, self.unpolled).hash(hasher);
        self.waits_for.hash(hasher);
        (self.expires_in.is_some(), self.shielded, self.unpolled_since_cancelled).hash(hasher);
        self.cause.as_ref().map(ToString::to_string).hash(hasher);
    }
}

/// The tasks of the tree by their ids.
struct Names<'a>(HashMap<TaskId, &'a str>);

impl Names<'_> {
    fn of(&self, id: TaskId) -> String {
        self.0.get(&id).map_or_else(|| format!("#{id}, which has ended"), |name| format!("{name}#{id}"))
    }
}

/// A place in words.
struct Described<'a> {
    entry: &'a TreeEntry,
    /// The id of the last of the siblings that are shown in this line.
    upto: Option<&'a str>,
    names: &'a Names<'a>,
}

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = self.entry;
        match (&entry.task, self.upto) {
            (Some(task), None) => write!(f, "{}#{}", task.name, task.id)?,
            (Some(task), Some(upto)) => write!(f, "{}#{} to #{upto}", task.name, task.id)?,
            (None, _) => write!(f, "{}", entry.kind)?,
        }
        if let Some(name) = &entry.name {
            write!(f, " `{name}`")?;
        }
        if let Some(opened) = entry.opened {
            write!(f, " at {}", Short(opened))?;
        }
        if let Some(left) = entry.expires_in {
            if left.is_zero() {
                f.write_str(", its time is over")
            } else {
                write!(f, ", {} left", Span(left))
            }?;
        }
        if entry.unpolled > 0 {
            write!(f, ", {} not polled yet", entry.unpolled)?;
        }
        if let Some(task) = &entry.task {
            f.write_str(match task.state {
                TaskState::Running => ": running",
                TaskState::Waiting => ": waits",
                TaskState::Cancelling => ": cancelling, waits",
                TaskState::InShield => ": in a shield, waits",
                TaskState::InCleanUp => ": in clean-up, waits",
            })?;
            match entry.waits {
                _ if task.state == TaskState::Running => (),
                Some(waits) => {
                    write!(f, " at {}", Short(waits))?;
                    if let Some(other) = entry.waits_for {
                        write!(f, " for {}", self.names.of(other))?;
                    }
                }
                None => f.write_str(" for something that is not of anyrt")?,
            }
            if self.upto.is_none() {
                if let Some(since) = task.since {
                    write!(f, " since {}", Span(since))?;
                }
                if let (Some(polls), Some(busy)) = (task.polls, task.busy) {
                    write!(f, ", {polls} polls in {busy:.1?}")?;
                }
            }
        } else if matches!(entry.kind, ScopeKind::Branch | ScopeKind::Child)
            && let Some(waits) = entry.waits
        {
            write!(f, ": waits at {}", Short(waits))?;
        }
        if let Some(cause) = &entry.cause {
            write!(f, ", {cause}")?;
        }
        if entry.unpolled_since_cancelled {
            f.write_str(", not polled since what it holds was cancelled")?;
        }
        match entry.held_for {
            Some(held_for) => write!(f, ", held for {} by what is inside", Span(held_for)),
            None if entry.cancelled && entry.held => f.write_str(", held by what is inside"),
            None => Ok(()),
        }?;
        Ok(())
    }
}

impl fmt::Display for LimiterView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limiter `{}`: {} of ", self.name, self.borrowed)?;
        match self.total {
            Some(total) => write!(f, "{}", counted(total, "token"))?,
            None => f.write_str("any number of tokens")?,
        }
        f.write_str(" borrowed")?;
        if self.waiting > 0 {
            write!(f, ", {} waiting", self.waiting)?;
            for (index, task) in self.waiting_tasks.iter().take(ALIKE).enumerate() {
                write!(f, "{} #{task}", if index == 0 { ":" } else { "," })?;
            }
            if self.waiting_tasks.len() > ALIKE {
                f.write_str(", ..")?;
            }
        }
        Ok(())
    }
}

/// A place without its column.
struct Short(&'static Location<'static>);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.file(), self.0.line())
    }
}

/// A duration, as exactly as people need it.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_secs_f64(), self.0.as_millis()) {
            (_, millis @ 0..1_000) => write!(f, "{millis} ms"),
            (seconds, 0..60_000) => write!(f, "{seconds:.1} s"),
            (seconds, 0..3_600_000) => write!(f, "{:.1} min", seconds / 60.0),
            (seconds, _) => write!(f, "{:.1} h", seconds / 3600.0),
        }
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
