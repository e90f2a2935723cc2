//! The check of the dependencies when the app is built: everything asked for is provided, nothing
//! needs itself, and nothing needs what is gone before it.

use std::any::TypeId;
use std::collections::HashMap;

use super::lifespan::Planned;
use crate::base::error::Error;
use crate::base::lifetime::Lifetime;
use crate::inject::dependency::{Argument, ArgumentKind};
use crate::inject::provider::Provider;
use crate::inject::registry::{Fake, Fakes, Source, Sources};
use crate::inject::routes::Routes;

/// Finds the first fault, in the order in which routes were added, and tells each route what it may have to do.
pub(crate) fn check(routes: &mut Routes, sources: &mut Sources, lifespans: &[Planned]) -> Result<(), Error> {
    let mut graph = Graph { sources, fakes: None, known: HashMap::new(), above: Vec::new() };
    let mut facts = Vec::new();
    for (path, operated) in routes.all() {
        let by = || operated.label(path);
        let settings = operated.operation.settings();
        if settings.lifetime.is_some() || settings.most.is_some() || settings.drop_here {
            let reason = "`lifetime`, `max_concurrency` and `drop_here` are for providers";
            return Err(Error::Setting { by: by(), reason });
        }
        let needs = operated.needs.iter().flat_map(|needs| needs.iter()).map(|need| &need.argument);
        let mut fact = graph.arguments(needs.chain(operated.operation.arguments()), &by)?;
        fact.guarded |= settings.deadline.is_some();
        facts.push(fact);
    }
    for (operated, fact) in routes.all_mut().zip(facts) {
        (operated.guarded, operated.watched) = (fact.guarded, fact.watched);
    }
    // A provider that no route needs yet is checked too: its fault would show with the next route.
    for (kind, source) in sources.iter() {
        graph.source(kind, source)?;
    }
    for lifespan in lifespans {
        let by = || format!("the lifespan `{}`", lifespan.name);
        for need in &lifespan.needs {
            let fact = graph.arguments([need], &by)?;
            if fact.lifetime != Lifetime::App {
                let (lifetime, needed, until) = (Lifetime::App, need.name, fact.lifetime);
                return Err(Error::Lifetime { by: by(), lifetime, needed, until });
            }
        }
    }
    let from_pool: Vec<_> =
        graph.known.iter().filter(|(_, fact)| fact.from_pool).map(|(kind, _)| *kind).collect();
    sources.made_from_pool(from_pool);
    Ok(())
}

/// Checks the whole graph with what stands in for its parts while the app runs.
pub(crate) fn check_fakes(fakes: &Fakes, sources: &Sources) -> Result<(), Error> {
    let mut graph = Graph { sources, fakes: Some(fakes), known: HashMap::new(), above: Vec::new() };
    for (kind, source) in sources.iter() {
        graph.source(kind, source)?;
    }
    Ok(())
}

/// What is known of a dependency, with all that it needs.
#[derive(Clone, Copy)]
struct Fact {
    /// How long it lives at most.
    lifetime: Lifetime,
    /// It, or what it needs, has to be undone.
    guarded: bool,
    /// It, or what it needs, asks whether the client is still there.
    watched: bool,
    /// A plain function made it, or what it was made from, and it may hold on to that.
    from_pool: bool,
}

impl Fact {
    /// Of what lives as long as the app, and asks for nothing.
    const SHARED: Fact = Fact { lifetime: Lifetime::App, guarded: false, watched: false, from_pool: false };
}

struct Graph<'a> {
    sources: &'a Sources,
    /// Of an app that runs: what stands in for its parts.
    fakes: Option<&'a Fakes>,
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
        let mut all = Fact::SHARED;
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
                ArgumentKind::Client => Fact { watched: true, ..Fact::SHARED },
            };
            all.lifetime = all.lifetime.max(fact.lifetime);
            all.guarded |= fact.guarded;
            all.watched |= fact.watched;
            all.from_pool |= fact.from_pool;
        }
        Ok(all)
    }

    fn source(&mut self, kind: TypeId, source: &'a Source) -> Result<Fact, Error> {
        let made_by_now = self.fakes.is_some() && !matches!(source, Source::Provider { .. });
        let (provider, rules) = match (self.fakes.and_then(|fakes| fakes.get(&kind)), source.provider()) {
            (Some(Fake::Value(_)), _) => return Ok(Fact::SHARED),
            // Of what is made by now, a stand-in is made for each request.
            (Some(Fake::Provider(fake)), rules) => {
                (fake, rules.map(|(_, rules)| rules).filter(|_| !made_by_now))
            }
            (None, Some((provider, rules))) if !made_by_now => (provider, Some(rules)),
            (None, _) => return Ok(Fact::SHARED),
        };
        if let Some(fact) = self.known.get(&kind) {
            return Ok(*fact);
        }
        if let Some(start) = self.above.iter().position(|(open, _)| *open == kind) {
            let circle = self.above[start..].iter().map(|(_, name)| format!("`{name}`")).collect();
            return Err(Error::Cycle { circle });
        }
        self.above.push((kind, provider.makes().1));
        let lifetime = rules.map_or(Lifetime::Request, |rules| rules.lifetime);
        let limited = rules.is_some_and(|rules| rules.limiter.is_some());
        let fact = self.provider(&**provider, lifetime, limited);
        self.above.pop();
        let fact = fact?;
        self.known.insert(kind, fact);
        Ok(fact)
    }

    fn provider(
        &mut self,
        provider: &dyn Provider,
        lifetime: Lifetime,
        limited: bool,
    ) -> Result<Fact, Error> {
        let by = || label(provider);
        settings(provider, &by)?;
        if lifetime == Lifetime::App
            && let Some(argument) = provider
                .arguments()
                .iter()
                .find(|argument| !matches!(argument.is, ArgumentKind::Dependency(_)))
        {
            return Err(Error::AtStart { by: by(), argument: argument.name });
        }
        let mut needed = self.arguments(provider.arguments(), &by)?;
        needed.from_pool |= provider.blocking() && provider.drop_may_block();
        // A value without a teardown is as good as what it was made of.
        let undone = provider.undoes() || limited;
        if !undone && provider.settings().lifetime.is_none() {
            return Ok(Fact { lifetime: needed.lifetime.max(Lifetime::Request), ..needed });
        }
        if needed.lifetime > lifetime {
            return Err(Error::Lifetime {
                by: by(),
                lifetime,
                needed: self.too_short(provider, lifetime),
                until: needed.lifetime,
            });
        }
        Ok(Fact { lifetime, guarded: needed.guarded || undone && lifetime != Lifetime::App, ..needed })
    }

    /// The dependency that is gone too early.
    fn too_short(&self, provider: &dyn Provider, lifetime: Lifetime) -> &'static str {
        let named = provider.arguments().iter().find(|argument| match argument.is {
            ArgumentKind::Dependency(kind) => {
                self.known.get(&kind).is_some_and(|fact| fact.lifetime > lifetime)
            }
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
