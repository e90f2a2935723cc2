//! The data file: the two tables of the IANA time zone database (`DATA.md` says where they come from).

use std::fmt;

use super::atlas::Position;

const ZONES: &str = include_str!("zone1970.tab");
const COUNTRIES: &str = include_str!("iso3166.tab");

/// A row of `zone1970.tab`.
pub(crate) struct Zone {
    pub(crate) name: &'static str,
    pub(crate) position: Position,
    /// Codes, the most populous country first.
    pub(crate) countries: Vec<&'static str>,
    /// What tells it from the other zones of the country.
    pub(crate) comment: Option<&'static str>,
}

/// A row of `iso3166.tab`.
pub(crate) struct Country {
    pub(crate) code: &'static str,
    pub(crate) name: &'static str,
}

pub(crate) fn zones() -> Result<Vec<Zone>, Malformed> {
    rows(ZONES, |columns| {
        let [countries, position, name, comment @ ..] = columns else { return None };
        Some(Zone {
            name,
            position: coordinates(position)?,
            countries: countries.split(',').collect(),
            comment: comment.first().copied(),
        })
    })
}

pub(crate) fn countries() -> Result<Vec<Country>, Malformed> {
    rows(COUNTRIES, |columns| match columns {
        [code, name] => Some(Country { code, name }),
        _ => None,
    })
}

/// A line is a row, its columns stand between tabs, and what follows a `#` is for people.
fn rows<T>(table: &'static str, parse: impl Fn(&[&'static str]) -> Option<T>) -> Result<Vec<T>, Malformed> {
    let numbered = (1..).zip(table.lines()).filter(|(_, line)| !line.starts_with('#'));
    numbered
        .map(|(line, text)| parse(&text.split('\t').collect::<Vec<_>>()).ok_or(Malformed { line, text }))
        .collect()
}

/// ISO 6709: `+4230+00131` or, with seconds, `-543830-0361810`.
fn coordinates(text: &str) -> Option<Position> {
    let second_sign = 1 + text.get(1..)?.find(['+', '-'])?;
    let (latitude, longitude) = text.split_at(second_sign);
    Some(Position { latitude: degrees(latitude)?, longitude: degrees(longitude)? })
}

/// A sign, two or three digits for the degrees, two for the minutes, and perhaps two for the seconds.
fn degrees(text: &str) -> Option<f64> {
    let (sign, digits) = text.split_at_checked(1)?;
    let for_degrees = if digits.len() % 2 == 0 { 2 } else { 3 };
    let (whole, rest) = digits.split_at_checked(for_degrees)?;
    let (minutes, seconds) = rest.split_at_checked(2)?;
    let seconds = if seconds.is_empty() { 0.0 } else { seconds.parse().ok()? };
    let angle = whole.parse::<f64>().ok()? + minutes.parse::<f64>().ok()? / 60.0 + seconds / 3600.0;
    Some(if sign == "-" { -angle } else { angle })
}

/// A line of the data file that is not what it should be.
#[derive(Debug)]
pub(crate) struct Malformed {
    line: usize,
    text: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the data file cannot be read: {:?}", self.line, self.text)
    }
}

impl std::error::Error for Malformed {}
