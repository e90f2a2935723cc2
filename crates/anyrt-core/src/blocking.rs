//! Blocking work: sync code beside async code. `blocking/README.md` explains the pool.

mod adapt;
mod choice;
mod context_manager;
pub mod from_thread;
mod grant;
mod iterate;
mod job;
mod limiter;
mod notifier;
mod pool;
mod run;
mod waited;
mod working;

pub use adapt::{BoxedJob, asyncify, syncify};
pub use choice::BlockingPool;
pub use context_manager::{Leaving, blocking_context};
pub use from_thread::CallError;
pub use grant::{Borrower, Limiter};
pub use iterate::{IterateBlocking, iterate_blocking};
pub(crate) use job::InJob;
pub use job::Job;
pub use limiter::{
    AcquireOnBehalfFuture, AcquireTokenFuture, AlreadyBorrowed, CapacityLimiter, LimiterStatistics,
    NotBorrowed, Token, TryAcquireError, Turn,
};
pub use pool::PoolStatistics;
pub(crate) use pool::{IDLE, PATIENCE, Pool};
pub use run::{BlockingCall, RunBlocking, StartError, TryBlockingCall, drop_in_pool, run_blocking, run_cpu};
pub use waited::BlockingHandle;

/// The size of the default limiter: AnyIO's and so FastAPI's.
pub(crate) const DEFAULT_LIMIT: usize = 40;
