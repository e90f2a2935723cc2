//! The application side, case by case, over real sockets on every backend. The ids in the names (`wd_01_..`) are those of the
//! conformance lists.

mod asking;
mod background;
mod basic;
mod cancellation;
mod client;
mod dependencies;
mod disconnect;
mod dropped;
mod errors;
mod heads;
mod injection;
mod layers;
mod lifespan;
mod limits;
mod log;
mod messages;
mod overrides;
mod paths;
mod readme;
mod service;
mod stand_ins;
mod stuck;
mod teardown;
mod threads;
mod view;
mod wire;

/// Each id of the lists that is about HTTP has its test here, and each test its id there.
#[test]
fn every_id_has_its_test_and_every_test_its_id() {
    use std::collections::BTreeSet;

    use anyrt_conformance::{Standing, ids};

    let files = [
        ("WB", include_str!("background.rs")),
        ("WC", include_str!("cancellation.rs")),
        ("WD", include_str!("dependencies.rs")),
        ("WL", include_str!("limits.rs")),
        ("WO", include_str!("overrides.rs")),
        ("WS", include_str!("lifespan.rs")),
        ("WT", include_str!("threads.rs")),
        ("WY", include_str!("teardown.rs")),
    ];
    let mut written = BTreeSet::new();
    for (family, text) in files {
        let names = text.lines().filter_map(|line| line.split_once("fn ")?.1.split_once('('));
        for (name, _) in names {
            let id = name.get(..5).map(|id| id.to_uppercase().replace('_', "-"));
            if let Some(id) = id.filter(|id| id.starts_with(&format!("{family}-"))) {
                written.insert(id);
            }
        }
    }
    let listed: BTreeSet<String> =
        ids().filter(|(_, standing)| *standing == Standing::Http).map(|(id, _)| id).collect();
    assert_eq!(
        written.difference(&listed).collect::<Vec<_>>(),
        [""; 0],
        "tests without a place in the lists"
    );
    assert_eq!(listed.difference(&written).collect::<Vec<_>>(), [""; 0], "listed without a test");
}
