//! The memory of a request's headers, used again for the headers of its response.
//!
//! hyper gives the next request of a connection the map of the last response. So where the request's map
//! becomes the response's, the same memory goes round, and nothing is allocated.

use std::cell::Cell;

use http::HeaderMap;

thread_local! {
    static SPARE: Cell<Option<HeaderMap>> = const { Cell::new(None) };
}

/// A larger one is not kept: a request with many headers would hold its memory for ever.
const MOST: usize = 64;

/// Keeps a map that is not needed any more, until the next response of this thread.
pub(crate) fn keep(mut headers: HeaderMap) {
    if (1..=MOST).contains(&headers.capacity()) {
        headers.clear();
        SPARE.set(Some(headers));
    }
}

/// An empty map, with memory if there is some.
pub(crate) fn take() -> HeaderMap {
    SPARE.take().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::header::{HOST, HeaderMap, HeaderValue};

    #[test]
    fn a_map_comes_back_empty_with_its_memory() {
        assert_eq!(super::take().capacity(), 0);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("secret"));
        let capacity = headers.capacity();
        super::keep(headers);
        let headers = super::take();
        assert!(headers.is_empty() && headers.capacity() == capacity);
        super::keep(HeaderMap::with_capacity(1000));
        assert_eq!(super::take().capacity(), 0);
    }
}
