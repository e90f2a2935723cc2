//! Routes: which path leads where.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use http::Method;
use http::header::HeaderValue;

use crate::error::Error;
use crate::host::Host;
use crate::operation::Operation;

/// Path parameters as ranges into the path: no text is copied to find a route.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Parameters {
    ranges: [(u32, u32); Parameters::MOST],
    count: usize,
}

impl Parameters {
    /// Routes with more are refused when the app is built.
    const MOST: usize = 8;

    fn of(path: &str, found: &matchit::Params<'_, '_>) -> Self {
        let mut parameters = Parameters::default();
        for (slot, (_, value)) in parameters.ranges.iter_mut().zip(found.iter()) {
            // matchit hands out slices of the path it was given.
            let start = value.as_ptr().addr() - path.as_ptr().addr();
            // hyper refuses a head of more than some hundred kilobytes: no path is that long.
            *slot = (start as u32, (start + value.len()) as u32);
            parameters.count += 1;
        }
        parameters
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        self.ranges.into_iter().take(self.count).map(|(start, end)| start as usize..end as usize)
    }
}

/// All routes of an app.
#[derive(Default)]
pub(crate) struct Routes {
    paths: matchit::Router<usize>,
    routes: Vec<Route>,
}

struct Route {
    pattern: String,
    names: Vec<String>,
    target: Target,
}

/// What answers under a path.
pub(crate) enum Target {
    /// Path operations, one a method.
    Operations(Operations),
    /// A service of another framework, for every method.
    Hosted(Arc<dyn Host>),
}

/// The path operations of one path.
pub(crate) struct Operations {
    by_method: Vec<(Method, Box<dyn Operation>)>,
    /// The value of `Allow`, ready to be sent.
    pub(crate) allow: HeaderValue,
}

impl Routes {
    /// Adds a path operation.
    pub(crate) fn add(
        &mut self,
        method: Method,
        path: &str,
        operation: Box<dyn Operation>,
    ) -> Result<(), Error> {
        let refused = |reason: &str| Error::Route { path: path.to_owned(), reason: reason.to_owned() };
        let Some(known) = self.routes.iter_mut().find(|route| route.pattern == path) else {
            let mut operations = Operations { by_method: Vec::new(), allow: HeaderValue::from_static("") };
            operations.add(method, operation);
            return self.insert(path, Target::Operations(operations));
        };
        match &mut known.target {
            Target::Operations(operations) if operations.exact(&method).is_none() => {
                operations.add(method, operation);
                Ok(())
            }
            Target::Operations(_) => Err(refused(&format!("it has two path operations for {method}"))),
            Target::Hosted(_) => Err(refused("a service is nested there")),
        }
    }

    /// Adds what answers under a path that is not known yet.
    pub(crate) fn insert(&mut self, path: &str, target: Target) -> Result<(), Error> {
        let refused = |reason: String| Error::Route { path: path.to_owned(), reason };
        if !path.starts_with('/') {
            return Err(refused("a path starts with `/`".to_owned()));
        }
        let names = names(path);
        if names.len() > Parameters::MOST {
            return Err(refused(format!("a path has at most {} parameters", Parameters::MOST)));
        }
        self.paths.insert(path, self.routes.len()).map_err(|error| refused(error.to_string()))?;
        self.routes.push(Route { pattern: path.to_owned(), names, target });
        Ok(())
    }

    /// The route of this path, by its index, and the parameters in the path.
    pub(crate) fn find(&self, path: &str) -> Option<(usize, Parameters)> {
        let found = self.paths.at(path).ok()?;
        Some((*found.value, Parameters::of(path, &found.params)))
    }

    pub(crate) fn target(&self, route: usize) -> &Target {
        &self.routes[route].target
    }

    pub(crate) fn pattern(&self, route: usize) -> &str {
        &self.routes[route].pattern
    }

    pub(crate) fn names(&self, route: usize) -> &[String] {
        &self.routes[route].names
    }

    /// Every path operation, with its method and path.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (&Method, &str, &dyn Operation)> {
        self.routes.iter().flat_map(|route| {
            let operations = match &route.target {
                Target::Operations(operations) => operations.by_method.as_slice(),
                Target::Hosted(_) => &[],
            };
            operations.iter().map(|(method, operation)| (method, route.pattern.as_str(), operation.as_ref()))
        })
    }
}

impl Operations {
    fn add(&mut self, method: Method, operation: Box<dyn Operation>) {
        self.by_method.push((method, operation));
        let mut allow = Vec::new();
        for (method, _) in &self.by_method {
            allow.push(method.as_str());
            if *method == Method::GET && self.exact(&Method::HEAD).is_none() {
                allow.push("HEAD");
            }
        }
        // Methods are tokens, so that their list is a header value.
        if let Ok(allow) = HeaderValue::try_from(allow.join(", ")) {
            self.allow = allow;
        }
    }

    /// The path operation for a method; GET also answers HEAD.
    pub(crate) fn find(&self, method: &Method) -> Option<&dyn Operation> {
        let asked = self.exact(method);
        if asked.is_none() && *method == Method::HEAD { self.exact(&Method::GET) } else { asked }
    }

    fn exact(&self, method: &Method) -> Option<&dyn Operation> {
        let found = self.by_method.iter().find(|(known, _)| known == method);
        found.map(|(_, operation)| operation.as_ref())
    }
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
