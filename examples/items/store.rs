//! SQLite: a library that blocks. Its functions are plain, so they run in the thread pool.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyrt_http::{Dep, Dependency, HttpError, Outcome, Teardown};
use http::StatusCode;
use rusqlite::Connection;

/// Where the app keeps its files.
pub(crate) struct Folder(pub(crate) PathBuf);

/// The database: one connection that writes, since SQLite has one writer, and one that reads beside it.
pub(crate) struct Store {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

impl Dependency for Store {}

/// Opens the database when the app starts; when it ends, closes it and says how it went.
pub(crate) fn open(folder: Dep<Folder>) -> Result<Teardown<Store>, HttpError> {
    let connect = || Connection::open(folder.0.join("items.sqlite")).map_err(failed);
    let writer = connect()?;
    writer
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE users (name TEXT PRIMARY KEY, token TEXT NOT NULL UNIQUE);
             CREATE TABLE items (
                 id INTEGER PRIMARY KEY, owner TEXT NOT NULL REFERENCES users, title TEXT NOT NULL,
                 price INTEGER NOT NULL, thumbnail BLOB);",
        )
        .map_err(failed)?;
    tracing::info!("the database is open");
    let store = Store { writer: Mutex::new(writer), reader: Mutex::new(connect()?) };
    Ok(Teardown::new(store, |store: Dep<Store>, _| match store.writer().execute_batch("PRAGMA optimize") {
        Ok(()) => tracing::info!("the database is closed"),
        Err(error) => tracing::error!(%error, "the database was not closed well"),
    }))
}

impl Store {
    fn writer(&self) -> MutexGuard<'_, Connection> {
        // Nothing that a panic could leave half-done: what is not committed is rolled back.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees what is committed.
    pub(crate) fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction, for as long as the handler runs.
pub(crate) struct Session(Dep<Store>);

impl Dependency for Session {}

/// Begins a transaction; afterwards commits it, or rolls it back when the request failed, panicked or was cancelled.
///
/// It is undone before the response starts: a commit that fails is still told to the client.
pub(crate) fn session(store: Dep<Store>) -> Result<Teardown<Session>, HttpError> {
    store.writer().execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    Ok(Teardown::new(Session(store), |session: Dep<Session>, outcome: Outcome| {
        let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
        session.lock().execute_batch(end).map_err(failed)
    }))
}

impl Session {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.writer()
    }
}

/// What goes wrong in the database is not the client's business, but ours.
pub(crate) fn failed(error: rusqlite::Error) -> HttpError {
    tracing::error!(%error, "the database failed");
    HttpError::from(StatusCode::INTERNAL_SERVER_ERROR).source(error)
}
