//! What the conformance lists forbid and Rust does not let anybody write.
//!
//! Each of these holds without a test at run time. Where there is code for it, that code does not
//! compile; beside it stands what does, so that it fails for that reason and no other.
//!
//! # CK-03, CS-07, CS-26: a cancellation cannot be swallowed
//!
//! It is no error that an `await` returns: the await does not return, and the scope drops the future.
//! There is nothing to catch.
//!
//! # CS-19 to CS-24: a scope is run once
//!
//! A scope is entered and left by `run`, which takes it by value: nobody leaves it without having
//! entered, leaves the outer one first, in another task, or enters it twice.
//!
//! ```
//! # use anyrt_core::CancelScope;
//! # async fn program() {
//! let scope = CancelScope::new();
//! let _ = scope.run(async |_| ()).await;
//! # }
//! ```
//!
//! ```compile_fail,E0382
//! # use anyrt_core::CancelScope;
//! # async fn program() {
//! let scope = CancelScope::new();
//! let _ = scope.run(async |_| ()).await;
//! let _ = scope.run(async |_| ()).await;
//! # }
//! ```
//!
//! # TG-05, TG-08, TG-36: a group exists while its block runs
//!
//! The group's handle comes from `task_group` and is given to its block: there is none before entry, no
//! second entry, and no exit but the end of the block.
//!
//! ```
//! # use anyrt_core::{TaskGroup, task_group};
//! # async fn program() {
//! let _ = task_group(async |group: TaskGroup| { group.spawn(async {}); }).await;
//! # }
//! ```
//!
//! ```compile_fail,E0599
//! # use anyrt_core::TaskGroup;
//! # async fn program() {
//! let group = TaskGroup::new();
//! group.spawn(async {});
//! # }
//! ```
//!
//! # ST-06: a child is ready once
//!
//! ```
//! # use anyrt_core::Ready;
//! # fn child(ready: Ready<u16>) {
//! ready.started(1);
//! # }
//! ```
//!
//! ```compile_fail,E0382
//! # use anyrt_core::Ready;
//! # fn child(ready: Ready<u16>) {
//! ready.started(1);
//! ready.started(2);
//! # }
//! ```
//!
//! # An error is not ignored in silence
//!
//! ```
//! # use anyrt_core::task_group;
//! # async fn program() {
//! let _ = task_group(async |group| { group.try_spawn(async { Err::<(), _>("boom") }); }).await;
//! # }
//! ```
//!
//! ```compile_fail
//! # use anyrt_core::task_group;
//! # async fn program() {
//! let _ = task_group(async |group| { group.spawn(async { Err::<(), _>("boom") }); }).await;
//! # }
//! ```
//!
//! # The children of a local group do not outlive what they borrow
//!
//! ```
//! # use anyrt_core::local_group;
//! # async fn program() {
//! let text = String::from("borrowed");
//! let _ = local_group(async |children| { children.spawn(async { assert!(!text.is_empty()) }); }).await;
//! # }
//! ```
//!
//! ```compile_fail
//! # use anyrt_core::local_group;
//! # async fn program() {
//! let _ = local_group(async |children| {
//!     let text = String::from("borrowed");
//!     children.spawn(async { assert!(!text.is_empty()) });
//! })
//! .await;
//! # }
//! ```
//!
//! # SY-07: a lock belongs to its guard
//!
//! No task owns a lock: the guard does, and may be handed to another task. Who has it needs no second one,
//! and who asks for a second one all the same is told so at once by `try_lock`.
//!
//! ```
//! let lock = anyrt_core::Mutex::new(());
//! let guard = lock.try_lock().unwrap();
//! assert!(lock.try_lock().is_err());
//! std::thread::spawn(move || drop(guard)).join().unwrap();
//! assert!(lock.try_lock().is_ok());
//! ```
