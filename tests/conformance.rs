//! The conformance suite on every backend, and on a third party's: the one in `own_runtime.rs`.
//!
//! The name of each test is backend and case, such as `smol_executor::ck_02_…`.

#[cfg(all(feature = "tokio", feature = "smol", feature = "async-std"))]
mod own_runtime;

#[cfg(feature = "tokio")]
anyrt_conformance::suite!(tokio_multi_thread, || {
    anyrt_tokio::multi_thread(None, "conformance").expect("threads for the runtime")
});

#[cfg(feature = "tokio")]
anyrt_conformance::suite!(tokio_current_thread, || {
    anyrt_tokio::current_thread("conformance").expect("a runtime")
});

#[cfg(feature = "smol")]
anyrt_conformance::suite!(smol_executor, || {
    anyrt_smol::executor(None, "conformance").expect("threads for the runtime")
});

#[cfg(feature = "async-std")]
anyrt_conformance::suite!(async_std, anyrt_async_std::runtime);

// It stands on none of them: once is enough.
#[cfg(all(feature = "tokio", feature = "smol", feature = "async-std"))]
anyrt_conformance::suite!(thread_per_task, || own_runtime::ThreadPerTask::start().expect("its thread"));
