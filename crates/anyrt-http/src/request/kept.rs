//! Values whose drop may block: kept until the request is over, and dropped by a thread of the pool.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use anyrt::blocking::Token;
use anyrt::sync::Event;
use axum_core::Error;
use axum_core::body::Body;
use axum_core::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::value::Value;
use crate::base::panics::report;

/// A value, and its token of `max_concurrency`, which is given back when the value is dropped.
pub(crate) struct Kept {
    value: Value,
    token: Option<Token>,
}

impl Kept {
    pub(crate) fn new(value: Value, token: Option<Token>) -> Self {
        Kept { value, token }
    }
}

/// What a request keeps. Dropped, wherever that is, it goes to the pool.
#[derive(Default)]
pub(crate) struct KeptList {
    kept: Vec<Kept>,
    drops: Option<Arc<Drops>>,
}

impl KeptList {
    pub(crate) fn push(&mut self, kept: Kept, drops: &Arc<Drops>) {
        self.kept.push(kept);
        self.drops.get_or_insert_with(|| Arc::clone(drops));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The response with a body that keeps this until it is sent.
    pub(crate) fn attach(self, response: Response) -> Response {
        if self.is_empty() {
            return response;
        }
        response.map(|body| Body::new(Keeping { body, _kept: self }))
    }
}

impl Drop for KeptList {
    fn drop(&mut self) {
        Dropping::new(std::mem::take(&mut self.kept), self.drops.as_ref()).in_pool();
    }
}

/// Values on their way to be dropped: last made first, each whatever the others do.
pub(crate) struct Dropping {
    kept: Vec<Kept>,
    drops: Option<Arc<Drops>>,
}

impl Dropping {
    pub(crate) fn new(kept: Vec<Kept>, drops: Option<&Arc<Drops>>) -> Self {
        let drops = drops.filter(|_| !kept.is_empty()).cloned();
        if let Some(drops) = &drops {
            drops.begins();
        }
        Dropping { kept, drops }
    }

    /// One job for all of them, which waits for no token, and is not waited for.
    pub(crate) fn in_pool(self) {
        if !self.kept.is_empty() {
            anyrt::blocking::drop_in_pool(self);
        }
    }
}

impl Drop for Dropping {
    fn drop(&mut self) {
        while let Some(Kept { value, token }) = self.kept.pop() {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
                report(&*panic);
            }
            drop(token);
        }
        if let Some(drops) = &self.drops {
            drops.ends();
        }
    }
}

/// How many requests have values in the pool that are not dropped yet.
#[derive(Default)]
pub(crate) struct Drops(Mutex<(usize, Option<Event>)>);

impl Drops {
    fn begins(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
    }

    fn ends(&self) {
        let none_left = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 -= 1;
            if state.0 == 0 { state.1.take() } else { None }
        };
        if let Some(none_left) = none_left {
            none_left.set();
        }
    }

    /// Waits until all are dropped.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn all(&self) {
        loop {
            let none_left = {
                let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if state.0 == 0 {
                    return;
                }
                state.1.get_or_insert_default().clone()
            };
            none_left.wait().await;
        }
    }
}

/// A response's body, which may hold what the request keeps.
struct Keeping {
    body: Body,
    /// Dropped after the body.
    _kept: KeptList,
}

impl http_body::Body for Keeping {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for KeptList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptList").field("count", &self.kept.len()).finish_non_exhaustive()
    }
}
