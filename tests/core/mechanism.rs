//! What each backend supplies, tried without the core.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use anyrt_core::net::{Address, DatagramSocket, ListenerSocket, Stream, StreamSocket};
use anyrt_core::{NotOwned, Runtime, Timer};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{join, poll};

type Test = Result<(), Box<dyn Error>>;

struct Case {
    runtime: Arc<dyn Runtime>,
    /// The threads it has of its own.
    workers: usize,
}

/// Every runtime of the backends that are compiled in.
fn cases(name: &str) -> io::Result<Vec<Case>> {
    let two = NonZeroUsize::new(2);
    let mut cases = Vec::new();
    let mut add = |runtime, workers| cases.push(Case { runtime, workers });
    #[cfg(feature = "tokio")]
    {
        add(anyrt_tokio::multi_thread(two, name)?, 2);
        add(anyrt_tokio::current_thread(name)?, 0);
    }
    #[cfg(feature = "smol")]
    {
        add(anyrt_smol::executor(two, name)?, 2);
        add(anyrt_smol::global(), 0);
    }
    #[cfg(feature = "async-std")]
    add(anyrt_async_std::runtime(), 0);
    let _ = (two, name);
    Ok(cases)
}

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn block_on_polls_on_the_calling_thread_after_a_wake_from_a_foreign_one() -> Test {
    for Case { runtime, .. } in cases("wake")? {
        let (pass, wakers) = mpsc::channel::<Waker>();
        let woken = Arc::new(AtomicBool::new(false));
        let told = woken.clone();
        let foreign = thread::Builder::new().name("foreign".into()).spawn(move || {
            for _ in 0..100 {
                let Ok(waker) = wakers.recv() else { return };
                told.store(true, Ordering::Release);
                waker.wake();
            }
        })?;

        let caller = thread::current().id();
        let mut wakes = 0;
        runtime.block_on(pin!(poll_fn(|cx| {
            assert_eq!(thread::current().id(), caller);
            wakes += usize::from(woken.swap(false, Ordering::Acquire));
            // The hundredth wake-up ends the other thread, and this future.
            let _ = pass.send(cx.waker().clone());
            if wakes < 100 { Poll::Pending } else { Poll::Ready(()) }
        })))?;
        drop(pass);
        assert!(foreign.join().is_ok());
    }
    Ok(())
}

#[test]
fn block_on_can_be_called_again_also_after_a_panic() -> Test {
    for Case { runtime, .. } in cases("again")? {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(pin!(async { std::panic::resume_unwind(Box::new("root")) }))
        }));
        assert!(panicked.is_err());
        assert_eq!(run(&*runtime, async { 1 })?, 1);
        assert_eq!(run(&*runtime, sleep(&*runtime, MILLISECOND))?, ());
    }
    Ok(())
}

#[test]
fn entering_calls_once_on_this_thread() -> Test {
    for Case { runtime, .. } in cases("enter")? {
        let mut calls = Vec::new();
        runtime.enter(&mut || calls.push(thread::current().id()));
        assert_eq!(calls, [thread::current().id()]);
    }
    Ok(())
}

#[test]
fn a_timer_never_fires_before_its_deadline_and_stays_ready_after() -> Test {
    for Case { runtime, .. } in cases("timer")? {
        for micros in [0, 1, 300, 1001, 1999, 2500, 7777] {
            let deadline = runtime.now() + Duration::from_micros(micros);
            let mut timer = runtime.timer(deadline);
            let mut elapsed = pin!(poll_fn(|cx| timer.as_mut().poll_elapsed(cx)));
            let fired = run(&*runtime, async {
                elapsed.as_mut().await;
                let fired = runtime.now();
                elapsed.as_mut().await;
                elapsed.as_mut().await;
                fired
            })?;
            assert!(fired >= deadline, "{:?} early", deadline - fired);
        }
    }
    Ok(())
}

#[test]
fn a_timer_can_be_moved_later() -> Test {
    for Case { runtime, .. } in cases("later")? {
        let now = runtime.now();
        let (early, late) = (now + 5 * MILLISECOND, now + 40 * MILLISECOND);
        let mut timer = runtime.timer(early);
        run(&*runtime, async {
            assert!(elapsed_or_not(timer.as_mut()).await.is_pending());
            timer.as_mut().reset(late);
            poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
            assert!(runtime.now() >= late);
        })?;
    }
    Ok(())
}

#[test]
fn a_timer_can_be_moved_earlier() -> Test {
    for Case { runtime, .. } in cases("early")? {
        let mut timer = runtime.timer(runtime.now() + HOUR);
        run(&*runtime, async {
            // Before it was ever polled, and after.
            timer.as_mut().reset(runtime.now() + 2 * HOUR);
            assert!(elapsed_or_not(timer.as_mut()).await.is_pending());
            let deadline = runtime.now() + 5 * MILLISECOND;
            timer.as_mut().reset(deadline);
            poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
            assert!(runtime.now() >= deadline);
        })?;
    }
    Ok(())
}

#[test]
fn a_timer_moved_earlier_by_another_hand_wakes_who_polled_it() -> Test {
    for Case { runtime, .. } in cases("hand")? {
        let mut timer = runtime.timer(runtime.now() + HOUR);
        let mut polls = 0;
        // Polled once, then moved without another poll: only its own wake-up gets this any further.
        runtime.block_on(pin!(poll_fn(|cx| {
            polls += 1;
            if polls > 1 {
                return timer.as_mut().poll_elapsed(cx);
            }
            assert!(timer.as_mut().poll_elapsed(cx).is_pending());
            timer.as_mut().reset(runtime.now() + 5 * MILLISECOND);
            Poll::Pending
        })))?;
    }
    Ok(())
}

#[test]
fn a_timer_can_be_moved_after_it_fired() -> Test {
    for Case { runtime, .. } in cases("fired")? {
        let mut timer = runtime.timer(runtime.now());
        run(&*runtime, async {
            for _ in 0..3 {
                poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
                let deadline = runtime.now() + 20 * MILLISECOND;
                timer.as_mut().reset(deadline);
                assert!(elapsed_or_not(timer.as_mut()).await.is_pending());
                poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
                assert!(runtime.now() >= deadline);
            }
        })?;
    }
    Ok(())
}

#[test]
fn a_timer_wakes_the_latest_waker() -> Test {
    for Case { runtime, .. } in cases("latest")? {
        let mut timer = runtime.timer(runtime.now() + 5 * MILLISECOND);
        run(&*runtime, async {
            let mut deaf = std::task::Context::from_waker(Waker::noop());
            assert!(timer.as_mut().poll_elapsed(&mut deaf).is_pending());
            poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
        })?;
    }
    Ok(())
}

#[test]
fn a_timer_in_the_far_future_is_no_trouble() -> Test {
    for Case { runtime, .. } in cases("far")? {
        // The last instant there is.
        let (mut deadline, mut step) = (runtime.now(), Duration::MAX);
        while !step.is_zero() {
            match deadline.checked_add(step) {
                Some(later) => deadline = later,
                None => step /= 2,
            }
        }
        let mut timer = runtime.timer(deadline);
        run(&*runtime, async {
            assert!(elapsed_or_not(timer.as_mut()).await.is_pending());
            timer.as_mut().reset(deadline);
            assert!(elapsed_or_not(timer.as_mut()).await.is_pending());
        })?;
    }
    Ok(())
}

#[test]
fn a_tcp_stream_can_be_read_after_its_sending_side_was_closed() -> Test {
    for Case { runtime, .. } in cases("tcp")? {
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = Address::Tcp(socket.local_addr()?);
        echo(&*runtime, ListenerSocket::Tcp(socket), &address)?;
    }
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_unix_stream_can_be_read_after_its_sending_side_was_closed() -> Test {
    for (n, Case { runtime, .. }) in cases("unix")?.into_iter().enumerate() {
        let name = format!("anyrt-{}-{}-{n}.socket", runtime.name(), std::process::id());
        let path = std::env::temp_dir().join(name);
        let socket = std::os::unix::net::UnixListener::bind(&path)?;
        let echoed = echo(&*runtime, ListenerSocket::Unix(socket), &Address::Unix(path.clone()));
        std::fs::remove_file(path)?;
        echoed?;
    }
    Ok(())
}

/// More than the buffers of the operating system hold, so that each side has to wait for the other.
const LOAD: usize = 8 << 20;

fn echo(runtime: &dyn Runtime, socket: ListenerSocket, address: &Address) -> Test {
    let listener = runtime.listen(socket)?;
    assert!(listener.socket().local_addr().is_ok());
    let load: Vec<u8> = (0..LOAD).map(|n| n.to_le_bytes()[1]).collect();
    run(runtime, async {
        let server = async {
            let (mut reader, mut writer) = listener.accept().await?.0.split();
            futures::io::copy(&mut reader, &mut writer).await?;
            writer.close().await
        };
        let client = async {
            let stream = runtime.connect(address).await?;
            assert!(stream.socket().peer_addr().is_ok());
            let (mut reader, mut writer) = stream.split();
            let write = async {
                let sent =
                    writer.write_vectored(&[IoSlice::new(&load[..3]), IoSlice::new(&load[3..7])]).await?;
                assert_eq!(sent, 7, "both slices at once");
                writer.write_all(&load[7..]).await?;
                writer.flush().await?;
                writer.close().await?;
                writer.close().await?;
                assert!(writer.write(b"more").await.is_err());
                io::Result::Ok(())
            };
            let mut answer = Vec::new();
            let (written, read) = join!(write, reader.read_to_end(&mut answer));
            written?;
            assert_eq!(read?, LOAD);
            assert!(answer == load);
            io::Result::Ok(())
        };
        let (served, asked) = join!(server, client);
        served.and(asked)
    })??;
    Ok(())
}

#[test]
fn a_refused_connection_is_an_error() -> Test {
    for Case { runtime, .. } in cases("refuse")? {
        let address = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let refused = run(&*runtime, runtime.connect(&Address::Tcp(address)))?;
        assert_eq!(refused.err().map(|error| error.kind()), Some(io::ErrorKind::ConnectionRefused));
    }
    Ok(())
}

#[test]
fn a_blocking_stream_is_adopted() -> Test {
    for Case { runtime, .. } in cases("adopt")? {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let ours = std::net::TcpStream::connect(listener.local_addr()?)?;
        let (mut theirs, _) = listener.accept()?;
        let mut stream = runtime.stream(StreamSocket::Tcp(ours))?;
        run(&*runtime, async {
            let mut buffer = [0; 8];
            // Were it still blocking, this would hang.
            assert!(poll!(stream.read(&mut buffer)).is_pending());
            io::Write::write_all(&mut theirs, b"hello")?;
            assert_eq!(stream.read(&mut buffer).await?, 5);
            drop(theirs);
            assert_eq!(stream.read(&mut buffer).await?, 0);
            io::Result::Ok(())
        })??;
    }
    Ok(())
}

#[test]
fn two_tasks_can_wait_in_accept() -> Test {
    for Case { runtime, .. } in cases("accept")? {
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = Address::Tcp(socket.local_addr()?);
        let listener = runtime.listen(ListenerSocket::Tcp(socket))?;
        run(&*runtime, async {
            // Each of them has a waker of its own, and is polled only when that was woken.
            let mut waiting: FuturesUnordered<_> = (0..2).map(|_| listener.accept()).collect();
            assert!(poll!(waiting.next()).is_pending());
            let _first = runtime.connect(&address).await?;
            let _second = runtime.connect(&address).await?;
            while let Some(accepted) = waiting.next().await {
                accepted?;
            }
            io::Result::Ok(())
        })??;
    }
    Ok(())
}

#[test]
fn a_dropped_accept_loses_no_connection() -> Test {
    for Case { runtime, .. } in cases("lose")? {
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = Address::Tcp(socket.local_addr()?);
        let listener = runtime.listen(ListenerSocket::Tcp(socket))?;
        run(&*runtime, async {
            let (mut dropped, mut kept) = (listener.accept(), listener.accept());
            assert!(poll!(dropped.as_mut()).is_pending());
            assert!(poll!(kept.as_mut()).is_pending());
            let ours = runtime.connect(&address).await?;
            drop(dropped);
            let (theirs, _) = kept.await?;
            assert_eq!(local(&*ours)?, peer(&*theirs)?);
            io::Result::Ok(())
        })??;
    }
    Ok(())
}

#[test]
fn datagrams_are_echoed() -> Test {
    for Case { runtime, .. } in cases("udp")? {
        let bind = || std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let (asking, answering) = (bind()?, bind()?);
        let (asker, answerer) = (asking.local_addr()?, answering.local_addr()?);
        let asking = runtime.datagram(DatagramSocket::Udp(asking))?;
        let answering = runtime.datagram(DatagramSocket::Udp(answering))?;
        assert_eq!(asking.socket().local_addr()?.as_socket(), Some(asker));
        run(&*runtime, async {
            let mut buffer = [0; 16];
            let mut receiving = answering.recv_from(&mut buffer);
            assert!(poll!(receiving.as_mut()).is_pending());
            assert_eq!(asking.send_to(b"hello", answerer).await?, 5);
            assert_eq!(receiving.await?, (5, asker));
            assert_eq!(answering.send_to(&buffer[..5], asker).await?, 5);
            let mut answer = [0; 16];
            assert_eq!(asking.recv_from(&mut answer).await?, (5, answerer));
            assert_eq!(&answer[..5], b"hello");
            io::Result::Ok(())
        })??;
    }
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_datagram_is_cut_to_the_buffer() -> Test {
    for Case { runtime, .. } in cases("cut")? {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = socket.local_addr()?;
        let socket = runtime.datagram(DatagramSocket::Udp(socket))?;
        run(&*runtime, async {
            socket.send_to(b"hello", address).await?;
            socket.send_to(b"world", address).await?;
            let mut buffer = [0; 3];
            assert_eq!(socket.recv_from(&mut buffer).await?, (3, address));
            assert_eq!(&buffer, b"hel");
            assert_eq!(socket.recv_from(&mut buffer).await?, (3, address));
            assert_eq!(&buffer, b"wor");
            io::Result::Ok(())
        })??;
    }
    Ok(())
}

#[test]
fn two_tasks_can_wait_for_a_datagram() -> Test {
    for Case { runtime, .. } in cases("two")? {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = socket.local_addr()?;
        let socket = runtime.datagram(DatagramSocket::Udp(socket))?;
        run(&*runtime, async {
            let receive = || async {
                let mut buffer = [0; 1];
                socket.recv_from(&mut buffer).await.map(|_| buffer)
            };
            let mut waiting: FuturesUnordered<_> = [receive(), receive()].into_iter().collect();
            assert!(poll!(waiting.next()).is_pending());
            socket.send_to(b"a", address).await?;
            socket.send_to(b"b", address).await?;
            let mut received = Vec::new();
            while let Some(bytes) = waiting.next().await {
                received.extend(bytes?);
            }
            received.sort();
            assert_eq!(received, b"ab");
            io::Result::Ok(())
        })??;
    }
    Ok(())
}

#[test]
fn after_its_shutdown_a_runtime_refuses_and_does_not_panic() -> Test {
    for Case { runtime, workers } in cases("ended")? {
        let mut waiting = runtime.timer(runtime.now() + HOUR);
        assert!(poll_once(waiting.as_mut()).is_pending());
        runtime.shutdown();
        if workers > 0 {
            assert_eq!(runtime.block_on(pin!(async { unreachable!() })), Err(NotOwned));
        }

        assert!(poll_once(waiting.as_mut()).is_pending());
        waiting.as_mut().reset(runtime.now() + 2 * HOUR);
        assert!(poll_once(waiting.as_mut()).is_pending());
        let mut late = runtime.timer(runtime.now() + HOUR);
        assert!(poll_once(late.as_mut()).is_pending());

        // Whether these fail is the runtime's affair.
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = Address::Tcp(socket.local_addr()?);
        let _ = futures::FutureExt::now_or_never(runtime.connect(&address));
        if let Ok(listener) = runtime.listen(ListenerSocket::Tcp(socket)) {
            let _ = futures::FutureExt::now_or_never(listener.accept());
        }
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let _ = runtime.datagram(DatagramSocket::Udp(socket));
    }
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn a_shutdown_ends_the_threads_and_their_names_are_as_promised() -> Test {
    let cases = cases("shut")?;
    let mut alive: usize = cases.iter().map(|case| case.workers).sum();
    assert!(eventually(|| threads_named("shut-worker-") == alive));
    for Case { runtime, workers } in cases {
        runtime.shutdown();
        alive -= workers;
        assert!(eventually(|| threads_named("shut-worker-") == alive));
        drop(runtime);
    }
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn dropping_a_runtime_ends_its_threads() -> Test {
    let cases = cases("drop")?;
    let mut alive: usize = cases.iter().map(|case| case.workers).sum();
    assert!(eventually(|| threads_named("drop-worker-") == alive));
    for Case { runtime, workers } in cases {
        drop(runtime);
        alive -= workers;
        assert!(eventually(|| threads_named("drop-worker-") == alive));
    }
    Ok(())
}

/// Drives `future` to its end on this thread.
fn run<T>(runtime: &dyn Runtime, future: impl Future<Output = T>) -> Result<T, NotOwned> {
    let mut output = None;
    runtime.block_on(pin!(async { output = Some(future.await) }))?;
    Ok(output.expect("block_on returns when its future is ready"))
}

async fn sleep(runtime: &dyn Runtime, duration: Duration) {
    let mut timer = runtime.timer(runtime.now() + duration);
    poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
}

/// Polls the timer once.
async fn elapsed_or_not(mut timer: std::pin::Pin<&mut dyn Timer>) -> Poll<()> {
    poll_fn(|cx| Poll::Ready(timer.as_mut().poll_elapsed(cx))).await
}

/// Polls the timer once, outside of any runtime.
fn poll_once(timer: std::pin::Pin<&mut dyn Timer>) -> Poll<()> {
    timer.poll_elapsed(&mut std::task::Context::from_waker(Waker::noop()))
}

fn local(stream: &dyn Stream) -> io::Result<Option<SocketAddr>> {
    Ok(stream.socket().local_addr()?.as_socket())
}

fn peer(stream: &dyn Stream) -> io::Result<Option<SocketAddr>> {
    Ok(stream.socket().peer_addr()?.as_socket())
}

/// Threads get their names as they start, and leave the list shortly after they were joined: there is no
/// event to wait for.
#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "a limit for the test itself")]
fn eventually(condition: impl Fn() -> bool) -> bool {
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if condition() {
            return true;
        }
        thread::yield_now();
    }
    false
}

#[cfg(target_os = "linux")]
fn threads_named(prefix: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks
        .filter(|task| {
            std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.starts_with(prefix))
        })
        .count()
}
