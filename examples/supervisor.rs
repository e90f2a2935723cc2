//! A small supervised service: a child that is begun anew when it fails, an end in two phases, clean-up
//! that awaits.
//!
//! ```console
//! $ cargo run --example supervisor
//! ```
//!
//! A shop takes orders and watches prices. The customers of this example see to it that everything happens
//! once, in a fixed order, so that the output is the same on every backend; it is checked. Read from the top:
//! `shop`, `supervise`, `take_orders`, `serve`; the rest is the day that they live through.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyrt::channel::{self, Receiver, Sender};
use anyrt::scope::Exit;
use anyrt::sync::Event;
use anyrt::{Backend, Either, GroupError, TaskGroup, is_stopping, race, sleep, stopping};

/// How long an order that was begun may take after the shop was asked to end.
const GRACE: Duration = Duration::from_millis(500);

/// The service. It ends when it is asked to, or with the first error that nobody handles.
async fn shop(day: Arc<Day>, orders: Receiver<Order>) -> Result<(), GroupError> {
    anyrt::task_group(async |tg| {
        // Runs when all children have ended, whatever ended them.
        let ledger = Arc::clone(&day);
        tg.cancel_scope().on_exit(async move |_| {
            anyrt::run_blocking(move || ledger.note("the ledger is closed")).await;
        });
        tg.named("prices").spawn(supervise(Arc::clone(&day), "prices", watch_prices));
        tg.named("counter").spawn(take_orders(tg.clone(), Arc::clone(&day), orders));

        race(day.end.wait(), anyrt::signal::shutdown()).await;
        day.note(&format!("asked to end: {GRACE:?} to finish what was begun"));
        tg.cancel_after_with(GRACE, "asked to end"); // `stopping()` is ready everywhere inside; then all is cancelled
    })
    .await
}

/// Runs a child, and runs it anew when it fails: each time after a longer pause, until it is told to stop.
async fn supervise<F>(day: Arc<Day>, name: &str, child: impl Fn(Arc<Day>, u32) -> F)
where
    F: Future<Output = io::Result<()>>,
{
    let mut pause = Duration::from_millis(10);
    for attempt in 1.. {
        let Err(error) = child(Arc::clone(&day), attempt).await else { return };
        day.note(&format!("{name} failed: {error}; again in {pause:?}"));
        if let Either::Right(()) = race(sleep(pause), stopping()).await {
            return;
        }
        pause = (pause * 2).min(Duration::from_secs(60));
    }
}

/// Takes orders until the shop is told to stop. Each is a child of the shop, and outlives this one.
async fn take_orders(tg: TaskGroup, day: Arc<Day>, orders: Receiver<Order>) {
    while !is_stopping() {
        // An order that comes in the same moment counts: it is the first of the two.
        let Either::Left(Ok(order)) = race(orders.recv(), stopping()).await else { break };
        tg.named(&format!("order {}", order.number)).spawn(serve(Arc::clone(&day), order));
    }
    drop(orders);
    day.note("no more orders are taken");
    day.closed.set();
}

/// Serves one order. One that is cut short is put back, however long that takes.
async fn serve(day: Arc<Day>, order: Order) {
    let number = order.number;
    anyrt::finally(order.work(&day), async |exit| match exit {
        Exit::Finished => day.note(&format!("order {number}: done")),
        Exit::Cancelled(cancelled) => {
            sleep(Duration::from_millis(1)).await;
            day.note(&format!("order {number}: put back, {}", cancelled.reason().unwrap_or_default()));
        }
        _ => day.note(&format!("order {number}: lost")),
    })
    .await;
}

/// Fails twice, then watches until it is told to stop.
async fn watch_prices(day: Arc<Day>, attempt: u32) -> io::Result<()> {
    if attempt < 3 {
        return Err(io::Error::other("no route to the exchange"));
    }
    day.note("prices: up");
    day.up.set();
    stopping().await;
    Ok(())
}

struct Order {
    number: u32,
    kind: Kind,
    begun: Event,
}

enum Kind {
    Quick,
    /// Takes until the shop has closed its counter.
    Long,
    Endless,
}

impl Order {
    async fn work(&self, day: &Day) {
        self.begun.set();
        match self.kind {
            Kind::Quick => (),
            Kind::Long => day.finish.wait().await,
            Kind::Endless => std::future::pending().await,
        }
    }
}

/// The day of the shop: what happens, and what has happened.
#[derive(Default)]
struct Day {
    up: Event,
    end: Event,
    closed: Event,
    finish: Event,
    notes: Mutex<String>,
}

impl Day {
    fn note(&self, what: &str) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push_str(what);
        notes.push('\n');
    }

    fn notes(&self) -> String {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn customers(day: Arc<Day>, orders: Sender<Order>) {
    day.up.wait().await;
    for (number, kind) in [(1, Kind::Quick), (2, Kind::Long), (3, Kind::Endless)] {
        let begun = Event::new();
        let order = Order { number, kind, begun: begun.clone() };
        assert!(orders.send(order).await.is_ok(), "the shop is open");
        begun.wait().await;
        while number == 1 && !day.notes().contains("order 1: done") {
            anyrt::checkpoint().await;
        }
    }
    day.end.set();
    day.closed.wait().await;
    let late = Order { number: 4, kind: Kind::Quick, begun: Event::new() };
    assert!(orders.send(late).await.is_err(), "the counter is closed");
    day.note("order 4: refused");
    day.finish.set();
}

const EXPECTED: &str = "\
prices failed: no route to the exchange; again in 10ms
prices failed: no route to the exchange; again in 20ms
prices: up
order 1: done
asked to end: 500ms to finish what was begun
no more orders are taken
order 4: refused
order 2: done
order 3: put back, asked to end
the ledger is closed
";

fn main() {
    for backend in Backend::enabled() {
        let day = Arc::new(Day::default());
        let ended = anyrt::run_on(*backend, async {
            let (sender, receiver) = channel::bounded(1);
            anyrt::join(shop(Arc::clone(&day), receiver), customers(Arc::clone(&day), sender)).await.0
        });
        assert!(ended.is_ok(), "an order that is put back is no error of the shop: {ended:?}");
        assert_eq!(day.notes(), EXPECTED, "on {}", backend.name());
    }
    let backends: Vec<_> = Backend::enabled().iter().map(|backend| backend.name()).collect();
    print!("{EXPECTED}\nthe same on {}\n", backends.join(", "));
}
