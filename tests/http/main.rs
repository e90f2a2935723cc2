//! The application side, case by case, over real sockets on every backend. The ids in the names (`wd_01_..`) are those of the
//! conformance lists.

#[path = "../http_client.rs"]
mod client;
mod layers;
mod log;

mod wb;
mod wc;
mod wd;
mod wl;
mod wo;
mod ws;
mod wy;
