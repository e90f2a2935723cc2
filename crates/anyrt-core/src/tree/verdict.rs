//! The rule of cancellation: what becomes of a future that was polled and is pending.

use std::task::Waker;

use super::cut::{Cut, SHIELDS};
use super::node::{CAUGHT, EXITS, KEPT_ONCE, Node, RELEASED, UNTIMED, effective, inherited};
use crate::base::sync::atomic::Ordering;
use crate::base::wake_list::WakeList;
use crate::tree::site;

/// What the owner does with a future that was polled and is pending.
pub(crate) enum Verdict {
    /// Stay pending, inner future and all.
    Stay,
    /// Drop the inner future and stay pending: the scope around it ends.
    Drop,
    /// Drop the inner future and end as cancelled.
    Resolve(Cut),
}

impl Node {
    /// A poll begins. The future will see what was released before it, so that needs no further poll. Returns
    /// whether a grace waits for a clock.
    pub(crate) fn begin_poll(&self) -> bool {
        self.waits.store(false, Ordering::Relaxed);
        let bits = self.bits();
        if bits & RELEASED != 0 {
            let state = self.state.lock();
            self.set_bits(&state, 0, RELEASED);
        }
        bits & UNTIMED != 0
    }

    /// Whether a task that was just polled and is pending ends here, without leaving a waker: it was cancelled
    /// before, and nothing holds it. If not, [`verdict`](Node::verdict) decides.
    pub(crate) fn resolves_at_once(&self) -> Option<Cut> {
        if !effective(self.bits()) {
            return None;
        }
        let _no_shield_goes_up = SHIELDS.shared();
        let state = self.state.lock();
        let bits = self.bits();
        let goes_on = state.holds > 0 || bits & RELEASED != 0 || site::has_asked();
        if effective(bits) && !goes_on { Some(self.cut(state)) } else { None }
    }

    /// Whether it is cancelled and nothing holds it, so that it may be dropped without another poll.
    pub(crate) fn is_free_to_end(&self) -> bool {
        effective(self.bits()) && {
            let state = self.state.lock();
            state.holds <= 0 && self.bits() & RELEASED == 0
        }
    }

    /// Decides what becomes of this node's future, which was just polled and is pending.
    ///
    /// The waker was left before ([`attend`](Node::attend)): a cancellation that comes after the bits are read
    /// here wakes it.
    ///
    /// `resolves`: the node is a drop point that ends when it is cancelled from outside (a branch, a child),
    /// instead of leaving that to the scope around it. `gone`: its inner future was dropped before.
    #[inline]
    pub(crate) fn verdict(&self, waker: &Waker, resolves: bool, gone: bool) -> Verdict {
        if !gone && !effective(self.bits()) {
            return Verdict::Stay;
        }
        self.decide(waker, resolves, gone)
    }

    #[inline(never)]
    fn decide(&self, waker: &Waker, resolves: bool, gone: bool) -> Verdict {
        let mut wakes = WakeList::default();
        // Cloning a waker is user code: before the locks.
        let for_above = waker.clone();
        let no_shield_goes_up = SHIELDS.shared();
        let mut state = self.state.lock();
        let bits = self.bits();
        if !effective(bits) {
            // The cancellation was taken back meanwhile, or the node was moved out of the cancelled scope.
            return if gone { Verdict::Resolve(self.cut(state)) } else { Verdict::Stay };
        }
        let held = state.holds > 0;
        let missed = bits & RELEASED != 0 || site::has_asked();
        let again = !held && missed && bits & KEPT_ONCE == 0;
        if held && let Some(rare) = &mut state.rare {
            wakes.append(&mut rare.parked);
        }
        if held || again {
            // It has been polled and goes on: from here a shield is in time.
            let kept = if again { KEPT_ONCE } else { 0 };
            self.set_bits(&state, kept, CAUGHT | KEPT_ONCE);
            drop(state);
            drop(no_shield_goes_up);
            wakes.wake();
            if again {
                // The cancellation came after the future was polled. So may have, before the cancellation,
                // something that a leaf was handed, or the end of a hold with its result. The future must see
                // that before it is dropped. Only once: code that begins and ends a hold in each poll would
                // stay for ever.
                waker.wake_by_ref();
            }
            return Verdict::Stay;
        }
        if bits & KEPT_ONCE != 0 {
            self.set_bits(&state, 0, KEPT_ONCE);
        }
        if !inherited(bits) || resolves || bits & EXITS != 0 {
            return Verdict::Resolve(self.cut(state));
        }
        let parent = state.parent.clone();
        drop(state);
        match parent {
            // If the parent is not cancelled any more, this node is about to be refreshed and woken.
            Some(parent) if parent.node().park_copied(for_above) != Park::Held => Verdict::Stay,
            _ if gone => Verdict::Stay,
            _ => {
                let cut = self.cut(self.state.lock());
                drop(no_shield_goes_up);
                let story = cut.story(self);
                self.state.lock().rare().cut = Some(story);
                Verdict::Drop
            }
        }
    }
}

/// What a waiter finds when it is about to wait for the end of a cancelled scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Park {
    /// It waits, and is woken if it must go on after all.
    Parked,
    /// Something holds the scope.
    Held,
    /// It is not cancelled, or not any more.
    Free,
}

impl Node {
    /// Leaves a waker to be dropped with the scope, unless something holds the scope or it goes on. Woken if a
    /// hold begins in it after all.
    pub(crate) fn park(&self, waker: &Waker) -> Park {
        self.park_copied(waker.clone())
    }

    fn park_copied(&self, waker: Waker) -> Park {
        let mut state = self.state.lock();
        // Looked at under the lock: a shield that takes the cancellation back later finds the waker.
        if !effective(self.bits()) {
            return Park::Free;
        }
        if state.holds > 0 {
            return Park::Held;
        }
        keep(&mut state.rare().parked, waker);
        Park::Parked
    }

    /// Leaves a waker to be dropped with the scope, whatever holds it. Woken only if the cancellation is taken
    /// back; false if that has happened.
    pub(crate) fn shut(&self, waker: &Waker) -> bool {
        let waker = waker.clone();
        let mut state = self.state.lock();
        let cancelled = effective(self.bits());
        if cancelled {
            keep(&mut state.rare().shut, waker);
        }
        cancelled
    }
}

fn keep(list: &mut Vec<Waker>, waker: Waker) {
    const LOOK_BACK: usize = 64;
    if !list.iter().rev().take(LOOK_BACK).any(|known| known.will_wake(&waker)) {
        list.push(waker);
    }
}
