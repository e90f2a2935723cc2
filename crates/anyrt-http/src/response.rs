//! Responses: errors, streams, and how the sending of them ends.

pub(crate) mod any_error;
pub(crate) mod ended;
pub(crate) mod framed;
pub(crate) mod header_pool;
pub(crate) mod http_error;
pub(crate) mod problem;
pub(crate) mod respond;
pub(crate) mod sent;
pub(crate) mod source;
pub(crate) mod sse;
pub(crate) mod streaming;
