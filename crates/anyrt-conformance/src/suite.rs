//! [`suite!`](crate::suite): the cases as tests of a backend.

/// Makes a module with one `#[test]` per case, named by the case, on the runtimes that the given
/// function makes: a new one for each test.
///
/// ```
/// # mod own { pub fn runtime() -> std::sync::Arc<dyn anyrt_conformance::Runtime> { unimplemented!() } }
/// anyrt_conformance::suite!(on_my_runtime, || own::runtime());
/// # fn main() {}
/// ```
///
/// A test that fails names the case and what it needs of the runtime; one that hangs fails after
/// [`PATIENCE`](crate::PATIENCE).
#[macro_export]
macro_rules! suite {
    ($(#[$attribute:meta])* $module:ident, $runtime:expr $(,)?) => {
        $(#[$attribute])*
        mod $module {
            #[allow(unused_imports, reason = "the runtime may be made by a full path")]
            use super::*;

            fn runtime() -> ::std::sync::Arc<dyn $crate::Runtime> {
                ($runtime)()
            }

            $crate::for_each_case! { $crate::tests }
        }
    };
}

/// The tests inside the module of [`suite!`](crate::suite).
#[doc(hidden)]
#[macro_export]
macro_rules! tests {
    ($($family:ident { $($kind:ident $name:ident [$($need:ident),*];)* })*) => {
        $($(
            #[test]
            fn $name() {
                $crate::assert_passes(stringify!($name), runtime);
            }
        )*)*
    };
}
