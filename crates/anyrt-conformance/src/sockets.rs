//! The obligations of the [`Runtime`] trait about streams, listeners and datagrams.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyrt_core::Runtime;
use anyrt_core::net::{Address, DatagramSocket, Listener, ListenerSocket, Stream, StreamSocket};
use futures::io::{AsyncReadExt, AsyncWriteExt};

use crate::obligations::{block_on, yields_once};

pub(crate) fn rt_obligation_connect_opens_a_stream(runtime: Arc<dyn Runtime>) {
    let listener = TcpListener::bind(LOCALHOST).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    block_on(&*runtime, async {
        let mut stream = runtime.connect(&Address::Tcp(address)).await.expect("somebody listens");
        let (mut peer, _) = listener.accept().expect("it connected");
        stream.write_all(b"hello").await.expect("it is open");
        let mut bytes = [0; 5];
        io::Read::read_exact(&mut peer, &mut bytes).expect("it was written");
        assert_eq!(&bytes, b"hello");
        let peer_address = stream.socket().peer_addr().expect("it is connected").as_socket();
        assert_eq!(peer_address, Some(address));
    });
    runtime.shutdown();
}

pub(crate) fn rt_obligation_connect_tells_when_nobody_listens(runtime: Arc<dyn Runtime>) {
    let listener = TcpListener::bind(LOCALHOST).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let error = block_on(&*runtime, async { runtime.connect(&Address::Tcp(address)).await });
    assert_eq!(error.expect_err("nobody listens").kind(), io::ErrorKind::ConnectionRefused);
    runtime.shutdown();
}

pub(crate) fn rt_obligation_a_stream_echoes_more_than_fits_into_its_buffers(runtime: Arc<dyn Runtime>) {
    const SIZE: usize = 4 << 20;
    block_on(&*runtime, async {
        let (here, there) = connected(&*runtime);
        let (mut read_here, mut write_here) = here.split();
        let (read_there, mut write_there) = there.split();
        let sent: Vec<u8> = (0..SIZE).map(|index| (index % 251) as u8).collect();
        let echo = async {
            futures::io::copy(read_there, &mut write_there).await.expect("both are open");
            write_there.close().await.expect("it was open");
        };
        let send = async {
            write_here.write_all(&sent).await.expect("it is open");
            write_here.close().await.expect("it was open");
        };
        let mut received = Vec::new();
        let receive = async { read_here.read_to_end(&mut received).await.expect("it is open") };
        futures::join!(echo, send, receive);
        assert!(received == sent, "the bytes came back, in order");
    });
    runtime.shutdown();
}

pub(crate) fn rt_obligation_closing_a_stream_ends_one_direction_only(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        let (mut here, mut there) = connected(&*runtime);
        here.write_all(b"last words").await.expect("it is open");
        here.close().await.expect("it was open");
        let mut words = String::new();
        there.read_to_string(&mut words).await.expect("it is open");
        assert_eq!(words, "last words");
        there.write_all(b"an answer").await.expect("this direction is open");
        drop(there);
        words.clear();
        here.read_to_string(&mut words).await.expect("this direction is open");
        assert_eq!(words, "an answer");
    });
    runtime.shutdown();
}

pub(crate) fn rt_obligation_a_stream_takes_several_buffers_at_once(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        let (mut here, mut there) = connected(&*runtime);
        let buffers = [io::IoSlice::new(b"one, "), io::IoSlice::new(b"two, "), io::IoSlice::new(b"three")];
        let written = here.write_vectored(&buffers).await.expect("it is open");
        assert_eq!(written, 15, "in one call");
        let (mut first, mut second) = ([0; 5], [0; 10]);
        let mut read = 0;
        while read < 15 {
            let (a, b) = (&mut first[read.min(5)..], &mut second[read.max(5) - 5..]);
            let mut into = [io::IoSliceMut::new(a), io::IoSliceMut::new(b)];
            read += there.read_vectored(&mut into).await.expect("it is open");
        }
        assert_eq!((&first, &second), (b"one, ", b"two, three"));
    });
    runtime.shutdown();
}

pub(crate) fn rt_obligation_a_reader_waits_without_blocking_the_writer(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        let (mut here, mut there) = connected(&*runtime);
        // Adopted sockets were in blocking mode: a read that blocks would hang right here.
        let mut byte = [0; 1];
        let read = there.read(&mut byte);
        let write = async {
            yields_once().await;
            here.write(b"x").await
        };
        let (read, written) = futures::join!(read, write);
        assert_eq!((read.expect("open"), written.expect("open")), (1, 1));
        assert_eq!(&byte, b"x");
    });
    runtime.shutdown();
}

#[cfg(unix)]
pub(crate) fn rt_obligation_unix_streams_are_adopted_and_connected(runtime: Arc<dyn Runtime>) {
    use std::os::unix::net::UnixListener;

    let directory = std::env::temp_dir();
    let path = directory.join(format!("anyrt-conformance-{}-{}", std::process::id(), unique()));
    let listener = UnixListener::bind(&path).expect("a path for a socket");
    block_on(&*runtime, async {
        let listener = runtime.listen(ListenerSocket::Unix(listener)).expect("it is adopted");
        let address = Address::Unix(path.clone());
        let (here, there) = futures::join!(runtime.connect(&address), listener.accept());
        let (mut here, (mut there, peer)) = (here.expect("connected"), there.expect("accepted"));
        assert_eq!(peer, None, "the client's socket is bound to no path");
        here.write_all(b"hello").await.expect("it is open");
        here.close().await.expect("it was open");
        let mut words = String::new();
        there.read_to_string(&mut words).await.expect("it is open");
        assert_eq!(words, "hello");
    });
    let _ = std::fs::remove_file(&path);
    runtime.shutdown();
}

/// Where there are no Unix sockets there is nothing to adopt.
#[cfg(not(unix))]
pub(crate) fn rt_obligation_unix_streams_are_adopted_and_connected(runtime: Arc<dyn Runtime>) {
    runtime.shutdown();
}

pub(crate) fn rt_obligation_each_of_two_waiting_accepts_gets_a_connection(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        let (listener, address) = listening(&*runtime);
        let connect = async {
            yields_once().await;
            let one = TcpStream::connect(address).expect("somebody listens");
            let two = TcpStream::connect(address).expect("somebody listens");
            (one, two)
        };
        let (one, two, peers) = futures::join!(listener.accept(), listener.accept(), connect);
        let (one, two) = (one.expect("accepted"), two.expect("accepted"));
        let mut accepted = [peer_of(&one), peer_of(&two)];
        let mut connected =
            [peers.0.local_addr().expect("connected"), peers.1.local_addr().expect("connected")];
        accepted.sort_unstable();
        connected.sort_unstable();
        assert_eq!(accepted, connected);
    });
    runtime.shutdown();
}

pub(crate) fn rt_obligation_an_accept_that_is_dropped_loses_no_connection(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        let (listener, address) = listening(&*runtime);
        {
            let mut dropped = pin!(listener.accept());
            assert!(futures::poll!(&mut dropped).is_pending());
        }
        let mut waits = Some(listener.accept());
        assert!(futures::poll!(waits.as_mut().expect("there")).is_pending());
        let peer = TcpStream::connect(address).expect("somebody listens");
        drop(waits.take());
        let accepted = listener.accept().await.expect("accepted");
        assert_eq!(peer_of(&accepted), peer.local_addr().expect("connected"));
    });
    runtime.shutdown();
}

pub(crate) fn rt_obligation_datagrams_arrive_whole_and_name_their_sender(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        let socket = || {
            let socket = UdpSocket::bind(LOCALHOST).expect("a free port");
            let address = socket.local_addr().expect("it is bound");
            (runtime.datagram(DatagramSocket::Udp(socket)).expect("it is adopted"), address)
        };
        let ((here, here_address), (there, there_address)) = (socket(), socket());
        let mut buffer = [0; 16];
        let (received, sent) = futures::join!(there.recv_from(&mut buffer), async {
            yields_once().await;
            here.send_to(b"hello", there_address).await
        });
        assert_eq!(sent.expect("sent"), 5);
        assert_eq!(received.expect("received"), (5, here_address));
        assert_eq!(&buffer[..5], b"hello");

        // Each call one datagram, cut to the buffer.
        there.send_to(b"a long one", here_address).await.expect("sent");
        there.send_to(b"next", here_address).await.expect("sent");
        let mut short = [0; 6];
        assert_eq!(here.recv_from(&mut short).await.expect("received"), (6, there_address));
        assert_eq!(&short, b"a long");
        assert_eq!(here.recv_from(&mut short).await.expect("received"), (4, there_address));
        assert_eq!(&short[..4], b"next");
    });
    runtime.shutdown();
}

const LOCALHOST: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// Two ends of a connection, adopted as they are: in blocking mode.
fn connected(runtime: &dyn Runtime) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let listener = TcpListener::bind(LOCALHOST).expect("a free port");
    let here = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    let (there, _) = listener.accept().expect("it connected");
    let adopt = |stream| runtime.stream(StreamSocket::Tcp(stream)).expect("it is adopted");
    (adopt(here), adopt(there))
}

fn listening(runtime: &dyn Runtime) -> (Box<dyn Listener>, SocketAddr) {
    let listener = TcpListener::bind(LOCALHOST).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (runtime.listen(ListenerSocket::Tcp(listener)).expect("it is adopted"), address)
}

/// The client's address, as `accept` told it and as the stream knows it.
fn peer_of((stream, told): &(Box<dyn Stream>, Option<Address>)) -> SocketAddr {
    let peer = stream.socket().peer_addr().expect("it is connected").as_socket().expect("it is TCP");
    assert_eq!(told, &Some(Address::Tcp(peer)));
    peer
}

#[cfg(unix)]
fn unique() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
