//! hyper's settings for HTTP/1.

use hyper::server::conn::http1::Builder;

use crate::base::limits::{DEFAULT_HEADERS, LEAST_BUFFER, Limits};

pub(crate) fn builder(limits: &Limits) -> Builder {
    let mut http = Builder::new();
    // Times are kept by the server's own clock.
    http.header_read_timeout(None)
        .max_header_size(limits.header_size.max(LEAST_BUFFER))
        .max_buf_size(limits.buffer.max(LEAST_BUFFER))
        // The stream notices by itself that a client left; hyper then saves a read per request.
        .half_close(true);
    if limits.headers != DEFAULT_HEADERS {
        http.max_headers(limits.headers);
    }
    http
}
