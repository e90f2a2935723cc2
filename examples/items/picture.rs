//! Pictures: an upload becomes a thumbnail. To decode and scale one takes a while of computing, so the handler is a plain
//! function, and the event loop goes on meanwhile.

use std::io::Cursor;

use anyrt_http::{Background, Dep, HttpError, Path};
use axum_core::response::IntoResponse;
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use image::{ImageFormat, ImageReader, Limits};
use rusqlite::OptionalExtension;

use super::audit::Trail;
use super::shop::{find, must_own};
use super::store::{Session, failed};
use super::user::User;

/// A thumbnail fits into a square of so many pixels.
const SIDE: u32 = 64;

/// A picture says how large it is before it is decoded: one with a side of more pixels is refused.
const MOST: u32 = 8192;

pub(crate) fn upload(
    Path(id): Path<i64>,
    session: Dep<Session>,
    user: Dep<User>,
    trail: Dep<Trail>,
    background: Background,
    picture: Bytes,
) -> Result<String, HttpError> {
    must_own(&find(&session, id)?, &user)?;
    let (small, told) = shrink(&picture)?;
    session
        .lock()
        .execute("UPDATE items SET thumbnail = ? WHERE id = ?", rusqlite::params![small, id])
        .map_err(failed)?;
    trail.note(&background, format!("{} gave item {id} a picture", user.name))?;
    Ok(told)
}

fn shrink(picture: &[u8]) -> Result<(Vec<u8>, String), HttpError> {
    let no_picture = |error: image::ImageError| {
        HttpError::new(StatusCode::UNPROCESSABLE_ENTITY, format!("no picture that I can read: {error}"))
    };
    let mut reader = ImageReader::new(Cursor::new(picture)).with_guessed_format().map_err(|error| {
        HttpError::new(StatusCode::UNPROCESSABLE_ENTITY, format!("no picture that I can read: {error}"))
    })?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MOST), Some(MOST));
    reader.limits(limits);
    let large = reader.decode().map_err(no_picture)?;
    let small = large.thumbnail(SIDE, SIDE);
    let told =
        format!("{} x {} became {} x {}\n", large.width(), large.height(), small.width(), small.height());
    let mut encoded = Vec::new();
    small.write_to(&mut Cursor::new(&mut encoded), ImageFormat::Png).map_err(no_picture)?;
    Ok((encoded, told))
}

pub(crate) fn thumbnail(Path(id): Path<i64>, session: Dep<Session>) -> Result<impl IntoResponse, HttpError> {
    let found: Option<Vec<u8>> = session
        .lock()
        .query_row("SELECT thumbnail FROM items WHERE id = ?", [id], |row| row.get(0))
        .optional()
        .map_err(failed)?
        .flatten();
    match found {
        Some(thumbnail) => Ok(([(CONTENT_TYPE, "image/png")], thumbnail)),
        None => Err(HttpError::new(StatusCode::NOT_FOUND, format!("item {id} has no picture"))),
    }
}
