//! The arguments of both attributes.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, Lit, LitInt, LitStr, Path, Token};

use crate::backend::Backend;

/// What may stand in the brackets.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) backend: Option<Backend>,
    threads: Option<LitInt>,
    name: Option<LitStr>,
    krate: Option<Path>,
}

impl Args {
    /// The path of `anyrt`.
    pub(crate) fn krate(&self) -> TokenStream {
        self.krate.as_ref().map_or_else(|| quote!(::anyrt), |path| quote!(#path))
    }

    /// A run with all that was said, on `backend`, or on that of the environment.
    pub(crate) fn run_on(&self, backend: Option<Backend>) -> TokenStream {
        let krate = self.krate();
        let (threads, name) = (self.threads.iter(), self.name.iter());
        let run = backend.map(Backend::variant).map_or_else(
            || quote!(#krate::builder()),
            |variant| quote!(#krate::Run::on(#krate::Backend::#variant)),
        );
        quote!(#run #(.threads(#threads))*#(.name(#name))*)
    }
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut args = Args::default();
        let mut flavor = None;
        let mut seen = Vec::new();
        for Arg { key, value } in Punctuated::<Arg, Token![,]>::parse_terminated(input)? {
            if seen.contains(&key) {
                return Err(syn::Error::new(key.span(), format!("`{key}` is given twice")));
            }
            match key.to_string().as_str() {
                "backend" => args.backend = Some(Backend::named(&string(value)?)?),
                "flavor" => flavor = Some((Backend::of_flavor(&string(value)?)?, key.span())),
                "threads" => args.threads = Some(positive(value)?),
                "name" => args.name = Some(string(value)?),
                "crate" => args.krate = Some(string(value)?.parse()?),
                other => {
                    let text = format!(
                        "unknown argument `{other}`: there are `backend`, `flavor`, `threads`, `name`, `crate`"
                    );
                    return Err(syn::Error::new(key.span(), text));
                }
            }
            seen.push(key);
        }
        if let Some((of_flavor, span)) = flavor {
            if args.backend.is_some_and(|backend| backend != Backend::Tokio && backend != of_flavor) {
                return Err(syn::Error::new(span, "a flavor is one of tokio: here another backend is named"));
            }
            args.backend = Some(of_flavor);
        }
        if let (Some(backend), Some(threads)) = (args.backend, &args.threads)
            && !backend.has_threads()
        {
            let text = format!("the backend `{}` does not let one choose its threads", backend.name());
            return Err(syn::Error::new(threads.span(), text));
        }
        Ok(args)
    }
}

struct Arg {
    key: Ident,
    value: Lit,
}

impl Parse for Arg {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key = input.call(Ident::parse_any)?;
        input.parse::<Token![=]>()?;
        let value = input.parse().map_err(|error| {
            syn::Error::new(error.span(), "a string in quotes or a number is expected here")
        })?;
        Ok(Arg { key, value })
    }
}

fn string(value: Lit) -> syn::Result<LitStr> {
    match value {
        Lit::Str(text) => Ok(text),
        other => Err(syn::Error::new(other.span(), "a string is expected here")),
    }
}

fn positive(value: Lit) -> syn::Result<LitInt> {
    match value {
        Lit::Int(number) if number.base10_parse::<usize>().is_ok_and(|number| number > 0) => Ok(number),
        other => Err(syn::Error::new(other.span(), "a number of at least one is expected here")),
    }
}
