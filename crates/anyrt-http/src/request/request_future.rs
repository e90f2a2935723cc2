//! The future of one request, owned so that its panic is a 500 and its drop is a cancellation.

use std::fmt;
use std::task::{Context, Poll};

use anyrt::CancelScope;
use anyrt::task::TaskContext;
use axum_core::response::Response;

use super::arrival::Leaving;
use super::counted::Counted;
use super::endpoint::Answer;
use super::lane::let_turn_go;
use super::locals::keeping;
use crate::base::contained::{Contained, contained, let_go};
use crate::request::home::Home;
use crate::response::problem::internal;

/// The future of one request. Little is added to the fast path: a flag, and task-locals of its own.
pub(crate) struct RequestFuture {
    /// Taken when it has ended.
    answer: Option<Answer>,
    /// What this request sets, no other one on the same connection sees. None inside of another one: what is set below a
    /// layer is seen by the layer.
    locals: Option<TaskContext>,
    /// A request that was never polled has begun nothing that would have to end.
    begun: bool,
    home: Home,
    leaving: Leaving,
    alive: Option<Counted>,
}

impl RequestFuture {
    pub(crate) fn new(answer: Answer, home: Home, leaving: Leaving) -> Self {
        let alive = Some(Counted::at(&home));
        let locals = Some(TaskContext::capture());
        RequestFuture { answer: Some(answer), locals, begun: false, home, leaving, alive }
    }

    /// One that is polled by another one.
    pub(crate) fn inner(answer: Answer, home: Home, leaving: Leaving) -> Self {
        RequestFuture { answer: Some(answer), locals: None, begun: false, home, leaving, alive: None }
    }

    /// Polls the request; a panic of the handler becomes a 500.
    ///
    /// # Panics
    ///
    /// When polled again after it was ready, as futures do.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response> {
        let Some(answer) = &mut self.answer else { panic!("a request was polled after its end") };
        self.begun = true;
        let mut poll = || contained(|| answer.as_mut().poll(cx));
        let polled = match &mut self.locals {
            Some(locals) => locals.run(poll),
            None => poll(),
        };
        // A turn in the pool's queue is for the next call of the same poll.
        let_turn_go();
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(response)) => {
                self.end();
                Poll::Ready(response)
            }
            Err(_) => {
                self.end();
                Poll::Ready(internal())
            }
        }
    }

    /// Drops the future; a panic in a destructor must not reach the connection.
    fn end(&mut self) {
        let answer = self.answer.take();
        if let Some(alive) = &self.alive {
            alive.ends();
        }
        let_go(answer);
        self.alive = None;
    }
}

impl Drop for RequestFuture {
    fn drop(&mut self) {
        if self.answer.is_none() {
            return;
        }
        if !self.begun {
            return self.end();
        }
        let Some(answer) = self.answer.take() else { return };
        let answer = keeping(self.locals.take().unwrap_or_else(TaskContext::capture), answer);
        let alive = self.alive.take();
        let goes_on = self.leaving.announce_client_left();
        let live = self.leaving.live.take();
        let cut = async move {
            if let Some(live) = live {
                live.is_in_this_task();
            }
            let scope = CancelScope::new();
            if !goes_on {
                // Before it starts, so that it is dropped at its next await; only what holds goes on.
                scope.handle().cancel_with("the client left");
            }
            let ending = scope.run(async move |_| let_go(answer.await));
            Contained::new(ending).await;
            drop(alive);
        };
        self.home.spawn("a request whose client left", cut);
    }
}

impl fmt::Debug for RequestFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestFuture").field("begun", &self.begun).finish_non_exhaustive()
    }
}
