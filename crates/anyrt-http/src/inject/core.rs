//! What all requests to an app share.

use std::sync::Arc;

use super::registry::Sources;
use super::routes::Routes;
use crate::base::limits::Limits;
use crate::request::kept::Drops;
use crate::request::lane::Lane;
use crate::request::live::Requests;

/// What all requests to an app share.
pub(crate) struct Core {
    pub(crate) routes: Routes,
    pub(crate) sources: Sources,
    pub(crate) limits: Limits,
    /// If the app has a view.
    pub(crate) requests: Option<Arc<Requests>>,
    /// What its requests have left to the pool to be dropped.
    pub(crate) drops: Arc<Drops>,
    /// Calls of requests that had begun when the pool was stuck.
    pub(crate) lane: Arc<Lane>,
}
