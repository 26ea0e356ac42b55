//! How long a master may be silent, and who is the first to act on it (RFC 9568 §6.1, RFC 3768 §6.1).

use std::time::Duration;

use nines_system::VrrpVersion;

/// The lowest priority of a host in health. Below it lie those that can't serve well now.
pub const HEALTHY: u8 = 20;

/// The lowest priority of a host that is slow: 15 to 19. Below it lie those that are sick. Both are in the order that they
/// have in health.
pub const SLOW: u8 = 15;

/// What a priority says of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Sick,
    Slow,
    Healthy,
}

impl Level {
    pub(super) fn of(priority: u8) -> Self {
        match priority {
            HEALTHY.. => Self::Healthy,
            SLOW.. => Self::Slow,
            _ => Self::Sick,
        }
    }
}

/// The highest there is: the addresses' owner.
pub(super) const OWNER: u8 = 255;

/// The higher the priority, the shorter: of several that wait for the same master, the preferred one acts first.
pub fn skew(version: VrrpVersion, priority: u8, interval: Duration) -> Duration {
    let unit = match version {
        VrrpVersion::V2 => Duration::from_secs(1),
        VrrpVersion::V3 => interval,
    };
    unit * (256 - u32::from(priority)) / 256
}

/// Silence after which a router of this priority takes a master for dead that advertises at this interval.
pub fn master_down(version: VrrpVersion, priority: u8, interval: Duration) -> Duration {
    3 * interval + skew(version, priority, interval)
}

/// What a host that is sick advertises instead of its priority.
pub(super) fn when_sick(priority: u8) -> u8 {
    among(1, SLOW, priority)
}

/// The same of one that is slow.
pub(super) fn when_slow(priority: u8) -> u8 {
    among(SLOW, HEALTHY, priority)
}

/// The priority's place among those from the first to below the end.
fn among(first: u8, end: u8, priority: u8) -> u8 {
    let span = u32::from(end - 1 - first);
    let rank = u32::from(priority) * span / 255;
    // At most `span`.
    first + u8::try_from(rank).unwrap_or(0)
}

/// `307 ms`, `5.0 s`.
pub(super) fn text(time: Duration) -> String {
    match time.as_millis() {
        ms @ ..1000 => format!("{ms} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_waits_shortest() {
        let interval = Duration::from_millis(100);
        assert_eq!(skew(VrrpVersion::V3, 200, interval), Duration::from_micros(21_875));
        assert_eq!(master_down(VrrpVersion::V3, 200, interval), Duration::from_micros(321_875));
        let second = Duration::from_secs(1);
        assert_eq!(master_down(VrrpVersion::V2, 100, 2 * second), 6 * second + second * 156 / 256);
    }

    #[test]
    fn the_sick_stand_below_the_slow_and_those_below_all_in_health_and_in_their_order() {
        assert_eq!((when_sick(1), when_sick(255)), (1, SLOW - 1));
        assert_eq!((when_slow(1), when_slow(255)), (SLOW, HEALTHY - 1));
        for when in [when_sick, when_slow] {
            assert!((1..=254_u8).all(|priority| when(priority) <= when(priority + 1)));
            // The usual two of a pair.
            assert!(when(200) > when(190));
        }
    }
}
