//! Days since 1970 and how people call them (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").

pub(crate) fn name(day: u64) -> String {
    let days = day + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let date = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    format!("{:04}-{month:02}-{date:02}", era * 400 + year_of_era + u64::from(month <= 2))
}

/// What [`name`] gave; nothing else.
pub(crate) fn day(text: &str) -> Option<u64> {
    let mut parts = text.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, date) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1970..100_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&date) {
        return None;
    }
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * from_march + 2) / 5 + date - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    let day = (era * 146_097 + of_era).checked_sub(719_468)?;
    (name(day) == text).then_some(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_has_its_name_back() {
        for number in (0..40_000).chain([1_000_000]) {
            assert_eq!(day(&name(number)), Some(number));
        }
        assert_eq!((name(0).as_str(), name(20_782).as_str()), ("1970-01-01", "2026-11-25"));
        for wrong in
            ["", "2026-11", "2026-02-30", "2026-13-01", "2026-1-1", "1969-12-31", "2026-11-25-1", "x-y-z"]
        {
            assert_eq!(day(wrong), None, "{wrong}");
        }
    }
}
