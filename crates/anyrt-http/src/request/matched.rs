//! What the routes found for a request.

use std::ops::Range;

/// A path operation's place: the index of its route, and its own in there.
pub(crate) type OperationId = (usize, usize);

/// Path parameters as ranges into the path: no text is copied to find a route.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Parameters {
    ranges: [(u32, u32); Parameters::MOST],
    count: usize,
}

impl Parameters {
    /// Routes with more are refused when the app is built.
    pub(crate) const MOST: usize = 8;

    pub(crate) fn of(path: &str, found: &matchit::Params<'_, '_>) -> Self {
        let mut parameters = Parameters::default();
        for (slot, (_, value)) in parameters.ranges.iter_mut().zip(found.iter()) {
            // matchit hands out slices of the path it was given.
            let start = value.as_ptr().addr() - path.as_ptr().addr();
            // hyper refuses a head of more than some hundred kilobytes: no path is that long.
            *slot = (start as u32, (start + value.len()) as u32);
            parameters.count += 1;
        }
        parameters
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        self.ranges.into_iter().take(self.count).map(|(start, end)| start as usize..end as usize)
    }
}
