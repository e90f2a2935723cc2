//! Handlers and what they ask for: arguments, dependencies, their providers and teardowns.

pub(crate) mod admission;
pub(crate) mod arguments;
pub(crate) mod around;
pub(crate) mod client;
pub(crate) mod configure;
pub(crate) mod context;
pub(crate) mod core;
pub(crate) mod dependency;
pub(crate) mod function;
pub(crate) mod guarded;
pub(crate) mod handler;
pub(crate) mod operation;
pub(crate) mod pattern;
pub(crate) mod provider;
pub(crate) mod registry;
pub(crate) mod requirements;
pub(crate) mod routes;
pub(crate) mod teardown;
