//! SQLite: a synchronous library. Nothing here is async, and nothing here has to be: the functions that
//! use it are plain ones, so they run in the thread pool.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyrt::BoxError;
use anyrt_http::{Dep, Dependency};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use tempfile::TempDir;

use super::atlas::Position;
use super::refusal::Refusal;
use super::table::{Country, Zone};

/// A SQLite file, and the connections to it that are idle.
pub(crate) struct Database {
    /// Shared, so that a session can give its connection back by a clone when it is dropped.
    idle: Mutex<Vec<Arc<Mutex<Connection>>>>,
    /// Removed with what is in it. After the connections: fields are dropped in their order.
    directory: TempDir,
}

impl Database {
    /// A database in a temporary file, filled with the tables. It goes with the value.
    pub(crate) fn filled(zones: &[Zone], countries: &[Country]) -> Result<Database, BoxError> {
        let database = Database { idle: Mutex::default(), directory: tempfile::tempdir()? };
        fill(&mut database.open()?, zones, countries)?;
        Ok(database)
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        Connection::open(self.directory.path().join("zones.sqlite"))
    }
}

fn fill(connection: &mut Connection, zones: &[Zone], countries: &[Country]) -> rusqlite::Result<()> {
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE countries (code TEXT PRIMARY KEY, name TEXT NOT NULL);
         CREATE TABLE zones (name TEXT PRIMARY KEY, latitude REAL NOT NULL, longitude REAL NOT NULL, comment TEXT);
         CREATE TABLE zone_countries (
             zone TEXT NOT NULL REFERENCES zones, code TEXT NOT NULL REFERENCES countries, position INTEGER NOT NULL,
             PRIMARY KEY (zone, code));
         CREATE TABLE visitors (name TEXT PRIMARY KEY, visits INTEGER NOT NULL DEFAULT 1);
         CREATE TABLE places (
             id INTEGER PRIMARY KEY, name TEXT NOT NULL, latitude REAL NOT NULL, longitude REAL NOT NULL,
             zone TEXT NOT NULL REFERENCES zones, visitor TEXT NOT NULL REFERENCES visitors);",
    )?;
    let filling = connection.transaction()?;
    for Country { code, name } in countries {
        filling.execute("INSERT INTO countries VALUES (?, ?)", [code, name])?;
    }
    for Zone { name, position, countries, comment } in zones {
        let row = params![name, position.latitude, position.longitude, comment];
        filling.execute("INSERT INTO zones VALUES (?, ?, ?, ?)", row)?;
        for (position, code) in (0_i64..).zip(countries) {
            filling.execute("INSERT INTO zone_countries VALUES (?, ?, ?)", params![name, code, position])?;
        }
    }
    filling.commit()
}

/// A connection, for as long as a request wants it. Path operations ask for a `Dep<Session>`.
pub(crate) struct Session {
    database: Arc<Database>,
    connection: Arc<Mutex<Connection>>,
}

impl Dependency for Session {}

/// The provider of sessions. To open a file may block: so this is a plain function.
pub(crate) fn session(database: Dep<Database>) -> Result<Session, Refusal> {
    let idle = lock(&database.idle).pop();
    let connection = match idle {
        Some(connection) => connection,
        None => Arc::new(Mutex::new(database.open()?)),
    };
    Ok(Session { database: database.into_inner(), connection })
}

impl Drop for Session {
    /// The request has ended, however it has: the next one finds the connection open. Nothing here
    /// blocks, so it does not matter on which thread this runs.
    fn drop(&mut self) {
        lock(&self.database.idle).push(Arc::clone(&self.connection));
    }
}

/// A zone as clients see it.
#[derive(Serialize)]
pub(crate) struct ZoneOut {
    name: String,
    #[serde(flatten)]
    position: Position,
    /// Names, not codes.
    countries: Vec<String>,
    comment: Option<String>,
}

/// A place as clients see it.
#[derive(Clone, Serialize)]
pub(crate) struct Place {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) position: Position,
    pub(crate) zone: String,
    pub(crate) visitor: String,
}

const SELECT_ZONES: &str = "
    SELECT zones.name, latitude, longitude, comment,
           (SELECT json_group_array(countries.name ORDER BY position)
            FROM zone_countries JOIN countries USING (code) WHERE zone = zones.name)
    FROM zones";

impl Session {
    pub(crate) fn zones(&self) -> rusqlite::Result<Vec<ZoneOut>> {
        self.list(&format!("{SELECT_ZONES} ORDER BY zones.name"), params![], zone)
    }

    pub(crate) fn zones_of(&self, country: &str) -> rusqlite::Result<Vec<ZoneOut>> {
        let sql = format!(
            "{SELECT_ZONES} WHERE zones.name IN (SELECT zone FROM zone_countries WHERE code = ?) ORDER BY zones.name"
        );
        self.list(&sql, params![country], zone)
    }

    pub(crate) fn zone(&self, name: &str) -> rusqlite::Result<Option<ZoneOut>> {
        let sql = format!("{SELECT_ZONES} WHERE zones.name = ?");
        lock(&self.connection).prepare_cached(&sql)?.query_row([name], zone).optional()
    }

    /// Counts a visit; how many there have been of this visitor.
    pub(crate) fn visit(&self, visitor: &str) -> rusqlite::Result<i64> {
        let sql = "INSERT INTO visitors (name) VALUES (?)
                   ON CONFLICT DO UPDATE SET visits = visits + 1 RETURNING visits";
        lock(&self.connection).prepare_cached(sql)?.query_row([visitor], |row| row.get(0))
    }

    pub(crate) fn add(&self, place: &Place) -> rusqlite::Result<()> {
        let Place { name, position, zone, visitor } = place;
        let sql = "INSERT INTO places (name, latitude, longitude, zone, visitor) VALUES (?, ?, ?, ?, ?)";
        let row = params![name, position.latitude, position.longitude, zone, visitor];
        lock(&self.connection).prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    pub(crate) fn places(&self) -> rusqlite::Result<Vec<Place>> {
        let sql = "SELECT name, latitude, longitude, zone, visitor FROM places ORDER BY id";
        self.list(sql, params![], |row| {
            Ok(Place { name: row.get(0)?, position: position(row)?, zone: row.get(3)?, visitor: row.get(4)? })
        })
    }

    fn list<T>(
        &self,
        sql: &str,
        given: impl rusqlite::Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let connection = lock(&self.connection);
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_map(given, read)?.collect()
    }
}

fn zone(row: &Row<'_>) -> rusqlite::Result<ZoneOut> {
    let countries: String = row.get(4)?;
    Ok(ZoneOut {
        name: row.get(0)?,
        position: position(row)?,
        countries: serde_json::from_str(&countries).unwrap_or_default(),
        comment: row.get(3)?,
    })
}

fn position(row: &Row<'_>) -> rusqlite::Result<Position> {
    Ok(Position { latitude: row.get(1)?, longitude: row.get(2)? })
}

/// The locks here guard nothing that a panic could leave half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
