//! What happened, in its order: a dependency of the apps under test.

use std::sync::{Arc, Mutex, MutexGuard};

use anyrt::sync::Event;
use anyrt_http::App;

use crate::client::{Server, soon};

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lines: Vec<String>,
    awaited: Vec<(String, Event)>,
}

impl Log {
    pub(crate) fn say(&self, line: impl ToString) {
        let line = line.to_string();
        let mut state = self.lock();
        state.awaited.retain(|(awaited, event)| {
            if *awaited == line {
                event.set();
            }
            *awaited != line
        });
        state.lines.push(line);
    }

    /// Says `line` when it is dropped.
    pub(crate) fn on_drop(&self, line: impl ToString) -> OnDrop {
        OnDrop(self.clone(), line.to_string())
    }

    /// All lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// All lines so far, which are then forgotten.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().lines)
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.lock().lines.iter().any(|said| said == line)
    }

    /// Waits until `line` has been said.
    pub(crate) async fn said(&self, line: &str) {
        let said = {
            let mut state = self.lock();
            if state.lines.iter().any(|said| said == line) {
                return;
            }
            let said = Event::new();
            state.awaited.push((line.to_owned(), said.clone()));
            said
        };
        soon(said.wait()).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while it is locked")
    }
}

pub(crate) struct OnDrop(Log, String);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.say(&self.1);
    }
}

/// A server of an app in which the log is a dependency.
pub(crate) async fn serve(log: &Log, app: App) -> Server {
    Server::start(app.provide_value(log.clone())).await
}
