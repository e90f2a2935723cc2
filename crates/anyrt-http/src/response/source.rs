//! The error behind a response.

use std::error::Error;
use std::sync::Arc;

/// Why a request failed: an error that a response carries in its extensions, for teardowns and logs.
#[derive(Debug, Clone)]
pub(crate) struct Source(pub(crate) Arc<dyn Error + Send + Sync>);
