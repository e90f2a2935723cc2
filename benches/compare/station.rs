//! Where the sides are measured: each backend twice, once as a run of ours and once as it is.

use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use anyrt::Backend;
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use crate::native;
use crate::pair::Measurement;
use crate::stopwatch::Sample;

/// How many threads poll tasks, where that can be chosen.
pub(crate) const THREADS: usize = 2;

/// Measurements to be made, each in a task of the station's runtime.
pub(crate) type Orders = UnboundedReceiver<Order>;

pub(crate) struct Order {
    measurement: Measurement,
    tell: mpsc::Sender<Sample>,
}

impl Order {
    /// Makes the measurement and tells its result.
    pub(crate) async fn fill(self) {
        let sample = self.measurement.await;
        // Somebody waits for it as long as the station is there.
        let _ = self.tell.send(sample);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Ours,
    Theirs,
}

/// The stations that were needed so far.
#[derive(Default)]
pub(crate) struct Stations(HashMap<(Backend, Side), Rc<Station>>);

impl Stations {
    pub(crate) fn on(&mut self, backend: Backend, side: Side) -> io::Result<Rc<Station>> {
        use std::collections::hash_map::Entry;
        Ok(match self.0.entry((backend, side)) {
            Entry::Occupied(station) => station.get().clone(),
            Entry::Vacant(place) => place.insert(Rc::new(Station::start(backend, side)?)).clone(),
        })
    }
}

/// A thread that drives a runtime, idle but for one measurement at a time.
pub(crate) struct Station {
    orders: UnboundedSender<Order>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Station {
    fn start(backend: Backend, side: Side) -> io::Result<Station> {
        let (orders, queue) = unbounded();
        let thread =
            thread::Builder::new().name(format!("{backend} {side:?}")).spawn(move || match side {
                Side::Ours => drive(backend, queue),
                Side::Theirs => native::drive(backend, queue),
            })?;
        Ok(Station { orders, thread: Some(thread) })
    }

    /// Makes a measurement and waits for its result.
    pub(crate) fn take(&self, measurement: Measurement) -> Result<Sample, String> {
        let (tell, told) = mpsc::channel();
        let sent = self.orders.unbounded_send(Order { measurement, tell });
        sent.map_err(|_| "its runtime has ended".to_owned())?;
        told.recv().map_err(|_| "it panicked".to_owned())
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        self.orders.close_channel();
        if let Some(thread) = self.thread.take() {
            // A panic was told by its hook.
            let _ = thread.join();
        }
    }
}

fn drive(backend: Backend, mut orders: Orders) {
    anyrt::Run::on(backend)
        .threads(THREADS)
        .name("ours")
        .run(async {
            while let Some(order) = orders.next().await {
                // If it panicked, who ordered it notices.
                let _ = anyrt::spawn(order.fill()).await;
            }
        })
        .expect("the run ends well");
}
