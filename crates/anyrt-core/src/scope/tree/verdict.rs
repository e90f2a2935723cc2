//! The rule itself: what becomes of a future that was polled and is pending.

use std::task::Waker;

use super::node::{EXITS, KEPT_ONCE, Node, RELEASED, UNTIMED, effective, inherited};
use crate::wake::WakeList;

/// What a future that was pending has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Stay pending, inner future and all.
    Stay,
    /// Drop the inner future, stay pending: the scope around resolves.
    Drop,
    /// Drop the inner future and end as cancelled.
    Resolve,
}

impl Node {
    /// A poll begins: what was released before it, the future will see. Whether its grace waits for a clock.
    pub(crate) fn begin_poll(&self) -> bool {
        let bits = self.bits();
        if bits & RELEASED != 0 {
            let state = self.state.lock();
            self.set_bits(&state, 0, RELEASED);
        }
        bits & UNTIMED != 0
    }

    /// Whether a task that was just polled and is pending ends here, so that it needs no waker any more: it was
    /// cancelled before, and nothing holds. If not, it is [`verdict`](Node::verdict)'s to decide.
    pub(crate) fn resolves_at_once(&self) -> bool {
        effective(self.bits()) && {
            let state = self.state.lock();
            state.holds <= 0 && self.bits() & RELEASED == 0
        }
    }

    /// Decides about a future of this node that was just polled and is pending.
    ///
    /// The waker was registered before ([`attend`](Node::attend)): a cancellation that comes after the
    /// flags are read here wakes it. `resolves`: a drop point that ends when it is cancelled from outside (a branch, a child)
    /// instead of leaving that to the scope around it. `gone`: its inner future was dropped before.
    pub(crate) fn verdict(&self, waker: &Waker, resolves: bool, gone: bool) -> Verdict {
        let bits = self.bits();
        if !effective(bits) {
            return if gone { Verdict::Resolve } else { Verdict::Stay };
        }
        let mut wakes = WakeList::default();
        let (held, released, parent) = {
            let mut state = self.state.lock();
            let held = state.holds > 0;
            if held && let Some(rare) = &mut state.rare {
                wakes.append(&mut rare.parked);
            }
            let noted = self.bits() & (RELEASED | KEPT_ONCE);
            let released = !held && noted == RELEASED;
            if released {
                self.set_bits(&state, KEPT_ONCE, 0);
            } else if noted & KEPT_ONCE != 0 {
                self.set_bits(&state, 0, KEPT_ONCE);
            }
            let asks_above = inherited(bits) && !resolves && !held;
            (held, released, if asks_above { state.parent.clone() } else { None })
        };
        if held {
            wakes.wake();
            return Verdict::Stay;
        }
        if released {
            // Another thread has ended a hold after the future was polled. What that brought (a
            // result, the errors of a group) must be seen before anything is dropped. Once: what
            // begins and ends a hold in each poll would stay for ever.
            waker.wake_by_ref();
            return Verdict::Stay;
        }
        if !inherited(bits) || resolves || bits & EXITS != 0 {
            return Verdict::Resolve;
        }
        match parent {
            Some(parent) if !parent.node().holds() => {
                parent.node().park(waker);
                Verdict::Stay
            }
            _ if gone => Verdict::Stay,
            _ => Verdict::Drop,
        }
    }
}
