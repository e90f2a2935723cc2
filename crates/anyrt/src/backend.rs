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
/// # Ok::<(), anyrt::BackendError>(())
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

    /// Which one a run starts that names none: what the environment names, the first enabled.
    ///
    /// An empty name in the environment is none.
    pub(crate) fn choose(environment: Option<&str>) -> Result<Backend, BackendError> {
        match environment {
            Some(name) if !name.is_empty() => name.parse(),
            _ => Backend::enabled().first().copied().ok_or(BackendError::NoneCompiledIn),
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
            other => Err(BackendError::NotCompiledIn { backend: other }.into()),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Backend {
    type Err = BackendError;

    /// # Errors
    ///
    /// [`BackendError::Unknown`], with the names there are.
    fn from_str(name: &str) -> Result<Backend, BackendError> {
        let unknown = || BackendError::Unknown { name: name.to_owned() };
        Backend::ALL.iter().copied().find(|backend| backend.name() == name).ok_or_else(unknown)
    }
}

/// Why there is no such backend.
///
/// Of a run it is a [`RunError::Backend`], which says the same and can be asked for this by `downcast_ref`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendError {
    /// No backend is compiled in.
    NoneCompiledIn,
    /// `ANYRT_BACKEND`, or a name in the code, names no backend.
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// The backend is known, but its feature is off.
    NotCompiledIn {
        /// The backend that was asked for.
        backend: Backend,
    },
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackendError::NoneCompiledIn => f.write_str(
                "no backend is compiled in: enable a feature of `anyrt`: `tokio`, `smol` or `async-std`",
            ),
            BackendError::Unknown { name } => {
                let known: Vec<_> = Backend::ALL.iter().map(|backend| backend.name()).collect();
                let known = known.join(", ");
                write!(f, "unknown backend `{name}`: `ANYRT_BACKEND` and `Backend` know {known}")
            }
            BackendError::NotCompiledIn { backend } => write!(
                f,
                "backend `{backend}` is not compiled in: enable the feature `{}` of `anyrt`",
                backend.feature()
            ),
        }
    }
}

impl std::error::Error for BackendError {}

impl From<BackendError> for RunError {
    fn from(error: BackendError) -> RunError {
        RunError::Backend(Box::new(error))
    }
}
