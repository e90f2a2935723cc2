//! The report: slow to make, so it tells how far it is. A client that leaves ends it.

use std::time::Duration;

use anyrt_http::{BoxError, Dep, Sse, SseEvent};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

use super::store::{Store, failed};

/// One step asks for one thing, and takes its time.
const STEP: Duration = Duration::from_millis(200);

const QUESTIONS: [(&str, &str); 3] = [
    ("users", "SELECT count(*) FROM users"),
    ("items", "SELECT count(*) FROM items"),
    ("cents", "SELECT coalesce(sum(price), 0) FROM items"),
];

#[derive(Serialize)]
struct Answer {
    what: &'static str,
    number: i64,
}

/// Async: it waits most of the time. What blocks in it goes to the thread pool by hand.
///
/// It is sent while it is made, long after the handler has returned: so it asks the store, which lives as long as the app,
/// and not for a session, which ends with the handler.
pub(crate) async fn report(store: Dep<Store>) -> Sse {
    let answers = stream::iter(QUESTIONS).then(move |(what, question)| {
        let store = store.clone();
        async move {
            anyrt::sleep(STEP).await;
            let ask = move || store.reader().query_row(question, [], |row| row.get(0));
            let number = anyrt::run_blocking(ask).await.map_err(|error| {
                failed(error);
                "the database failed"
            })?;
            Ok::<_, BoxError>(SseEvent::json(&Answer { what, number })?.event("answer"))
        }
    });
    let done = stream::once(async { Ok(SseEvent::data("that is all").event("done")) });
    Sse::new(answers.chain(done).into_stream())
}
