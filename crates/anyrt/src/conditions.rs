//! What the attributes ask this crate, because only its features say which backends there are: each
//! macro keeps its input or drops it.

macro_rules! condition {
    ($($enabled:meta => $if:ident, $if_not:ident;)*) => {$(
        #[cfg($enabled)]
        condition!(@define $if, $if_not, $);
        #[cfg(not($enabled))]
        condition!(@define $if_not, $if, $);
    )*};
    (@define $keeps:ident, $drops:ident, $dollar:tt) => {
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $keeps {
            ($dollar($dollar tokens:tt)*) => { $dollar($dollar tokens)* };
        }
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $drops {
            ($dollar($dollar tokens:tt)*) => {};
        }
    };
}

condition! {
    feature = "tokio" => __if_tokio, __if_not_tokio;
    feature = "smol" => __if_smol, __if_not_smol;
    feature = "async-std" => __if_async_std, __if_not_async_std;
    any(feature = "tokio", feature = "smol", feature = "async-std") => __if_any_backend, __if_no_backend;
}
