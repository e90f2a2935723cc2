//! One request, from its arrival to what is left after its response; `request/README.md` explains the stages.

pub(crate) mod after;
pub(crate) mod arrival;
pub(crate) mod at_end;
pub(crate) mod background;
pub(crate) mod body;
pub(crate) mod counted;
pub(crate) mod cut;
pub(crate) mod endpoint;
pub(crate) mod home;
pub(crate) mod kept;
pub(crate) mod lane;
pub(crate) mod live;
pub(crate) mod locals;
pub(crate) mod matched;
pub(crate) mod on_disconnect;
pub(crate) mod outcome;
pub(crate) mod reply;
pub(crate) mod request_future;
pub(crate) mod undo;
pub(crate) mod value;
