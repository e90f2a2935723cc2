//! How often a request allocates on a connection that is kept alive, the runtime's and hyper's own
//! included. `cargo test -p tests --test http_allocations -- --nocapture` prints the counts.

#[path = "allocations/allocator.rs"]
mod allocator;
#[path = "http/client.rs"]
mod http_client;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};

use anyrt::{Backend, Run, run_blocking};
use anyrt_http::{App, Dep, Json, Path};
use http_client::Server;

const PASSES: usize = 8;

/// How many requests a pass makes.
const TIMES: u64 = 500;

async fn on_the_loop() -> &'static str {
    "on the event loop"
}

async fn with_a_parameter(Path(id): Path<u64>) -> &'static str {
    assert_eq!(id, 7);
    "with a path parameter"
}

struct Shared(&'static str);

async fn with_a_dependency(shared: Dep<Shared>) -> &'static str {
    shared.0
}

async fn as_json() -> Json<u64> {
    Json(7)
}

fn in_the_pool() -> &'static str {
    "in the thread pool"
}

/// The least that a pass of requests for `path` counts.
///
/// The client is a plain socket in a thread, with a buffer of its own: it allocates nothing.
fn least(backend: Backend, path: &'static str, view: bool) -> u64 {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Run::on(backend)
        .threads(1)
        .run(async move {
            let mut app = App::new()
                .get("/async", on_the_loop)
                .get("/plain", in_the_pool)
                .get("/path/{id}", with_a_parameter)
                .get("/shared", with_a_dependency)
                .get("/json", as_json)
                .provide_value(Shared("shared"));
            if view {
                app = app.view("/_view");
            }
            let server = Server::start(app).await;
            let address = server.address;
            let count = run_blocking(move || passes(address, path)).await;
            server.stop().await;
            count
        })
        .expect("the run ends well")
}

fn passes(address: SocketAddr, path: &str) -> u64 {
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let mut reply = vec![0; 1024];
    stream.write_all(request.as_bytes()).expect("sent");
    let length = stream.read(&mut reply).expect("an answer");
    assert!(reply.starts_with(b"HTTP/1.1 200 OK"));
    let mut pass = || {
        let before = allocator::count();
        for _ in 0..TIMES {
            stream.write_all(request.as_bytes()).expect("sent");
            stream.read_exact(&mut reply[..length]).expect("an answer");
        }
        allocator::count() - before
    };
    (0..PASSES).map(|_| pass()).min().unwrap_or(u64::MAX)
}

#[track_caller]
fn assert_at_most(backend: Backend, path: &'static str, view: bool, most: u64) {
    let count = least(backend, path, view);
    let each = count as f64 / TIMES as f64;
    println!(
        "{backend}: {each:.2} allocations a request of {path}{}",
        if view { ", with a view" } else { "" }
    );
    // A queue of threads grows now and then; one allocation more a request would be fifty times that.
    assert!(
        count <= most * TIMES + TIMES / 50,
        "{count} allocations for {TIMES} requests of {path} on {backend}"
    );
}

/// One module for each backend that is compiled in.
macro_rules! on_each_backend {
    ($($feature:literal $module:ident $backend:ident: async $loop:literal, plain $pool:literal;)*) => {$(
        #[cfg(feature = $feature)]
        mod $module {
            use super::{Backend, assert_at_most};

            #[test]
            fn a_request_on_the_event_loop_allocates_so_often() {
                assert_at_most(Backend::$backend, "/async", false, $loop);
            }

            #[test]
            fn a_path_parameter_allocates_nothing_more() {
                assert_at_most(Backend::$backend, "/path/7", false, $loop);
            }

            #[test]
            fn a_shared_dependency_allocates_nothing_more() {
                assert_at_most(Backend::$backend, "/shared", false, $loop);
            }

            #[test]
            fn a_json_response_allocates_its_text_and_shares_it() {
                assert_at_most(Backend::$backend, "/json", false, $loop + 2);
            }

            #[test]
            fn a_view_costs_three_more() {
                assert_at_most(Backend::$backend, "/async", true, $loop + 3);
            }

            #[test]
            fn a_request_in_the_thread_pool_allocates_so_often() {
                assert_at_most(Backend::$backend, "/plain", false, $pool);
            }
        }
    )*};
}

// One for the future of the request, one for its body in axum-core's type; in the pool the job. On smol and
// async-std the reactor makes wakers, and it depends on how often a connection is polled meanwhile: a
// bound, no count.
on_each_backend! {
    "tokio" tokio_current_thread TokioCurrentThread: async 2, plain 3;
    "tokio" tokio Tokio: async 2, plain 3;
    "smol" smol Smol: async 8, plain 12;
    "async-std" async_std AsyncStd: async 8, plain 12;
}
