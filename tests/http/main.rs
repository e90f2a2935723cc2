//! The application side, case by case, over real sockets on every backend. The ids in the names (`wd_01_..`) are those of the
//! conformance lists.

mod asking;
#[path = "../http_client.rs"]
mod client;
mod dropped;
mod heads;
mod layers;
mod log;
mod overrides;
mod paths;
mod stuck;

mod view;
mod wb;
mod wc;
mod wd;
mod wl;
mod wo;
mod ws;
mod wt;
mod wy;

/// Each id of the lists that is about HTTP has its test here, and each test its id there.
#[test]
fn every_id_has_its_test_and_every_test_its_id() {
    use std::collections::BTreeSet;

    use anyrt_conformance::{Standing, ids};

    let files = [
        ("WB", include_str!("wb.rs")),
        ("WC", include_str!("wc.rs")),
        ("WD", include_str!("wd.rs")),
        ("WL", include_str!("wl.rs")),
        ("WO", include_str!("wo.rs")),
        ("WS", include_str!("ws.rs")),
        ("WT", include_str!("wt.rs")),
        ("WY", include_str!("wy.rs")),
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
