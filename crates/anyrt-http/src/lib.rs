//! A thin HTTP layer on any async runtime: **declare a path operation as `async fn` or as plain `fn`,
//! let it ask for dependencies of either kind, and the layer does the right thing** - on the event loop
//! or in the thread pool, on every runtime that [`anyrt`] knows.
//!
//! ```no_run
//! use anyrt_http::{App, Dep, Dependency, Json, Path};
//! use axum_core::response::Result;
//! use http::{HeaderMap, StatusCode};
//!
//! struct Settings {
//!     secret: String,
//! }
//!
//! struct Visitor {
//!     name: String,
//! }
//! impl Dependency for Visitor {}
//!
//! // A dependency that asks for another one, and may refuse the request.
//! async fn visitor(headers: HeaderMap, settings: Dep<Settings>) -> Result<Visitor, StatusCode> {
//!     match headers.get("authorization") {
//!         Some(given) if given == &*settings.secret => Ok(Visitor { name: "Ada".into() }),
//!         _ => Err(StatusCode::UNAUTHORIZED),
//!     }
//! }
//!
//! // Async: on the event loop.
//! async fn hello(Path(city): Path<String>, visitor: Dep<Visitor>) -> String {
//!     format!("Welcome to {city}, {}", visitor.name)
//! }
//!
//! // Plain: in the thread pool, where it may block.
//! fn sum(Json(numbers): Json<Vec<u64>>) -> Json<u64> {
//!     Json(numbers.iter().sum())
//! }
//!
//! # async fn serve() -> anyrt_http::Result<()> {
//! App::new()
//!     .get("/cities/{city}", hello)
//!     .post("/sum", sum)
//!     .provide_value(Settings { secret: "let me in".into() })
//!     .provide(visitor)
//!     .serve("127.0.0.1:8000")
//!     .await
//! # }
//! ```
//!
//! Responses and extractors are those of axum-core: whatever implements its `IntoResponse` can be
//! returned, whatever implements its `FromRequestParts` or `FromRequest` for any state can be an
//! argument, and answers with its own rejection.
//!
//! An `async` closure can be a path operation if it captures nothing; one that captures lends to its
//! future, and is written `move || { let kept = kept.clone(); async move { .. } }`.
//!
//! # Errors that clients see
//!
//! JSON with one key, `detail`: 404 for an unknown path, 405 with `Allow` for another method, 413 for a
//! body beyond the limit, 415 for a content type that is missing or another, 422 for a path, query, form
//! or JSON body that does not fit (all that is wrong at once, with the place), 500 for a panic, which the
//! server survives. axum's own `Json` and `Form` keep their own texts; what hyper cannot parse is an answer without a body.
//!
//! # Responses
//!
//! A response is made to fit before it is sent, over every protocol: what has no content (204, 205, 304, the answer to HEAD) is
//! sent without any; a status of 1xx is a 500, as is a `Content-Length` that is not the length of the body. A stream that
//! is longer than it declared is cut there; one that ends early, fails or panics breaks off, and no other answer is touched.
//!
//! It is *whole* when all that was declared is with the system: then teardowns are told [`Outcome::Ok`], then background
//! tasks begin, then it is counted as answered ([`Served`]).
//!
//! An answer that leaves a part of its request unread says `Connection: close`; the connection then takes what the client still
//! sends, up to [`Limits::linger`] and [`Limits::linger_size`], so that the client can read the answer. A stream of HTTP/2 is reset
//! without an error.
//!
//! # Serving
//!
//! [`App::serve`] serves at one address. [`App::server`] gives a [`Server`] that listens at any number of
//! places, TCP and Unix sockets, with TLS (feature `tls`), or with a runtime for each core
//! ([`Server::serve_per_core`]), and tells at its end what it did ([`Served`]). HTTP/1.1 and HTTP/2 come
//! on the same port: told apart by the first bytes, or under TLS by ALPN. [`Limits`] has every limit
//! and its default in one table; all are on.
//!
//! # Types of other crates
//!
//! In what is public here stand types of axum-core 0.5 (requests, responses, bodies, extractors), http 1, http-body 1, bytes 1, tower-layer and
//! tower-service 0.3, futures-core 0.3 (`Stream`), serde 1, serde_json 1 (one `From`), and with the feature `tls` of rustls, which is
//! exported as `rustls`. A new major version of one of them is one of this crate. hyper, h2 and matchit are inside, and may change.
//!
//! Enums are `non_exhaustive`, since each may get a variant; the kinds and markers in [`detection`] have none and never will.
//!
//! # Seeing what runs
//!
//! The start-up log lists the routes, where each runs and what it asks for. With the feature `view`, `App::view("/_anyrt")` is a
//! page, and JSON, of the live requests, the tree of tasks, the limiters and the pool: for operators, so it is off
//! unless asked for, and protected as you protect any router.
//!
//! # What is refused, and what is not
//!
//! hyper parses; what cannot be parsed is 400, and the connection is closed. Beyond that: an HTTP/1.1
//! request without `Host`, with two, or with an invalid one is 400; the authority of an absolute target
//! takes the place of `Host`; a transfer coding other than `chunked` is 501, an expectation other than
//! `100-continue` 417, and the connection is closed after each of these. A body that breaks off, or
//! whose chunks are none, is 400 in the extractors, and the connection is closed.
//!
//! Over HTTP/2 an expectation of `100-continue` is not answered by 100: hyper has no way to; clients send their body without it
//! after a while. Cookies that come in pieces are one line.
//!
//! Accepted, as RFC 9112 allows: `Content-Length` beside `Transfer-Encoding` (the latter counts, and the
//! connection is closed after the answer), several equal `Content-Length`s, and a lone LF as the end
//! of a line. Behind a proxy that reads these otherwise, refuse them there.
//!
//! Paths arrive as they were sent: `/../` is not resolved. But the route is that of the path in its normal form (RFC 3986,
//! 6.2.2), which the request then gets if it makes a difference: `/users/m%65` is `/users/me`.
//!
//! # Cancellation, and the end
//!
//! A server that is told to stop tells all that runs in it: [`anyrt::stopping()`] is ready and [`anyrt::is_stopping()`] true in handlers,
//! plain functions, streams (which may say farewell), background tasks, and in lifespans when the last request has ended. What still
//! runs after [`Limits::shutdown`] is cancelled.
//!
//! A client that leaves cancels its request: the handler is dropped at its next await. What holds in it
//! (a shield, a task group, the clean-up of `anyrt::finally`, a plain function in the pool) is brought to
//! its end by the server, which waits for it before it ends.
//!
//! Since a client's close cannot be told from the end of what it wants to send, a client that shuts down
//! its sending side before the answer came has left, too.
#![forbid(unsafe_code)]
#![allow(clippy::result_large_err, reason = "a refusal is a response, made once and sent as it is")]

mod app;
mod base;
mod extract;
mod inject;
mod request;
mod response;
mod server;
mod test_client;
#[cfg(feature = "tokio-compat")]
mod tokio_compat;
#[cfg(feature = "view")]
mod view;

pub use anyrt::BoxError;
pub use app::App;
pub use app::layers::Next;
pub use app::lifespan::Lifespan;
pub use app::listing::Listed;
pub use app::router::Router;
pub use app::service::{AppFuture, AppService};
pub use base::error::{Error, Result};
pub use base::lifetime::Lifetime;
pub use base::limits::Limits;
pub use extract::form::Form;
pub use extract::headers::{Cookies, Headers};
pub use extract::json::Json;
pub use extract::path::Path;
pub use extract::query::Query;
#[cfg(feature = "tls")]
pub use futures_rustls::rustls;
pub use inject::around::{Give, Refusal};
pub use inject::client::{Client, ClientDisconnect};
pub use inject::configure::{Configure, Configured};
pub use inject::context::RequestContext;
pub use inject::dependency::{Dep, Dependency, Fresh};
pub use inject::teardown::Teardown;
pub use request::background::{Background, BackgroundEnded, BackgroundHandle, TooLate};
pub use request::on_disconnect::Disconnect;
pub use request::outcome::{Failure, Outcome};
pub use request::reply::ResponseHeaders;
pub use response::any_error::AnyError;
pub use response::http_error::HttpError;
pub use response::problem::Invalid;
pub use response::sse::{KeepAlive, Sse, SseEvent};
pub use response::streaming::Streaming;
pub use server::stats::Served;
#[cfg(feature = "tls")]
pub use server::tls::Tls;
pub use server::{Server, serve, serve_until};
pub use test_client::{Test, TestClient, TestRequest, TestResponse};
#[cfg(feature = "tokio-compat")]
pub use tokio_compat::{TokioBody, TokioCompat, TokioFuture, tokio_compat};

/// How functions are told apart and given their arguments. These traits are implemented for all that
/// they fit; there is no need to implement or call them, but for [`Callable`](detection::Callable).
pub mod detection {
    pub use crate::app::lifespan::{LifespanEnd, LifespanFunction};
    pub use crate::base::kind::{Async, Blocking};
    pub use crate::inject::arguments::{
        Extract, ExtractLast, FromArgs, FromHead, NoArgument, ViaContext, ViaDep, ViaNothing, ViaParts,
        ViaRequest,
    };
    pub use crate::inject::dependency::{Argument, ArgumentKind};
    pub use crate::inject::handler::{Callable, Dispatch, Kind};
    pub use crate::inject::provider::{Fallible, Plain, Provide, Provided, Undoable};
    pub use crate::inject::teardown::{Undo, Undone};
    pub use crate::request::background::{BackgroundOutput, BackgroundTask};
    pub use crate::response::sse::IntoEvent;
    pub use crate::response::streaming::{Always, Piece, Sometimes};
}
