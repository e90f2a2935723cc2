//! A thread that listens for signals, started when it is first needed, for the life of the process.

use std::io;
use std::sync::OnceLock;

/// Started once. If that failed, every caller gets the error.
pub(crate) struct SignalThread(OnceLock<Result<(), (io::ErrorKind, String)>>);

impl SignalThread {
    pub(crate) const fn new() -> SignalThread {
        SignalThread(OnceLock::new())
    }

    pub(crate) fn start(&self, listen: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let started = self.0.get_or_init(|| listen().map_err(|error| (error.kind(), error.to_string())));
        started.clone().map_err(|(kind, text)| io::Error::new(kind, text))
    }
}

/// Starts a thread of this name, which calls `arrived` with each of these signals.
#[cfg(unix)]
pub(crate) fn listen(
    name: &str,
    signals: &[std::ffi::c_int],
    mut arrived: impl FnMut(std::ffi::c_int) + Send + 'static,
) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new(signals)?;
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || signals.forever().for_each(&mut arrived))?;
    Ok(())
}
