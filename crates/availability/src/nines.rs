//! Availability as a figure: minutes a year, nines that are never rounded up, what is left of a budget and how fast it goes.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// 365 days.
pub const MINUTES_PER_YEAR: f64 = 525_600.0;
pub const HOURS_PER_YEAR: f64 = 8_760.0;

/// The share of time in which something serves.
///
/// Kept as the share in which it does not: of nine nines a fraction near 1 would have lost half of its digits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Availability {
    unavailability: f64,
}

impl Availability {
    pub const PERFECT: Self = Self { unavailability: 0.0 };

    /// What is outside of 0 to 1, or no number, becomes the nearest bound (no number: never available).
    pub fn from_unavailability(unavailability: f64) -> Self {
        let known = if unavailability.is_nan() { 1.0 } else { unavailability };
        Self { unavailability: known.clamp(0.0, 1.0) }
    }

    /// `0.9999` is exactly one in ten thousand away from 1, as it was written, not as binary fractions subtract.
    pub fn from_fraction(fraction: f64) -> Self {
        if !(0.0..=1.0).contains(&fraction) {
            return Self::from_unavailability(1.0 - fraction);
        }
        let text = format!("{fraction}");
        let digits = text.strip_prefix("0.").filter(|digits| digits.len() <= 30);
        let complement = digits.and_then(|digits| {
            let rest = 10u128.pow(digits.len() as u32) - digits.parse::<u128>().ok()?;
            format!("{rest}e-{}", digits.len()).parse().ok()
        });
        Self::from_unavailability(complement.unwrap_or(1.0 - fraction))
    }

    /// Of a unit that runs for `up` on average and is then `down` for as long as that.
    pub fn of_times(up: f64, down: f64) -> Self {
        Self::from_unavailability(down / (up + down))
    }

    pub fn fraction(self) -> f64 {
        1.0 - self.unavailability
    }

    pub fn unavailability(self) -> f64 {
        self.unavailability
    }

    pub fn minutes_per_year(self) -> f64 {
        self.unavailability * MINUTES_PER_YEAR
    }

    /// How many nines it has; 15 for whatever has more. 99.9996 % has five.
    pub fn nines(self) -> u32 {
        // The last bit of a sum shall not decide: 1e-5 from three additions is 1e-5.
        let reached = |nines: i32| self.unavailability <= 10f64.powi(-nines) * (1.0 + 1e-13);
        (1..=15).take_while(|&nines| reached(nines)).last().unwrap_or(0) as u32
    }

    /// In per cent, cut off (never rounded up) `digits` places behind the last nine that counts: 99.9996 % is `99.9996 %` with one.
    pub fn percent(self, digits: usize) -> String {
        if self.unavailability == 0.0 {
            return "100 %".to_owned();
        }
        let places = (self.nines() as usize).saturating_sub(2) + digits;
        // In units of the last place, the lost share is rounded up, so that what is left is rounded down.
        let units = 10f64.powi(places as i32 + 2);
        let lost = (self.unavailability * units * (1.0 - 1e-12)).ceil().max(1.0) as u128;
        let left = (units as u128).saturating_sub(lost);
        let scale = 10u128.pow(places as u32);
        match places {
            0 => format!("{left} %"),
            _ => format!("{}.{:0places$} %", left / scale, left % scale),
        }
    }

    /// A figure that somebody wrote, as it was written: `99.95 %`.
    pub fn as_stated(self) -> String {
        let percent = self.percent(6);
        let figure = percent.trim_end_matches(" %");
        let figure =
            if figure.contains('.') { figure.trim_end_matches('0').trim_end_matches('.') } else { figure };
        format!("{figure} %")
    }

    /// All of these are needed, and they fail apart from each other.
    pub fn series(parts: impl IntoIterator<Item = Self>) -> Self {
        let up: f64 = parts.into_iter().map(|part| (-part.unavailability).ln_1p()).sum();
        Self::from_unavailability(-up.exp_m1())
    }

    /// One of these is enough, and they fail apart from each other.
    pub fn parallel(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::from_unavailability(parts.into_iter().map(|part| part.unavailability).product())
    }
}

/// What is more available is greater.
impl PartialOrd for Availability {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        other.unavailability.partial_cmp(&self.unavailability)
    }
}

/// Only nines, as many as there are: `99.999 %` for 99.9996 %. Below 90 %, whole per cent.
impl fmt::Display for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nines() as usize {
            0 => f.write_str(&self.percent(0)),
            1 => f.write_str("90 %"),
            2 => f.write_str("99 %"),
            nines => write!(f, "99.{} %", "9".repeat(nines - 2)),
        }
    }
}

impl Serialize for Availability {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.fraction())
    }
}

/// A share of time in which the service must answer, over a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    pub target: Availability,
    pub window: Duration,
}

impl Objective {
    /// How long it may be down in a window.
    pub fn budget(&self) -> Duration {
        self.window.mul_f64(self.target.unavailability())
    }

    /// The share of the budget that is left after so much downtime; below 0 when it is overspent.
    pub fn budget_left(&self, down: Duration) -> f64 {
        1.0 - down.as_secs_f64() / self.budget().as_secs_f64()
    }

    /// How many times as fast as the objective allows the budget is being spent, at this share of failures.
    pub fn burn_rate(&self, failing: f64) -> f64 {
        failing / self.target.unavailability()
    }

    pub fn is_met_by(&self, reached: Availability) -> bool {
        reached.unavailability() <= self.target.unavailability() * (1.0 + 1e-13)
    }
}

/// Two windows over both of which the budget must burn at least this fast before somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BurnAlert {
    pub severity: AlertSeverity,
    /// The share of the budget that is spent over the long window at this rate.
    pub spent: f64,
    pub long: Duration,
    pub short: Duration,
    pub rate: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertSeverity {
    Page,
    Ticket,
}

/// For an objective over 30 days.
pub const BURN_ALERTS: [BurnAlert; 4] = [
    alert(AlertSeverity::Page, 0.02, 60, 5, 14.4),
    alert(AlertSeverity::Page, 0.05, 6 * 60, 30, 6.0),
    alert(AlertSeverity::Ticket, 0.10, 24 * 60, 2 * 60, 3.0),
    alert(AlertSeverity::Ticket, 0.10, 3 * 24 * 60, 6 * 60, 1.0),
];

const fn alert(severity: AlertSeverity, spent: f64, long: u64, short: u64, rate: f64) -> BurnAlert {
    BurnAlert {
        severity,
        spent,
        long: Duration::from_secs(long * 60),
        short: Duration::from_secs(short * 60),
        rate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fraction: f64) -> Availability {
        Availability::from_fraction(fraction)
    }

    #[test]
    fn nines_are_never_rounded_up() {
        // Reference case 19.
        assert_eq!(of(0.999_996).to_string(), "99.999 %");
        assert_eq!(of(0.999_999_999).to_string(), "99.9999999 %");
        assert_eq!(of(0.99).to_string(), "99 %");
        assert_eq!(of(0.989_999).to_string(), "90 %");
        assert_eq!(of(0.899).to_string(), "89 %");
        assert_eq!(of(0.0).to_string(), "0 %");
        assert_eq!(of(0.999_996).percent(1), "99.9996 %");
        assert_eq!(of(0.999_996).percent(0), "99.999 %");
        assert_eq!(
            [0.9999, 0.9995, 0.9, 0.995].map(|figure| of(figure).as_stated()),
            ["99.99 %", "99.95 %", "90 %", "99.5 %"]
        );
        assert_eq!(Availability::from_unavailability(1e-5 + 1e-15).percent(2), "99.9989 %");
        assert_eq!(Availability::from_unavailability(1e-18).nines(), 15);
    }

    #[test]
    fn a_figure_that_was_written_with_five_nines_has_five() {
        for nines in 1..=15 {
            let written: f64 = format!("0.{}", "9".repeat(nines)).parse().unwrap();
            assert_eq!(of(written).nines() as usize, nines);
            assert_eq!(of(written).unavailability(), format!("1e-{nines}").parse::<f64>().unwrap());
        }
    }

    #[test]
    fn downtime_of_a_year() {
        let minutes = [5256.0, 525.6, 52.56, 5.256, 0.5256];
        for (nines, minutes) in minutes.iter().enumerate() {
            let written: f64 = format!("0.99{}", "9".repeat(nines)).parse().unwrap();
            assert!((of(written).minutes_per_year() - minutes).abs() < 1e-9);
        }
    }

    #[test]
    fn the_reference_cases_of_independent_parts() {
        let close = |got: Availability, wanted: f64| {
            assert!((got.fraction() - wanted).abs() < 5e-15, "{} is not {wanted}", got.fraction());
        };
        let series = |parts: &[f64]| Availability::series(parts.iter().map(|&part| of(part)));
        let parallel = |parts: &[f64]| Availability::parallel(parts.iter().map(|&part| of(part)));
        close(series(&[0.9995, 0.9999]), 0.999_400_05);
        close(parallel(&[0.9999, 0.999]), 0.999_999_9);
        close(series(&[parallel(&[0.9999, 0.999]).fraction(), 0.9995]), 0.999_499_900_05);
        close(series(&[0.9999; 3]), 0.999_700_029_999);
        close(parallel(&[0.99, 0.99]), 0.9999);
        close(series(&[parallel(&[0.99, 0.99]).fraction(), 0.99]), 0.989_901);
        close(parallel(&[0.995, 0.987, 0.973]), 0.999_998_245);
        close(Availability::of_times(1000.0, 10.0), 1000.0 / 1010.0);
    }

    #[test]
    fn a_budget_burns_as_fast_as_requests_fail() {
        let month = Objective { target: of(0.999), window: Duration::from_secs(30 * 86_400) };
        assert_eq!(month.budget(), Duration::from_millis(2_592_000));
        assert!((month.budget_left(Duration::from_secs(648)) - 0.75).abs() < 1e-12);
        assert!(month.budget_left(Duration::from_secs(5184)) < -0.99);
        assert!((month.burn_rate(0.0144) - 14.4).abs() < 1e-12);
        for alert in BURN_ALERTS {
            let spent = alert.rate * alert.long.as_secs_f64() / month.window.as_secs_f64();
            assert!((spent - alert.spent).abs() < 1e-12, "{alert:?}");
        }
        assert!(of(0.999) > of(0.99) && Availability::PERFECT > of(0.999_999));
        assert!(month.is_met_by(of(0.999)) && !month.is_met_by(of(0.998_999)));
    }
}
