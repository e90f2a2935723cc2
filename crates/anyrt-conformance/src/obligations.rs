//! The obligations of the [`Runtime`] trait, each by itself.
//!
//! Those about tasks are programs for a run, since tasks come from the core. The others ask the
//! runtime without the core in between.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use anyrt_core::net::{Address, DatagramSocket, Listener, ListenerSocket, Stream, StreamSocket};
use anyrt_core::{Event, Handle, Run, Runtime, Timer, task_group};
use futures::io::{AsyncReadExt, AsyncWriteExt};

use crate::by_hand::Bell;
use crate::counting::{Counter, count_polls};
use crate::double::Double;
use crate::time::{A_MOMENT, AN_HOUR};

// spawn

pub(crate) async fn rt_obligation_a_task_runs_to_its_end_though_nobody_waits() {
    let ended = Arc::new(Event::new());
    let set = Arc::clone(&ended);
    drop(Handle::current().spawn(async move {
        for _ in 0..10 {
            yields_once().await;
        }
        set.set();
    }));
    ended.wait().await;
}

pub(crate) async fn rt_obligation_spawn_returns_before_the_task_is_polled() {
    thread_local!(static SPAWNING: Cell<bool> = const { Cell::new(false) });

    for _ in 0..100 {
        SPAWNING.set(true);
        let task = Handle::current().spawn(async { SPAWNING.get() });
        SPAWNING.set(false);
        assert!(!task.await.expect("it ends"), "the task was polled inside the call");
    }
}

pub(crate) async fn rt_obligation_a_task_that_wakes_itself_while_it_is_polled_is_polled_again() {
    let polls = Counter::new();
    let task = count_polls(&polls, async {
        for _ in 0..1_000 {
            yields_once().await;
        }
    });
    Handle::current().spawn(task).await.expect("it ends");
    assert_eq!(polls.get(), 1_001, "once for each wake-up");
}

pub(crate) async fn rt_obligation_a_task_is_woken_by_a_foreign_thread() {
    for _ in 0..10 {
        Handle::current().spawn(woken_by_a_thread()).await.expect("it ends");
    }
}

pub(crate) async fn rt_obligation_a_task_is_polled_by_one_thread_at_a_time() {
    const THREADS: usize = 4;
    const WAKES: usize = 200;
    let polling = Arc::new(AtomicBool::new(false));
    let ended = Counter::new();
    let mut started = false;
    let counted = ended.clone();
    let task = poll_fn(move |cx| {
        assert!(!polling.swap(true, Ordering::SeqCst), "polled by two threads at once");
        if !started {
            started = true;
            for _ in 0..THREADS {
                let (waker, ended) = (cx.waker().clone(), counted.clone());
                foreign(move || {
                    for _ in 0..WAKES {
                        waker.wake_by_ref();
                        thread::yield_now();
                    }
                    ended.add();
                    waker.wake();
                });
            }
        }
        thread::yield_now();
        polling.store(false, Ordering::SeqCst);
        if counted.get() == THREADS { Poll::Ready(()) } else { Poll::Pending }
    });
    Handle::current().spawn(task).await.expect("it ends");
}

pub(crate) async fn rt_obligation_tasks_are_spawned_from_any_thread() {
    let handle = Handle::current();
    let ended = Arc::new(Event::new());
    let set = Arc::clone(&ended);
    foreign(move || {
        drop(handle.spawn(async move { set.set() }));
    });
    ended.wait().await;
}

// block_on

pub(crate) fn rt_obligation_the_root_runs_on_the_calling_thread_to_its_end(runtime: Arc<dyn Runtime>) {
    let caller = thread::current().id();
    let polls = Counter::new();
    let counted = polls.clone();
    block_on(&*runtime, async move {
        for _ in 0..100 {
            assert_eq!(thread::current().id(), caller);
            counted.add();
            yields_once().await;
        }
    });
    assert_eq!(polls.get(), 100);
    runtime.shutdown();
}

pub(crate) fn rt_obligation_the_root_is_woken_by_a_foreign_thread(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        for _ in 0..10 {
            woken_by_a_thread().await;
        }
    });
    runtime.shutdown();
}

// enter

pub(crate) fn rt_obligation_enter_runs_the_closure_once_on_the_calling_thread(runtime: Arc<dyn Runtime>) {
    let entered = |runtime: &dyn Runtime| {
        let caller = thread::current().id();
        let mut runs = 0;
        runtime.enter(&mut || {
            assert_eq!(thread::current().id(), caller);
            runs += 1;
        });
        runs
    };
    assert_eq!(entered(&*runtime), 1);
    let elsewhere = Arc::clone(&runtime);
    let thread = thread::Builder::new().spawn(move || entered(&*elsewhere)).expect("a thread");
    assert_eq!(thread.join().expect("its assertion holds"), 1);
    runtime.shutdown();
}

// now, timer

pub(crate) fn rt_obligation_the_clock_never_goes_back(runtime: Arc<dyn Runtime>) {
    let mut before = runtime.now();
    for _ in 0..10_000 {
        let now = runtime.now();
        assert!(now >= before);
        before = now;
    }
    runtime.shutdown();
}

pub(crate) fn rt_obligation_a_timer_wakes_and_is_never_early(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        for _ in 0..5 {
            let deadline = runtime.now() + A_MOMENT;
            let mut timer = runtime.timer(deadline);
            elapsed(&mut timer).await;
            assert!(runtime.now() >= deadline, "early by {:?}", deadline - runtime.now());
            elapsed(&mut timer).await;
            elapsed(&mut timer).await;
        }
        let mut passed = runtime.timer(runtime.now());
        elapsed(&mut passed).await;
    });
    runtime.shutdown();
}

pub(crate) fn rt_obligation_a_timer_is_reset_to_a_later_deadline(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        let mut timer = runtime.timer(runtime.now() + A_MOMENT);
        assert!(poll_once(&mut timer).await.is_pending());
        let later = runtime.now() + A_MOMENT * 3;
        timer.as_mut().reset(later);
        elapsed(&mut timer).await;
        assert!(runtime.now() >= later, "early by {:?}", later - runtime.now());

        // After it has passed, too.
        let again = runtime.now() + A_MOMENT;
        timer.as_mut().reset(again);
        elapsed(&mut timer).await;
        assert!(runtime.now() >= again, "early by {:?}", again - runtime.now());
    });
    runtime.shutdown();
}

pub(crate) fn rt_obligation_a_timer_is_reset_to_an_earlier_deadline(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        let mut timer = runtime.timer(runtime.now() + AN_HOUR);
        assert!(poll_once(&mut timer).await.is_pending());
        timer.as_mut().reset(runtime.now() + A_MOMENT);
        // Were the hour still in force, the watchdog would say so.
        elapsed(&mut timer).await;
    });
    runtime.shutdown();
}

pub(crate) fn rt_obligation_a_timer_wakes_the_waker_of_the_latest_call(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        let mut timer = runtime.timer(runtime.now() + A_MOMENT);
        let forgotten = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&forgotten));
        assert!(timer.as_mut().poll_elapsed(&mut Context::from_waker(&waker)).is_pending());
        // This call's waker is the root's own. The watchdog sees whether that one is woken.
        elapsed(&mut timer).await;
        assert_eq!(forgotten.rung(), 0);
    });
    runtime.shutdown();
}

pub(crate) fn rt_obligation_a_timer_is_made_outside_of_the_runtime(runtime: Arc<dyn Runtime>) {
    let elsewhere = Arc::clone(&runtime);
    let deadline = runtime.now() + A_MOMENT;
    let made = thread::Builder::new().spawn(move || elsewhere.timer(deadline)).expect("a thread").join();
    let mut timer = made.expect("a timer");
    block_on(&*runtime, elapsed(&mut timer));
    assert!(runtime.now() >= deadline);
    runtime.shutdown();
}

// connect, stream

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
        let (mut here, mut there) = (here.expect("connected"), there.expect("accepted"));
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

// listen

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
        let mut accepted = [peer_of(&*one), peer_of(&*two)];
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
        assert_eq!(peer_of(&*accepted), peer.local_addr().expect("connected"));
    });
    runtime.shutdown();
}

// datagram

pub(crate) fn rt_obligation_datagrams_arrive_whole_and_name_their_sender(runtime: Arc<dyn Runtime>) {
    block_on(&*runtime, async {
        let socket = || {
            let socket = UdpSocket::bind(LOCALHOST).expect("a free port");
            let address = socket.local_addr().expect("it is bound");
            (runtime.datagram(DatagramSocket::Udp(socket)).expect("it is adopted"), address)
        };
        let ((here, here_address), (there, there_address)) = (socket(), socket());
        let mut buffer = [0; 16];
        let (received, sent) = futures::join!(there.receive_from(&mut buffer), async {
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
        assert_eq!(here.receive_from(&mut short).await.expect("received"), (6, there_address));
        assert_eq!(&short, b"a long");
        assert_eq!(here.receive_from(&mut short).await.expect("received"), (4, there_address));
        assert_eq!(&short[..4], b"next");
    });
    runtime.shutdown();
}

// shutdown

/// A runtime that nothing ends, because it is not its own, may go on to run tasks: but then it does.
pub(crate) fn rt_obligation_after_the_shutdown_a_task_is_dropped_at_once_or_runs(runtime: Arc<dyn Runtime>) {
    let polls = Counter::new();
    let drops = Counter::new();
    let (counted, local) = (polls.clone(), drops.on_drop());
    let runs = Run::new(Arc::new(Double::after_the_end_of(runtime))).run(async move {
        let mut runs = true;
        let seen = &mut runs;
        // The group reports the loss; here it is the handle that is asked.
        let _ = task_group(async move |group| {
            let task = group.spawn(count_polls(&counted, async move {
                let _local = local;
            }));
            *seen = !task.await.is_err_and(|ended| ended.is_not_started());
        })
        .await;
        runs
    });
    assert_eq!((polls.get(), drops.get()), (usize::from(runs), 1));
}

const LOCALHOST: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// Drives `root` on the bare runtime.
fn block_on<T>(runtime: &dyn Runtime, root: impl Future<Output = T>) -> T {
    let mut output = None;
    {
        let root = pin!(async { output = Some(root.await) });
        runtime.block_on(root).expect("a runtime under test is owned by its test");
    }
    output.expect("block_on returns when its root is ready")
}

/// Pending once, after it has woken its waker.
async fn yields_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Pending until a thread that no runtime knows has woken it.
///
/// The thread waits until this poll is over, so that its wake-up is the only thing that helps.
async fn woken_by_a_thread() {
    let woken = Arc::new(AtomicBool::new(false));
    let poll = Arc::new(Mutex::new(()));
    let mut started = false;
    poll_fn(move |cx: &mut Context<'_>| {
        if started {
            return if woken.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending };
        }
        started = true;
        let _polling = poll.lock().expect("not poisoned");
        let (waker, woken, poll) = (cx.waker().clone(), Arc::clone(&woken), Arc::clone(&poll));
        foreign(move || {
            drop(poll.lock());
            woken.store(true, Ordering::SeqCst);
            waker.wake();
        });
        Poll::Pending
    })
    .await;
}

/// Runs on a thread of its own.
fn foreign(run: impl FnOnce() + Send + 'static) {
    thread::Builder::new().spawn(run).map(drop).expect("a thread");
}

async fn elapsed(timer: &mut Pin<Box<dyn Timer>>) {
    poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
}

async fn poll_once(timer: &mut Pin<Box<dyn Timer>>) -> Poll<()> {
    poll_fn(|cx| Poll::Ready(timer.as_mut().poll_elapsed(cx))).await
}

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

fn peer_of(stream: &dyn Stream) -> SocketAddr {
    stream.socket().peer_addr().expect("it is connected").as_socket().expect("it is TCP")
}

#[cfg(unix)]
fn unique() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
