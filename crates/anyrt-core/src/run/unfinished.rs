//! What is left when the time for the end of a run is over.

use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::base::sync::Arc;
use crate::group::{GroupError, GroupState};
use crate::tree::NodeRef;

/// So many tasks are named.
const NAMED: usize = 100;

/// The tasks that had not ended when the time for the end of a run was over
/// ([`Run::shutdown_timeout`](crate::Run::shutdown_timeout)), or that nobody was left to wait for.
#[derive(Debug)]
pub struct Unfinished {
    /// None where it did not wait, because it did not know of them.
    timeout: Option<Duration>,
    left: Vec<String>,
    more: usize,
    errors: Option<GroupError>,
}

impl Unfinished {
    /// What is alive below `root` now.
    pub(super) fn at(root: &Arc<GroupState>, timeout: Duration) -> Unfinished {
        let mut left = left_below(root.as_node());
        if left.is_empty() {
            left.push("a task that has never been pending".to_owned());
        }
        Unfinished::of(left, Some(timeout))
    }

    /// Those whose group had lost its host when the root was closed.
    pub(super) fn lost(left: Vec<String>) -> Unfinished {
        Unfinished::of(left, None)
    }

    fn of(mut left: Vec<String>, timeout: Option<Duration>) -> Unfinished {
        let more = left.len().saturating_sub(NAMED);
        left.truncate(NAMED);
        Unfinished { timeout, left, more, errors: None }
    }

    pub(super) fn with_errors(self, errors: Option<GroupError>) -> Unfinished {
        Unfinished { errors, ..self }
    }

    /// The tasks, each with the names of those around it and where that was opened which holds it.
    pub fn left(&self) -> &[String] {
        &self.left
    }

    /// How many tasks there are beside those in [`left`](Unfinished::left), which names the first hundred.
    pub fn more(&self) -> usize {
        self.more
    }

    /// The errors of tasks at the root that nobody had looked at, until then.
    pub fn errors(&self) -> Option<&GroupError> {
        self.errors.as_ref()
    }
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timeout {
            Some(timeout) => {
                write!(
                    f,
                    "the run has not ended within {timeout:?} after it was cancelled, and goes without: "
                )?;
            }
            None => {
                f.write_str("the run has ended, and tasks were lost that nobody was left to wait for: ")?
            }
        }
        f.write_str(&self.left.join("; "))?;
        if self.more > 0 {
            write!(f, "; and {} more", self.more)?;
        }
        match &self.errors {
            Some(errors) => write!(f, "; and tasks at its root failed: {errors}"),
            None => Ok(()),
        }
    }
}

impl Error for Unfinished {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.errors.as_ref().map(|errors| errors as _)
    }
}

/// A task below the root.
struct Left {
    path: String,
    label: String,
    holders: Vec<&'static Location<'static>>,
    hosts: bool,
}

/// The tasks below a node that others do not only wait for, with what holds them. Iterative.
pub(crate) fn left_below(root: NodeRef) -> Vec<String> {
    let mut tasks: Vec<Left> = Vec::new();
    let mut work = vec![(root, None::<usize>)];
    while let Some((node, around)) = work.pop() {
        let mut inside = around;
        if let Some(task) = node.as_task() {
            let path = match around {
                Some(host) => {
                    tasks[host].hosts = true;
                    format!("{}/", tasks[host].path)
                }
                None => String::new(),
            };
            inside = Some(tasks.len());
            tasks.push(Left {
                label: format!("{path}{}", task.label()),
                path: format!("{path}{}", task.name()),
                holders: Vec::new(),
                hosts: false,
            });
        }
        let Some(seen) = node.node().snapshot() else { continue };
        if seen.children.is_empty()
            && seen.holds
            && let Some(task) = inside
        {
            tasks[task].holders.extend(seen.opened);
        }
        work.extend(seen.children.into_iter().map(|child| (child, inside)));
    }
    tasks
        .into_iter()
        .filter(|task| !task.hosts || !task.holders.is_empty())
        .map(|task| task.to_string())
        .collect()
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)?;
        for (number, holder) in self.holders.iter().enumerate() {
            let before = if number == 0 { ", held by what was opened at" } else { " and at" };
            write!(f, "{before} {holder}")?;
        }
        Ok(())
    }
}
