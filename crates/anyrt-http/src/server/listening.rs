//! Where a server listens, and the loops that accept.

use std::future::Future;
use std::io;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyrt::net::TcpListener;
#[cfg(unix)]
use anyrt::net::UnixListener;

use super::accepted::Accepted;
use super::connection;
use super::connection::Connection;
use super::shared::Shared;
#[cfg(feature = "tls")]
use super::tls::Tls;
use super::transport::Transport;
use crate::base::causes::chain;
use crate::base::contained::Contained;
use crate::base::error::{Error, Result};

/// A place to listen at, as it was given.
#[derive(Debug)]
pub(crate) enum ListenAt {
    Address(String),
    Tcp(TcpListener),
    #[cfg(unix)]
    Path(PathBuf),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl ListenAt {
    /// Listens there.
    pub(crate) async fn listen(self) -> Result<Listening> {
        let failed = |address: String| move |source| Error::Listen { address, source };
        let listener = match self {
            ListenAt::Address(address) => {
                Listener::Tcp(TcpListener::bind(address.as_str()).await.map_err(failed(address))?)
            }
            ListenAt::Tcp(listener) => Listener::Tcp(listener),
            #[cfg(unix)]
            ListenAt::Path(path) => {
                let listener = bind(&path).map_err(failed(path.display().to_string()))?;
                Listener::Unix(listener, Some(Remove(path)))
            }
            #[cfg(unix)]
            ListenAt::Unix(listener) => Listener::Unix(listener, None),
        };
        Ok(Listening {
            listener,
            #[cfg(feature = "tls")]
            tls: None,
        })
    }
}

/// Binds a Unix socket. A file that a server left behind which is gone is replaced.
#[cfg(unix)]
fn bind(path: &Path) -> io::Result<UnixListener> {
    let in_use = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => error,
        bound => return bound,
    };
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        _ => Err(in_use),
    }
}

/// Removes the file of a Unix socket.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Remove(PathBuf);

#[cfg(unix)]
impl Drop for Remove {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "the file of a Unix socket could not be removed");
        }
    }
}

/// A listener, and whether it speaks TLS.
#[derive(Debug)]
pub(crate) struct Listening {
    listener: Listener,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, #[allow(dead_code, reason = "it acts when it is dropped")] Option<Remove>),
}

impl Listener {
    async fn accept(&self) -> io::Result<Transport> {
        Ok(match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are written whole: waiting to fill a packet only delays them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set");
                }
                Transport::Tcp(stream)
            }
            #[cfg(unix)]
            Listener::Unix(listener, _) => Transport::Unix(listener.accept().await?.0),
        })
    }

    /// The address to connect to.
    fn address(&self) -> String {
        match self {
            Listener::Tcp(listener) => {
                listener.local_addr().map(|address| address.to_string()).unwrap_or_default()
            }
            #[cfg(unix)]
            Listener::Unix(listener, _) => {
                let address = listener.socket().local_addr().ok();
                address
                    .and_then(|address| Some(address.as_pathname()?.display().to_string()))
                    .unwrap_or_default()
            }
        }
    }
}

impl Listening {
    /// From now on it speaks TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn with(self, tls: Option<Tls>) -> Self {
        Listening { tls, ..self }
    }

    /// The address to connect to.
    pub(crate) fn address(&self) -> String {
        self.listener.address()
    }

    fn accepted(&self, transport: Transport) -> Accepted {
        Accepted {
            transport,
            #[cfg(feature = "tls")]
            tls: self.tls.clone(),
        }
    }

    /// Accepts connections for ever. Nothing ends the loop but its cancellation: not a connection
    /// that was gone before it was accepted, and not a process that has no descriptors left.
    pub(crate) async fn accept_all(self, server: Arc<Shared>) {
        let mut pause = Pause::default();
        loop {
            // First room for it, then the connection: without room, it waits in the system's queue.
            let room = server.room.acquire().await;
            match self.listener.accept().await {
                Ok(stream) => {
                    let peer = if server.host.has_view() { stream.peer() } else { None };
                    let accepted = self.accepted(stream);
                    pause.end();
                    server.counters.accepted();
                    let connection = Connection::new(Arc::clone(&server), peer);
                    let serving = async move {
                        contained(connection::serve(accepted, connection)).await;
                        drop(room);
                    };
                    drop(server.group.named("http connection").spawn(serving));
                }
                Err(error) if is_per_connection(&error) => {
                    tracing::debug!(%error, "a connection was gone before it was accepted");
                }
                Err(error) => {
                    server.counters.accept_failed();
                    if pause.is_new() {
                        tracing::error!(%error, "cannot accept connections, trying again until it is possible");
                    }
                    anyrt::sleep(pause.next()).await;
                }
            }
        }
    }
}

/// Whatever goes wrong with a connection ends this connection alone.
async fn contained(serving: impl Future<Output = std::result::Result<(), anyrt::BoxError>>) {
    if let Some(Err(error)) = Contained::new(serving).await {
        tracing::debug!(error = chain(&*error), "a connection ended with an error");
    }
}

fn is_per_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// The pause after an accept that failed: from 5 ms, doubled each time, to 80 ms. No longer, so that a
/// descriptor that comes free is used at once.
#[derive(Debug, Default)]
struct Pause {
    failures: u32,
}

impl Pause {
    fn is_new(&self) -> bool {
        self.failures == 0
    }

    fn next(&mut self) -> Duration {
        let pause = Duration::from_millis(5) * (1 << self.failures.min(4));
        self.failures = self.failures.saturating_add(1);
        pause
    }

    fn end(&mut self) {
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "connections are accepted again");
            self.failures = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pause;

    #[test]
    fn the_pause_after_a_failed_accept_grows_and_begins_anew() {
        let mut pause = Pause::default();
        let pauses: Vec<_> = (0..7).map(|_| pause.next().as_millis()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 80, 80]);
        pause.end();
        assert_eq!(pause.next().as_millis(), 5);
    }
}
