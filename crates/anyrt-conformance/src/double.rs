//! [`Double`]: a runtime that stands in for another one and does as it does, but for one thing.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyrt_core::net::{Address, Datagram, DatagramSocket, Listener, ListenerSocket, Stream, StreamSocket};
use anyrt_core::{Blocking, Job, NotOwned, Runtime, Task, Timer};
use async_trait::async_trait;

/// A double of a runtime: a case sees with it what the core does when a runtime behaves unusually.
#[derive(Debug)]
pub(crate) struct Double {
    original: Arc<dyn Runtime>,
    /// Tasks are dropped in `spawn`, as a runtime does that has ended.
    refuses: AtomicBool,
    /// The original has ended: it cannot drive a root any more.
    ended: bool,
    jobs: Jobs,
    /// With [`Jobs::Kept`].
    kept: Mutex<Vec<Job>>,
    /// What [`Runtime::working`] has returned and is alive.
    working: Arc<()>,
}

/// Where the blocking jobs of a double go.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Jobs {
    /// Where the run has chosen.
    Chosen,
    /// To the original's own pool, if it has one.
    Native,
    /// Nowhere: they are dropped, as by a runtime that has ended.
    Dropped,
    /// Nowhere: a panic says so, as where no thread can be started.
    Panics,
    /// Nowhere before [`Double::run_kept`], as in a pool that is full.
    Kept,
}

/// A runtime that does as `original` does, but runs all blocking jobs in its own pool, as far as it has
/// one ([`Runtime::blocking`]), whatever a run has chosen: the cases of blocking work on this are
/// what [`BlockingPool::Native`](anyrt_core::BlockingPool::Native) keeps of them.
pub fn with_native_jobs(original: Arc<dyn Runtime>) -> Arc<dyn Runtime> {
    Arc::new(Double::of(original).with_jobs(Jobs::Native))
}

impl Double {
    /// A double of `original`.
    pub(crate) fn of(original: Arc<dyn Runtime>) -> Double {
        Double {
            original,
            refuses: AtomicBool::new(false),
            ended: false,
            jobs: Jobs::Chosen,
            kept: Mutex::default(),
            working: Arc::default(),
        }
    }

    /// A double that outlives its original: it polls the root by itself and passes all else on.
    pub(crate) fn after_the_end_of(original: Arc<dyn Runtime>) -> Double {
        original.shutdown();
        Double {
            original,
            refuses: AtomicBool::new(false),
            ended: true,
            jobs: Jobs::Chosen,
            kept: Mutex::default(),
            working: Arc::default(),
        }
    }

    pub(crate) fn with_jobs(self, jobs: Jobs) -> Double {
        Double { jobs, ..self }
    }

    /// There is room: the jobs that were kept run, each on a thread of its own, and this waits for their end.
    pub(crate) fn run_kept(&self) {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        thread::scope(|threads| {
            for job in kept {
                threads.spawn(|| {
                    let mut job = Some(job);
                    self.enter(&mut || {
                        if let Some(job) = job.take() {
                            job.run();
                        }
                    });
                });
            }
        });
    }

    /// How many of the core's threads work, as far as the runtime was told.
    pub(crate) fn working_now(&self) -> usize {
        Arc::strong_count(&self.working) - 1
    }

    /// From now on tasks are dropped.
    pub(crate) fn refuse_tasks(&self) {
        self.refuses.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Runtime for Double {
    fn name(&self) -> &'static str {
        self.original.name()
    }

    fn block_on(&self, root: Pin<&mut dyn Future<Output = ()>>) -> Result<(), NotOwned> {
        if self.ended {
            futures::executor::block_on(root);
            return Ok(());
        }
        self.original.block_on(root)
    }

    fn spawn(&self, task: Task) {
        if self.refuses.load(Ordering::SeqCst) {
            drop(task);
        } else {
            self.original.spawn(task);
        }
    }

    fn enter(&self, run: &mut dyn FnMut()) {
        if self.ended { run() } else { self.original.enter(run) }
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        match self.jobs {
            Jobs::Chosen => self.original.blocking(),
            Jobs::Native => self.original.blocking().map(|_| self as _),
            Jobs::Dropped | Jobs::Panics | Jobs::Kept => Some(self),
        }
    }

    fn working(&self) -> Option<Box<dyn Send>> {
        Some(Box::new(self.working.clone()))
    }

    fn now(&self) -> Instant {
        self.original.now()
    }

    fn timer(&self, deadline: Instant) -> Pin<Box<dyn Timer>> {
        self.original.timer(deadline)
    }

    async fn connect(&self, address: &Address) -> io::Result<Box<dyn Stream>> {
        self.original.connect(address).await
    }

    fn listen(&self, socket: ListenerSocket) -> io::Result<Box<dyn Listener>> {
        self.original.listen(socket)
    }

    fn stream(&self, socket: StreamSocket) -> io::Result<Box<dyn Stream>> {
        self.original.stream(socket)
    }

    fn datagram(&self, socket: DatagramSocket) -> io::Result<Box<dyn Datagram>> {
        self.original.datagram(socket)
    }

    fn shutdown(&self) {
        if !self.ended {
            self.original.shutdown();
        }
    }
}

impl Blocking for Double {
    fn submit(&self, job: Job) -> Result<(), (Job, io::Error)> {
        match (self.jobs, self.original.blocking()) {
            (Jobs::Panics, _) => panic!("expected: no thread for it"),
            (Jobs::Kept, _) => {
                self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(job);
                Ok(())
            }
            (Jobs::Chosen | Jobs::Native, Some(native)) => native.submit(job),
            _ => {
                drop(job);
                Ok(())
            }
        }
    }

    fn takes_all(&self) -> bool {
        true
    }
}
