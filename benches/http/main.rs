//! HTTP servers side by side: ours on each backend, axum, hyper, trillium.
//!
//! ```text
//! cargo bench -p benches --bench http              all servers
//! cargo bench -p benches --bench http -- tokio     those whose name contains all of these words
//! ```
//!
//! Each server is a process of its own with one thread that polls (trillium on smol and async-std chooses
//! by itself, and so does the thread pool), asked over 16 connections that are kept alive by one thread of
//! this process. The servers take turns, round by round; told are medians of the requests a second, of
//! the server's CPU time a request, kernel included, and the allocations a request.

#[allow(dead_code, reason = "how much memory there is, the other bench asks")]
#[path = "../compare/allocator.rs"]
mod allocator;
mod client;
mod servers;

use std::process::ExitCode;

use crate::client::{Process, Sample};

const ROUNDS: usize = 7;
const PATHS: [(&str, &str); 4] =
    [("plaintext", "/"), ("JSON", "/json"), ("path + query", "/items/7?size=10"), ("sync handler", "/sync")];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [word, name, port] = arguments.as_slice()
        && word == "serve"
    {
        servers::serve(name, port.parse().expect("a port"));
        return ExitCode::SUCCESS;
    }
    let wanted = |name: &&str| arguments.iter().all(|word| name.contains(word.as_str()));
    let names: Vec<&str> = servers::NAMES.iter().copied().filter(wanted).collect();
    let mut processes: Vec<Process> = names.iter().map(|name| Process::start(name)).collect();
    println!("{:14} {:22} {:>10} {:>12} {:>14}", "", "", "req/s", "us CPU/req", "allocations/req");
    for (row, path) in PATHS {
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); processes.len()];
        for _ in 0..ROUNDS {
            for (process, samples) in processes.iter_mut().zip(&mut samples) {
                samples.extend(process.round(path));
            }
        }
        for (name, mut samples) in names.iter().zip(samples) {
            if samples.is_empty() {
                continue;
            }
            let rate = median(&mut samples, |sample| sample.rate);
            let cpu = median(&mut samples, |sample| sample.cpu);
            let allocations = median(&mut samples, |sample| sample.allocations);
            println!("{row:14} {name:22} {rate:>10.0} {cpu:>12.2} {allocations:>14.1}");
        }
    }
    ExitCode::SUCCESS
}

fn median(samples: &mut [Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    samples.sort_by(|one, other| of(one).total_cmp(&of(other)));
    of(&samples[samples.len() / 2])
}
