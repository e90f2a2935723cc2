//! Executors: what polls the tasks.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;

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
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
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

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::mpsc::{TryRecvError, channel};

    use super::*;

    fn start(name: &str) -> io::Result<Executor> {
        Executor::start(NonZeroUsize::MIN, name)
    }

    #[test]
    fn a_task_runs_on_a_named_thread_with_nobody_in_block_on() -> io::Result<()> {
        let executor = start("named")?;
        let (tell, told) = channel();
        executor.spawn(async move {
            let _ = tell.send(thread::current().name().map(String::from));
        });
        assert_eq!(told.recv().ok().flatten().as_deref(), Some("named-worker-1"));
        Ok(())
    }

    #[test]
    fn a_task_is_not_polled_inside_the_call_that_spawns_it() -> io::Result<()> {
        let executor = Arc::new(start("later")?);
        let (tell, told) = channel();
        let (inside, spawner) = (Arc::downgrade(&executor), tell.clone());
        executor.spawn(async move {
            // There is one thread, and it is busy here: the child cannot run before this one is done.
            if let Some(executor) = inside.upgrade() {
                executor.spawn(async move { tell.send("child").unwrap_or_default() });
            }
            let _ = spawner.send("spawner");
        });
        assert_eq!(told.iter().collect::<Vec<_>>(), ["spawner", "child"]);
        Ok(())
    }

    #[test]
    fn the_end_drops_what_waits() -> io::Result<()> {
        let executor = start("waits")?;
        let (tell, told) = channel();
        executor.spawn(async move {
            let _ = tell.send(());
            pending::<()>().await;
            drop(tell);
        });
        assert_eq!(told.recv(), Ok(()));
        executor.end();
        assert_eq!(told.try_recv(), Err(TryRecvError::Disconnected));
        Ok(())
    }

    #[test]
    fn what_is_spawned_after_the_end_is_dropped_in_the_call() -> io::Result<()> {
        let executor = start("after")?;
        executor.end();
        let (tell, told) = channel::<()>();
        executor.spawn(async move { drop(tell) });
        assert_eq!(told.try_recv(), Err(TryRecvError::Disconnected));
        Ok(())
    }

    #[test]
    fn what_the_end_drops_may_spawn() -> io::Result<()> {
        struct SpawnOnDrop(Arc<Executor>, std::sync::mpsc::Sender<()>);
        impl Drop for SpawnOnDrop {
            fn drop(&mut self) {
                let tell = self.1.clone();
                self.0.spawn(async move { drop(tell) });
            }
        }

        let executor = Arc::new(start("spawns")?);
        let (tell, told) = channel();
        let (held, ready) = (SpawnOnDrop(executor.clone(), tell), channel());
        executor.spawn(async move {
            let _held = held;
            let _ = ready.0.send(());
            pending::<()>().await;
        });
        assert_eq!(ready.1.recv(), Ok(()));
        executor.end();
        assert_eq!(told.try_recv(), Err(TryRecvError::Disconnected));
        Ok(())
    }

    #[test]
    fn a_dropped_executor_drops_its_tasks() -> io::Result<()> {
        let executor = start("dropped")?;
        let (tell, told) = channel::<()>();
        executor.spawn(async move {
            pending::<()>().await;
            drop(tell);
        });
        drop(executor);
        assert!(told.recv().is_err());
        Ok(())
    }
}
