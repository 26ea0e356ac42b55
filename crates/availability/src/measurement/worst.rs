//! The worst minute, five minutes, hour and day: windows that begin with any minute, so that none is cut in two by a clock's hour.

use serde::Serialize;

use super::{DAY, HOUR, MINUTE, Minute, Second, Series, Totals};

/// Lengths that are looked for, in seconds.
const LENGTHS: [u64; 4] = [MINUTE, 5 * MINUTE, HOUR, DAY];

/// The worst windows of one length, each as its first second and what was in it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Worst {
    pub seconds: u64,
    /// The one with most seconds down, and the first of those. `None`: none has any.
    pub by_time: Option<(Second, Totals)>,
    /// The one with the largest share of failed requests; of these the one with most that failed, and of those the first.
    pub by_request: Option<(Second, Totals)>,
}

/// Of the minutes that begin in `from..to`. Windows lie within them; where one is longer than all of them, it is all of them.
pub fn worst(series: &Series, from: Second, to: Second) -> Vec<Worst> {
    let range = from.div_ceil(MINUTE)..to.div_ceil(MINUTE);
    let minutes: Vec<(u64, Minute)> = series.minutes(range.clone()).collect();
    LENGTHS.iter().map(|&seconds| of_length(&minutes, range.clone(), seconds)).collect()
}

fn of_length(minutes: &[(u64, Minute)], range: std::ops::Range<u64>, seconds: u64) -> Worst {
    let long = seconds / MINUTE;
    let mut worst = Worst { seconds, by_time: None, by_request: None };
    let last = range.end.saturating_sub(long).max(range.start);
    // As a window moves on, its sum changes where a minute comes in or goes out, and nowhere else.
    let mut begin = range.start;
    let (mut comes, mut goes) = (0, 0);
    let mut sum = Totals { seconds, ..Totals::default() };
    loop {
        while let Some((_, minute)) = minutes.get(comes).filter(|(number, _)| *number < begin + long) {
            sum.add(minute);
            comes += 1;
        }
        while let Some((_, minute)) = minutes.get(goes).filter(|(number, _)| *number < begin) {
            sum.remove(minute);
            goes += 1;
        }
        let place = begin * MINUTE;
        if sum.down > worst.by_time.map_or(0, |(_, of)| of.down) {
            worst.by_time = Some((place, sum));
        }
        if sum.bad > 0 && worst.by_request.is_none_or(|(_, of)| is_worse(&sum, &of)) {
            worst.by_request = Some((place, sum));
        }
        let next_in = minutes.get(comes).map(|(number, _)| number + 1 - long);
        let next_out = minutes.get(goes).map(|(number, _)| number + 1);
        match next_in.into_iter().chain(next_out).min() {
            Some(next) if next <= last => begin = next,
            _ => return worst,
        }
    }
}

/// By the share that failed, in whole numbers.
fn is_worse(one: &Totals, than: &Totals) -> bool {
    // Nobody counts so far; what comes from elsewhere may say so.
    let count = |of: u64| u128::from(of.min(1 << 62));
    let share = |of: &Totals, other: &Totals| count(of.bad) * (count(other.good) + count(other.bad));
    let (this, that) = (share(one, than), share(than, one));
    this > that || (this == that && one.bad > than.bad)
}
