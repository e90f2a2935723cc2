//! [`Backend`]: which runtime a run is started on.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::Arc;

use anyrt_core::{RunError, Runtime};

/// A runtime that [`run`](crate::run) can start.
///
/// All are always there, whichever features are on, so that code which names one compiles
/// everywhere; to start one that is not compiled in is an error that names the feature.
///
/// ```
/// use anyrt::Backend;
///
/// let backend: Backend = "smol".parse()?;
/// assert_eq!(backend, Backend::Smol);
/// # Ok::<(), anyrt::RunError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// tokio with worker threads. Feature `tokio`.
    Tokio,
    /// tokio with everything on the thread that called. Feature `tokio`.
    TokioCurrentThread,
    /// An executor of smol's parts with threads of its own. Feature `smol`.
    Smol,
    /// async-std, which is discontinued. Feature `async-std`.
    AsyncStd,
}

impl Backend {
    const ALL: &'static [Backend] =
        &[Backend::Tokio, Backend::TokioCurrentThread, Backend::Smol, Backend::AsyncStd];

    /// The backends that are compiled in, the default one first.
    pub fn enabled() -> &'static [Backend] {
        const {
            &[
                #[cfg(feature = "tokio")]
                Backend::Tokio,
                #[cfg(feature = "tokio")]
                Backend::TokioCurrentThread,
                #[cfg(feature = "smol")]
                Backend::Smol,
                #[cfg(feature = "async-std")]
                Backend::AsyncStd,
            ]
        }
    }

    /// Whether it is compiled in.
    pub fn is_enabled(self) -> bool {
        Backend::enabled().contains(&self)
    }

    /// Its name: what `ANYRT_BACKEND` and [`FromStr`] take.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Tokio => "tokio",
            Backend::TokioCurrentThread => "tokio-current-thread",
            Backend::Smol => "smol",
            Backend::AsyncStd => "async-std",
        }
    }

    /// The feature of `anyrt` that brings it.
    pub fn feature(self) -> &'static str {
        match self {
            Backend::Tokio | Backend::TokioCurrentThread => "tokio",
            Backend::Smol => "smol",
            Backend::AsyncStd => "async-std",
        }
    }

    /// Which one a run starts: what the code names, what the environment names, the first enabled.
    ///
    /// An empty name in the environment is none.
    pub(crate) fn choose(code: Option<Backend>, environment: Option<&str>) -> Result<Backend, RunError> {
        match (code, environment) {
            (Some(backend), _) => Ok(backend),
            (None, Some(name)) if !name.is_empty() => name.parse(),
            _ => Backend::enabled().first().copied().ok_or(RunError::NoBackend),
        }
    }

    /// Starts the runtime.
    pub(crate) fn start(
        self,
        threads: Option<NonZeroUsize>,
        name: &str,
    ) -> Result<Arc<dyn Runtime>, RunError> {
        if threads.is_some() && matches!(self, Backend::TokioCurrentThread | Backend::AsyncStd) {
            tracing::debug!(
                backend = self.name(),
                "the number of threads cannot be chosen here, and is ignored"
            );
        }
        // Which of them are used depends on the features.
        let _ = (threads, name);
        match self {
            #[cfg(feature = "tokio")]
            Backend::Tokio => anyrt_tokio::multi_thread(threads, name).map_err(RunError::Start),
            #[cfg(feature = "tokio")]
            Backend::TokioCurrentThread => anyrt_tokio::current_thread(name).map_err(RunError::Start),
            #[cfg(feature = "smol")]
            Backend::Smol => anyrt_smol::executor(threads, name).map_err(RunError::Start),
            #[cfg(feature = "async-std")]
            Backend::AsyncStd => Ok(anyrt_async_std::runtime()),
            #[cfg(not(all(feature = "tokio", feature = "smol", feature = "async-std")))]
            other => {
                Err(RunError::NotCompiledIn { name: other.name().into(), feature: other.feature().into() })
            }
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Backend {
    type Err = RunError;

    /// # Errors
    ///
    /// [`RunError::UnknownBackend`], with the names there are.
    fn from_str(name: &str) -> Result<Backend, RunError> {
        Backend::ALL.iter().copied().find(|backend| backend.name() == name).ok_or_else(|| {
            let known: Vec<_> = Backend::ALL.iter().map(|backend| backend.name()).collect();
            RunError::UnknownBackend { name: name.to_owned(), known: known.join(", ") }
        })
    }
}
