//! The check of the dependencies when the app is built: everything asked for is provided, and
//! nothing needs itself.

use std::any::TypeId;
use std::collections::HashSet;

use crate::dependency::Argument;
use crate::error::Error;
use crate::provider::{Source, Sources};
use crate::routes::Routes;

/// Finds the first fault, in the order in which routes were added.
pub(crate) fn check(routes: &Routes, sources: &Sources) -> Result<(), Error> {
    let mut checked = HashSet::new();
    for (method, path, operation) in routes.operations() {
        let by = || format!("`{method} {path}` ({})", operation.name());
        arguments(operation.arguments(), &by, sources, &mut Vec::new(), &mut checked)?;
    }
    // A provider that no route needs yet is checked too: its fault would show with the next route.
    for source in sources.values() {
        if let Source::Provider(provider) = source {
            let by = || format!("the provider of `{}` ({})", provider.makes(), provider.name());
            arguments(provider.arguments(), &by, sources, &mut Vec::new(), &mut checked)?;
        }
    }
    Ok(())
}

/// Checks what one function asks for, and then the providers of that. `above` are the dependencies
/// on the way down to here.
fn arguments(
    arguments: &[Argument],
    by: &dyn Fn() -> String,
    sources: &Sources,
    above: &mut Vec<(TypeId, &'static str)>,
    checked: &mut HashSet<TypeId>,
) -> Result<(), Error> {
    for argument in arguments {
        let Some(kind) = argument.dependency else {
            foreign(argument.name, by)?;
            continue;
        };
        if let Some(start) = above.iter().position(|(open, _)| *open == kind) {
            let circle = above[start..].iter().map(|(_, name)| format!("`{name}`")).collect();
            return Err(Error::Cycle { circle });
        }
        let source =
            sources.get(&kind).ok_or_else(|| Error::MissingProvider { by: by(), needed: argument.name })?;
        if checked.contains(&kind) {
            continue;
        }
        if let Source::Provider(provider) = source {
            above.push((kind, argument.name));
            let by = || format!("the provider of `{}` ({})", provider.makes(), provider.name());
            self::arguments(provider.arguments(), &by, sources, above, checked)?;
            above.pop();
        }
        checked.insert(kind);
    }
    Ok(())
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
