//! The core by its public names, and what each backend supplies to it.

mod borrowing;
mod depth;
mod foreign_wakes;
mod lines;
mod mechanism;
mod native_pool;
mod panic_matrix;
mod reliability;
mod seeing;
mod situations;
