//! What operations took: wall time, CPU time of the process, allocations.

use std::future::IntoFuture;
use std::hint::black_box;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use crate::allocator;

/// What a number of operations took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    pub(crate) operations: u64,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    pub(crate) allocations: u64,
    /// What is left of them at the end.
    pub(crate) bytes: i64,
}

impl Sample {
    /// Nanoseconds of wall time per operation.
    pub(crate) fn wall_ns(&self) -> f64 {
        self.wall.as_nanos() as f64 / self.operations as f64
    }

    /// Nanoseconds of CPU time per operation.
    pub(crate) fn cpu_ns(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.operations as f64
    }

    /// Bytes that were left per operation.
    pub(crate) fn bytes_each(&self) -> f64 {
        self.bytes as f64 / self.operations as f64
    }

    /// Allocations per operation.
    pub(crate) fn allocations_each(&self) -> f64 {
        self.allocations as f64 / self.operations as f64
    }
}

impl AddAssign for Sample {
    fn add_assign(&mut self, other: Sample) {
        self.operations += other.operations;
        self.wall += other.wall;
        self.cpu += other.cpu;
        self.allocations += other.allocations;
        self.bytes += other.bytes;
    }
}

/// A measurement that has begun.
#[must_use]
pub(crate) struct Stopwatch {
    allocations: u64,
    bytes: i64,
    cpu: ProcessTime,
    wall: Instant,
}

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "both sides are measured by the same clock, ours by none of its own"
    )]
    pub(crate) fn start() -> Stopwatch {
        let (allocations, bytes) = (allocator::count(), allocator::bytes());
        Stopwatch { allocations, bytes, cpu: ProcessTime::now(), wall: Instant::now() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.wall.elapsed()
    }

    pub(crate) fn stop(self, operations: u64) -> Sample {
        let (wall, cpu) = (self.wall.elapsed(), self.cpu.elapsed());
        let (allocations, bytes) = (allocator::count() - self.allocations, allocator::bytes() - self.bytes);
        Sample { operations, wall, cpu, allocations, bytes }
    }
}

/// Measures `count` operations, one after the other.
pub(crate) async fn repeat<O, I>(count: u64, mut operation: O) -> Sample
where
    O: FnMut() -> I,
    I: IntoFuture,
{
    let watch = Stopwatch::start();
    for _ in 0..count {
        black_box(operation().await);
    }
    watch.stop(count)
}
