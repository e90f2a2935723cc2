//! What the compiler says about functions that cannot be path operations or providers: the cause, by its name.

/// The messages are the same whatever backends there are, so one build is enough.
#[test]
#[cfg(all(feature = "tokio", feature = "smol", feature = "async-std"))]
fn what_does_not_fit_is_told_by_its_cause() {
    trybuild::TestCases::new().compile_fail("http/messages_ui/*.rs");
}
