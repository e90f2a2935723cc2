//! The app, put together. Which function runs where is nowhere said: `async` ones run on the event loop, plain ones
//! in the thread pool.

use std::path::Path;

use anyrt_http::{App, Configure, Lifetime, Router};

use super::user::User;
use super::{audit, operator, picture, report, shop, store, user};

/// The app, with all its files in `directory`.
pub(crate) fn app(directory: &Path) -> App {
    App::new()
        .get("/", index.inline())
        .post("/users", user::sign_up)
        .get("/users/me", user::me)
        .nest("/items", items())
        .get("/report", report::report)
        .get("/audit", audit::read)
        .nest("/_anyrt", operator::view())
        .provide_value(store::Folder(directory.to_owned()))
        // One for the whole run: opened before the first request, closed after the last.
        .provide(store::open.lifetime(Lifetime::App))
        // One a request: committed if all went well, else rolled back. SQLite has one writer at a time, so
        // there is one session at a time, and who waits for it waits without a thread.
        .provide(store::session.lifetime(Lifetime::Function).max_concurrency(1))
        .provide(user::current)
        .provide(audit::trail)
}

fn items() -> Router {
    Router::new()
        .get("/", shop::list)
        .post("/", shop::add)
        .get("/{id}", shop::show)
        .delete("/{id}", shop::remove)
        .put("/{id}/picture", picture::upload)
        .get("/{id}/picture", picture::thumbnail)
        // Nobody gets here without having signed up.
        .require::<User>()
}

fn index() -> &'static str {
    "users, items, pictures, a report, and a trail of it all: see the README of this example\n"
}
