//! How many arguments a function may have: sixteen, as with tuples in axum.

/// Calls a macro once for each length from one to sixteen, with the type and marker names of that
/// length, the last pair apart: `[T1 M1, T2 M2] T3 M3`.
macro_rules! for_each_list {
    ($macro:ident) => {
        $crate::base::arity::for_each_list!($macro []
            T1 M1 T2 M2 T3 M3 T4 M4 T5 M5 T6 M6 T7 M7 T8 M8
            T9 M9 T10 M10 T11 M11 T12 M12 T13 M13 T14 M14 T15 M15 T16 M16);
    };
    ($macro:ident [$($type:ident $marker:ident),*]) => {};
    ($macro:ident [$($type:ident $marker:ident),*] $last:ident $last_marker:ident $($rest:ident)*) => {
        $macro!([$($type $marker),*] $last $last_marker);
        $crate::base::arity::for_each_list!($macro [$($type $marker,)* $last $last_marker] $($rest)*);
    };
}
pub(crate) use for_each_list;
