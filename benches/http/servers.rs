//! The servers. Each answers the same paths with the same bodies.

use std::io::{BufRead, Write};
use std::thread;

use anyrt::Backend;
use serde::{Deserialize, Serialize};

use crate::allocator;

pub(crate) const NAMES: &[&str] = &[
    #[cfg(feature = "tokio")]
    "ours on tokio",
    #[cfg(feature = "tokio")]
    "hyper on tokio",
    #[cfg(feature = "tokio")]
    "hyper, half_close, on tokio",
    #[cfg(feature = "tokio")]
    "axum on tokio",
    #[cfg(feature = "tokio")]
    "trillium on tokio",
    #[cfg(feature = "smol")]
    "ours on smol",
    #[cfg(feature = "smol")]
    "trillium on smol",
    #[cfg(feature = "async-std")]
    "ours on async-std",
    #[cfg(feature = "async-std")]
    "trillium on async-std",
];

const HELLO: &str = "Hello, World!";

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

const MESSAGE: Message = Message { message: HELLO };

#[derive(Deserialize)]
struct Page {
    size: u32,
}

/// Serves until it is killed. From one line that it is given to the next it counts how often it allocates, and tells.
pub(crate) fn serve(name: &str, port: u16) {
    let counts = || {
        let mut lines = std::io::stdin().lock().lines();
        while lines.next().is_some() {
            let before = allocator::count();
            allocator::counting(|| {
                say("counting");
                lines.next()
            });
            say(&(allocator::count() - before).to_string());
        }
    };
    thread::Builder::new().name("counts".to_owned()).spawn(counts).expect("a thread");
    match name {
        #[cfg(feature = "tokio")]
        "ours on tokio" => ours(Backend::TokioCurrentThread, port),
        #[cfg(feature = "smol")]
        "ours on smol" => ours(Backend::Smol, port),
        #[cfg(feature = "async-std")]
        "ours on async-std" => ours(Backend::AsyncStd, port),
        #[cfg(feature = "tokio")]
        "hyper on tokio" => on_tokio(hyper(port, false)),
        #[cfg(feature = "tokio")]
        "hyper, half_close, on tokio" => on_tokio(hyper(port, true)),
        #[cfg(feature = "tokio")]
        "axum on tokio" => on_tokio(axum(port)),
        #[cfg(feature = "tokio")]
        "trillium on tokio" => {
            let plain = || async { tokio::task::spawn_blocking(|| HELLO).await.expect("no panic") };
            let config = trillium_tokio::config().with_host("127.0.0.1").with_port(port).with_nodelay();
            on_tokio(config.run_async(move |conn| trillium(conn, plain)));
        }
        #[cfg(feature = "smol")]
        "trillium on smol" => {
            let plain = || smol::unblock(|| HELLO);
            let config = trillium_smol::config().with_host("127.0.0.1").with_port(port).with_nodelay();
            config.run(move |conn| trillium(conn, plain));
        }
        #[cfg(feature = "async-std")]
        "trillium on async-std" => {
            let plain = || async_std::task::spawn_blocking(|| HELLO);
            let config = trillium_async_std::config().with_host("127.0.0.1").with_port(port).with_nodelay();
            config.run(move |conn| trillium(conn, plain));
        }
        other => panic!("no server is called {other}"),
    }
}

fn say(line: &str) {
    println!("{line}");
    // The parent that does not read any more has ended.
    let _ = std::io::stdout().flush();
}

fn ours(backend: Backend, port: u16) {
    use anyrt_http::{App, Json, Path, Query};
    let app = App::new()
        .get("/", async || HELLO)
        .get("/json", async || Json(MESSAGE))
        .get("/items/{id}", async |Path(id): Path<u64>, Query(page): Query<Page>| {
            format!("{id} {}", page.size)
        })
        .get("/sync", || HELLO);
    let run = anyrt::Run::on(backend).threads(1).run(async {
        app.serve(&format!("127.0.0.1:{port}")).await.expect("it serves");
    });
    run.expect("the run ends well");
}

#[cfg(feature = "tokio")]
fn on_tokio(server: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(server);
}

#[cfg(feature = "tokio")]
async fn axum(port: u16) {
    use axum::extract::{Path, Query};
    use axum::{Json, Router, routing::get};
    async fn item(Path(id): Path<u64>, Query(page): Query<Page>) -> String {
        format!("{id} {}", page.size)
    }
    let app = Router::new()
        .route("/", get(|| async { HELLO }))
        .route("/json", get(|| async { Json(MESSAGE) }))
        .route("/items/{id}", get(item))
        .route("/sync", get(|| async { tokio::task::spawn_blocking(|| HELLO).await.expect("no panic") }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
    axum::serve(axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true))), app)
        .await
        .expect("it serves");
}

/// hyper as its documentation shows it: its defaults, and a service function; or with `half_close`, as ours has it.
#[cfg(feature = "tokio")]
async fn hyper(port: u16, half_close: bool) {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::header::{CONTENT_TYPE, HeaderValue};
    use hyper::{Request, Response, body::Incoming};
    use hyper_util::rt::{TokioIo, TokioTimer};

    async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        let (kind, body) = match request.uri().path() {
            "/" => (text, Bytes::from_static(HELLO.as_bytes())),
            "/json" => (
                HeaderValue::from_static("application/json"),
                serde_json::to_vec(&MESSAGE).unwrap_or_default().into(),
            ),
            "/sync" => {
                let hello = tokio::task::spawn_blocking(|| HELLO).await.expect("no panic");
                (text, Bytes::from_static(hello.as_bytes()))
            }
            path => {
                let id: u64 = path.strip_prefix("/items/").and_then(|id| id.parse().ok()).unwrap_or_default();
                let query = request.uri().query().unwrap_or_default();
                let page: Page = serde_urlencoded::from_str(query).expect("a page");
                (text, format!("{id} {}", page.size).into())
            }
        };
        let mut response = Response::new(Full::new(body));
        response.headers_mut().insert(CONTENT_TYPE, kind);
        Ok(response)
    }
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("set");
        let service = hyper::service::service_fn(answer);
        drop(tokio::spawn(async move {
            let mut http = hyper::server::conn::http1::Builder::new();
            if half_close {
                http.half_close(true);
            }
            // The end of a connection is told by an error, now and then.
            let _ = http.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
        }));
    }
}

/// `plain` has a plain function run in the runtime's pool: trillium knows no such handlers.
async fn trillium<F>(conn: trillium::Conn, plain: impl FnOnce() -> F) -> trillium::Conn
where
    F: Future<Output = &'static str>,
{
    use trillium::KnownHeaderName::ContentType;
    match conn.path() {
        "/" => conn.with_response_header(ContentType, "text/plain; charset=utf-8").ok(HELLO),
        "/json" => {
            let json = serde_json::to_vec(&MESSAGE).unwrap_or_default();
            conn.with_response_header(ContentType, "application/json").ok(json)
        }
        "/sync" => {
            let hello = plain().await;
            conn.with_response_header(ContentType, "text/plain; charset=utf-8").ok(hello)
        }
        path => match path.strip_prefix("/items/").and_then(|id| id.parse::<u64>().ok()) {
            Some(id) => {
                let page: Page = serde_urlencoded::from_str(conn.querystring()).expect("a page");
                conn.with_response_header(ContentType, "text/plain; charset=utf-8")
                    .ok(format!("{id} {}", page.size))
            }
            None => conn.with_status(404).halt(),
        },
    }
}
