//! The client of a request, who may leave.

use std::error::Error;
use std::fmt;

use anyrt::sync::Event;

use super::context::RequestContext;
use crate::base::causes::among_causes;

/// The client, who may leave before the response is there, or before its end. An argument of a path operation or a provider, for one
/// that goes on all the same ([`Configure::detach`](crate::Configure::detach)), or cleans up.
///
/// ```
/// use anyrt_http::Client;
///
/// async fn report(client: Client) -> String {
///     let mut lines = String::new();
///     for line in 0..1_000 {
///         if client.is_disconnected() {
///             break; // nobody will read the rest
///         }
///         lines += &format!("line {line}\n");
///         anyrt::checkpoint().await;
///     }
///     lines
/// }
/// ```
#[derive(Clone)]
pub struct Client(Option<Event>);

impl Client {
    pub(crate) fn of(context: &RequestContext) -> Client {
        Client(context.gone())
    }

    /// Whether the client has left: a look at a flag, which waits for nothing.
    pub fn is_disconnected(&self) -> bool {
        self.0.as_ref().is_some_and(Event::is_set)
    }

    /// Ready when the client has left.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn disconnected(&self) {
        match &self.0 {
            Some(gone) => gone.wait().await,
            None => std::future::pending().await,
        }
    }
}

/// The error of a request's body whose client left before its end.
///
/// Extractors answer it, although the client is gone; a handler that reads a body as a stream finds it among the causes of the
/// error:
///
/// ```
/// use anyrt_http::ClientDisconnect;
/// use axum_core::body::Body;
/// use futures_util::StreamExt;
///
/// async fn upload(body: Body) -> String {
///     let mut pieces = body.into_data_stream();
///     let mut count = 0;
///     while let Some(piece) = pieces.next().await {
///         match piece {
///             Ok(bytes) => count += bytes.len(),
///             Err(error) if ClientDisconnect::is_cause_of(&error) => return format!("left after {count} bytes"),
///             Err(error) => return error.to_string(),
///         }
///     }
///     format!("{count} bytes")
/// }
/// # let _ = upload;
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the client left before the end of the request's body")]
pub struct ClientDisconnect {
    source: hyper::Error,
}

impl ClientDisconnect {
    pub(crate) fn because(source: hyper::Error) -> Self {
        ClientDisconnect { source }
    }

    /// Whether it is this error, or one that was made of it.
    pub fn is_cause_of(error: &(dyn Error + 'static)) -> bool {
        among_causes::<ClientDisconnect>(error)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("disconnected", &self.is_disconnected()).finish()
    }
}
