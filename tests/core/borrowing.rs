//! What a local group does not let through, and what it does.
#![allow(missing_docs, clippy::unwrap_used)]

use std::cell::Cell;
use std::rc::Rc;

use anyrt::{checkpoint, local_group, try_local_group};

/// The compiler refuses each, and says why.
#[test]
#[cfg(all(feature = "tokio", feature = "smol", feature = "async-std"))]
fn what_would_outlive_its_owner_does_not_compile() {
    trybuild::TestCases::new().compile_fail("core/borrowing_ui/*.rs");
}

#[anyrt::test]
async fn children_borrow_from_outside_of_the_scope_and_need_not_be_send() {
    let words = ["one".to_owned(), "two".to_owned(), "three".to_owned()];
    let letters = Rc::new(Cell::new(0));
    local_group(async |s| {
        for word in &words {
            let letters = Rc::clone(&letters);
            s.spawn(async move {
                checkpoint().await;
                letters.set(letters.get() + word.len());
            });
        }
    })
    .await
    .unwrap();
    assert_eq!((letters.get(), words.len()), (11, 3));
}

#[anyrt::test]
async fn each_child_may_have_a_part_for_itself() {
    let mut numbers = [1, 2, 3];
    local_group(async |s| {
        for number in &mut numbers {
            s.spawn(async move {
                checkpoint().await;
                *number *= 10;
            });
        }
    })
    .await
    .unwrap();
    assert_eq!(numbers, [10, 20, 30]);
}

#[anyrt::test]
async fn scopes_in_children_of_scopes_borrow_from_all_around() {
    let outer = "outer".to_owned();
    let total = Cell::new(0);
    try_local_group(async |s| {
        s.try_spawn(async {
            let inner = "inner".to_owned();
            local_group(async |s| {
                s.spawn(async { total.set(total.get() + outer.len() + inner.len()) });
                s.spawn(async { total.set(total.get() + inner.len()) });
            })
            .await
        });
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(total.get(), 15);
}
