//! Executors: what polls the tasks.

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;

use anyrt_core::Task;
use smol::channel::{Receiver, Sender};

/// An executor with threads of its own.
#[derive(Debug)]
pub(crate) struct Executor {
    // Taken out at the end, so that tasks which come later find nobody, and those left are dropped.
    queue: RwLock<Option<Arc<Queue>>>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
    // Closed to end the threads.
    running: Sender<()>,
}

type Queue = async_executor::Executor<'static>;

impl Executor {
    /// Starts the threads.
    pub(crate) fn start(threads: NonZeroUsize, name: &str) -> io::Result<Executor> {
        if name.contains('\0') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a thread's name cannot contain a NUL"));
        }
        let (running, ended) = smol::channel::bounded(1);
        let queue = Arc::new(Queue::new());
        // Made before its threads, so that those already started end if a later one fails to.
        let executor =
            Executor { queue: RwLock::new(Some(queue.clone())), threads: Mutex::default(), running };
        for n in 1..=threads.get() {
            let (queue, ended) = (queue.clone(), ended.clone());
            let thread = thread::Builder::new()
                .name(format!("{name}-worker-{n}"))
                .spawn(move || poll_tasks(&queue, &ended))?;
            executor.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(executor)
    }

    /// Whether the threads have not been told to end.
    pub(crate) fn is_running(&self) -> bool {
        !self.running.is_closed()
    }

    /// Takes over a task, or drops it after the end.
    pub(crate) fn spawn(&self, task: Task) {
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
        match &*queue {
            Some(queue) => queue.spawn(task).detach(),
            None => {
                // Unlocked first: what the task drops may spawn in its turn.
                drop(queue);
                drop(task);
            }
        }
    }

    /// Ends the threads, waits for them, and drops the tasks that are left.
    pub(crate) fn end(&self) {
        let queue = self.queue.write().unwrap_or_else(PoisonError::into_inner).take();
        self.running.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // It would have panicked with a task, and tasks do not.
            let _ = thread.join();
        }
        // Drops the tasks, now that no thread shares the queue.
        drop(queue);
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // Without waiting: the last clone may be dropped inside a task.
        self.running.close();
    }
}

fn poll_tasks(queue: &Queue, ended: &Receiver<()>) {
    let _ = smol::block_on(queue.run(ended.recv()));
}
