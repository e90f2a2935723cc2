//! The client of a request, who may leave.

use std::fmt;

use anyrt::sync::Event;

use crate::context::RequestContext;

/// The client, who may leave before the response is there. An argument of a path operation or a provider, for those
/// that go on all the same ([`Configure::detach`](crate::Configure::detach)), or clean up.
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

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("disconnected", &self.is_disconnected()).finish()
    }
}
