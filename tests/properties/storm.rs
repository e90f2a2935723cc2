//! The storm: random trees of groups, scopes, shields, clean-ups and blocking calls, while other threads meddle with them and
//! foreign code drops parts of them; on every backend.
//!
//! The plan of a round is made of its seed alone (`storm/plan.rs`); who comes first is not. After each round the books are
//! balanced (`storm/books.rs`). `tests/storm/run` makes long campaigns.

use std::time::{Duration, Instant};

use anyrt::Backend;

use self::round::Report;

mod books;
mod hang;
mod meddlers;
mod plan;
mod player;
mod round;

/// Plays the rounds of these seeds until the time is over.
fn campaign(backend: Backend, seeds: impl Iterator<Item = u64>, time: Duration) -> Report {
    let began = now();
    let mut report = Report::default();
    for seed in seeds {
        report.add(round::play(backend, seed));
        if now() - began > time {
            break;
        }
    }
    println!("{backend}: {report}");
    report
}

fn short(backend: Backend) {
    let report = campaign(backend, 1.., Duration::from_millis(700));
    assert!(report.faults.is_empty(), "{:#?}", report.faults);
    // Else it would be no storm.
    assert!(report.rounds >= 3 && report.cleaned > 0, "{report}");
}

#[test]
fn nothing_is_lost_and_nothing_outlives_its_run() {
    for backend in Backend::enabled() {
        short(*backend);
    }
}

/// What `tests/storm/run` calls: the backend, the seconds and the first seed are in the environment.
#[test]
#[ignore = "as long as the environment says"]
fn campaign_of_the_environment() {
    let of = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by tests/storm/run"));
    let backend = of("STORM_BACKEND").parse().expect("a backend");
    let seconds = of("STORM_SECONDS").parse().expect("a number of seconds");
    let seed: u64 = of("STORM_SEED").parse().expect("a seed");
    let same = std::env::var_os("STORM_SAME").is_some();
    let seeds = (0..).map(|round| if same { seed } else { seed + round });
    let report = campaign(backend, seeds, Duration::from_secs(seconds));
    for fault in &report.faults {
        println!("{fault}");
    }
    assert!(report.faults.is_empty(), "{} faults", report.faults.len());
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "this is no code of a runtime")]
    Instant::now()
}
