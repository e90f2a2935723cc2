//! Routes: which path leads where.

use std::fmt;
use std::sync::Arc;

use axum_core::extract::Request;
use http::Method;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, HeaderValue};

use super::context::RequestContext;
use super::operation::{CallOptions, Operation};
use super::pattern;
use super::requirements::Need;
use crate::base::error::Error;
use crate::request::endpoint::Answer;
use crate::request::endpoint::Host;
use crate::request::matched::OperationId;
use crate::request::matched::Parameters;

/// All routes of an app.
#[derive(Default)]
pub(crate) struct Routes {
    paths: matchit::Router<usize>,
    /// Where nothing else matches.
    fallbacks: matchit::Router<usize>,
    routes: Vec<Route>,
}

struct Route {
    pattern: String,
    names: Vec<String>,
    operations: Operations,
}

/// The path operations of one path.
pub(crate) struct Operations {
    by_method: Vec<Operated>,
    /// The value of `Allow`, ready to be sent.
    pub(crate) allow: HeaderValue,
}

/// A path operation in its place, with what the routers around it say.
pub(crate) struct Operated {
    /// None for every method: a service of another framework.
    pub(crate) method: Option<Method>,
    pub(crate) operation: Box<dyn Operation>,
    /// What the routers ask for.
    pub(crate) needs: Option<Arc<[Need]>>,
    /// The layers of the routers, around all of their path operations.
    pub(crate) layered: Option<Arc<dyn Host>>,
    /// It runs in stages: something may have to be undone, or the route has a deadline.
    pub(crate) guarded: bool,
    /// Something asks whether the client is still there.
    pub(crate) watched: bool,
}

impl Routes {
    /// Adds a path operation.
    pub(crate) fn add(&mut self, path: &str, operated: Operated) -> Result<(), Error> {
        let refused = |reason: String| Error::Route { path: path.to_owned(), reason };
        let Some(known) = self.routes.iter_mut().find(|route| route.pattern == path) else {
            pattern::check(path).map_err(refused)?;
            let names = names_of(path)?;
            self.paths.insert(path, self.routes.len()).map_err(|error| refused(error.to_string()))?;
            let mut operations = Operations { by_method: Vec::new(), allow: HeaderValue::from_static("") };
            operations.add(operated);
            self.routes.push(Route { pattern: path.to_owned(), names, operations });
            return Ok(());
        };
        let operations = &mut known.operations;
        match &operated.method {
            Some(method) if operations.exact(method).is_some() => {
                Err(refused(format!("it has two path operations for {method}")))
            }
            Some(_) if operations.by_method.iter().all(|known| known.method.is_some()) => {
                operations.add(operated);
                Ok(())
            }
            _ => Err(refused("a service is nested there".to_owned())),
        }
    }

    /// Adds what answers below a prefix where nothing else does.
    pub(crate) fn add_fallback(&mut self, prefix: &str, operated: Operated) -> Result<(), Error> {
        let pattern = format!("{prefix}/{{*rest}}");
        pattern::check(&pattern).map_err(|reason| Error::Route { path: pattern.clone(), reason })?;
        let names = names_of(&pattern)?;
        for path in [prefix, &format!("{prefix}/"), &pattern].into_iter().filter(|path| !path.is_empty()) {
            self.fallbacks.insert(path, self.routes.len()).map_err(|_| Error::Route {
                path: pattern.clone(),
                reason: "two fallbacks answer there".to_owned(),
            })?;
        }
        let mut operations = Operations { by_method: Vec::new(), allow: HeaderValue::from_static("") };
        operations.add(operated);
        self.routes.push(Route { pattern, names, operations });
        Ok(())
    }

    /// The methods of all paths: what `OPTIONS *` asks for.
    pub(crate) fn allow(&self) -> HeaderValue {
        let mut all: Vec<&str> = Vec::new();
        for route in &self.routes {
            let methods = route.operations.allow.to_str().unwrap_or_default().split(", ");
            all.extend(methods.filter(|method| !method.is_empty()));
        }
        all.sort_unstable();
        all.dedup();
        // Methods are tokens, so that their list is a header value.
        HeaderValue::try_from(all.join(", ")).unwrap_or_else(|_| HeaderValue::from_static("OPTIONS"))
    }

    /// The route of this path, by its index, and the parameters in the path.
    pub(crate) fn find(&self, path: &str) -> Option<(usize, Parameters)> {
        let found = self.paths.at(path).or_else(|_| self.fallbacks.at(path)).ok()?;
        Some((*found.value, Parameters::of(path, &found.params)))
    }

    pub(crate) fn operations(&self, route: usize) -> &Operations {
        &self.routes[route].operations
    }

    pub(crate) fn operated(&self, (route, operation): OperationId) -> &Operated {
        &self.routes[route].operations.by_method[operation]
    }

    pub(crate) fn pattern(&self, route: usize) -> &str {
        &self.routes[route].pattern
    }

    pub(crate) fn names(&self, route: usize) -> &[String] {
        &self.routes[route].names
    }

    /// Every path operation, with its path.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Operated)> {
        self.routes.iter().flat_map(|route| {
            route.operations.by_method.iter().map(|operated| (route.pattern.as_str(), operated))
        })
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Operated> {
        self.routes.iter_mut().flat_map(|route| route.operations.by_method.iter_mut())
    }
}

impl Operations {
    fn add(&mut self, operated: Operated) {
        self.by_method.push(operated);
        let mut allow: Vec<&str> = Vec::new();
        for method in self.by_method.iter().filter_map(|operated| operated.method.as_ref()) {
            allow.push(method.as_str());
            if *method == Method::GET && self.exact(&Method::HEAD).is_none() {
                allow.push("HEAD");
            }
        }
        if self.exact(&Method::OPTIONS).is_none() {
            allow.push("OPTIONS");
        }
        // Methods are tokens, so that their list is a header value.
        if let Ok(allow) = HeaderValue::try_from(allow.join(", ")) {
            self.allow = allow;
        }
    }

    /// The path operation for a method; GET also answers HEAD.
    pub(crate) fn find(&self, method: &Method) -> Option<(usize, &Operated)> {
        let place = self
            .exact(method)
            .or_else(|| self.exact(&Method::GET).filter(|_| *method == Method::HEAD))
            .or_else(|| self.by_method.iter().position(|operated| operated.method.is_none()))?;
        Some((place, &self.by_method[place]))
    }

    /// The layers around what is said of this path without a path operation. A preflight of CORS is asked for another
    /// one, and has the layers of that.
    pub(crate) fn layers(&self, request: &Request) -> Option<&Arc<dyn Host>> {
        let meant = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD);
        let meant = meant.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
        let meant = meant.and_then(|method| self.find(&method)).map(|(_, operated)| operated);
        meant.or(self.by_method.first())?.layered.as_ref()
    }

    fn exact(&self, method: &Method) -> Option<usize> {
        self.by_method.iter().position(|known| known.method.as_ref() == Some(method))
    }
}

impl Operated {
    /// Calls the path operation itself, without the layers around it.
    pub(crate) fn call(&self, request: Request, context: RequestContext) -> Answer {
        let guarded = self.guarded || context.core().sources.is_faked();
        self.operation.call(request, context, CallOptions { needs: self.needs.clone(), guarded })
    }

    /// `GET /items/{id}`, for messages.
    pub(crate) fn label(&self, path: &str) -> String {
        match &self.method {
            Some(method) => format!("`{method} {path}` ({})", self.operation.name()),
            None => format!("`{path}` ({})", self.operation.name()),
        }
    }
}

/// The names of its parameters, if they are not too many.
fn names_of(path: &str) -> Result<Vec<String>, Error> {
    let names = names(path);
    if names.len() > Parameters::MOST {
        let reason = format!("a path has at most {} parameters", Parameters::MOST);
        return Err(Error::Route { path: path.to_owned(), reason });
    }
    Ok(names)
}

/// The names of a path's parameters: `/{a}/{*b}` has `a` and `b`; `{{` is a brace.
fn names(path: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = path;
    while let Some(open) = rest.find('{') {
        rest = &rest[open + 1..];
        if let Some(literal) = rest.strip_prefix('{') {
            rest = literal;
        } else if let Some(close) = rest.find('}') {
            names.push(rest[..close].trim_start_matches('*').to_owned());
            rest = &rest[close + 1..];
        }
    }
    names
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.routes.iter().map(|route| &route.pattern)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_are_read_from_the_path() {
        assert_eq!(names("/plain"), [""; 0]);
        assert_eq!(names("/items/{id}/parts/{*rest}"), ["id", "rest"]);
        assert_eq!(names("/{{literal}}/{id}"), ["id"]);
    }
}
