//! What the other folders stand on.

pub(crate) mod arity;
pub(crate) mod causes;
pub(crate) mod contained;
pub(crate) mod error;
pub(crate) mod kind;
pub(crate) mod lifetime;
pub(crate) mod limits;
pub(crate) mod panics;
