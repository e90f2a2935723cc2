//! Asking a scope to stop, and the cancellation that follows when its grace is over.

use std::time::{Duration, Instant};

use super::Cancelled;
use super::cancel::change;
use super::node::{ENDED, NodeRef, OWN, STOPPING, Stop, UNTIMED};
use crate::base::clock::{self, NEVER};

/// Asks a node, and all in sight below it, to stop; they are cancelled with `story` when `grace` is over.
///
/// Of two graces the one that ends sooner counts. Without a clock (`now`) the grace counts from the next poll
/// of the node's owner.
pub(crate) fn stop(target: &NodeRef, grace: Duration, now: Option<Instant>, story: Cancelled) {
    let at = now.map_or(NEVER, |now| clock::add(now, grace));
    change(target, |node, state| {
        if node.bits() & (OWN | ENDED) != 0 {
            return None;
        }
        let stands = state.stop().is_some_and(|known| {
            let timed = node.bits() & UNTIMED == 0 && now.is_some();
            if timed { known.at <= at } else { known.grace <= grace }
        });
        if stands {
            return None;
        }
        state.rare().stop = Some(Stop { at, grace, story });
        let (set, clear) = if now.is_some() { (0, UNTIMED) } else { (UNTIMED, 0) };
        node.set_bits(state, STOPPING | set, clear);
        // The owner arms its timer anew.
        state.waker.take()
    });
}

/// The owner is polled and there is a clock: a grace that had none counts from here.
pub(crate) fn begin_grace(target: &NodeRef, now: Instant) {
    change(target, |node, state| {
        let untimed = node.bits() & UNTIMED != 0;
        node.set_bits(state, 0, UNTIMED);
        if untimed && let Some(stop) = &mut state.rare().stop {
            stop.at = clock::add(now, stop.grace);
        }
        None
    });
}
