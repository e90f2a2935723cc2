//! Tests that are made once for each backend.

/// One test for each backend that is compiled in.
macro_rules! on_each_backend {
    ($($(#[$attribute:meta])* fn $name:ident($backend:ident) $body:block)*) => {
        $($(#[$attribute])* fn $name($backend: Backend) $body)*
        on_each_backend!(@"tokio" tokio_current_thread TokioCurrentThread $($name)*);
        on_each_backend!(@"tokio" tokio Tokio $($name)*);
        on_each_backend!(@"smol" smol Smol $($name)*);
        on_each_backend!(@"async-std" async_std AsyncStd $($name)*);
    };
    (@$feature:literal $module:ident $backend:ident $($name:ident)*) => {
        #[cfg(feature = $feature)]
        mod $module {
            $(#[test]
            fn $name() {
                super::$name(anyrt::Backend::$backend);
            })*
        }
    };
}
