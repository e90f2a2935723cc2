//! What a client is told when its request is wrong: JSON with one key, `detail`.

use std::fmt;
use std::sync::Arc;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

use super::source::Source;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// `{"detail": text}` with this status.
pub(crate) fn detail(status: StatusCode, text: &str) -> Response {
    answer(status, &text)
}

/// What a client is told of a fault of ours.
pub(crate) fn internal() -> Response {
    detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

fn answer(status: StatusCode, detail: &impl Serialize) -> Response {
    #[derive(Serialize)]
    struct Answer<'a, T> {
        detail: &'a T,
    }
    // Strings and numbers only: serialising them cannot fail.
    let json = serde_json::to_vec(&Answer { detail }).unwrap_or_default();
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// Why [`Path`](crate::Path), [`Query`](crate::Query), [`Json`](crate::Json) or
/// [`Form`](crate::Form) could not be read: their rejection, answered with 422.
///
/// What is wrong in several arguments of one path operation is answered together:
///
/// ```json
/// {"detail": [{"loc": ["path", "id"], "msg": "invalid digit found in string"},
///             {"loc": ["body", "items", 0, "name"], "msg": "invalid type: ..", "line": 1, "column": 27}]}
/// ```
#[derive(Debug, Clone)]
pub struct Invalid {
    problems: Vec<Problem>,
}

/// One thing that is wrong with a request, and where.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Problem {
    loc: Vec<Step>,
    msg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Step {
    Name(String),
    Index(usize),
}

impl Problem {
    /// A problem in a part of the request: `"path"`, `"query"` or `"body"`.
    pub(crate) fn new(part: &str, msg: impl ToString) -> Self {
        Problem { loc: vec![Step::Name(part.to_owned())], msg: msg.to_string(), line: None, column: None }
    }

    pub(crate) fn at(mut self, name: &str) -> Self {
        self.loc.push(Step::Name(name.to_owned()));
        self
    }

    /// Adds the place inside the part, as far as the deserializer had come.
    pub(crate) fn along(mut self, path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;
        for segment in path {
            match segment {
                Segment::Seq { index } => self.loc.push(Step::Index(*index)),
                Segment::Map { key } => self.loc.push(Step::Name(key.clone())),
                Segment::Enum { variant } => self.loc.push(Step::Name(variant.clone())),
                Segment::Unknown => {}
            }
        }
        self
    }

    pub(crate) fn in_text(mut self, line: usize, column: usize) -> Self {
        (self.line, self.column) = (Some(line), Some(column));
        self
    }
}

impl From<Problem> for Invalid {
    fn from(problem: Problem) -> Self {
        Invalid { problems: vec![problem] }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request does not fit")?;
        for problem in &self.problems {
            let place: Vec<_> = problem.loc.iter().map(Step::to_string).collect();
            write!(f, "; {}: {}", place.join("."), problem.msg)?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Name(name) => f.write_str(name),
            Step::Index(index) => index.fmt(f),
        }
    }
}

impl IntoResponse for Invalid {
    fn into_response(self) -> Response {
        let mut response = answer(StatusCode::UNPROCESSABLE_ENTITY, &self.problems);
        // For teardowns, which are told why; and for `Findings`, which cannot see through an erased rejection.
        response.extensions_mut().insert(Source(Arc::new(self.clone())));
        response.extensions_mut().insert(self);
        response
    }
}

/// Collects what is wrong with the arguments of one function, so that a client learns of all of it
/// at once. Any other rejection (401, 415, ..) ends the collecting and is answered as it is.
#[derive(Debug, Default)]
pub(crate) struct Findings(Option<Invalid>);

impl Findings {
    pub(crate) fn keep<T>(&mut self, argument: Result<T, Response>) -> Result<Option<T>, Response> {
        let mut response = match argument {
            Ok(argument) => return Ok(Some(argument)),
            Err(response) => response,
        };
        let Some(invalid) = response.extensions_mut().remove::<Invalid>() else { return Err(response) };
        match &mut self.0 {
            Some(found) => found.problems.extend(invalid.problems),
            None => self.0 = Some(invalid),
        }
        Ok(None)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn into_response(self) -> Response {
        self.0.unwrap_or(Invalid { problems: Vec::new() }).into_response()
    }
}
