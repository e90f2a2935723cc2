//! The suite that every anyrt backend must pass, yours included.
//!
//! anyrt's core owns every semantic, a backend only supplies mechanism: the [`Runtime`] trait. This
//! suite is the trait's counterpart. It runs the core on your runtime, case by case, and tells what
//! goes wrong. In a test of your crate:
//!
//! ```
//! # mod own { pub fn runtime() -> std::sync::Arc<dyn anyrt_conformance::Runtime> { unimplemented!() } }
//! anyrt_conformance::suite!(on_my_runtime, || own::runtime());
//! # fn main() {}
//! ```
//!
//! makes one test per case, each on a new runtime and under a watchdog. A case that hangs is reported
//! like one that fails.
//!
//! # Reading a failure
//!
//! Each [`Case`] names the [`Obligation`]s of the trait without which it cannot pass. Begin with the
//! cases `rt_obligation_…`, which ask the runtime for one thing each. When they pass and others fail,
//! look for the obligation that those have in common.
//!
//! # Where the cases come from
//!
//! | family | of what |
//! |---|---|
//! | CK, CS, CN | checkpoints, cancel scopes, scopes inside each other |
//! | TO, SH | deadlines and timeouts, shields |
//! | TG, ST, TH | task groups, children that say when they are ready, handles |
//! | RS, RC, RM | several futures in one task, groups cut short, futures that are moved and kept |
//! | TT, FT, CL | blocking jobs, from threads back into the run, the capacity limiter |
//! | RT | what a program sees of itself |
//! | SY, CH | locks, events, conditions; channels |
//! | WT | what a framework relies on that runs plain functions in threads |
//! | RD, RP | what foreign code drops, what panics where nobody expects it |
//! | `stop_…` | two-phase cancel: told to stop, cancelled when the grace is over |
//! | `exit_…` | what a scope runs at its end; clean-up within a grace |
//! | `end_…` | the end of a run: its grace, its time, what it goes without |
//! | `story_…` | what a cancellation tells |
//! | `rule_…` | what the rules behind these families say and no case of theirs asks |
//! | `rt_obligation_…` | the obligations of the trait |
//!
//! The rules themselves are in `RULES.md` beside this crate's manifest. The ids are those of the project's conformance lists; [`ids`] says where the suite stands with each
//! of them. What a program cannot even write is shown in [`by_construction`].
#![forbid(unsafe_code)]

pub mod by_construction;
mod case;
mod ids;
mod list;
mod suite;
mod watchdog;

mod always_ready;
mod blocking;
mod channels;
mod checkpoints;
mod children;
mod connects;
mod context_managers;
mod cut_short;
mod deadlines;
mod dropped;
mod exits;
mod from_thread;
mod full_pool;
mod group_errors;
mod groups;
mod handed_over;
mod handles;
mod in_threads;
mod introspection;
mod iterators;
mod limiter;
mod locks;
mod many;
mod meetings;
mod moved;
mod nesting;
mod news;
mod obligations;
mod orphans;
mod panics;
mod races;
mod readiness;
mod run_end;
mod scopes;
mod several;
mod shields;
mod sockets;
mod stories;
mod timers;
mod two_phases;

mod by_hand;
mod counting;
mod double;
mod endings;
mod late;
mod lock_likes;
mod time;
mod warnings;

pub use anyrt_core::Runtime;

#[doc(hidden)]
pub use case::assert_passes;
pub use case::{Case, Obligation, PATIENCE};
pub use double::with_native_jobs;
pub use ids::{Standing, ids, title};
pub use watchdog::Outcome;
