//! hyper's settings for HTTP/2: each stream is a task in the server's group.

use std::future::Future;

use anyrt::TaskGroup;
use anyrt::runtime::Handle;
use futures_util::FutureExt;
use hyper::server::conn::http2;

use super::timer::Timer;
use crate::base::contained::Contained;
use crate::base::limits::{LEAST_BUFFER, Limits};

pub(crate) type Builder = http2::Builder<InGroup>;

pub(crate) fn builder(limits: &Limits, group: &TaskGroup, clock: Handle) -> Builder {
    let mut http = Builder::new(InGroup(group.clone()));
    let size = |bytes: usize| u32::try_from(bytes.max(LEAST_BUFFER)).unwrap_or(u32::MAX);
    http.timer(Timer(clock))
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(limits.pending_resets)
        .max_local_error_reset_streams(limits.error_resets)
        .max_header_list_size(size(limits.header_size))
        .max_send_buf_size(size(limits.buffer) as usize)
        .keep_alive_interval(limits.ping_every)
        .keep_alive_timeout(limits.ping_timeout);
    http
}

/// Runs what hyper spawns, a stream each, in the server's group.
#[derive(Debug, Clone)]
pub(crate) struct InGroup(TaskGroup);

impl<F> hyper::rt::Executor<F> for InGroup
where
    F: Future<Output = ()> + Send + 'static,
{
    /// A stream that panics is reset, for hyper drops it, and harms no other.
    fn execute(&self, stream: F) {
        drop(self.0.named("http stream").spawn(Contained::new(stream).map(drop)));
    }
}
