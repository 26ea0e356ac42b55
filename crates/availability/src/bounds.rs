//! How sure a measured share is: n tries of which m missed.

use serde::Serialize;

/// A figure and what it may be instead.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    pub low: f64,
    pub likely: f64,
    pub high: f64,
}

impl Interval {
    pub fn exactly(value: f64) -> Self {
        Self { low: value, likely: value, high: value }
    }

    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self { low: f(self.low), likely: f(self.likely), high: f(self.high) }
    }
}

/// The bounds of Clopper and Pearson: never narrower than promised, at the cost of being wide. Two-sided: 0.95 leaves 2.5 % at
/// each end. Without tries anything is possible.
pub fn clopper_pearson(failures: u64, tries: u64, confidence: f64) -> Interval {
    if tries == 0 {
        return Interval { low: 0.0, likely: 0.5, high: 1.0 };
    }
    let failures = failures.min(tries);
    let tail = (1.0 - confidence) / 2.0;
    let (m, n) = (failures as f64, tries as f64);
    Interval {
        low: if failures == 0 { 0.0 } else { beta_quantile(tail, m, n - m + 1.0) },
        likely: m / n,
        high: if failures == tries { 1.0 } else { beta_quantile(1.0 - tail, m + 1.0, n - m) },
    }
}

/// The bounds of Wilson: about as wide as promised on average. `z` is 1.96 for 95 %.
pub fn wilson(failures: u64, tries: u64, z: f64) -> Interval {
    if tries == 0 {
        return Interval { low: 0.0, likely: 0.5, high: 1.0 };
    }
    let n = tries as f64;
    let share = failures.min(tries) as f64 / n;
    let scale = 1.0 / (1.0 + z * z / n);
    let middle = scale * (share + z * z / (2.0 * n));
    let half = scale * z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    // At the ends the difference is what rounding leaves of nothing.
    let low = if failures == 0 { 0.0 } else { (middle - half).max(0.0) };
    let high = if failures >= tries { 1.0 } else { (middle + half).min(1.0) };
    Interval { low, likely: share, high }
}

/// The largest rate of failures that `tries` without one leave possible, one-sided: about 3/n for 95 %.
pub fn none_failed(tries: u64, confidence: f64) -> f64 {
    if tries == 0 {
        return 1.0;
    }
    -((1.0 - confidence).ln() / tries as f64).exp_m1()
}

/// How many tries in all show that at least this share comes about, one-sided, when no more than so many miss. `None`: more than a
/// million.
pub fn tries_to_show(share: f64, missed: u64, confidence: f64) -> Option<u64> {
    let shown = |tries: u64| 1.0 - clopper_pearson(missed, tries, 2.0 * confidence - 1.0).high >= share;
    let (mut low, mut high) = (missed, missed.max(1));
    while !shown(high) {
        (low, high) = (high, high * 2);
        if high > 1 << 20 {
            return None;
        }
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if shown(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// How likely a Beta(a, b) is to be below this; where nothing ever missed it is 1, and where nothing ever came about it is 0.
pub(crate) fn below(x: f64, a: f64, b: f64) -> f64 {
    match (a > 0.0, b > 0.0) {
        (true, true) => incomplete_beta(x, a, b),
        (true, false) => f64::from(u8::from(x >= 1.0)),
        _ => 1.0,
    }
}

/// The other way round.
pub(crate) fn quantile(probability: f64, a: f64, b: f64) -> f64 {
    match (a > 0.0, b > 0.0) {
        (true, true) => beta_quantile(probability, a, b),
        (true, false) => 1.0,
        _ => 0.0,
    }
}

/// The value below which a Beta(a, b) lies with this probability, by halving: slow and never wrong.
fn beta_quantile(probability: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if incomplete_beta(middle, a, b) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// The regularised incomplete beta function, by its continued fraction (Lentz's method).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // The fraction converges quickly on this side only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp() / a;
    let apart = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut c, mut d) = (1.0, 1.0 / apart(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for step in 1..=10_000 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / apart(1.0 + even * d);
        c = apart(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / apart(1.0 + odd * d);
        c = apart(1.0 + odd / c);
        let change = d * c;
        fraction *= change;
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    (front * fraction).min(1.0)
}

/// Stirling's series, after moving the argument to where it is good to the last digits.
pub(crate) fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 15.0 {
        shift += x.ln();
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series =
        (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square * (1.0 / 1680.0)))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, wanted: f64) {
        assert!((got - wanted).abs() < 5e-5, "{got} is not {wanted}");
    }

    #[test]
    fn without_a_failure_the_rate_is_below_three_in_n() {
        // Reference case 20.
        for tries in [30, 100, 1000, 100_000] {
            let times = none_failed(tries, 0.95) * tries as f64;
            assert!((2.85..3.0).contains(&times), "{times}");
        }
        assert_eq!(none_failed(0, 0.95), 1.0);
    }

    #[test]
    fn how_many_tries_show_a_share() {
        // About 3/(1 − c) without a miss; each miss costs half as many again.
        assert_eq!(tries_to_show(0.99, 0, 0.95), Some(299));
        assert_eq!(tries_to_show(0.9, 0, 0.95), Some(29));
        assert_eq!(tries_to_show(0.99, 1, 0.95), Some(473));
        assert_eq!(tries_to_show(0.5, 0, 0.95), Some(5));
        assert_eq!(tries_to_show(1.0, 0, 0.95), None);
    }

    /// Figures that are in every table: 10 tries, 95 %.
    #[test]
    fn clopper_and_pearson_as_in_the_tables() {
        for (failures, low, high) in
            [(0, 0.0, 0.3085), (1, 0.0025, 0.4450), (5, 0.1871, 0.8129), (10, 0.6915, 1.0)]
        {
            let bounds = clopper_pearson(failures, 10, 0.95);
            close(bounds.low, low);
            close(bounds.high, high);
        }
    }

    /// By its definition: at the upper bound, so few failures or fewer are as rare as the tail says.
    #[test]
    fn at_the_bounds_the_tails_of_the_binomial_are_what_was_asked_for() {
        for (m, n) in [(1u64, 7u64), (3, 20), (2, 200), (60, 64)] {
            let bounds = clopper_pearson(m, n, 0.9);
            let upto = |last: u64, p: f64| -> f64 {
                (0..=last)
                    .map(|k| {
                        let choose = ln_gamma(n as f64 + 1.0)
                            - ln_gamma(k as f64 + 1.0)
                            - ln_gamma((n - k) as f64 + 1.0);
                        (choose + k as f64 * p.ln() + (n - k) as f64 * (-p).ln_1p()).exp()
                    })
                    .sum()
            };
            assert!((upto(m, bounds.high) - 0.05).abs() < 1e-9);
            assert!((upto(m - 1, bounds.low) - 0.95).abs() < 1e-9);
        }
    }

    #[test]
    fn wilson_is_narrower_and_stays_inside_of_what_is_possible() {
        let bounds = wilson(1, 10, 1.959_964);
        close(bounds.low, 0.0179);
        close(bounds.high, 0.4042);
        // Exactly: rounding would leave 1e-16 of it, and that has fourteen nines.
        for tries in 1..2000 {
            let (none, all) = (wilson(0, tries, 1.959_964), wilson(tries, tries, 1.959_964));
            assert_eq!((none.low, all.high), (0.0, 1.0), "{tries}");
        }
        assert!(wilson(0, 10, 1.96).high > 0.2);
        assert_eq!(wilson(0, 0, 1.96).high, 1.0);
    }

    #[test]
    fn more_tries_make_it_surer() {
        let widths: Vec<f64> = [10, 100, 1000, 10_000]
            .map(|n| clopper_pearson(n / 10, n, 0.95))
            .map(|bounds| bounds.high - bounds.low)
            .to_vec();
        assert!(widths.is_sorted_by(|a, b| a > b), "{widths:?}");
    }
}
