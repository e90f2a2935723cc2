//! Random cases: the same in each run; `PROPTEST_CASES=100000` runs more of them, and `PROPTEST_RNG_SEED` others.

use std::env;
use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestRunner};

const SEED: u64 = 20;

/// Runs `check`, which panics where something is wrong, on each case.
pub(crate) fn each<T: Debug>(cases: &impl Strategy<Value = T>, check: impl Fn(T)) {
    let number = |name| env::var(name).ok().and_then(|text: String| text.parse().ok());
    let config = Config {
        cases: number("PROPTEST_CASES").map_or(4_000, |cases: u64| u32::try_from(cases).unwrap_or(u32::MAX)),
        rng_seed: RngSeed::Fixed(number("PROPTEST_RNG_SEED").unwrap_or(SEED)),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let ran = TestRunner::new(config).run(cases, |case| {
        check(case);
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
}
