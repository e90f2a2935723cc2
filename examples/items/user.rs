//! Users: who signs up gets a token, and shows it ever after.

use anyrt_http::{Background, Dep, Dependency, HttpError, Json};
use http::{HeaderMap, StatusCode};
use rusqlite::{ErrorCode, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::audit::Trail;
use super::store::{Session, failed};

/// Who makes the request.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct User {
    pub(crate) name: String,
}

impl Dependency for User {}

/// The user of the token in `Authorization: Bearer ..`. It asks the database, so it is a plain function.
pub(crate) fn current(headers: HeaderMap, session: Dep<Session>) -> Result<User, HttpError> {
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok());
    let Some(token) = shown.and_then(|shown| shown.strip_prefix("Bearer ")) else {
        return Err(HttpError::new(StatusCode::UNAUTHORIZED, "show your token: `Authorization: Bearer ..`"));
    };
    let name = session
        .lock()
        .query_row("SELECT name FROM users WHERE token = ?", [token], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    match name {
        Some(name) => Ok(User { name }),
        None => {
            Err(HttpError::new(StatusCode::UNAUTHORIZED, "nobody has this token: sign up by POST /users"))
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct SignUp {
    name: String,
}

#[derive(Serialize)]
pub(crate) struct SignedUp {
    name: String,
    token: String,
}

pub(crate) fn sign_up(
    session: Dep<Session>,
    trail: Dep<Trail>,
    background: Background,
    Json(SignUp { name }): Json<SignUp>,
) -> Result<(StatusCode, Json<SignedUp>), HttpError> {
    if name.is_empty() || !name.chars().all(char::is_alphanumeric) {
        let text = format!("{name:?} is no name: take letters and digits");
        return Err(HttpError::new(StatusCode::UNPROCESSABLE_ENTITY, text));
    }
    // So that the README can show it. A real one is random, and kept as a hash.
    let token = format!("token-of-{}", name.to_lowercase());
    let added = session.lock().execute("INSERT INTO users VALUES (?, ?)", [&name, &token]);
    match added {
        Ok(_) => {}
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            return Err(HttpError::new(StatusCode::CONFLICT, format!("{name} has signed up before")));
        }
        Err(error) => return Err(failed(error)),
    }
    trail.note(&background, format!("{name} signed up"))?;
    Ok((StatusCode::CREATED, Json(SignedUp { name, token })))
}

/// Async, and asks for a dependency that is a plain function: the two mix freely.
pub(crate) async fn me(user: Dep<User>) -> Json<User> {
    Json((*user).clone())
}
