//! The attributes of `anyrt`: `#[anyrt::main]` and `#[anyrt::test]`. Use them from there.
#![forbid(unsafe_code)]

mod args;
mod backend;
mod entry;
mod function;
mod tests;

use proc_macro::TokenStream;

/// Runs an async `main` as [`run`](https://docs.rs/anyrt/latest/anyrt/fn.run.html) does.
///
/// ```ignore
/// #[anyrt::main]
/// async fn main() -> std::io::Result<()> {
///     anyrt::sleep(std::time::Duration::from_millis(1)).await;
///     Ok(())
/// }
/// ```
///
/// # Arguments
///
/// | argument | what |
/// |---|---|
/// | `backend = "smol"` | the backend, whatever `ANYRT_BACKEND` says: `tokio`, `tokio-current-thread`, `smol`, `async-std`; one that is not compiled in is a compile error |
/// | `flavor = "current_thread"` | tokio, with everything on this thread; `multi_thread` is tokio with worker threads |
/// | `threads = 4` | how many threads poll tasks, where the backend lets one choose |
/// | `name = "app"` | the name of the run and of its threads |
/// | `crate = "path"` | where `anyrt` is found, if it was renamed |
///
/// # Panics
///
/// The function panics as `anyrt::run` does.
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(args.into(), item.into()).into()
}

/// Makes one test of an async function for each backend that is compiled in, named after it.
///
/// ```ignore
/// #[anyrt::test]
/// async fn answers() {
///     assert_eq!(anyrt::spawn(async { 42 }).await.unwrap(), 42);
/// }
/// ```
///
/// This makes the tests `answers::tokio`, `answers::tokio_current_thread`, `answers::smol` and
/// `answers::async_std`, as far as the features of *anyrt* are on: `cargo test answers` runs all,
/// `cargo test answers::smol` one, `cargo test ::smol` all of that backend. Without any backend
/// there is one test, which fails and says so.
///
/// A returned `Result`, `#[should_panic]`, `#[ignore]` and other attributes below this one work as
/// they do with `#[test]`.
///
/// # Arguments
///
/// Those of [`main`](macro@main). With `backend` or `flavor` there is one test, of that backend; if
/// it is not compiled in, the test is there and ignored, with that as the reason.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    tests::expand(args.into(), item.into()).into()
}
