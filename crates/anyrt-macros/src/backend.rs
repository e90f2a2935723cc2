//! The backends by name: all are known here, whichever are compiled in.

use proc_macro2::Span;
use quote::format_ident;
use syn::{Ident, LitStr};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Tokio,
    TokioCurrentThread,
    Smol,
    AsyncStd,
}

impl Backend {
    pub(crate) const ALL: [Backend; 4] =
        [Backend::Tokio, Backend::TokioCurrentThread, Backend::Smol, Backend::AsyncStd];

    pub(crate) fn named(name: &LitStr) -> syn::Result<Backend> {
        let text = name.value();
        Backend::ALL.into_iter().find(|backend| backend.name() == text).ok_or_else(|| {
            let known = Backend::ALL.map(Backend::name).join("`, `");
            syn::Error::new(name.span(), format!("unknown backend `{text}`: there are `{known}`"))
        })
    }

    pub(crate) fn of_flavor(flavor: &LitStr) -> syn::Result<Backend> {
        match flavor.value().as_str() {
            "multi_thread" => Ok(Backend::Tokio),
            "current_thread" => Ok(Backend::TokioCurrentThread),
            other => Err(syn::Error::new(
                flavor.span(),
                format!("unknown flavor `{other}`: tokio's are `multi_thread` and `current_thread`"),
            )),
        }
    }

    /// As `ANYRT_BACKEND` has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Backend::Tokio => "tokio",
            Backend::TokioCurrentThread => "tokio-current-thread",
            Backend::Smol => "smol",
            Backend::AsyncStd => "async-std",
        }
    }

    /// The variant of `anyrt::Backend`.
    pub(crate) fn variant(self) -> Ident {
        let variant = match self {
            Backend::Tokio => "Tokio",
            Backend::TokioCurrentThread => "TokioCurrentThread",
            Backend::Smol => "Smol",
            Backend::AsyncStd => "AsyncStd",
        };
        Ident::new(variant, Span::call_site())
    }

    /// The name of its test.
    pub(crate) fn test_name(self) -> Ident {
        snake(self.name())
    }

    pub(crate) fn has_threads(self) -> bool {
        matches!(self, Backend::Tokio | Backend::Smol)
    }

    /// The macro of `anyrt` that keeps its input if the backend is compiled in.
    pub(crate) fn if_enabled(self) -> Ident {
        format_ident!("__if_{}", snake(self.feature()))
    }

    /// The macro of `anyrt` that keeps its input if it is not.
    pub(crate) fn if_disabled(self) -> Ident {
        format_ident!("__if_not_{}", snake(self.feature()))
    }

    /// What to say where it is asked for and not there.
    pub(crate) fn not_compiled_in(self) -> String {
        format!(
            "backend `{}` is not compiled in: enable the feature `{}` of `anyrt`",
            self.name(),
            self.feature()
        )
    }

    fn feature(self) -> &'static str {
        match self {
            Backend::Tokio | Backend::TokioCurrentThread => "tokio",
            Backend::Smol => "smol",
            Backend::AsyncStd => "async-std",
        }
    }
}

fn snake(name: &str) -> Ident {
    Ident::new(&name.replace('-', "_"), Span::call_site())
}
