//! The routes of an app, as its start-up log and its view list them.

use std::collections::HashSet;

use serde::Serialize;

use super::service::AppService;
use crate::inject::core::Core;
use crate::inject::dependency::ArgumentKind;
use crate::inject::routes::Operated;

/// A route, as [`AppService::routes`] lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Listed {
    /// The method, `*` of a nested service.
    pub method: String,
    /// The path with its parameters and all prefixes.
    pub path: String,
    /// The path of the function, or the name it was given.
    pub handler: &'static str,
    /// Where it runs: `event loop` or `thread pool`.
    pub place: &'static str,
    /// The types of the dependencies that the routers and the handler ask for, in the order in which they are made.
    pub dependencies: Vec<&'static str>,
}

impl AppService {
    /// All routes, in the order in which they were added.
    pub fn routes(&self) -> Vec<Listed> {
        self.core().listing()
    }
}

impl Core {
    /// Tells the log what there is.
    pub(crate) fn log(&self) {
        for route in self.listing() {
            let Listed { method, path, handler, place, dependencies } = route;
            tracing::info!(method, path, handler, place, ?dependencies, "route");
        }
        for (_, source) in self.sources.iter() {
            if let Some((provider, rules)) = source.provider() {
                let (makes, place) = (provider.makes().1, place(provider.blocking()));
                let most = rules.limiter.as_ref().map(anyrt::blocking::CapacityLimiter::total);
                tracing::info!(makes, provider = provider.name(), place, lifetime = ?rules.lifetime, ?most, "dependency");
            }
        }
    }

    pub(crate) fn listing(&self) -> Vec<Listed> {
        self.routes.all().map(|(path, operated)| Listed::of(path, operated)).collect()
    }
}

impl Listed {
    fn of(path: &str, operated: &Operated) -> Listed {
        let operation = &*operated.operation;
        let needs = operated.needs.iter().flat_map(|needs| needs.iter()).map(|need| &need.argument);
        let mut seen = HashSet::new();
        let dependencies = needs
            .chain(operation.arguments())
            .filter(|argument| match &argument.is {
                // What a router and its handler ask for is made once.
                ArgumentKind::Dependency(kind) => seen.insert(*kind),
                _ => false,
            })
            .map(|argument| argument.name);
        Listed {
            method: operated.method.as_ref().map_or("*", |method| method.as_str()).to_owned(),
            path: path.to_owned(),
            handler: operation.name(),
            place: place(operation.blocking()),
            dependencies: dependencies.collect(),
        }
    }
}

pub(crate) fn place(blocking: bool) -> &'static str {
    if blocking { "thread pool" } else { "event loop" }
}
