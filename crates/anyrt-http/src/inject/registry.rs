//! Where each dependency comes from, and what stands in for it in tests.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use axum_core::response::Response;
use http::request::Parts;

use super::context::RequestContext;
use super::provider::{Provider, Rules};
use crate::base::error::Error;
use crate::base::lifetime::Lifetime;
use crate::request::kept::{Dropping, Kept};
use crate::request::value::Value;
use crate::response::problem::internal;

/// Where each dependency comes from.
#[derive(Default)]
pub(crate) struct Sources {
    by_type: HashMap<TypeId, Source>,
    /// In the order in which they were given.
    order: Vec<TypeId>,
    /// What stands in for them, changed while the app runs: by a test client.
    fakes: RwLock<Fakes>,
    faked: AtomicBool,
}

/// Where a dependency comes from.
pub(crate) enum Source {
    /// A value that all requests share.
    Value(Value),
    /// A function that makes one for each request that asks.
    Provider { provider: Arc<dyn Provider>, rules: Rules },
    /// A function that made one at start-up.
    App { provider: Arc<dyn Provider>, rules: Rules, made: OnceLock<Value> },
    /// The app's lifespan.
    Lifespan { name: &'static str, given: OnceLock<Value> },
}

/// What stands in for what.
pub(crate) type Fakes = HashMap<TypeId, Fake>;

#[derive(Clone)]
pub(crate) enum Fake {
    Value(Value),
    Provider(Arc<dyn Provider>),
}

impl Sources {
    pub(crate) fn get(&self, kind: TypeId) -> Option<&Source> {
        self.by_type.get(&kind)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TypeId, &Source)> {
        self.order.iter().filter_map(|kind| Some((*kind, self.by_type.get(kind)?)))
    }

    /// Adds a source, unless there is one of this type.
    pub(crate) fn add(&mut self, kind: TypeId, source: Source) -> Result<(), Source> {
        if self.by_type.contains_key(&kind) {
            return Err(source);
        }
        self.by_type.insert(kind, source);
        self.order.push(kind);
        Ok(())
    }

    /// Puts another provider in place of one that is there; lifetime and limits stay. False if there is none.
    pub(crate) fn replace(&mut self, kind: TypeId, fake: Fake) -> bool {
        let Some(source) = self.by_type.get_mut(&kind) else { return false };
        match (source, fake) {
            (source, Fake::Value(value)) => *source = Source::Value(value),
            (Source::Provider { provider, .. } | Source::App { provider, .. }, Fake::Provider(fake)) => {
                *provider = fake
            }
            (source, Fake::Provider(provider)) => {
                *source = Source::Provider { provider, rules: Rules::default() };
            }
        }
        true
    }

    /// The dependency, if asking for it takes nothing but a look.
    pub(crate) fn ready(&self, kind: TypeId) -> Option<Value> {
        if self.is_faked() {
            return None;
        }
        match self.by_type.get(&kind)? {
            Source::Value(value) => Some(Arc::clone(value)),
            Source::App { made: value, .. } | Source::Lifespan { given: value, .. } => value.get().cloned(),
            Source::Provider { .. } => None,
        }
    }

    /// The dependency from the cache, unless a fresh one is asked for, or from its provider.
    pub(crate) async fn find(
        &self,
        kind: TypeId,
        fresh: bool,
        parts: &mut Parts,
        context: &RequestContext,
    ) -> Result<Value, Response> {
        if let Some(value) = self.ready(kind) {
            return Ok(value);
        }
        if !fresh && let Some(value) = context.cached(kind) {
            return Ok(value);
        }
        let no_rules = Rules::default();
        let made = match (self.fake(kind), self.by_type.get(&kind)) {
            (Some(Fake::Value(value)), _) => value,
            (Some(Fake::Provider(fake)), source) => {
                let rules = match source {
                    Some(Source::Provider { rules, .. }) => rules,
                    _ => &no_rules,
                };
                fake.call(parts, context, rules).await?
            }
            (None, Some(Source::Provider { provider, rules })) => {
                provider.call(parts, context, rules).await?
            }
            (None, Some(Source::App { provider, rules, made })) if context.is_start() => {
                let value = provider.call(parts, context, rules).await?;
                return Ok(Arc::clone(made.get_or_init(|| value)));
            }
            (None, Some(Source::Value(value))) => Arc::clone(value),
            (None, Some(Source::App { made: value, .. } | Source::Lifespan { given: value, .. })) => {
                value.get().cloned().ok_or_else(not_started)?
            }
            (None, None) => return Err(internal()),
        };
        if !fresh {
            context.cache(kind, Arc::clone(&made));
        }
        Ok(made)
    }

    /// Notes what is made from what a plain function made.
    pub(crate) fn made_from_pool(&mut self, kinds: impl IntoIterator<Item = TypeId>) {
        for kind in kinds {
            if let Some(Source::Provider { rules, .. } | Source::App { rules, .. }) =
                self.by_type.get_mut(&kind)
            {
                rules.from_pool = true;
            }
        }
    }

    /// Takes the state that a lifespan serves.
    pub(crate) fn give(&self, kind: TypeId, state: Value) {
        // That of an outer lifespan, which came before, stays.
        if let Some(Source::Lifespan { given, .. }) = self.by_type.get(&kind) {
            let _ = given.set(state);
        }
    }

    /// Whether anything has to be made, or given, before the first request.
    pub(crate) fn has_start(&self) -> bool {
        self.by_type.values().any(|source| matches!(source, Source::App { .. } | Source::Lifespan { .. }))
    }

    /// Whether it has to be made before the first request.
    pub(crate) fn is_to_start(&self, kind: TypeId) -> bool {
        matches!(self.by_type.get(&kind), Some(Source::App { .. }))
    }

    /// What has to be made before the first request, in the order in which it was provided.
    pub(crate) fn to_start(&self) -> Vec<TypeId> {
        let started = self.order.iter().copied();
        started.filter(|kind| matches!(self.by_type.get(kind), Some(Source::App { .. }))).collect()
    }

    /// The name of a dependency's type.
    pub(crate) fn name(&self, kind: TypeId) -> &'static str {
        match self.by_type.get(&kind) {
            Some(Source::Provider { provider, .. } | Source::App { provider, .. }) => provider.makes().1,
            Some(Source::Lifespan { name, .. }) => name,
            Some(Source::Value(_)) | None => "a value",
        }
    }

    /// Whether anything stands in for anything.
    pub(crate) fn is_faked(&self) -> bool {
        self.faked.load(Ordering::Acquire)
    }

    fn fake(&self, kind: TypeId) -> Option<Fake> {
        if !self.is_faked() {
            return None;
        }
        self.fakes.read().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned()
    }

    /// Puts a stand-in before a dependency, for the requests that ask from now on; if the whole still passes the check.
    pub(crate) fn put_fake(
        &self,
        kind: TypeId,
        fake: Fake,
        check: impl FnOnce(&Fakes) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut fakes = self.fakes.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = fakes.clone();
        changed.insert(kind, fake);
        check(&changed)?;
        let old = std::mem::replace(&mut *fakes, changed);
        self.faked.store(true, Ordering::Release);
        drop(fakes);
        drop(old);
        Ok(())
    }

    /// Takes all stand-ins away.
    pub(crate) fn clear_fakes(&self) {
        self.faked.store(false, Ordering::Release);
        let old = std::mem::take(&mut *self.fakes.write().unwrap_or_else(PoisonError::into_inner));
        drop(old);
    }
}

/// What an app had for all its requests is dropped where it may block, last given first.
impl Drop for Sources {
    fn drop(&mut self) {
        let kept: Vec<Kept> =
            self.order.drain(..).filter_map(|kind| self.by_type.remove(&kind)?.kept()).collect();
        let fakes = std::mem::take(self.fakes.get_mut().unwrap_or_else(PoisonError::into_inner));
        let fakes = fakes.into_values().filter_map(|fake| match fake {
            Fake::Value(value) => Some(Kept::new(value, None)),
            Fake::Provider(_) => None,
        });
        Dropping::new(kept.into_iter().chain(fakes).collect(), None).in_pool();
    }
}

/// An app with a start-up is not handed out before that; only an extractor that asks during it comes here.
fn not_started() -> Response {
    tracing::error!("a dependency of the app's lifetime was asked for before the app had started");
    internal()
}

impl Source {
    /// The value that all requests share.
    fn kept(self) -> Option<Kept> {
        let value = match self {
            Source::Value(value) => Some(value),
            Source::App { made, .. } => made.into_inner(),
            Source::Lifespan { given, .. } => given.into_inner(),
            Source::Provider { .. } => None,
        };
        value.map(|value| Kept::new(value, None))
    }

    /// A provider, as its settings say.
    pub(crate) fn of(provider: Arc<dyn Provider>) -> Source {
        let settings = provider.settings();
        let limiter = settings.most.flatten().map(|most| anyrt::blocking::CapacityLimiter::new(most.get()));
        let rules =
            Rules { lifetime: settings.lifetime.unwrap_or(Lifetime::Request), limiter, from_pool: false };
        match rules.lifetime {
            Lifetime::App => Source::App { provider, rules, made: OnceLock::new() },
            Lifetime::Request | Lifetime::Function => Source::Provider { provider, rules },
        }
    }

    /// The function behind it, and the lifetime it was given.
    pub(crate) fn provider(&self) -> Option<(&Arc<dyn Provider>, &Rules)> {
        match self {
            Source::Provider { provider, rules } | Source::App { provider, rules, .. } => {
                Some((provider, rules))
            }
            Source::Value(_) | Source::Lifespan { .. } => None,
        }
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.order.iter().map(|kind| self.name(*kind))).finish()
    }
}
