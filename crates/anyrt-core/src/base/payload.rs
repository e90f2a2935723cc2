//! What a panic carries.

use std::any::Any;

/// The payload of a caught panic, to be resumed by whichever task it belongs to.
pub(crate) type Payload = Box<dyn Any + Send>;
