//! Signals that ask a program to end, one at a time ([`shutdown()`]) or all that arrive ([`Signals`]).
//!
//! The end in two phases: a first signal asks all that is in the group to stop, within a grace; a second one
//! does not wait for it.
//!
//! ```
//! use std::time::Duration;
//! use anyrt_core::{BoxError, signal, task_group};
//!
//! # async fn serve() {}
//! # async fn demo() {
//! task_group(async |tg| {
//!     let group = tg.clone();
//!     tg.try_spawn_service(async move {
//!         signal::shutdown().await?;
//!         group.cancel_after_with(Duration::from_secs(10), "asked to end");
//!         signal::shutdown().await?;
//!         group.cancel_with("asked twice");
//!         Ok::<_, BoxError>(())
//!     });
//!     tg.spawn(serve());
//! })
//! .await
//! .unwrap();
//! # }
//! ```

use std::panic::Location;
use std::sync::{PoisonError, RwLock};
use std::{fmt, io};

use crate::base::signal_thread::SignalThread;
use crate::wait::channel::{self, Receiver, Sender};

/// What a program is told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// Ctrl-C: `SIGINT`.
    Interrupt,
    /// `SIGTERM`. Elsewhere than on Unix the same as [`Interrupt`](Signal::Interrupt).
    Terminate,
}

/// Waits for the next Ctrl-C (`SIGINT`).
///
/// From the first call of a function of this module on, these signals do not end the program by
/// themselves any more: whoever asked for them decides.
///
/// # Errors
///
/// When the system refuses the handler, or no thread can be started for it.
///
/// # Cancel safety
///
/// A signal that arrives while nobody waits is not kept: [`Signals`] keeps it.
pub async fn interrupt() -> io::Result<()> {
    next(&[Signal::Interrupt]).await
}

/// Waits for the next request to terminate (`SIGTERM`). Elsewhere than on Unix as [`interrupt`].
///
/// # Errors, cancel safety
///
/// As [`interrupt`].
pub async fn terminate() -> io::Result<()> {
    next(&[Signal::Terminate]).await
}

/// Waits for either: what a server ends at.
///
/// # Errors, cancel safety
///
/// As [`interrupt`].
pub async fn shutdown() -> io::Result<()> {
    next(&[Signal::Interrupt, Signal::Terminate]).await
}

async fn next(kinds: &[Signal]) -> io::Result<()> {
    Signals::of(kinds)?.recv().await;
    Ok(())
}

/// Receives signals for as long as it lives (AnyIO: `open_signal_receiver`).
///
/// What arrives before it is asked for is kept, in the order in which it arrived; the system itself makes one of
/// several that arrive at once. Each receiver gets them all.
///
/// ```no_run
/// # async fn demo() -> std::io::Result<()> {
/// use anyrt_core::signal::{Signal, Signals};
///
/// let signals = Signals::of(&[Signal::Interrupt, Signal::Terminate])?;
/// loop {
///     match signals.recv().await {
///         Signal::Terminate => break,
///         other => println!("{other:?}: SIGTERM ends this"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Signals {
    kinds: Vec<Signal>,
    arrived: Receiver<Signal>,
}

/// Who receives what. Those whose receiver has gone are taken out by the next.
static RECEIVERS: RwLock<Vec<(Vec<Signal>, Sender<Signal>)>> = RwLock::new(Vec::new());

impl Signals {
    /// A receiver of these. They do not end the program by themselves any more.
    ///
    /// # Errors
    ///
    /// When the system refuses the handler, or no thread can be started for it.
    pub fn of(kinds: &[Signal]) -> io::Result<Signals> {
        static LISTENER: SignalThread = SignalThread::new();
        let (sender, arrived) = channel::unbounded();
        {
            let mut receivers = RECEIVERS.write().unwrap_or_else(PoisonError::into_inner);
            receivers.retain(|(_, sender)| !sender.is_closed());
            receivers.push((kinds.to_vec(), sender));
        }
        LISTENER.start(listen)?;
        Ok(Signals { kinds: kinds.to_vec(), arrived })
    }

    /// Waits for the next one.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    #[track_caller]
    pub fn recv(&self) -> impl Future<Output = Signal> + Send + use<'_> {
        let (called, receiving) = (Location::caller(), self.arrived.recv());
        async move {
            match receiving.await {
                Ok(signal) => signal,
                // Those who send are in a list of the process, until this has gone.
                Err(end) => unreachable!("the signals at {called} have ended: {end}"),
            }
        }
    }

    /// How many have arrived and were not received yet.
    pub fn pending(&self) -> usize {
        self.arrived.len()
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("kinds", &self.kinds).field("pending", &self.pending()).finish()
    }
}

fn arrived(signal: Signal) {
    let receivers: Vec<Sender<Signal>> = {
        let listed = RECEIVERS.read().unwrap_or_else(PoisonError::into_inner);
        listed.iter().filter(|(kinds, _)| kinds.contains(&signal)).map(|(_, sender)| sender.clone()).collect()
    };
    for receiver in receivers {
        // One that has gone does not want it.
        let _ = receiver.try_send(signal);
    }
}

/// Starts the thread that passes signals on, for the life of the process.
#[cfg(unix)]
fn listen() -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};

    crate::base::signal_thread::listen("anyrt-signals", &[SIGINT, SIGTERM], |signal| {
        arrived(if signal == SIGTERM { Signal::Terminate } else { Signal::Interrupt });
    })
}

#[cfg(not(unix))]
fn listen() -> io::Result<()> {
    ctrlc::set_handler(|| {
        arrived(Signal::Interrupt);
        arrived(Signal::Terminate);
    })
    .map_err(io::Error::other)
}
