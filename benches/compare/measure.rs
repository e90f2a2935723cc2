//! Measuring a pair: in turns, as often as was asked for.

use std::rc::Rc;
use std::time::Duration;

use crate::allocator;
use crate::options::Options;
use crate::pair::{Pair, Work};
use crate::station::{Side, Station, Stations};
use crate::stopwatch::{Sample, Stopwatch};

/// How often allocations are counted; the least count is told, that without the growth of tables.
const COUNTED_PASSES: usize = 3;

/// How often each side is measured at least, however long it takes: else there is no middle to tell.
const LEAST_ROUNDS: usize = 5;

/// How many repetitions are counted; of an operation with 1,000 parts or more, one.
const COUNTED: u64 = 1_000;

/// What is told of a pair.
pub(crate) struct Outcome {
    pub(crate) rounds: usize,
    pub(crate) ours: Told,
    pub(crate) theirs: Told,
    /// Of the wall times of a round, ours to theirs; of the bytes, where these are what is told.
    pub(crate) ratio: Spread,
    pub(crate) cpu_ratio: Spread,
}

/// What is told of one side, per operation.
pub(crate) struct Told {
    pub(crate) wall_ns: f64,
    pub(crate) cpu_ns: f64,
    pub(crate) allocations: f64,
    /// What is left of them at the end.
    pub(crate) bytes: f64,
}

pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) greatest: f64,
}

/// No more rounds are begun when `share` is over.
pub(crate) fn measure(
    pair: &Pair,
    stations: &mut Stations,
    options: &Options,
    share: Duration,
) -> Result<Outcome, String> {
    let begun = Stopwatch::start();
    let mut at = |side| stations.on(pair.backend, pair.station(side)).map_err(|error| error.to_string());
    let ours = Bench::prepare(at(Side::Ours)?, &pair.ours, options.sample)?;
    let theirs = Bench::prepare(at(Side::Theirs)?, &pair.theirs, options.sample)?;
    let count = options.rounds.min(pair.row.most_rounds());
    let mut rounds = Vec::with_capacity(count);
    for round in 0..count {
        if round >= LEAST_ROUNDS && begun.elapsed() > share {
            break;
        }
        // Who comes second may find a warmer or a busier machine.
        rounds.push(if round % 2 == 0 {
            let ours = ours.take()?;
            (ours, theirs.take()?)
        } else {
            let theirs = theirs.take()?;
            (ours.take()?, theirs)
        });
    }
    let ratio = |time: fn(&Sample) -> f64| {
        Spread::of(rounds.iter().map(|(ours, theirs)| time(ours) / time(theirs)).collect())
    };
    let (ratio, cpu_ratio) = (ratio(Sample::wall_ns), ratio(Sample::cpu_ns));
    let ours = ours.told(rounds.iter().map(|(ours, _)| ours))?;
    let theirs = theirs.told(rounds.iter().map(|(_, theirs)| theirs))?;
    let ratio = if pair.row.is_memory() { Spread::of(vec![ours.bytes / theirs.bytes]) } else { ratio };
    Ok(Outcome { rounds: rounds.len(), ours, theirs, ratio, cpu_ratio })
}

/// One side alone, so often.
pub(crate) fn repeat_only(
    pair: &Pair,
    side: Side,
    count: u64,
    stations: &mut Stations,
) -> Result<Sample, String> {
    let station = stations.on(pair.backend, pair.station(side)).map_err(|error| error.to_string())?;
    let work = match side {
        Side::Ours => &pair.ours,
        Side::Theirs => &pair.theirs,
    };
    station.take(work(count))
}

/// One side of a pair, warmed up.
struct Bench<'a> {
    station: Rc<Station>,
    work: &'a Work,
    /// So many repetitions take as long as was asked for.
    count: u64,
    /// How many operations one repetition is.
    parts: u64,
}

impl<'a> Bench<'a> {
    fn prepare(station: Rc<Station>, work: &'a Work, at_least: Duration) -> Result<Self, String> {
        let mut bench = Bench { station, work, count: 1, parts: 1 };
        loop {
            let sample = bench.take()?;
            bench.parts = sample.operations / bench.count;
            if sample.wall >= at_least {
                return Ok(bench);
            }
            bench.count *= 2;
        }
    }

    fn take(&self) -> Result<Sample, String> {
        self.station.take((self.work)(self.count))
    }

    fn told<'s>(&self, samples: impl Iterator<Item = &'s Sample> + Clone) -> Result<Told, String> {
        let (allocations, bytes) = self.counted()?;
        Ok(Told {
            wall_ns: Spread::of(samples.clone().map(Sample::wall_ns).collect()).median,
            cpu_ns: Spread::of(samples.map(Sample::cpu_ns).collect()).median,
            allocations,
            bytes,
        })
    }

    /// Allocations, and what is left of them.
    fn counted(&self) -> Result<(f64, f64), String> {
        let count = (COUNTED / self.parts.max(1)).max(1);
        // Of many parts the few that somebody else allocates are no part worth telling.
        let passes = if self.parts < 100_000 { COUNTED_PASSES } else { 1 };
        let (mut least, mut left) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..passes {
            let sample = allocator::counting(|| self.station.take((self.work)(count)))?;
            least = least.min(sample.allocations_each());
            left = left.min(sample.bytes_each());
        }
        Ok((least, left))
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Spread { least: values[0], median, greatest: values[values.len() - 1] }
    }
}
