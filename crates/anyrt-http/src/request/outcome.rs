//! How a request ended, as its teardowns are told.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use anyrt::Cancelled;
use axum_core::response::Response;
use http::StatusCode;

use crate::base::panics::message;
use crate::response::ended::Ended;
use crate::response::source::Source;

/// How a request ended, as a teardown is told: so that a session knows whether to commit.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Outcome {
    /// There is a response with this status, below 400. (Of an app-scope dependency: the server ended.)
    Ok(StatusCode),
    /// The response is an error, or a teardown or a background task failed after it.
    Error(Failure),
    /// The handler, a provider, a teardown or a background task panicked, with this message.
    Panicked(Arc<str>),
    /// It was cut short: the client left, a deadline passed, the server was cancelled. The text says why.
    Cancelled(Arc<str>),
}

/// An error, as [`Outcome::Error`] tells of it.
#[derive(Clone)]
pub struct Failure {
    status: Option<StatusCode>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Outcome {
    /// Whether all went well: there is a response with a status below 400, and nothing failed since.
    pub fn is_ok(&self) -> bool {
        matches!(self, Outcome::Ok(_))
    }

    /// The status of the response, if one was made of what is told here.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Outcome::Ok(status) => Some(*status),
            Outcome::Error(failure) => failure.status,
            Outcome::Panicked(_) => Some(StatusCode::INTERNAL_SERVER_ERROR),
            Outcome::Cancelled(_) => None,
        }
    }

    /// The error behind it, if the response carries one: that of [`HttpError::source`](crate::HttpError::source), or the
    /// [`Invalid`](crate::Invalid) of a request that does not fit.
    pub fn source(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        match self {
            Outcome::Error(failure) => failure.source.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn of(response: &Response) -> Outcome {
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            let source = response.extensions().get::<Source>().map(|source| Arc::clone(&source.0));
            return Outcome::Error(Failure { status: Some(status), source });
        }
        Outcome::Ok(status)
    }

    /// What failed after the response was sent: its status stays as it was.
    pub(crate) fn failed(source: Arc<dyn Error + Send + Sync>) -> Outcome {
        Outcome::Error(Failure { status: None, source: Some(source) })
    }

    /// The response could not be sent, and a 500 was sent in its place.
    fn refused(why: &str) -> Outcome {
        let source = Some(Arc::from(anyrt::BoxError::from(why)));
        Outcome::Error(Failure { status: Some(StatusCode::INTERNAL_SERVER_ERROR), source })
    }

    /// How the sending of the response changes the outcome.
    pub(crate) fn sending(&mut self, ended: &Ended) {
        let cut = |text: &str| Outcome::Cancelled(text.into());
        *self = match ended {
            Ended::Whole(_) => return,
            Ended::Failed(why) => Outcome::failed(Arc::from(anyrt::BoxError::from(&**why))),
            Ended::Panicked(message) => Outcome::Panicked(Arc::clone(message)),
            Ended::Refused(why) => Outcome::refused(why),
            Ended::Left | Ended::Cut if !self.is_ok() => return,
            Ended::Left => cut("the client left before the response was sent"),
            Ended::Cut => cut("the server's shutdown had no time for the rest of the response"),
        };
    }

    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Outcome {
        Outcome::Panicked(message(panic).into())
    }

    pub(crate) fn cancelled(cancelled: &Cancelled) -> Outcome {
        Outcome::Cancelled(cancelled.to_string().into())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Ok(status) => write!(f, "ok with {}", status.as_u16()),
            Outcome::Error(failure) => failure.fmt(f),
            Outcome::Panicked(message) => write!(f, "panicked: {message}"),
            Outcome::Cancelled(why) => f.write_str(why),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")?;
        if let Some(status) = self.status {
            write!(f, " with {}", status.as_u16())?;
        }
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure").field("status", &self.status).field("source", &self.source).finish()
    }
}
