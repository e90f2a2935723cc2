//! Items: what a user has.

use anyrt_http::{Background, Dep, HttpError, Json, Path, Query};
use http::StatusCode;
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::audit::Trail;
use super::store::{Session, failed};
use super::user::User;

/// An item as clients see it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) id: i64,
    pub(crate) owner: String,
    pub(crate) title: String,
    /// In cents.
    pub(crate) price: u32,
    pub(crate) picture: bool,
}

const SELECT: &str = "SELECT id, owner, title, price, thumbnail IS NOT NULL FROM items";

fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    Ok(Item {
        id: row.get(0)?,
        owner: row.get(1)?,
        title: row.get(2)?,
        price: row.get(3)?,
        picture: row.get(4)?,
    })
}

#[derive(Deserialize)]
pub(crate) struct Wanted {
    /// No more than so many cents.
    at_most: Option<u32>,
}

pub(crate) fn list(
    Query(wanted): Query<Wanted>,
    session: Dep<Session>,
) -> Result<Json<Vec<Item>>, HttpError> {
    let connection = session.lock();
    let mut statement =
        connection.prepare_cached(&format!("{SELECT} WHERE price <= ? ORDER BY id")).map_err(failed)?;
    let items = statement.query_map([wanted.at_most.unwrap_or(u32::MAX)], item).map_err(failed)?;
    Ok(Json(items.collect::<Result<_, _>>().map_err(failed)?))
}

#[derive(Deserialize)]
pub(crate) struct NewItem {
    title: String,
    price: u32,
}

pub(crate) fn add(
    session: Dep<Session>,
    user: Dep<User>,
    trail: Dep<Trail>,
    background: Background,
    Json(NewItem { title, price }): Json<NewItem>,
) -> Result<(StatusCode, Json<Item>), HttpError> {
    let sql = "INSERT INTO items (owner, title, price) VALUES (?, ?, ?)
               RETURNING id, owner, title, price, thumbnail IS NOT NULL";
    let added = session.lock().query_row(sql, params![user.name, title, price], item).map_err(failed)?;
    trail.note(&background, format!("{} added item {}", user.name, added.id))?;
    Ok((StatusCode::CREATED, Json(added)))
}

pub(crate) fn show(Path(id): Path<i64>, session: Dep<Session>) -> Result<Json<Item>, HttpError> {
    find(&session, id).map(Json)
}

pub(crate) fn remove(
    Path(id): Path<i64>,
    session: Dep<Session>,
    user: Dep<User>,
    trail: Dep<Trail>,
    background: Background,
) -> Result<StatusCode, HttpError> {
    let item = find(&session, id)?;
    must_own(&item, &user)?;
    session.lock().execute("DELETE FROM items WHERE id = ?", [id]).map_err(failed)?;
    trail.note(&background, format!("{} removed item {id}", user.name))?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) fn find(session: &Session, id: i64) -> Result<Item, HttpError> {
    session
        .lock()
        .query_row(&format!("{SELECT} WHERE id = ?"), [id], item)
        .optional()
        .map_err(failed)?
        .ok_or_else(|| HttpError::new(StatusCode::NOT_FOUND, format!("there is no item {id}")))
}

pub(crate) fn must_own(item: &Item, user: &User) -> Result<(), HttpError> {
    if item.owner == user.name {
        return Ok(());
    }
    Err(HttpError::new(StatusCode::FORBIDDEN, format!("item {} is {}'s", item.id, item.owner)))
}
