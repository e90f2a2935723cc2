//! Where the zones lie: in memory, so an async function may ask without blocking anybody.

use serde::{Deserialize, Serialize};

use super::table::Zone;

/// A place on the earth, in degrees.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Position {
    /// North of the equator.
    pub(crate) latitude: f64,
    /// East of Greenwich.
    pub(crate) longitude: f64,
}

impl Position {
    pub(crate) fn is_on_earth(&self) -> bool {
        (-90.0..=90.0).contains(&self.latitude) && (-180.0..=180.0).contains(&self.longitude)
    }

    /// Along a great circle, by the haversine formula.
    fn kilometres_to(&self, other: &Position) -> f64 {
        const EARTH_RADIUS: f64 = 6371.0;
        let north = (other.latitude - self.latitude).to_radians() / 2.0;
        let east = (other.longitude - self.longitude).to_radians() / 2.0;
        let across = self.latitude.to_radians().cos() * other.latitude.to_radians().cos();
        let haversine = north.sin().powi(2) + across * east.sin().powi(2);
        2.0 * EARTH_RADIUS * haversine.sqrt().min(1.0).asin()
    }
}

/// The principal place of each zone.
pub(crate) struct Atlas(Vec<(&'static str, Position)>);

/// The zone whose principal place is nearest.
#[derive(Serialize)]
pub(crate) struct Nearest {
    pub(crate) zone: &'static str,
    pub(crate) kilometres: f64,
}

impl Atlas {
    pub(crate) fn of(zones: &[Zone]) -> Atlas {
        Atlas(zones.iter().map(|zone| (zone.name, zone.position)).collect())
    }

    /// None only if there is no zone at all.
    pub(crate) fn nearest(&self, here: &Position) -> Option<Nearest> {
        self.0
            .iter()
            .map(|(zone, there)| Nearest { zone, kilometres: here.kilometres_to(there) })
            .min_by(|one, other| one.kilometres.total_cmp(&other.kilometres))
    }
}
