//! The trail: a file with a line for each thing that was done, written after the client has its answer.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use anyrt_http::{Background, Dep, Dependency, HttpError};
use http::StatusCode;

use super::store::Folder;

/// Writes the trail, and reads it.
pub(crate) struct Trail(PathBuf);

impl Dependency for Trail {}

pub(crate) async fn trail(folder: Dep<Folder>) -> Trail {
    Trail(folder.0.join("trail.txt"))
}

impl Trail {
    /// Adds a line when the response has been sent. To write a file blocks: so the task is a plain closure.
    pub(crate) fn note(&self, background: &Background, line: String) -> Result<(), HttpError> {
        let path = self.0.clone();
        let added = background.named("trail").add(move || {
            let mut file = OpenOptions::new().create(true).append(true).open(path)?;
            writeln!(file, "{line}")
        });
        match added {
            Ok(_) => Ok(()),
            Err(late) => Err(HttpError::from(StatusCode::INTERNAL_SERVER_ERROR).source(late)),
        }
    }
}

pub(crate) fn read(trail: Dep<Trail>) -> Result<String, HttpError> {
    match fs::read_to_string(&trail.0) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(HttpError::from(StatusCode::INTERNAL_SERVER_ERROR).source(error)),
    }
}
