//! What is left of a request when its response has been sent, and the body that carries it there.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyrt::TaskContext;
use axum_core::Error;
use axum_core::body::Body;
use axum_core::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::background::List;
use super::keeping;
use super::outcome::Outcome;
use super::undo::{Stack, told};
use crate::attended::Home;
use crate::live::{Live, Stage};

/// What is left of a request: its background tasks, then the teardowns of the request scope.
pub(crate) struct After {
    pub(crate) home: Home,
    /// If the app has a view.
    pub(crate) live: Option<Live>,
    pub(crate) background: Option<Arc<List>>,
    pub(crate) stack: Stack,
    pub(crate) outcome: Outcome,
    pub(crate) locals: TaskContext,
}

impl After {
    /// Does it all: the tasks until they are cancelled, the teardowns always.
    pub(crate) fn run(mut self) -> impl Future<Output = ()> + Send + 'static {
        keeping(std::mem::take(&mut self.locals), self.all())
    }

    async fn all(self) {
        let After { home, live, background, stack, mut outcome, .. } = self;
        if let Some(live) = &live {
            live.goes_to(Stage::After);
            live.is_in_this_task();
        }
        if let Some(list) = background {
            let mut left = Some((stack, outcome));
            let ran = super::unless_cut(list.run(&home), async |why| {
                list.give_up();
                if let Some((stack, _)) = left.take() {
                    stack.undo(&mut Outcome::cancelled(why), |name, response| told(name, &response)).await;
                }
            })
            .await;
            let Some((stack, ended)) = left else { return };
            outcome = ran.unwrap_or(ended);
            anyrt::shield(stack.undo(&mut outcome, |name, response| told(name, &response))).await;
        } else {
            anyrt::shield(stack.undo(&mut outcome, |name, response| told(name, &response))).await;
        }
    }

    pub(crate) fn begin(self) {
        let home = self.home.clone();
        home.begin(self);
    }

    /// The response with a body that begins this at its end.
    pub(crate) fn attach(self, response: Response) -> Response {
        response.map(|body| Body::new(Tail { body, whole: false, after: Some(self) }))
    }
}

/// A response's body, and what is to be done when it has been sent, or never will be.
struct Tail {
    body: Body,
    /// The body has given its last frame.
    whole: bool,
    after: Option<After>,
}

impl Tail {
    fn end(&mut self, whole: bool) {
        let Some(mut after) = self.after.take() else { return };
        // What the body holds is let go before it is undone.
        drop(std::mem::take(&mut self.body));
        if !whole && std::thread::panicking() {
            after.outcome = Outcome::Panicked("the response's body panicked".into());
        } else if !whole && after.outcome.is_ok() {
            after.outcome = Outcome::client_left();
        }
        // Of a response that nobody will get, there is nothing to wait for.
        if whole { after.home.clone().after_sent(after) } else { after.begin() }
    }
}

impl http_body::Body for Tail {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let poll = Pin::new(&mut self.body).poll_frame(cx);
        match &poll {
            // Who sends it drops it when the end is on its way, and no earlier.
            Poll::Ready(None) => {
                self.whole = true;
                self.body = Body::empty();
            }
            Poll::Ready(Some(Err(error))) => {
                let text = format!("the response's body failed: {error}");
                if let Some(after) = &mut self.after {
                    after.outcome = Outcome::failed(Arc::from(anyrt::BoxError::from(text)));
                }
            }
            _ => {}
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // A body that was whole before its first poll, or after its last frame, is not polled again.
        let whole = self.whole || self.body.is_end_stream();
        self.end(whole);
    }
}

impl fmt::Debug for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("After")
            .field("stack", &self.stack)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}
