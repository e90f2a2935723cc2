//! Signals that ask a program to end.
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
//!         group.cancel_after(Duration::from_secs(10), "asked to end");
//!         signal::shutdown().await?;
//!         group.cancel("asked twice");
//!         Ok::<_, BoxError>(())
//!     });
//!     tg.spawn(serve());
//! })
//! .await
//! .unwrap();
//! # }
//! ```

use std::io;
use std::sync::{OnceLock, PoisonError, RwLock};

use crate::between::Event;

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
/// A signal that arrives while nobody waits is not kept.
pub async fn interrupt() -> io::Result<()> {
    wait(&[Kind::Interrupt]).await
}

/// Waits for the next request to terminate (`SIGTERM`). Elsewhere than on Unix as [`interrupt`].
///
/// # Errors, cancel safety
///
/// As [`interrupt`].
pub async fn terminate() -> io::Result<()> {
    wait(&[Kind::Terminate]).await
}

/// Waits for either: what a server ends at.
///
/// # Errors, cancel safety
///
/// As [`interrupt`].
pub async fn shutdown() -> io::Result<()> {
    wait(&[Kind::Interrupt, Kind::Terminate]).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Interrupt,
    Terminate,
}

/// Who waits, and for what. Emptied by each signal.
static WAITING: RwLock<Vec<(Kind, Event)>> = RwLock::new(Vec::new());

async fn wait(kinds: &[Kind]) -> io::Result<()> {
    static LISTENING: OnceLock<Result<(), (io::ErrorKind, String)>> = OnceLock::new();
    let event = Event::new();
    {
        let mut waiting = WAITING.write().unwrap_or_else(PoisonError::into_inner);
        // Those that were dropped have no other owner.
        waiting.retain(|(_, event)| event.is_shared());
        waiting.extend(kinds.iter().map(|kind| (*kind, event.clone())));
    }
    let listening = LISTENING.get_or_init(|| listen().map_err(|error| (error.kind(), error.to_string())));
    if let Err((kind, text)) = listening {
        return Err(io::Error::new(*kind, text.as_str()));
    }
    event.wait().await;
    Ok(())
}

fn arrived(kind: Kind) {
    let mut woken = Vec::new();
    WAITING.write().unwrap_or_else(PoisonError::into_inner).retain(|(waits_for, event)| {
        let hit = *waits_for == kind;
        if hit {
            woken.push(event.clone());
        }
        !hit
    });
    woken.iter().for_each(Event::set);
}

/// Starts the thread that turns signals into events, for the life of the process.
#[cfg(unix)]
fn listen() -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};

    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("anyrt-signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            arrived(if signal == SIGTERM { Kind::Terminate } else { Kind::Interrupt });
        }
    })?;
    Ok(())
}

#[cfg(not(unix))]
fn listen() -> io::Result<()> {
    ctrlc::set_handler(|| {
        arrived(Kind::Interrupt);
        arrived(Kind::Terminate);
    })
    .map_err(io::Error::other)
}
