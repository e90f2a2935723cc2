//! anyrt beside native runtimes and peers, in the same run.
//!
//! ```text
//! cargo bench -p benches                          all rows, a table
//! cargo bench -p benches -- timeout smol          the rows that contain all of these words
//! cargo bench -p benches -- --json                one object a line
//! cargo bench -p benches -- --seconds 3600        up to 51 rounds of each; --quick: fewer and shorter ones
//! ```
//!
//! Both sides of a pair are measured in turns (A B, B A, ..), each in a task of a runtime of its own
//! that is otherwise idle. A round gives one time of each side and their ratio; medians are told,
//! and of the ratio also the least and the greatest. Times are wall time per operation, ratios of
//! CPU time (of the whole process) stand beside them. Allocations are counted in passes of their
//! own, by a global allocator that only counts then; a reallocation counts as one.

mod allocator;
mod crowd;
mod measure;
mod native;
mod options;
mod ours;
mod pair;
mod report;
mod row;
mod station;
mod stopwatch;
mod yields;

use std::process::ExitCode;

use crate::measure::{measure, repeat_only};
use crate::options::Options;
use crate::report::Report;
use crate::station::Stations;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    let mut pairs = native::pairs();
    pairs.retain(|pair| options.wants(pair));
    // Stable: the backends of a row stay together.
    pairs.sort_by_key(|pair| pair.row);
    if pairs.is_empty() {
        eprintln!("no row contains all of these words: {}", options.words.join(" "));
        return ExitCode::FAILURE;
    }

    let mut stations = Stations::default();
    if let Some((side, count)) = options.only {
        let done = repeat_only(&pairs[0], side, count, &mut stations);
        return done.map_or_else(
            |error| {
                eprintln!("{error}");
                ExitCode::FAILURE
            },
            |_| ExitCode::SUCCESS,
        );
    }
    let mut report = Report::new(&options);
    let share = options.limit.div_f64(pairs.len() as f64);
    for pair in &pairs {
        match measure(pair, &mut stations, &options, share) {
            Ok(outcome) => report.add(pair, &outcome),
            Err(error) => {
                eprintln!("{} on {}: {error}", pair.row, pair.backend);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
