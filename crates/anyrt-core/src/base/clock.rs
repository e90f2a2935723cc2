//! Instants as numbers, so that a deadline fits an atomic.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The deadline of a scope that has none.
pub(crate) const NEVER: u64 = u64::MAX;

/// Instants are counted in nanoseconds from some years before the first one that was seen, so that
/// those before it have a number too.
fn epoch() -> Instant {
    const BEFORE: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "any instant will do: it is only a zero")]
        let now = Instant::now();
        now.checked_sub(BEFORE).unwrap_or(now)
    })
}

/// Nanoseconds since the epoch. The far future becomes the last number before [`NEVER`].
pub(crate) fn to_u64(instant: Instant) -> u64 {
    let since = instant.saturating_duration_since(epoch()).as_nanos();
    u64::try_from(since).map_or(NEVER - 1, |nanos| nanos.min(NEVER - 1))
}

/// The instant of such a number; none for [`NEVER`].
pub(crate) fn to_instant(nanos: u64) -> Option<Instant> {
    if nanos == NEVER { None } else { epoch().checked_add(Duration::from_nanos(nanos)) }
}

/// `now` plus `after`; [`NEVER`] if no instant can express that.
pub(crate) fn add(now: Instant, after: Duration) -> u64 {
    now.checked_add(after).map_or(NEVER, to_u64)
}
