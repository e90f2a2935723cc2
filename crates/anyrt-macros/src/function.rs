//! The function that an attribute stands on.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, ReturnType, Signature, Type, Visibility};

/// An async function without arguments. Its body stays as it was written.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: TokenStream,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        Ok(Function {
            attributes: input.call(Attribute::parse_outer)?,
            visibility: input.parse()?,
            signature: input.parse()?,
            body: input.parse()?,
        })
    }
}

impl Function {
    /// Parses and checks it. A complaint, on behalf of `attribute`, is all the code that is left:
    /// with an empty function of that name, so that it is the only complaint.
    pub(crate) fn read(item: TokenStream, attribute: &str) -> Result<Function, TokenStream> {
        let function: Function = syn::parse2(item).map_err(|error| {
            let text = format!("`{attribute}` stands on an async function: {error}");
            syn::Error::new(error.span(), text).into_compile_error()
        })?;
        match function.complaint() {
            None => Ok(function),
            Some((tokens, text)) => {
                let error = syn::Error::new_spanned(tokens, format!("`{attribute}`: {text}"));
                Err(function.refused(&error))
            }
        }
    }

    /// The error, in place of the function.
    pub(crate) fn refused(&self, error: &syn::Error) -> TokenStream {
        let (error, name) = (error.to_compile_error(), &self.signature.ident);
        quote!(#error #[allow(dead_code)] fn #name() {})
    }

    fn complaint(&self) -> Option<(TokenStream, &'static str)> {
        let Signature { constness, asyncness, abi, fn_token, generics, inputs, .. } = &self.signature;
        if asyncness.is_none() {
            return Some((quote!(#fn_token), "the function has to be `async`"));
        }
        if !inputs.is_empty() {
            return Some((quote!(#inputs), "the function takes no arguments"));
        }
        if !generics.params.is_empty() {
            return Some((quote!(#generics), "the function cannot be generic"));
        }
        if constness.is_some() || abi.is_some() {
            return Some((quote!(#constness #abi), "the function cannot be `const` or `extern`"));
        }
        None
    }

    /// Whether it says that it returns something.
    pub(crate) fn returns(&self) -> bool {
        match &self.signature.output {
            ReturnType::Default => false,
            ReturnType::Type(_, output) => !matches!(&**output, Type::Tuple(unit) if unit.elems.is_empty()),
        }
    }
}
