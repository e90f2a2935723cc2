//! The ids of the conformance lists, and whether each of them has its case.
//!
//! `ids.txt` beside the crate's manifest is the copy of the lists that ships with it.

/// What the lists say about one id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// There is a case of that id.
    Case,
    /// It cannot be written in Rust, so it holds [by construction](crate::by_construction).
    ByConstruction,
    /// It takes more than a runtime under test: one particular runtime, or a process that aborts. It is
    /// a test of this workspace, beside the suite.
    Elsewhere,
    /// It is about HTTP: a test of that layer, over real sockets.
    Http,
    /// Background: there is nothing to test.
    Fact,
    /// There is no case so far.
    NotYet,
}

/// All ids of the lists, such as `CK-01`, in their order, and where the suite stands with each.
pub fn ids() -> impl Iterator<Item = (String, Standing)> {
    include_str!("../ids.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .flat_map(entries)
}

/// The title that the lists give to an id with a case.
#[must_use]
pub fn title(id: &str) -> Option<&'static str> {
    include_str!("../ids.txt").lines().find_map(|line| line.strip_prefix(id)?.strip_prefix(' '))
}

/// One line: an id with its title, or a family of which there are no cases yet, with its numbers.
fn entries(line: &'static str) -> Vec<(String, Standing)> {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    if !first.contains('-') {
        return rest.split(' ').map(|number| (format!("{first}-{number}"), Standing::NotYet)).collect();
    }
    let standing = if rest.starts_with("(by construction)") {
        Standing::ByConstruction
    } else if rest.starts_with("(elsewhere)") {
        Standing::Elsewhere
    } else if rest.starts_with("(http)") {
        Standing::Http
    } else if rest.starts_with("(fact)") {
        Standing::Fact
    } else {
        Standing::Case
    };
    vec![(first.to_owned(), standing)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Case;

    #[test]
    fn every_id_has_its_case_and_every_case_its_id() {
        let listed: BTreeSet<String> =
            ids().filter(|(_, standing)| *standing == Standing::Case).map(|(id, _)| id).collect();
        let written: BTreeSet<String> = Case::all().iter().filter_map(Case::id).collect();
        let missing: Vec<_> = listed.difference(&written).collect();
        let unknown: Vec<_> = written.difference(&listed).collect();
        assert!(missing.is_empty(), "listed without a case: {missing:?}");
        assert!(unknown.is_empty(), "cases without a place in the list: {unknown:?}");
    }

    #[test]
    fn no_id_has_two_cases() {
        let mut seen = BTreeSet::new();
        for id in Case::all().iter().filter_map(Case::id) {
            assert!(seen.insert(id.clone()), "{id} twice");
        }
    }

    #[test]
    fn what_is_listed_is_an_id_and_listed_once() {
        let mut seen = BTreeSet::new();
        for (id, _) in ids() {
            assert!(is_id(&id), "{id} is no id");
            assert!(seen.insert(id.clone()), "{id} is listed twice");
        }
    }

    fn is_id(text: &str) -> bool {
        let bytes = text.as_bytes();
        bytes.len() == 5
            && bytes[..2].iter().all(u8::is_ascii_uppercase)
            && bytes[2] == b'-'
            && bytes[3..].iter().all(u8::is_ascii_digit)
    }
}
