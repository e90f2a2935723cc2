//! What only tokio has: adopted runtimes, being inside or outside of it, budgets.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::Ipv4Addr;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anyrt_core::net::{Address, DatagramSocket, ListenerSocket};
use anyrt_core::{NotOwned, Runtime};
use anyrt_tokio::{current_thread, find, from_handle, multi_thread, polling};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures::join;
use tokio::runtime::Handle;
use tokio::task::coop;

type Test = Result<(), Box<dyn Error>>;

fn multi(name: &str) -> io::Result<Arc<dyn Runtime>> {
    multi_thread(NonZeroUsize::new(2), name)
}

#[test]
fn no_runtime_is_found_where_none_is_entered() {
    assert!(find().is_none());
}

#[test]
fn an_entered_runtime_is_found_and_refuses_to_be_driven() -> Test {
    let runtime = multi("find")?;
    let mut found = None;
    runtime.enter(&mut || found = find());
    let found = found.ok_or("not found")?;
    assert_eq!(found.name(), "tokio");
    assert_eq!(found.block_on(pin!(async { unreachable!("polled") })), Err(NotOwned));
    found.shutdown();
    runtime.block_on(pin!(async { assert!(find().is_some()) }))?;
    Ok(())
}

#[test]
fn after_its_shutdown_a_current_thread_runtime_refuses() -> Test {
    let runtime = current_thread("ended")?;
    runtime.shutdown();
    assert_eq!(runtime.block_on(pin!(async { unreachable!("polled") })), Err(NotOwned));
    Ok(())
}

#[test]
fn a_name_that_no_thread_can_have_is_an_error() {
    assert_eq!(multi("a\0b").err().map(|error| error.kind()), Some(io::ErrorKind::InvalidInput));
    assert_eq!(current_thread("a\0b").err().map(|error| error.kind()), Some(io::ErrorKind::InvalidInput));
}

#[test]
fn polling_is_told_apart_from_merely_entered() -> Test {
    assert!(!polling());
    for runtime in [multi("poll")?, current_thread("poll")?] {
        runtime.enter(&mut || assert!(!polling()));
        runtime.block_on(pin!(async {
            assert!(polling());
            let told = tokio::spawn(async { polling() }).await;
            assert!(told.is_ok_and(|polling| polling));
            let told = tokio::task::spawn_blocking(polling).await;
            assert!(told.is_ok_and(|polling| !polling));
        }))?;
        assert!(!polling());
    }
    Ok(())
}

#[test]
fn a_block_in_place_is_no_polling() -> Test {
    let runtime = multi("place")?;
    runtime.block_on(pin!(async {
        let told = tokio::spawn(async { (tokio::task::block_in_place(polling), polling()) }).await;
        assert!(told.is_ok_and(|told| told == (false, true)));
        assert!(!tokio::task::block_in_place(polling));
    }))?;
    Ok(())
}

#[test]
fn to_ask_whether_tokio_is_polling_costs_no_budget() -> Test {
    let runtime = current_thread("cost")?;
    runtime.block_on(pin!(poll_fn(|cx| {
        let mut asked = 0;
        // As many steps with the question between them as a poll has without it.
        while step(cx) {
            asked += 1;
            assert!(polling());
        }
        assert_eq!(asked, 128);
        assert!(polling(), "also with the budget used up");
        Poll::Ready(())
    })))?;
    Ok(())
}

#[test]
fn a_timer_is_noticed_with_the_budget_used_up() -> Test {
    let runtime = current_thread("budget")?;
    let deadline = runtime.now();
    let mut timer = runtime.timer(deadline);
    runtime.block_on(pin!(poll_fn(|cx| {
        assert!(runtime.now() < deadline + Duration::from_secs(5), "the timer is not noticed");
        while step(cx) {}
        assert!(!coop::has_budget_remaining());
        timer.as_mut().poll_elapsed(cx)
    })))?;
    Ok(())
}

/// Spends one unit of the budget, if there is one.
fn step(cx: &mut Context<'_>) -> bool {
    match coop::poll_proceed(cx) {
        Poll::Ready(restore) => {
            restore.made_progress();
            true
        }
        Poll::Pending => false,
    }
}

#[test]
fn all_of_it_works_when_polled_by_a_foreign_executor() -> Test {
    let runtime = multi("alien")?;
    futures::executor::block_on(async {
        assert!(Handle::try_current().is_err());
        let deadline = runtime.now() + Duration::from_millis(5);
        let mut timer = runtime.timer(deadline);
        poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
        assert!(runtime.now() >= deadline);

        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = Address::Tcp(socket.local_addr()?);
        let listener = runtime.listen(ListenerSocket::Tcp(socket))?;
        let (ours, theirs) = join!(runtime.connect(&address), listener.accept());
        let (mut ours, (mut theirs, _)) = (ours?, theirs?);
        let mut buffer = [0; 5];
        let (sent, received) = join!(ours.write_all(b"hello"), theirs.read_exact(&mut buffer));
        sent.and(received)?;

        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = socket.local_addr()?;
        let socket = runtime.datagram(DatagramSocket::Udp(socket))?;
        let (received, sent) = join!(socket.recv_from(&mut buffer), socket.send_to(b"hello", address));
        sent?;
        assert_eq!(received?, (5, address));
        io::Result::Ok(())
    })?;
    Ok(())
}

#[test]
fn an_adopted_runtime_supplies_timers_and_sockets() -> Test {
    let theirs = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let runtime = from_handle(theirs.handle().clone());
    theirs.block_on(async {
        let deadline = runtime.now() + Duration::from_millis(5);
        let mut timer = runtime.timer(deadline);
        poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
        assert!(runtime.now() >= deadline);
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = Address::Tcp(socket.local_addr()?);
        let listener = runtime.listen(ListenerSocket::Tcp(socket))?;
        let (ours, theirs) = join!(runtime.connect(&address), listener.accept());
        ours.and(theirs.map(drop))
    })?;
    Ok(())
}

#[test]
fn the_last_clone_may_be_dropped_inside_a_task() -> Test {
    let runtime = multi("last")?;
    let handle = entered(&*runtime)?;
    let (tell, told) = mpsc::channel();
    let (give, given) = mpsc::channel::<Arc<dyn Runtime>>();
    drop(handle.spawn(async move {
        let dropped = given.recv().map(drop);
        let _ = tell.send(dropped.is_ok());
    }));
    give.send(runtime)?;
    assert!(told.recv()?, "the drop panicked");
    Ok(())
}

#[test]
fn a_shutdown_ends_the_tasks_also_while_clones_live_on() -> Test {
    for runtime in [multi("clone")?, current_thread("clone")?] {
        let clone = runtime.clone();
        let handle = entered(&*runtime)?;
        let (alive, ended) = mpsc::channel::<()>();
        drop(handle.spawn(async move {
            std::future::pending::<()>().await;
            drop(alive);
        }));
        runtime.shutdown();
        assert!(ended.recv().is_err());
        // And one that comes later is dropped inside the call that spawns it.
        let (alive, ended) = mpsc::channel::<()>();
        drop(handle.spawn(async move { drop(alive) }));
        assert_eq!(ended.try_recv(), Err(mpsc::TryRecvError::Disconnected));
        drop(clone);
    }
    Ok(())
}

#[test]
fn a_timer_that_waits_while_its_runtime_ends_stays_pending() -> Test {
    for runtime in [multi("stay")?, current_thread("stay")?] {
        let (woken, wakes) = mpsc::channel();
        let waker = Waker::from(Arc::new(Tell(woken)));
        let mut cx = Context::from_waker(&waker);
        let mut timer = runtime.timer(runtime.now() + Duration::from_secs(3600));
        assert!(timer.as_mut().poll_elapsed(&mut cx).is_pending());
        runtime.shutdown();
        // tokio wakes it then; the poll that follows must not panic.
        wakes.recv()?;
        assert!(timer.as_mut().poll_elapsed(&mut cx).is_pending());
    }
    Ok(())
}

struct Tell(mpsc::Sender<()>);

impl std::task::Wake for Tell {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

#[test]
fn a_shutdown_during_block_on_lets_it_finish() -> Test {
    let runtime = current_thread("during")?;
    let other = runtime.clone();
    let mut thread = None;
    let mut polls = 0;
    runtime.block_on(pin!(poll_fn(|cx| {
        polls += 1;
        if polls > 1 {
            return Poll::Ready(());
        }
        let (other, waker) = (other.clone(), cx.waker().clone());
        let builder = std::thread::Builder::new().name("ender".into());
        thread = builder
            .spawn(move || {
                other.shutdown();
                waker.wake();
            })
            .ok();
        Poll::Pending
    })))?;
    assert!(thread.is_some_and(|thread| thread.join().is_ok()));
    Ok(())
}

/// The handle of a runtime, as code inside it sees it.
fn entered(runtime: &dyn Runtime) -> Result<Handle, tokio::runtime::TryCurrentError> {
    let mut handle = None;
    runtime.enter(&mut || handle = Some(Handle::try_current()));
    handle.unwrap_or_else(Handle::try_current)
}
