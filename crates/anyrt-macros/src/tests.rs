//! `#[anyrt::test]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::Attribute;
use syn::spanned::Spanned;

use crate::args::Args;
use crate::backend::Backend;
use crate::function::Function;

/// The function stays where it is written, so that `self::` and `super::` in it keep their meaning.
/// Beside it stands a module of the same name, with a plain test for each backend. Whether that is
/// compiled in, only macros of `anyrt` know.
pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let function = match Function::read(item, "#[anyrt::test]") {
        Ok(function) => function,
        Err(complaint) => return complaint,
    };
    let args: Args = match syn::parse2(args) {
        Ok(args) => args,
        Err(error) => return function.refused(&error),
    };
    if let Some(second) = function.attributes.iter().find(|attribute| attribute.path().is_ident("test")) {
        let text = "`#[anyrt::test]` makes the tests: remove `#[test]`";
        return function.refused(&syn::Error::new(second.span(), text));
    }
    let tests = match args.backend {
        Some(backend) => one(&args, &function, backend),
        None => each(&args, &function),
    };
    let Function { attributes, visibility, signature, body } = &function;
    let name = &signature.ident;
    let own = attributes.iter().filter(|attribute| !is_of_tests(attribute));
    let conditions = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    quote! {
        #[cfg(test)]
        #(#own)*
        #visibility #signature #body

        #[cfg(test)]
        #(#conditions)*
        #[allow(clippy::module_inception)]
        mod #name {
            // Attributes of tests may be imported there.
            #[allow(unused_imports)]
            use super::*;
            #tests
        }
    }
}

fn each(args: &Args, function: &Function) -> TokenStream {
    let krate = args.krate();
    let tests = Backend::ALL.map(|backend| {
        let (condition, test) = (backend.if_enabled(), test(args, function, backend, None));
        quote!(#krate::#condition! { #test })
    });
    quote! {
        #(#tests)*
        #krate::__if_no_backend! {
            #[::core::prelude::v1::test]
            fn no_backend() {
                ::core::panic!("{}", #krate::BackendError::NoneCompiledIn);
            }
        }
    }
}

fn one(args: &Args, function: &Function, backend: Backend) -> TokenStream {
    let krate = args.krate();
    let (enabled, disabled) = (backend.if_enabled(), backend.if_disabled());
    let reason = backend.not_compiled_in();
    let run = test(args, function, backend, None);
    let ignored = test(args, function, backend, Some(quote!(#[ignore = #reason])));
    quote! {
        #krate::#enabled! { #run }
        #krate::#disabled! { #ignored }
    }
}

fn test(args: &Args, function: &Function, backend: Backend, ignore: Option<TokenStream>) -> TokenStream {
    let (krate, run) = (args.krate(), args.run_on(Some(backend)));
    let name = backend.test_name();
    let body = &function.signature.ident;
    let attributes = function
        .attributes
        .iter()
        .filter(|attribute| is_of_tests(attribute))
        .filter(|attribute| ignore.is_none() || !attribute.path().is_ident("ignore"));
    // `#[should_panic]` takes no return type, not even one that is a unit.
    let output = function.returns().then(|| {
        let span = function.signature.output.span();
        quote_spanned!(span=> -> impl ::std::process::Termination)
    });
    quote! {
        #[::core::prelude::v1::test]
        #ignore
        #(#attributes)*
        fn #name() #output {
            #krate::run_or_panic(#run, super::#body())
        }
    }
}

/// Whether an attribute belongs on the tests, and not on the function that they run.
fn is_of_tests(attribute: &Attribute) -> bool {
    const OF_FUNCTION: [&str; 8] = ["cfg", "doc", "allow", "expect", "warn", "deny", "forbid", "must_use"];
    !OF_FUNCTION.iter().any(|own| attribute.path().is_ident(own))
}
