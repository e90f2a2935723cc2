//! A runtime of one's own, written from the public API alone: a thread for each task, one thread
//! for all timers, and sockets on the reactor of `async-io`.
//!
//! It is as simple as a runtime can be, and passes the whole suite of `anyrt-conformance`. Nothing in
//! it knows of cancellation, groups or panics: the core sees to those.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::{self, JoinHandle, Thread};
use std::time::Instant;

use anyrt_core::net::{Address, Datagram, DatagramSocket, Listener, ListenerSocket, Stream, StreamSocket};
use anyrt_core::{NotOwned, Runtime, Task, Timer};
use async_io::Async;
use async_trait::async_trait;
use futures::io::{AsyncRead, AsyncWrite};
use socket2::{SockRef, Socket};

/// A thread for each task.
#[derive(Debug)]
pub(crate) struct ThreadPerTask {
    clock: Arc<Clock>,
    clock_thread: Mutex<Option<JoinHandle<()>>>,
    ended: AtomicBool,
}

impl ThreadPerTask {
    /// The name of each thread that polls a task.
    pub(crate) const TASK_THREAD: &str = "task";
    /// The name of the thread that wakes those who wait for a timer.
    pub(crate) const CLOCK_THREAD: &str = "clock";

    /// Starts it.
    pub(crate) fn start() -> io::Result<Arc<ThreadPerTask>> {
        let clock = Arc::new(Clock::default());
        let ticking = Arc::clone(&clock);
        let thread = thread::Builder::new().name(Self::CLOCK_THREAD.into()).spawn(move || ticking.tick())?;
        let clock_thread = Mutex::new(Some(thread));
        Ok(Arc::new(ThreadPerTask { clock, clock_thread, ended: AtomicBool::new(false) }))
    }
}

#[async_trait]
impl Runtime for ThreadPerTask {
    fn name(&self) -> &'static str {
        "thread-per-task"
    }

    fn block_on(&self, root: Pin<&mut dyn Future<Output = ()>>) -> Result<(), NotOwned> {
        drive(root);
        Ok(())
    }

    fn spawn(&self, task: Task) {
        if !self.ended.load(Ordering::Acquire) {
            // Where there is no further thread, the task is dropped with the closure: the core notices.
            let _ = thread::Builder::new().name(Self::TASK_THREAD.into()).spawn(move || drive(pin!(task)));
        }
    }

    fn enter(&self, run: &mut dyn FnMut()) {
        run();
    }

    fn timer(&self, deadline: Instant) -> Pin<Box<dyn Timer>> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Box::pin(Alarm { clock: Arc::clone(&self.clock), deadline, id })
    }

    async fn connect(&self, address: &Address) -> io::Result<Box<dyn Stream>> {
        let socket = match address {
            Address::Tcp(address) => Socket::from(Async::<TcpStream>::connect(*address).await?.into_inner()?),
            #[cfg(unix)]
            Address::Unix(path) => Socket::from(anyrt_core::net::connect_unix(path)?),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Box::new(OwnStream(Async::new(socket)?)))
    }

    fn listen(&self, socket: ListenerSocket) -> io::Result<Box<dyn Listener>> {
        let socket = match socket {
            ListenerSocket::Tcp(listener) => Socket::from(listener),
            #[cfg(unix)]
            ListenerSocket::Unix(listener) => Socket::from(listener),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Box::new(OwnListener(Async::new(socket)?)))
    }

    fn stream(&self, socket: StreamSocket) -> io::Result<Box<dyn Stream>> {
        let socket = match socket {
            StreamSocket::Tcp(stream) => Socket::from(stream),
            #[cfg(unix)]
            StreamSocket::Unix(stream) => Socket::from(stream),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Box::new(OwnStream(Async::new(socket)?)))
    }

    fn datagram(&self, socket: DatagramSocket) -> io::Result<Box<dyn Datagram>> {
        match socket {
            DatagramSocket::Udp(socket) => Ok(Box::new(OwnDatagram(Async::new(socket)?))),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn shutdown(&self) {
        self.ended.store(true, Ordering::Release);
        self.clock.stop();
        if let Some(thread) = lock(&self.clock_thread).take() {
            // The clock does nothing that could panic, but for the wakers of others.
            let _ = thread.join();
        }
    }
}

// Polling

/// Polls a future to its end on this thread, which sleeps in between.
fn drive(mut future: Pin<&mut (impl Future<Output = ()> + ?Sized)>) {
    let bell = Arc::new(Bell { sleeper: thread::current(), rung: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&bell));
    while future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        // A wake-up during the poll has left its mark, so it is not slept through.
        while !bell.rung.swap(false, Ordering::AcqRel) {
            thread::park();
        }
    }
}

/// Wakes the thread that polls a task.
struct Bell {
    sleeper: Thread,
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.sleeper.unpark();
    }
}

// Time

/// The alarms that are set, and the thread that rings them.
#[derive(Default)]
struct Clock {
    set: Mutex<Alarms>,
    // The earliest alarm has changed, or the end has come.
    changed: Condvar,
}

#[derive(Default)]
struct Alarms {
    by_deadline: BTreeMap<(Instant, u64), Waker>,
    stopped: bool,
}

impl Clock {
    /// What the thread of the clock does until it is stopped.
    fn tick(&self) {
        let mut alarms = lock(&self.set);
        while !alarms.stopped {
            let now = instant();
            alarms = match alarms.by_deadline.first_entry() {
                None => self.changed.wait(alarms).unwrap_or_else(PoisonError::into_inner),
                Some(first) if first.key().0 <= now => {
                    let waker = first.remove();
                    // Not under the lock: wakers are other people's code.
                    drop(alarms);
                    waker.wake();
                    lock(&self.set)
                }
                Some(first) => {
                    let left = first.key().0 - now;
                    self.changed.wait_timeout(alarms, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn stop(&self) {
        lock(&self.set).stopped = true;
        self.changed.notify_one();
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("alarms", &lock(&self.set).by_deadline.len()).finish_non_exhaustive()
    }
}

/// A timer: an alarm on the clock while somebody waits for it.
struct Alarm {
    clock: Arc<Clock>,
    deadline: Instant,
    id: u64,
}

impl Alarm {
    fn unset(&self) {
        lock(&self.clock.set).by_deadline.remove(&(self.deadline, self.id));
    }
}

impl Timer for Alarm {
    fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.unset();
        self.deadline = deadline;
    }

    fn poll_elapsed(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if instant() >= self.deadline {
            self.unset();
            return Poll::Ready(());
        }
        lock(&self.clock.set).by_deadline.insert((self.deadline, self.id), cx.waker().clone());
        self.clock.changed.notify_one();
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.unset();
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock of a runtime")]
fn instant() -> Instant {
    Instant::now()
}

// Sockets

/// A stream. It tries first and waits for the reactor only when the socket would block.
#[derive(Debug)]
struct OwnStream(Async<Socket>);

impl OwnStream {
    fn reads(
        &self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&Socket) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match read(self.0.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_readable(cx))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn writes(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&Socket) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match write(self.0.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_writable(cx))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncRead for OwnStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        self.reads(cx, |mut socket| socket.read(bytes))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.reads(cx, |mut socket| socket.read_vectored(buffers))
    }
}

impl AsyncWrite for OwnStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes(cx, |mut socket| socket.write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes(cx, |mut socket| socket.write_vectored(buffers))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.get_ref().shutdown(Shutdown::Write))
    }
}

impl Stream for OwnStream {
    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self.0.get_ref())
    }
}

#[derive(Debug)]
struct OwnListener(Async<Socket>);

#[async_trait]
impl Listener for OwnListener {
    async fn accept(&self) -> io::Result<(Box<dyn Stream>, Option<Address>)> {
        let (socket, peer) = self.0.read_with(Socket::accept).await?;
        let peer = match peer.as_pathname() {
            Some(path) => Some(Address::Unix(path.to_owned())),
            None => peer.as_socket().map(Address::Tcp),
        };
        Ok((Box::new(OwnStream(Async::new(socket)?)), peer))
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self.0.get_ref())
    }
}

#[derive(Debug)]
struct OwnDatagram(Async<UdpSocket>);

#[async_trait]
impl Datagram for OwnDatagram {
    async fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.0.send_to(bytes, to).await
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.recv_from(buffer).await
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self.0.get_ref())
    }
}

/// The locks here guard nothing that a panic could leave half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
