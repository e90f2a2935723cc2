//! HTTP servers side by side: ours on each backend, axum, hyper, trillium.
//!
//! ```text
//! cargo bench -p benches --bench http              all servers: some minutes
//! cargo bench -p benches --bench http -- tokio     those whose name contains all of these words
//! cargo bench -p benches --bench http -- --quick   short rounds: to see that it works, not to quote
//! ```
//!
//! Each server is a process of its own with one thread that polls, beside which there may be threads of a pool, asked over 16
//! connections that are kept alive by one thread of this process. In each round all servers take turns at all rows, in one
//! order and then in the other. Told are medians of the requests a second and of the server's CPU time a request, kernel
//! included; medians of the ratios, within a round, of that CPU time to hyper's in the same row, and to the same server's
//! own in the row `plaintext`; and the allocations a request, which are counted apart.

#[allow(dead_code, reason = "how much memory there is, the other bench asks")]
#[path = "../compare/allocator.rs"]
mod allocator;
mod client;
mod servers;

use std::process::ExitCode;

use crate::client::{Process, Sample};

/// Rounds, and turns of all connections in each.
const ROUNDS: (usize, usize) = (9, 1000);
const QUICK: (usize, usize) = (2, 30);

const PATHS: [(&str, &str); 4] =
    [("plaintext", "/"), ("JSON", "/json"), ("path + query", "/items/7?size=10"), ("sync handler", "/sync")];

/// What the others are compared with.
const BASE: &str = "hyper on tokio";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, name, port] = arguments.as_slice()
        && word == "serve"
    {
        servers::serve(name, port.parse().expect("a port"));
        return ExitCode::SUCCESS;
    }
    let (options, words): (Vec<&str>, Vec<&str>) =
        arguments.iter().map(String::as_str).partition(|argument| argument.starts_with('-'));
    // `cargo bench` adds `--bench`; `cargo test --benches` does not.
    let measured = options.contains(&"--bench") && !options.contains(&"--quick");
    let (rounds, turns) = if measured { ROUNDS } else { QUICK };
    let wanted = |name: &&str| words.iter().all(|word| name.contains(word));
    let names: Vec<&str> = servers::NAMES.iter().copied().filter(wanted).collect();
    let mut processes: Vec<Process> = names.iter().map(|name| Process::start(name)).collect();
    let mut samples = vec![vec![Vec::new(); names.len()]; PATHS.len()];
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for ((_, path), samples) in PATHS.iter().zip(&mut samples) {
            let mut turn: Vec<_> = processes.iter_mut().zip(samples).collect();
            // Who comes second may find a warmer or a busier machine.
            if round % 2 == 1 {
                turn.reverse();
            }
            for (process, samples) in turn {
                samples.push(process.round(path, turns));
            }
        }
    }
    println!(
        "{:14} {:28} {:>8} {:>11} {:>10} {:>13} {:>16}",
        "", "", "req/s", "us CPU/req", "CPU/hyper", "CPU/plaintext", "allocations/req"
    );
    let base = names.iter().position(|name| *name == BASE);
    for ((row, path), of_row) in PATHS.iter().zip(&samples) {
        for (index, (name, own)) in names.iter().zip(of_row).enumerate() {
            let rate = median(own.iter().map(|sample| sample.rate));
            let cpu = median(own.iter().map(|sample| sample.cpu));
            let to_base = base.map_or("-".to_owned(), |base| ratio(own, &of_row[base]));
            let to_plaintext = ratio(own, &samples[0][index]);
            let allocations = processes[index].allocations(path);
            println!(
                "{row:14} {name:28} {rate:>8.0} {cpu:>11.2} {to_base:>10} {to_plaintext:>13} {allocations:>16.2}"
            );
        }
    }
    ExitCode::SUCCESS
}

/// The median of the ratios within each round.
fn ratio(ours: &[Sample], theirs: &[Sample]) -> String {
    let ratio = median(ours.iter().zip(theirs).map(|(ours, theirs)| ours.cpu / theirs.cpu));
    format!("{ratio:.2}")
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}
