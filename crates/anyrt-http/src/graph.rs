//! The check of the dependencies when the app is built: everything asked for is provided, nothing
//! needs itself, and nothing needs what is gone before it.

use std::any::TypeId;
use std::collections::HashMap;

use crate::configure::Scope;
use crate::dependency::{Argument, ArgumentKind};
use crate::error::Error;
use crate::provider::Provider;
use crate::routes::Routes;
use crate::sources::{Source, Sources};

/// Finds the first fault, in the order in which routes were added, and tells each route what it may have to do.
pub(crate) fn check(routes: &mut Routes, sources: &Sources) -> Result<(), Error> {
    let mut graph = Graph { sources, known: HashMap::new(), above: Vec::new() };
    let mut facts = Vec::new();
    for (path, operated) in routes.all() {
        let by = || operated.label(path);
        let settings = operated.operation.settings();
        if settings.scope.is_some() || settings.most.is_some() {
            let reason = "`scope` and `max_concurrency` are for providers";
            return Err(Error::Setting { by: by(), reason });
        }
        let needs = operated.needs.iter().flat_map(|needs| needs.iter()).map(|need| &need.argument);
        let mut fact = graph.arguments(needs.chain(operated.operation.arguments()), &by)?;
        fact.attended |= settings.deadline.is_some();
        facts.push(fact);
    }
    for (operated, fact) in routes.all_mut().zip(facts) {
        (operated.attended, operated.watched) = (fact.attended, fact.watched);
    }
    // A provider that no route needs yet is checked too: its fault would show with the next route.
    for (kind, source) in sources.iter() {
        graph.source(kind, source)?;
    }
    Ok(())
}

/// Checks a provider that is put in place of another while the app runs.
pub(crate) fn check_fake(provider: &dyn Provider, sources: &Sources) -> Result<(), Error> {
    let by = || label(provider);
    let mut graph = Graph { sources, known: HashMap::new(), above: Vec::new() };
    graph.arguments(provider.arguments(), &by).map(drop)
}

/// What is known of a dependency, with all that it needs.
#[derive(Clone, Copy)]
struct Fact {
    /// How long it lives at most.
    scope: Scope,
    /// It, or what it needs, has to be undone.
    attended: bool,
    /// It, or what it needs, asks whether the client is still there.
    watched: bool,
}

struct Graph<'a> {
    sources: &'a Sources,
    known: HashMap<TypeId, Fact>,
    /// The dependencies on the way down to here.
    above: Vec<(TypeId, &'static str)>,
}

impl<'a> Graph<'a> {
    /// Checks what one function asks for, and then the providers of that.
    fn arguments<'b>(
        &mut self,
        arguments: impl IntoIterator<Item = &'b Argument>,
        by: &dyn Fn() -> String,
    ) -> Result<Fact, Error> {
        let mut all = Fact { scope: Scope::App, attended: false, watched: false };
        for argument in arguments {
            let fact = match argument.is {
                ArgumentKind::Dependency(kind) => {
                    let needed = argument.name;
                    let missing = || Error::MissingProvider { by: by(), needed };
                    let source = self.sources.get(kind).ok_or_else(missing)?;
                    self.source(kind, source)?
                }
                ArgumentKind::Extractor => {
                    foreign(argument.name, by)?;
                    continue;
                }
                ArgumentKind::Context => continue,
                ArgumentKind::Client => Fact { scope: Scope::App, attended: false, watched: true },
            };
            all.scope = all.scope.max(fact.scope);
            all.attended |= fact.attended;
            all.watched |= fact.watched;
        }
        Ok(all)
    }

    fn source(&mut self, kind: TypeId, source: &'a Source) -> Result<Fact, Error> {
        let Some((provider, rules)) = source.provider() else {
            return Ok(Fact { scope: Scope::App, attended: false, watched: false });
        };
        if let Some(fact) = self.known.get(&kind) {
            return Ok(*fact);
        }
        if let Some(start) = self.above.iter().position(|(open, _)| *open == kind) {
            let circle = self.above[start..].iter().map(|(_, name)| format!("`{name}`")).collect();
            return Err(Error::Cycle { circle });
        }
        self.above.push((kind, provider.makes().1));
        let fact = self.provider(&**provider, rules.scope, rules.places.is_some());
        self.above.pop();
        let fact = fact?;
        self.known.insert(kind, fact);
        Ok(fact)
    }

    fn provider(&mut self, provider: &dyn Provider, scope: Scope, limited: bool) -> Result<Fact, Error> {
        let by = || label(provider);
        settings(provider, &by)?;
        if scope == Scope::App
            && let Some(argument) = provider
                .arguments()
                .iter()
                .find(|argument| !matches!(argument.is, ArgumentKind::Dependency(_)))
        {
            return Err(Error::AtStart { by: by(), argument: argument.name });
        }
        let needed = self.arguments(provider.arguments(), &by)?;
        // A value that nobody undoes is as good as what it was made of.
        let undone = provider.undoes() || limited;
        if !undone && provider.settings().scope.is_none() {
            return Ok(Fact { scope: needed.scope.max(Scope::Request), ..needed });
        }
        if needed.scope > scope {
            return Err(Error::Scope {
                by: by(),
                scope,
                needed: self.too_short(provider, scope),
                until: needed.scope,
            });
        }
        Ok(Fact { scope, attended: needed.attended || undone && scope != Scope::App, ..needed })
    }

    /// The dependency that is gone too early.
    fn too_short(&self, provider: &dyn Provider, scope: Scope) -> &'static str {
        let named = provider.arguments().iter().find(|argument| match argument.is {
            ArgumentKind::Dependency(kind) => self.known.get(&kind).is_some_and(|fact| fact.scope > scope),
            _ => false,
        });
        named.map_or("", |argument| argument.name)
    }
}

fn label(provider: &dyn Provider) -> String {
    format!("the provider of `{}` ({})", provider.makes().1, provider.name())
}

/// Refuses settings that mean nothing at a provider.
fn settings(provider: &dyn Provider, by: &dyn Fn() -> String) -> Result<(), Error> {
    let settings = provider.settings();
    let reason = if settings.most == Some(None) {
        "`max_concurrency(0)` would let nobody in: give it one at least"
    } else if settings.leaving.is_some() {
        "`detach` and `notify` are for path operations"
    } else if settings.deadline.is_some() {
        "`deadline` is for path operations: put a `fail_after` into the provider"
    } else {
        return Ok(());
    };
    Err(Error::Setting { by: by(), reason })
}

/// Refuses the extractors of axum that read what only axum's own router writes. They compile,
/// because they are generic over the state, and would answer every request with 500.
fn foreign(argument: &'static str, by: &dyn Fn() -> String) -> Result<(), Error> {
    const FOREIGN: [(&str, &str); 4] = [
        ("axum::extract::path::Path<", "anyrt_http::Path"),
        ("axum::extract::path::RawPathParams", "anyrt_http::Path"),
        ("axum::extract::matched_path::MatchedPath", "anyrt_http::RequestContext::route"),
        ("axum::extension::Extension<", "anyrt_http::Dep"),
    ];
    match FOREIGN.iter().find(|(theirs, _)| argument.starts_with(theirs)) {
        Some((_, instead)) => Err(Error::Argument { by: by(), argument, instead }),
        None => Ok(()),
    }
}
