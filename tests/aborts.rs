//! RP-03: a destructor that panics while a panic unwinds aborts the process, as Rust does. Nothing of
//! ours makes it worse, or hides it.

use std::panic::AssertUnwindSafe;
use std::process::Command;

use anyrt::{checkpoint, task_group};

const CHILD: &str = "ANYRT_TEST_ABORTS";

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("a destructor");
    }
}

#[test]
fn rp_03_a_destructor_that_panics_while_a_panic_is_resumed_aborts() {
    if std::env::var_os(CHILD).is_some() {
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| {
            anyrt::run(async {
                let _local = PanicsOnDrop;
                let _ = task_group(async |group| {
                    group.spawn(async {
                        checkpoint().await;
                        panic!("a child");
                    });
                })
                .await;
            });
        }));
        return;
    }
    let this = std::env::current_exe().expect("this test");
    let ended = Command::new(this)
        .args(["--exact", "rp_03_a_destructor_that_panics_while_a_panic_is_resumed_aborts", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success(), "{told}");
    assert!(told.contains("a child") && told.contains("a destructor"), "both are told: {told}");
    #[cfg(unix)]
    assert!(std::os::unix::process::ExitStatusExt::signal(&ended.status).is_some(), "it aborted: {told}");
}
