//! What was measured, as a table or as one JSON object a line.

use crate::measure::{Outcome, Told};
use crate::options::Options;
use crate::pair::Pair;
use crate::row::Row;
use crate::station::THREADS;

pub(crate) struct Report {
    json: bool,
    /// The row that was begun.
    row: Option<Row>,
}

impl Report {
    pub(crate) fn new(options: &Options) -> Report {
        if !options.json {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            println!(
                "Wall time per operation, medians of at most {} rounds; ratio: ours to the peer's, cpu: the same of CPU time.\n\
                 {cores} cores; {THREADS} threads for tasks (async-std: its own default); the system's allocator, counted.",
                options.rounds
            );
        }
        Report { json: options.json, row: None }
    }

    pub(crate) fn add(&mut self, pair: &Pair, outcome: &Outcome) {
        if self.json {
            println!("{}", json(pair, outcome));
            return;
        }
        if self.row.replace(pair.row) != Some(pair.row) {
            println!("\n{} ({})", pair.row, pair.row.unit());
            println!(
                "  {:<20} {:>9} {:>9}  {:<36} {:>6} {:>15} {:>6} {:>15}",
                "backend", "ours", "peer", "", "ratio", "min .. max", "cpu", "allocations"
            );
        }
        let (ours, theirs, ratio) = (&outcome.ours, &outcome.theirs, &outcome.ratio);
        let value = |told: &Told| if pair.row.is_memory() { told.bytes } else { told.wall_ns };
        println!(
            "  {:<20} {:>9} {:>9}  {:<36} {:>6.2} {:>15} {:>6.2} {:>15}",
            pair.backend,
            number(value(ours)),
            number(value(theirs)),
            pair.peer,
            ratio.median,
            format!("{:.2} .. {:.2}", ratio.least, ratio.greatest),
            outcome.cpu_ratio.median,
            format!("{} / {}", allocations(ours.allocations), allocations(theirs.allocations)),
        );
    }
}

fn number(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// Exact to the hundredth: a table that grows shows up as some hundredths of an operation.
fn allocations(each: f64) -> String {
    let text = format!("{each:.2}");
    text.strip_suffix(".00").map_or(text.clone(), str::to_owned)
}

fn json(pair: &Pair, outcome: &Outcome) -> String {
    let (ours, theirs, ratio) = (&outcome.ours, &outcome.theirs, &outcome.ratio);
    let cpu = &outcome.cpu_ratio;
    // Names are plain text of this package: what `Debug` quotes is JSON.
    format!(
        "{{\"row\":{:?},\"backend\":{:?},\"ours\":{:.2},\"peer\":{:.2},\"peer_name\":{:?},\"unit\":{:?},\
         \"ratio\":{:.3},\"ratio_min\":{:.3},\"ratio_max\":{:.3},\
         \"allocations\":{:.4},\"peer_allocations\":{:.4},\"bytes\":{:.1},\"peer_bytes\":{:.1},\"rounds\":{},\
         \"cpu_ours\":{:.2},\"cpu_peer\":{:.2},\"cpu_ratio\":{:.3},\"cpu_ratio_min\":{:.3},\"cpu_ratio_max\":{:.3}}}",
        pair.row.to_string(),
        pair.backend.name(),
        ours.wall_ns,
        theirs.wall_ns,
        pair.peer,
        pair.row.unit(),
        ratio.median,
        ratio.least,
        ratio.greatest,
        ours.allocations,
        theirs.allocations,
        ours.bytes,
        theirs.bytes,
        outcome.rounds,
        ours.cpu_ns,
        theirs.cpu_ns,
        cpu.median,
        cpu.least,
        cpu.greatest,
    )
}
