//! The values of dependencies, whatever their types.

use std::any::Any;
use std::sync::Arc;

/// A dependency in the cache or the registry: an `Arc<T>` whose type is found again by `TypeId`.
pub(crate) type Value = Arc<dyn Any + Send + Sync>;
