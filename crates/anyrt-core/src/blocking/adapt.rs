//! [`asyncify`], [`syncify`]: functions of one kind, made to be called as the other.

use std::future::Future;
use std::panic::Location;

use super::from_thread::{self, CallError};
use super::run::RunBlocking;
use crate::base::sync::Arc;

/// Turns a function that blocks into one whose call is awaited, and runs in the pool as
/// [`run_blocking`](crate::run_blocking) does it. (Asyncer: `asyncify`.)
///
/// Each call takes the arguments, several as a tuple, and may be configured before it is awaited.
///
/// ```
/// # async fn demo() -> std::io::Result<()> {
/// use anyrt_core::asyncify;
/// use std::path::PathBuf;
///
/// let read = asyncify(|path: PathBuf| std::fs::read_to_string(path));
/// let manifest = read("Cargo.toml".into()).await?;
/// let again = read("Cargo.toml".into()).name("manifest").abandon_on_cancel().await?;
/// assert_eq!(manifest, again);
///
/// let add = asyncify(|(a, b): (u32, u32)| a + b);
/// assert_eq!(add((20, 22)).await, 42);
/// # Ok(())
/// # }
/// ```
///
/// # Panics, cancel safety
///
/// As [`run_blocking`](crate::run_blocking).
#[track_caller]
pub fn asyncify<F, A, T>(function: F) -> impl Fn(A) -> RunBlocking<BoxedJob<T>> + Clone
where
    F: Fn(A) -> T + Send + Sync + 'static,
    A: Send + 'static,
    T: Send + 'static,
{
    let (function, called) = (Arc::new(function), Location::caller());
    move |arguments| {
        let function = function.clone();
        RunBlocking::called_at(Box::new(move || function(arguments)), called)
    }
}

/// The closure of such a call, as [`asyncify`] makes it.
pub type BoxedJob<T> = Box<dyn FnOnce() -> T + Send>;

/// Turns an async function into one that a blocking closure calls, and waits for, as [`from_thread::run`] does
/// it. (Asyncer: `syncify`.)
///
/// ```
/// # async fn demo() {
/// use anyrt_core::{checkpoint, run_blocking, syncify};
///
/// async fn double(number: u32) -> u32 {
///     checkpoint().await;
///     2 * number
/// }
///
/// let doubled = run_blocking(|| {
///     let double = syncify(double);
///     Ok::<_, anyrt_core::CallError>(double(20)? + double(1)?)
/// });
/// assert_eq!(doubled.await.unwrap(), 42);
/// # }
/// ```
///
/// # Errors
///
/// A call, as [`from_thread::run`]: [`CallError::NotInJob`] outside of a blocking closure,
/// [`CallError::OnRuntimeThread`] in a task, [`CallError::Cancelled`].
///
/// # Panics
///
/// A call, with the panic of the async function.
pub fn syncify<F, A, Fut>(function: F) -> impl Fn(A) -> Result<Fut::Output, CallError>
where
    F: Fn(A) -> Fut,
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    // Outside of a job it is not called at all.
    move |arguments| {
        from_thread::check_here()?;
        from_thread::run(function(arguments))
    }
}
