//! Spans and events, as a subscriber of the whole process hears them.
//!
//! In a file of their own: each test installs the subscriber before anything else. tracing asks it about a place in the code when that
//! is passed first; a thread of another test that passes it while the subscriber is being installed could answer "nobody
//! listens" for all.
#![allow(missing_docs, clippy::unwrap_used)]

use std::cell::RefCell;
use std::fmt::{Debug, Write};
use std::panic::catch_unwind;
use std::sync::{LazyLock, Mutex};

use anyrt::{Backend, Run, checkpoint, task_group};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[test]
fn the_span_of_a_task_follows_it_to_its_threads_and_jobs() {
    listen();
    for backend in Backend::enabled() {
        let name = format!("traced on {backend}");
        let inside = Run::on(*backend)
            .run(async {
                task_group(async |group| {
                    let child = group.named(&name).spawn(async {
                        let before = innermost();
                        checkpoint().await;
                        let in_job = anyrt::run_blocking(innermost).await;
                        (before, in_job, innermost())
                    });
                    child.await.unwrap()
                })
                .await
                .unwrap()
            })
            .expect("the run ends well");
        let spans = HEARD.lock().unwrap().spans.clone();
        let traced = spans.iter().position(|span| span.contains(&name));
        assert!(traced.is_some(), "{backend}: {spans:?}");
        assert_eq!(inside, (traced, traced, traced), "{backend}");
        assert_eq!(innermost(), None, "what was entered was left");
    }
}

#[test]
fn a_panic_of_a_task_is_told_once_with_its_name_and_what_it_said() {
    listen();
    for backend in Backend::enabled() {
        let name = format!("panics on {backend}");
        let resumed = catch_unwind(|| {
            Run::on(*backend)
                .run(async {
                    task_group(async |group| drop(group.named(&name).spawn(async { panic!("what it said") })))
                        .await
                })
                .expect("the run ends well")
        });
        assert!(resumed.is_err(), "the panic goes on in the host");
        let warnings = HEARD.lock().unwrap().warnings.clone();
        let told: Vec<&String> = warnings.iter().filter(|text| text.contains(&name)).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("anyrt::task ") && told[0].contains("what it said"), "{told:?}");
    }
}

/// Installs the subscriber, once.
fn listen() {
    static INSTALLED: LazyLock<()> =
        LazyLock::new(|| tracing::subscriber::set_global_default(Listener).unwrap());
    LazyLock::force(&INSTALLED);
}

/// Hears the spans of tasks, and warnings.
struct Listener;

/// What was heard so far.
struct Heard {
    spans: Vec<String>,
    warnings: Vec<String>,
}

static HEARD: Mutex<Heard> = Mutex::new(Heard { spans: Vec::new(), warnings: Vec::new() });

thread_local! {
    /// The spans that this thread is in, by their places among those that were heard.
    static ENTERED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

fn innermost() -> Option<usize> {
    ENTERED.with_borrow(|entered| entered.last().copied())
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "anyrt::task" || metadata.is_event() && *metadata.level() <= Level::WARN
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let spans = &mut HEARD.lock().unwrap().spans;
        spans.push(format!("{attributes:?}"));
        Id::from_u64(spans.len() as u64)
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(event.metadata().target().to_owned());
        event.record(&mut text);
        HEARD.lock().unwrap().warnings.push(text.0);
    }

    fn enter(&self, id: &Id) {
        let place = usize::try_from(id.into_u64()).unwrap() - 1;
        ENTERED.with_borrow_mut(|entered| entered.push(place));
    }

    fn exit(&self, _: &Id) {
        ENTERED.with_borrow_mut(Vec::pop);
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}
