//! Rule 81: what connect and bind answer, compared with std's blocking calls.

use std::io;
use std::net::Ipv4Addr;

use anyrt_core::net::{TcpListener, TcpStream, UdpSocket};

const LOCALHOST: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// What somebody can tell of an error.
fn told<T>(answer: io::Result<T>) -> Option<(io::ErrorKind, Option<i32>)> {
    answer.err().map(|error| (error.kind(), error.raw_os_error()))
}

pub(crate) async fn rule_81_errors_of_connect_and_bind_are_those_of_the_system() {
    let listener = TcpListener::bind(LOCALHOST).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let in_use = told(TcpListener::bind(address).await);
    assert_eq!(in_use, told(std::net::TcpListener::bind(address)));
    assert!(in_use.is_some_and(|(kind, code)| kind == io::ErrorKind::AddrInUse && code.is_some()));
    drop(listener);
    let refused = told(TcpStream::connect(address).await);
    assert_eq!(refused, told(std::net::TcpStream::connect(address)));
    assert!(refused.is_some_and(|(_, code)| code.is_some()));

    let socket = UdpSocket::bind(LOCALHOST).await.expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    assert_eq!(told(UdpSocket::bind(address).await), told(std::net::UdpSocket::bind(address)));
}

#[cfg(unix)]
pub(crate) use unix::{
    rule_81_a_unix_connect_waits_where_a_blocking_one_would,
    rule_81_a_unix_socket_has_the_errors_of_the_system,
};

#[cfg(unix)]
mod unix {
    use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use anyrt_core::net::{UnixListener, UnixStream, connect_unix};
    use anyrt_core::{checkpoint, move_on_after};

    use super::{io, told};
    use crate::time::A_MOMENT;

    /// A path for a socket, removed at the end.
    struct Place(PathBuf);

    impl Place {
        fn new() -> Place {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            Place(std::env::temp_dir().join(format!("anyrt-connects-{}-{number}", std::process::id())))
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    pub(crate) async fn rule_81_a_unix_socket_has_the_errors_of_the_system() {
        let place = Place::new();
        let listener = UnixListener::bind(&place.0).expect("a path for a socket");
        assert_eq!(told(UnixListener::bind(&place.0)), told(StdListener::bind(&place.0)));
        drop(listener);
        let long = "x".repeat(200);
        let refused =
            [place.0.as_path(), Path::new("/nowhere/at all"), "".as_ref(), long.as_ref(), "a\0b".as_ref()];
        for path in refused {
            let answer = told(UnixStream::connect(path).await);
            assert_eq!(answer, told(StdStream::connect(path)), "{path:?}");
            assert!(answer.is_some(), "{path:?}");
        }
        for path in [long.as_str(), "a\0b", "/nowhere/at all"] {
            assert_eq!(told(UnixListener::bind(path)), told(StdListener::bind(path)), "{path:?}");
        }
        if cfg!(target_os = "linux") {
            let name = format!("\0anyrt-connects-{}-{}", std::process::id(), place.0.display());
            assert_eq!(
                told(UnixStream::connect(&name).await).map(|told| told.0),
                Some(io::ErrorKind::ConnectionRefused)
            );
            let listener = UnixListener::bind(&name).expect("a name without a file");
            let (connected, accepted) = futures::join!(UnixStream::connect(&name), listener.accept());
            connected.and(accepted.map(drop)).expect("both ends");
        }
    }

    /// Elsewhere than on Linux a blocking connect does not wait there either.
    pub(crate) async fn rule_81_a_unix_connect_waits_where_a_blocking_one_would() {
        if !cfg!(target_os = "linux") {
            return;
        }
        let place = Place::new();
        let listener = UnixListener::bind(&place.0).expect("a path for a socket");
        listener.socket().listen(0).expect("a shorter queue");
        let mut queue = Vec::new();
        let full = loop {
            match connect_unix(&place.0) {
                Ok(stream) => queue.push(stream),
                Err(full) => break full,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock, "after {}", queue.len());
        let left = move_on_after(A_MOMENT, UnixStream::connect(&place.0)).await;
        assert!(left.is_none(), "it waits, and leaves when it is cancelled");
        let (connected, accepted) = futures::join!(UnixStream::connect(&place.0), async {
            checkpoint().await;
            listener.accept().await
        });
        connected.and(accepted.map(drop)).expect("there was room");
        drop(listener);
        let gone = told(UnixStream::connect(&place.0).await);
        assert_eq!(gone.map(|told| told.0), Some(io::ErrorKind::ConnectionRefused));
    }
}

/// Where there are no Unix sockets there is nothing to connect to.
#[cfg(not(unix))]
pub(crate) async fn rule_81_a_unix_socket_has_the_errors_of_the_system() {}

#[cfg(not(unix))]
pub(crate) async fn rule_81_a_unix_connect_waits_where_a_blocking_one_would() {}
