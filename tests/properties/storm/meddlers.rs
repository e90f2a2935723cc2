//! Threads that cancel, shield, stop, move deadlines, spawn and drop, at any moment.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyrt::runtime::Handle;
use anyrt::{ScopeHandle, TaskGroup};
use futures::channel::oneshot;

use super::books::Alive;
use super::plan::{Dice, Step};
use super::player::{Here, play};

/// So many children in a round at most: else two threads spawn for ever what one thread cannot end.
const MOST_SPAWNED: usize = 500;

/// What can be meddled with.
pub(crate) enum Meddled {
    Scope(ScopeHandle),
    /// And where its children are played.
    Group(TaskGroup, Here),
    /// Foreign code drops something when this is dropped.
    Cut(#[expect(dead_code, reason = "it acts when it is dropped")] oneshot::Sender<()>),
}

/// Where it lies for those who meddle.
#[derive(Default)]
pub(crate) struct Desk {
    lies: Mutex<Vec<Meddled>>,
    over: AtomicBool,
    spawned: AtomicUsize,
}

impl Desk {
    pub(crate) fn lay(&self, meddled: Meddled) {
        self.lies.lock().unwrap_or_else(PoisonError::into_inner).push(meddled);
    }

    /// The round is over.
    pub(crate) fn clear(&self) {
        self.over.store(true, SeqCst);
        self.lies.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Meddles until the round is over.
    pub(crate) fn meddle(&self, handle: &Handle, mut dice: Dice) {
        while !self.over.load(SeqCst) {
            match dice.below(4) {
                0 => thread::yield_now(),
                1 => thread::sleep(Duration::from_micros(dice.below(300))),
                _ => self.meddle_once(handle, &mut dice),
            }
        }
    }

    fn meddle_once(&self, handle: &Handle, dice: &mut Dice) {
        let mut lies = self.lies.lock().unwrap_or_else(PoisonError::into_inner);
        if lies.is_empty() {
            return;
        }
        let index = usize::try_from(dice.below(lies.len() as u64)).unwrap_or(0);
        // It acts where the lock is not held: what it does may wake others.
        match &lies[index] {
            Meddled::Scope(scope) => {
                let scope = scope.clone();
                drop(lies);
                meddle_with(&scope, handle, dice);
            }
            Meddled::Group(group, here) => {
                let (group, here) = (group.clone(), here.clone());
                drop(lies);
                if dice.one_in(3) && self.spawned.fetch_add(1, SeqCst) < MOST_SPAWNED {
                    spawn(&group, here, handle, dice);
                } else {
                    meddle_with(&group.cancel_scope(), handle, dice);
                }
            }
            Meddled::Cut(_) => {
                let cut = dice.one_in(4).then(|| lies.swap_remove(index));
                drop(lies);
                drop(cut);
            }
        }
    }
}

fn meddle_with(scope: &ScopeHandle, handle: &Handle, dice: &mut Dice) {
    let soon = handle.now() + Duration::from_micros(dice.below(1_000));
    match dice.below(12) {
        0 => scope.cancel_with("by a meddler"),
        1..4 => scope.set_shield(true),
        4..7 => scope.set_shield(false),
        7 => scope.set_deadline(Some(soon)),
        8 => scope.set_deadline(None),
        9 => handle.enter(|| scope.set_deadline(Some(soon))),
        10 => scope.cancel_after_with(Duration::from_micros(dice.below(500)), "by a meddler"),
        _ => handle.enter(|| scope.cancel_after_with(Duration::from_micros(dice.below(500)), "by a meddler")),
    }
}

fn spawn(group: &TaskGroup, here: Here, handle: &Handle, dice: &mut Dice) {
    let nap = Arc::from([Step::Nap(dice.below(300))]);
    handle.enter(|| {
        drop(group.spawn(async move {
            let _alive = Alive::new(&here.round.books, here.inside.as_ref());
            play(here, nap).await;
        }));
    });
}
