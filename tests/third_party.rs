//! A third party can write a backend: the one in `own_runtime.rs` passes the whole suite.

mod own_runtime;

anyrt_conformance::suite!(thread_per_task, || own_runtime::ThreadPerTask::start().expect("its thread"));
