//! Durations, sizes and shares as the file writes them: `"500ms"`, `"64KiB"`, `"20 %"`.

use std::time::Duration;

/// Why a text is no such quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// `500`.
    NoUnit,
    /// `5 sek`.
    UnknownUnit(String),
    /// Not a number, or one that nothing can hold.
    NoNumber,
}

pub(crate) const TIME_UNITS: &[(&str, u128)] = &[
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

pub(crate) const SIZE_UNITS: &[(&str, u128)] = &[
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

/// One or more numbers with their units: `1.5s`, `1min 30s`. Finer than a nanosecond is cut off.
pub(crate) fn duration(text: &str) -> Result<Duration, Wrong> {
    let nanos = quantity(text, TIME_UNITS)?;
    let seconds = u64::try_from(nanos / 1_000_000_000).map_err(|_| Wrong::NoNumber)?;
    Ok(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
}

/// A number of bytes: `64KiB`, `1.5 MB`.
pub(crate) fn bytes(text: &str) -> Result<u64, Wrong> {
    u64::try_from(quantity(text, SIZE_UNITS)?).map_err(|_| Wrong::NoNumber)
}

/// A percentage as a fraction: `99.99 %` is 0.9999, to the last bit.
pub(crate) fn share(text: &str) -> Result<f64, Wrong> {
    let (number, unit) = split(text.trim())?;
    match unit {
        // Moved by the exponent and not by a division: the nearest f64 of what was written.
        "%" => format!("{number}e-2").parse().map_err(|_| Wrong::NoNumber),
        "" => Err(Wrong::NoUnit),
        other => Err(Wrong::UnknownUnit(other.to_owned())),
    }
}

/// A duration as the file writes it, for a command line: what is wrong with it in words.
pub fn read_duration(text: &str) -> Result<Duration, String> {
    duration(text).map_err(|wrong| in_words(wrong, "like `500ms`, `1.5s` or `1min 30s`"))
}

/// A percentage as the file writes it, as a fraction.
pub fn read_share(text: &str) -> Result<f64, String> {
    share(text).map_err(|wrong| in_words(wrong, "like `99.9 %`"))
}

fn in_words(wrong: Wrong, like: &str) -> String {
    match wrong {
        Wrong::NoUnit => format!("a unit is missing; write it {like}"),
        Wrong::UnknownUnit(unit) => format!("`{unit}` is no unit here; write it {like}"),
        Wrong::NoNumber => format!("no number that can be used; write it {like}"),
    }
}

/// The shortest exact writing: `90s`, `1500us`, `5min`.
pub(crate) fn write_duration(duration: Duration) -> String {
    write_exact(duration.as_nanos(), TIME_UNITS, "0s")
}

/// The shortest exact writing: `64KiB`, `1000B`.
pub(crate) fn write_bytes(bytes: u64) -> String {
    let binary: Vec<_> = SIZE_UNITS.iter().copied().filter(|(unit, _)| unit.len() != 2).collect();
    write_exact(bytes.into(), &binary, "0B")
}

/// `99.99 %`: reads back as the same fraction.
pub(crate) fn write_share(fraction: f64) -> String {
    let plain = fraction.to_string();
    let (whole, decimals) = plain.split_once('.').unwrap_or((&plain, ""));
    let decimals = format!("{decimals:0<2}");
    let (percent, rest) = decimals.split_at(2);
    let shifted = format!("{whole}{percent}");
    let whole = match shifted.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    if rest.is_empty() { format!("{whole} %") } else { format!("{whole}.{rest} %") }
}

fn write_exact(amount: u128, units: &[(&str, u128)], zero: &str) -> String {
    if amount == 0 {
        return zero.to_owned();
    }
    let shortest = units.iter().filter(|(_, size)| amount.is_multiple_of(*size));
    match shortest.map(|(unit, size)| format!("{}{unit}", amount / size)).next() {
        Some(text) => text,
        None => zero.to_owned(),
    }
}

fn quantity(text: &str, units: &[(&str, u128)]) -> Result<u128, Wrong> {
    let mut rest = text.trim();
    let mut total: u128 = 0;
    loop {
        let (number, after) = split(rest)?;
        let end = after.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        if unit.is_empty() {
            return Err(Wrong::NoUnit);
        }
        let Some((_, size)) = units.iter().find(|(name, _)| *name == unit) else {
            return Err(Wrong::UnknownUnit(unit.to_owned()));
        };
        total = scaled(number, *size).and_then(|part| total.checked_add(part)).ok_or(Wrong::NoNumber)?;
        rest = after.trim_start();
        if rest.is_empty() {
            return Ok(total);
        }
    }
}

/// A decimal number at the beginning, and what follows it.
fn split(text: &str) -> Result<(&str, &str), Wrong> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let points = number.bytes().filter(|&b| b == b'.').count();
    if points > 1 || !number.starts_with(|c: char| c.is_ascii_digit()) || number.ends_with('.') {
        return Err(Wrong::NoNumber);
    }
    Ok((number, rest.trim_start()))
}

/// `number` × `size`, without floating point.
fn scaled(number: &str, size: u128) -> Option<u128> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let whole = whole.parse::<u128>().ok()?.checked_mul(size)?;
    // Past 18 digits a decimal is worth less than any unit shows.
    let decimals = decimals.get(..18).unwrap_or(decimals);
    let part = match decimals {
        "" => 0,
        _ => decimals.parse::<u128>().ok()?.checked_mul(size)? / 10_u128.pow(decimals.len() as u32),
    };
    whole.checked_add(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nanos(text: &str) -> u128 {
        duration(text).unwrap().as_nanos()
    }

    #[test]
    fn durations_are_numbers_with_units() {
        assert_eq!(nanos("500ms"), 500_000_000);
        assert_eq!(nanos(" 1.5 s "), 1_500_000_000);
        assert_eq!(nanos("1min 30s"), 90_000_000_000);
        assert_eq!(nanos("1h30m"), 5_400_000_000_000);
        assert_eq!(nanos("0s"), 0);
        assert_eq!(nanos("0.000000001s"), 1);
        assert_eq!(nanos("2d"), 172_800_000_000_000);
    }

    #[test]
    fn what_is_no_duration_says_why() {
        assert_eq!(duration("500"), Err(Wrong::NoUnit));
        assert_eq!(duration("1s 500"), Err(Wrong::NoUnit));
        assert_eq!(duration("1 sec"), Err(Wrong::UnknownUnit("sec".to_owned())));
        for text in ["", "s", "-1s", "+1s", "1..5s", "1.s", ".5s", "99999999999999999999d", "soon"] {
            assert_eq!(duration(text), Err(Wrong::NoNumber), "{text}");
        }
    }

    #[test]
    fn sizes_know_both_kinds_of_kilo() {
        assert_eq!(bytes("64KiB"), Ok(65_536));
        assert_eq!(bytes("64kB"), Ok(64_000));
        assert_eq!(bytes("1.5 MiB"), Ok(1_572_864));
        assert_eq!(bytes("64"), Err(Wrong::NoUnit));
        assert_eq!(bytes("64KB/s"), Err(Wrong::UnknownUnit("KB/s".to_owned())));
        assert_eq!(bytes("99999999999999GiB"), Err(Wrong::NoNumber));
    }

    #[test]
    fn a_percentage_is_the_nearest_fraction() {
        assert_eq!(share("99.99 %"), Ok(0.9999));
        assert_eq!(share("99.999%"), Ok(0.99999));
        assert_eq!(share("20 %"), Ok(0.2));
        assert_eq!(share("0.5"), Err(Wrong::NoUnit));
        assert_eq!(share("5 % of it"), Err(Wrong::UnknownUnit("% of it".to_owned())));
        assert_eq!(share("-5 %"), Err(Wrong::NoNumber));
        assert_eq!(share("NaN %"), Err(Wrong::NoNumber));
    }

    #[test]
    fn quantities_are_written_as_people_write_them() {
        assert_eq!(write_duration(Duration::from_millis(1500)), "1500ms");
        assert_eq!(write_duration(Duration::from_secs(300)), "5min");
        assert_eq!(write_duration(Duration::ZERO), "0s");
        assert_eq!(write_bytes(65_536), "64KiB");
        assert_eq!(write_bytes(1000), "1000B");
        assert_eq!(write_share(0.9999), "99.99 %");
        assert_eq!(write_share(0.5), "50 %");
        assert_eq!(write_share(0.001), "0.1 %");
        assert_eq!(write_share(1.0), "100 %");
        assert_eq!(write_share(0.0), "0 %");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(seconds in 0_u64..1 << 40, nanos in 0_u32..1_000_000_000, size: u64, part in 0.0..=1.0) {
            let time = Duration::new(seconds, nanos);
            prop_assert_eq!(duration(&write_duration(time)), Ok(time));
            prop_assert_eq!(bytes(&write_bytes(size)), Ok(size));
            prop_assert_eq!(share(&write_share(part)), Ok(part));
        }

        #[test]
        fn any_text_is_a_quantity_or_not(text: String) {
            let _ = (duration(&text), bytes(&text), share(&text));
        }

        #[test]
        fn nearly_quantities_too(text in "[0-9.%msdhKiB ]{0,30}") {
            let _ = (duration(&text), bytes(&text), share(&text));
        }
    }
}
