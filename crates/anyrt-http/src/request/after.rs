//! What is left of a request when its response has been sent.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use anyrt::task::TaskContext;

use super::background::List;
use super::home::Home;
use super::kept::KeptList;
use super::lane::Lane;
use super::live::{Live, Stage};
use super::locals::keeping;
use super::outcome::Outcome;
use super::undo::{Stack, told};

/// What is left of a request: its background tasks, then the teardowns of the request scope.
pub(crate) struct After {
    pub(crate) home: Home,
    /// If the app has a view.
    pub(crate) live: Option<Live>,
    pub(crate) background: Option<Arc<List>>,
    /// If the request has begun: its calls of the pool go before calls of requests that have not.
    pub(crate) lane: Option<Arc<Lane>>,
    pub(crate) stack: Stack,
    pub(crate) outcome: Outcome,
    pub(crate) locals: TaskContext,
    /// Dropped last.
    pub(crate) kept: KeptList,
}

impl After {
    /// Does it all: the tasks until they are cancelled, the teardowns always.
    pub(crate) fn run(mut self) -> impl Future<Output = ()> + Send + 'static {
        keeping(std::mem::take(&mut self.locals), self.all())
    }

    async fn all(self) {
        let After { home, live, background, lane, stack, mut outcome, kept: _kept, .. } = self;
        if let Some(live) = &live {
            live.goes_to(Stage::After);
            live.is_in_this_task();
        }
        if let Some(list) = background {
            let mut left = Some((stack, outcome));
            let ran = super::cut::unless_cut(list.run(&home, lane.as_ref()), async |why| {
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
}

impl fmt::Debug for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("After")
            .field("stack", &self.stack)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}
