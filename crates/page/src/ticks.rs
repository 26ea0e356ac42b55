//! Where an axis has its ticks, and what they say.

/// What an axis counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things: 0, 5, 10; 1k.
    Count,
    /// Milliseconds, told as `200 ms`, `1 s`, `2 min`.
    Ms,
    /// The same, from an event on: `−1 s`, `0`, `+500 ms`.
    SinceMs,
    /// A share of one: `99.9 %`.
    Share,
    /// Seconds since 1970, told as UTC's days and times of day.
    Unix,
}

/// Places on an axis and their labels, ascending.
pub type Ticks = Vec<(f64, String)>;

/// At most `count` ticks (two at least) between `from` and `to`, at round numbers of the unit.
pub fn ticks(unit: Unit, from: f64, to: f64, count: usize) -> Ticks {
    if !(from.is_finite() && to.is_finite()) || to <= from {
        return Vec::new();
    }
    let wanted = (to - from) / count.max(2) as f64;
    let step = match unit {
        Unit::Count => decimal(wanted).max(1.0),
        Unit::Share => decimal(wanted),
        Unit::Ms | Unit::SinceMs => of_time(wanted / 1000.0) * 1000.0,
        Unit::Unix => of_time(wanted),
    };
    let first = (from / step - 1e-9).ceil();
    // Bounded by the step; a step too small for the numbers around it would not end.
    (0..=count.max(2) + 1)
        .map(|n| (first + n as f64) * step)
        .take_while(|at| *at <= to + step * 1e-9)
        .map(|at| (at, label(unit, at, step)))
        .collect()
}

/// The next of 1, 2, 5, 10, … at or above.
fn decimal(wanted: f64) -> f64 {
    let ten = 10f64.powf(wanted.log10().floor());
    let of_ten = [1.0, 2.0, 5.0].map(|digit| digit * ten);
    of_ten.into_iter().find(|step| *step >= wanted * (1.0 - 1e-9)).unwrap_or(10.0 * ten)
}

/// In seconds: below a second decimal, above it as clocks and calendars count.
fn of_time(wanted: f64) -> f64 {
    const ROUND: [f64; 18] = [
        1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 21_600.0,
        43_200.0, 86_400.0, 172_800.0,
    ];
    if wanted < 1.0 {
        return decimal(wanted);
    }
    let round = ROUND.into_iter().find(|step| *step >= wanted);
    round.unwrap_or_else(|| decimal(wanted / 86_400.0) * 86_400.0)
}

fn label(unit: Unit, at: f64, step: f64) -> String {
    match unit {
        Unit::Count if at.abs() >= 1e6 => format!("{}M", short(at / 1e6)),
        Unit::Count if at.abs() >= 1e4 => format!("{}k", short(at / 1e3)),
        Unit::Count => short(at),
        Unit::Share => format!("{} %", short(at * 100.0)),
        Unit::Ms => duration(at, step),
        Unit::SinceMs if at.abs() < step / 2.0 => "0".to_owned(),
        Unit::SinceMs => format!("{}{}", if at < 0.0 { '−' } else { '+' }, duration(at.abs(), step)),
        Unit::Unix => clock(at, step),
    }
}

fn duration(ms: f64, step: f64) -> String {
    match ms {
        _ if ms.abs() < 1e-9 => "0".to_owned(),
        _ if step >= 60_000.0 => format!("{} min", short(ms / 60_000.0)),
        _ if ms >= 1000.0 || step >= 1000.0 => format!("{} s", short(ms / 1000.0)),
        _ => format!("{} ms", short(ms)),
    }
}

/// Up to six digits after the point, without zeros at the end.
fn short(number: f64) -> String {
    let text = format!("{number:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.strip_prefix("-0").filter(|rest| rest.is_empty()).map_or(text, |_| "0").to_owned()
}

/// As fine as the step: `09:30:05`, `09:30`, or, where a day begins, `Nov 25`.
fn clock(seconds: f64, step: f64) -> String {
    let whole = seconds.round() as i64;
    let (days, of_day) = (whole.div_euclid(86_400), whole.rem_euclid(86_400));
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    if of_day == 0 || step >= 86_400.0 {
        let (month, day) = month_and_day(days);
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        return format!("{} {day}", MONTHS[month % 12]);
    }
    if step < 60.0 { format!("{hour:02}:{minute:02}:{second:02}") } else { format!("{hour:02}:{minute:02}") }
}

/// The month (from 0) and day of a day since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn month_and_day(days: i64) -> (usize, i64) {
    let of_era = (days + 719_468).rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    (usize::try_from((from_march + 2) % 12).unwrap_or(0), of_year - (153 * from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(unit: Unit, from: f64, to: f64, count: usize) -> String {
        ticks(unit, from, to, count).into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn ticks_are_round_and_say_their_unit() {
        assert_eq!(labels(Unit::Count, 0.0, 10.4, 4), "0 | 5 | 10");
        assert_eq!(labels(Unit::Count, 0.0, 2.0, 4), "0 | 1 | 2");
        assert_eq!(labels(Unit::Count, 0.0, 24_000.0, 3), "0 | 10k | 20k");
        assert_eq!(labels(Unit::Ms, 0.0, 480.0, 3), "0 | 200 ms | 400 ms");
        assert_eq!(labels(Unit::SinceMs, -1010.0, 3900.0, 6), "−1 s | 0 | +1 s | +2 s | +3 s");
        assert_eq!(labels(Unit::SinceMs, -200.0, 1200.0, 4), "0 | +500 ms | +1 s");
        assert_eq!(labels(Unit::Share, 0.998, 1.0, 3), "99.8 % | 99.9 % | 100 %");
    }

    #[test]
    fn days_and_times_of_day_are_utc() {
        // 2026-02-28T22:00:00Z.
        let from = 1_772_316_000.0;
        assert_eq!(labels(Unit::Unix, from, from + 14_400.0, 4), "22:00 | 23:00 | Mar 1 | 01:00 | 02:00");
        assert_eq!(labels(Unit::Unix, from, from + 20.0, 3), "22:00:00 | 22:00:10 | 22:00:20");
        assert_eq!(labels(Unit::Unix, from, from + 3.0 * 86_400.0, 3), "Mar 1 | Mar 2 | Mar 3");
    }

    proptest! {
        #[test]
        fn ticks_lie_on_the_axis_and_are_few(from in -1e7f64..1e7, length in 1e-3f64..1e8, count in 2usize..12) {
            for unit in [Unit::Count, Unit::Ms, Unit::SinceMs, Unit::Share, Unit::Unix] {
                let ticks = ticks(unit, from, from + length, count);
                prop_assert!(ticks.len() <= count + 1);
                prop_assert!(ticks.iter().all(|(at, _)| *at >= from - 1e-3 && *at <= from + length + 1e-3));
                prop_assert!(ticks.windows(2).all(|pair| pair[0].0 < pair[1].0));
            }
        }
    }
}
