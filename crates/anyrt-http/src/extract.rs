//! Extractors: parts of a request as values.

pub(crate) mod form;
pub(crate) mod headers;
pub(crate) mod json;
pub(crate) mod path;
pub(crate) mod query;
