//! `#[anyrt::main]`.

use proc_macro2::TokenStream;
use quote::quote;

use crate::args::Args;
use crate::function::Function;

/// A function of the same name, with the async one inside.
pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let function = match Function::read(item, "#[anyrt::main]") {
        Ok(function) => function,
        Err(complaint) => return complaint,
    };
    let args: Args = match syn::parse2(args) {
        Ok(args) => args,
        Err(error) => return function.refused(&error),
    };
    let Function { attributes, visibility, signature, body } = function;
    let (name, output) = (&signature.ident, &signature.output);
    let (krate, run) = (args.krate(), args.run_on(args.backend));
    // Only macros of `anyrt` know what is compiled in.
    let missing = args.backend.into_iter().map(|backend| {
        let (condition, text) = (backend.if_disabled(), backend.not_compiled_in());
        quote!(#krate::#condition! { ::core::compile_error!(#text); })
    });
    quote! {
        #(#attributes)*
        #visibility fn #name() #output {
            #(#missing)*
            async fn __anyrt_main() #output #body
            #krate::run_or_panic(#run, __anyrt_main())
        }
    }
}
