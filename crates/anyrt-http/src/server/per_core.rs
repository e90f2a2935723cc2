//! One runtime of one thread for each core: nothing is shared between them but the address.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::Add;
use std::sync::Arc;
use std::thread;

use anyrt::net::{TcpListener, ToAddresses};
use anyrt::sync::Event;
use anyrt::{Backend, Run};
use socket2::{Domain, Socket, Type};

use super::lifecycle;
use super::listening::{ListenAt, Listening};
use super::stats::Served;
use crate::base::error::{Error, Result};
use crate::base::limits::Limits;
use crate::request::endpoint::Host;
use crate::request::on_disconnect::Disconnect;

/// How many connections may wait to be accepted, as far as the system agrees.
const BACKLOG: i32 = 1024;

/// As many sockets as there are cores, all at this address.
pub(crate) async fn sockets(address: &str) -> Result<Vec<std::net::TcpListener>> {
    let failed = |source| Error::Listen { address: address.to_owned(), source };
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let addresses = address.to_addresses().await.map_err(failed)?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match group(address, cores) {
            Ok(sockets) => return Ok(sockets),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn group(address: SocketAddr, count: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let first = listen(address)?;
    // The port that was found, if zero was asked for.
    let address = first.local_addr()?;
    let more = (1..count).map(|_| listen(address));
    std::iter::once(Ok(first)).chain(more).collect()
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    // The system spreads the connections over all that listen.
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What each core serves.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) limits: Limits,
    pub(crate) on_disconnect: Disconnect,
}

/// A core's part of a server.
pub(crate) type Part = Vec<(std::net::TcpListener, Box<dyn FnOnce(Listening) -> Listening + Send>)>;

/// Serves each part in a thread and runtime of its own until `stop` is set.
///
/// # Errors
///
/// [`Error::Listen`] when no thread or runtime can be started, or a socket not be adopted.
pub(crate) async fn serve(parts: Vec<Part>, work: Work, stop: Event) -> Result<Served> {
    let backend = backend();
    let failed = |source| Error::Listen { address: "a core of its own".to_owned(), source };
    let mut threads = Vec::new();
    for (core, part) in parts.into_iter().enumerate() {
        let (work, wait) = (work.clone(), stop.clone());
        let started = thread::Builder::new().name(format!("http core {core}")).spawn(move || {
            let run =
                backend.map_or_else(anyrt::builder, Run::on).threads(1).name(format!("http core {core}"));
            run.run(on_core(part, work, wait)).map_err(|error| failed(io::Error::other(error)))?
        });
        match started {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                stop.set();
                return Err(failed(error));
            }
        }
    }
    // One thread is taken for all; it must not wait for jobs that wait for the server.
    let ended =
        anyrt::run_blocking(move || threads.into_iter().map(thread::JoinHandle::join).collect::<Vec<_>>());
    let mut served = Served::default();
    for end in ended.unlimited().await {
        served = served + end.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    }
    Ok(served)
}

async fn on_core(part: Part, work: Work, stop: Event) -> Result<Served> {
    let mut places = Vec::new();
    for (socket, secured) in part {
        let adopted = TcpListener::from_std(socket)
            .map_err(|source| Error::Listen { address: "a socket of a core".to_owned(), source })?;
        places.push(secured(ListenAt::Tcp(adopted).listen().await?));
    }
    let stop = async move {
        stop.wait().await;
        Ok(())
    };
    lifecycle::run(places, work.host, work.limits, work.on_disconnect, stop).await
}

/// The runtime that is running, in the form that has one thread.
fn backend() -> Option<Backend> {
    let running = anyrt::current_handle().runtime().name().parse().ok()?;
    let backend = if running == Backend::Tokio { Backend::TokioCurrentThread } else { running };
    backend.is_enabled().then_some(backend)
}

impl Add for Served {
    type Output = Served;

    fn add(self, other: Served) -> Served {
        Served {
            connections: self.connections + other.connections,
            accept_failures: self.accept_failures + other.accept_failures,
            requests: self.requests + other.requests,
            answered: self.answered + other.answered,
            left: self.left + other.left,
            broken: self.broken + other.broken,
            finished: self.finished + other.finished,
            cancelled: self.cancelled + other.cancelled,
            cut: self.cut + other.cut,
        }
    }
}
