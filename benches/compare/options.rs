//! What the command line asks for.

use std::time::Duration;

use crate::pair::Pair;
use crate::station::Side;

pub(crate) const USAGE: &str = "\
usage: cargo bench -p benches -- [words] [--json] [--rounds N] [--quick] [--only SIDE COUNT]

  words        only pairs whose row, backend and peer contain all of them
  --json       one object a line in place of the table
  --seconds N  about how long all of it takes; each pair has an equal share (default 420)
  --rounds N   how often each side of a pair is measured at most (default 51)
  --quick      five short rounds: to see that it works, not to quote
  --only SIDE COUNT
               one side (ours, peer) of the first pair, so many repetitions, and nothing is told: for
               those who count its instructions";

pub(crate) struct Options {
    pub(crate) words: Vec<String>,
    pub(crate) json: bool,
    pub(crate) rounds: usize,
    /// About how long all of it takes: no more rounds of a pair are begun when its share is over.
    pub(crate) limit: Duration,
    /// How long one side is measured in one round, at least.
    pub(crate) sample: Duration,
    /// One side alone, so often, unmeasured.
    pub(crate) only: Option<(Side, u64)>,
}

impl Options {
    /// None when it was asked for help.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
        let mut options = Options {
            words: Vec::new(),
            json: false,
            rounds: 51,
            limit: Duration::from_secs(420),
            sample: Duration::from_millis(2),
            only: None,
        };
        let (mut rounds, mut quick, mut measured) = (None, false, false);
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // `cargo bench` adds it; `cargo test --benches` does not.
                "--bench" => measured = true,
                "--json" => options.json = true,
                "--quick" => quick = true,
                "--rounds" => {
                    let number = arguments.next().and_then(|number| number.parse().ok());
                    rounds =
                        Some(number.filter(|number| *number > 0).ok_or("`--rounds` takes a number above 0")?);
                }
                "--seconds" => {
                    let number = arguments.next().and_then(|number| number.parse().ok());
                    options.limit = Duration::from_secs(number.ok_or("`--seconds` takes a number")?);
                }
                "--only" => {
                    let side = match arguments.next().as_deref() {
                        Some("ours") => Some(Side::Ours),
                        Some("peer") => Some(Side::Theirs),
                        _ => None,
                    };
                    let count = arguments.next().and_then(|count| count.parse().ok());
                    options.only =
                        Some(side.zip(count).ok_or("`--only` takes `ours` or `peer`, and a number")?);
                }
                "--help" | "-h" => return Ok(None),
                option if option.starts_with('-') => return Err(format!("unknown option `{option}`")),
                word => options.words.push(word.to_lowercase()),
            }
        }
        if quick || !measured {
            options.rounds = if measured { 5 } else { 1 };
            options.sample = Duration::from_micros(300);
        }
        options.rounds = rounds.unwrap_or(options.rounds);
        Ok(Some(options))
    }

    pub(crate) fn wants(&self, pair: &Pair) -> bool {
        let text = format!("{} {} {}", pair.row, pair.backend, pair.peer).to_lowercase();
        self.words.iter().all(|word| text.contains(word))
    }
}
