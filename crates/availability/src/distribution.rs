//! How long things last: lives until a failure, and repairs.

use serde::Serialize;

use crate::bounds::ln_gamma;
use crate::random::Random;

/// The 95th percentile of a normal distribution, in deviations.
const NORMAL_95: f64 = 1.644_853_626_951_472_7;

/// Parts of an integral.
const PARTS: u32 = 2000;
/// Parts of each of two.
const COARSE: u32 = 200;

/// A distribution of hours.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hours {
    /// Always as long.
    Fixed(f64),
    /// Without memory: what the exact arithmetic assumes.
    Exponential { mean: f64 },
    /// Shape below 1: what is new fails sooner. Above 1: what is old does.
    Weibull { scale: f64, shape: f64 },
    /// Most are short, and a few very long: what incidents look like.
    LogNormal { median: f64, deviation: f64 },
}

impl Hours {
    /// Shapes are kept within 0.1 and 20.
    pub fn weibull(mean: f64, shape: f64) -> Self {
        let shape = shape.clamp(0.1, 20.0);
        Self::Weibull { scale: mean / ln_gamma(1.0 + 1.0 / shape).exp(), shape }
    }

    /// Of which half are shorter than `median`, and 95 of 100 shorter than `percentile_95`.
    pub fn log_normal(median: f64, percentile_95: f64) -> Self {
        Self::LogNormal { median, deviation: (percentile_95.max(median) / median).ln() / NORMAL_95 }
    }

    pub fn mean(&self) -> f64 {
        match *self {
            Self::Fixed(hours) => hours,
            Self::Exponential { mean } => mean,
            Self::Weibull { scale, shape } => scale * ln_gamma(1.0 + 1.0 / shape).exp(),
            Self::LogNormal { median, deviation } => median * (deviation * deviation / 2.0).exp(),
        }
    }

    /// Never negative, and never more than a million years.
    pub fn sample(&self, random: &mut Random) -> f64 {
        let hours = match *self {
            Self::Fixed(hours) => hours,
            Self::Exponential { mean } => mean * random.exponential(),
            Self::Weibull { scale, shape } => scale * random.exponential().powf(1.0 / shape),
            Self::LogNormal { median, deviation } => median * (deviation * random.normal()).exp(),
        };
        // Also what is no number.
        if hours >= 0.0 { hours.min(8.76e9) } else { 0.0 }
    }

    /// The mean of something that depends on how long it lasts: the middle of each of so many parts, by what it is made from.
    fn average(&self, parts: u32, of: impl Fn(f64) -> f64) -> f64 {
        let sum = |from: f64, to: f64, density: &dyn Fn(f64) -> f64, lasts: &dyn Fn(f64) -> f64| {
            let width = (to - from) / f64::from(parts);
            let middles = (0..parts).map(|part| from + (f64::from(part) + 0.5) * width);
            let (sum, weight) = middles.fold((0.0, 0.0), |(sum, weight), at| {
                (sum + density(at) * of(lasts(at)), weight + density(at))
            });
            sum / weight
        };
        let exponential = |at: f64| (-at).exp();
        match *self {
            Self::Fixed(lasts) => of(lasts),
            Self::Exponential { mean } => sum(0.0, 40.0, &exponential, &|at| mean * at),
            Self::Weibull { scale, shape } => {
                sum(0.0, 40.0, &exponential, &|at| scale * at.powf(1.0 / shape))
            }
            Self::LogNormal { median, deviation } => {
                sum(-8.0, 8.0, &|at| (-at * at / 2.0).exp(), &|at| median * (deviation * at).exp())
            }
        }
    }

    /// How much of so many hours it lasts, on average, if it begins at a moment within them that is drawn at random.
    pub fn within(&self, hours: f64) -> f64 {
        let one =
            |lasts: f64| if lasts < hours { lasts - lasts * lasts / (2.0 * hours) } else { hours / 2.0 };
        if hours <= 0.0 { 0.0 } else { self.average(PARTS, one) }
    }

    /// The mean of whichever of both is over first, if they have nothing to do with each other: rates add where neither has a
    /// memory, and otherwise it is summed up.
    pub fn first_of(&self, other: &Self) -> f64 {
        match (*self, *other) {
            (Self::Exponential { mean: a }, Self::Exponential { mean: b }) => {
                if a + b > 0.0 {
                    a * b / (a + b)
                } else {
                    0.0
                }
            }
            (Self::Exponential { mean }, other) | (other, Self::Exponential { mean }) => {
                other.average(PARTS, |lasts| if mean > 0.0 { -mean * (-lasts / mean).exp_m1() } else { 0.0 })
            }
            (Self::Fixed(hours), other) | (other, Self::Fixed(hours)) => {
                other.average(PARTS, |lasts| lasts.min(hours))
            }
            (one, other) => one.average(COARSE, |a| other.average(COARSE, |b| a.min(b))),
        }
    }

    /// The same shape, this many times as long.
    pub fn scaled(&self, times: f64) -> Self {
        match *self {
            Self::Fixed(hours) => Self::Fixed(hours * times),
            Self::Exponential { mean } => Self::Exponential { mean: mean * times },
            Self::Weibull { scale, shape } => Self::Weibull { scale: scale * times, shape },
            Self::LogNormal { median, deviation } => Self::LogNormal { median: median * times, deviation },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_the_mean_that_was_promised() {
        for hours in [
            Hours::Fixed(3.0),
            Hours::Exponential { mean: 3.0 },
            Hours::weibull(3.0, 0.7),
            Hours::weibull(3.0, 3.0),
            Hours::log_normal(2.0, 6.0),
            Hours::weibull(1.5, 2.0).scaled(2.0),
        ] {
            let mut random = Random::seeded(3);
            let samples: Vec<f64> = (0..200_000).map(|_| hours.sample(&mut random)).collect();
            let mean = samples.iter().sum::<f64>() / samples.len() as f64;
            assert!((mean / hours.mean() - 1.0).abs() < 0.02, "{hours:?}: {mean} is not {}", hours.mean());
        }
    }

    #[test]
    fn what_begins_within_some_hours_lasts_as_long_in_them_as_samples_do() {
        for hours in [
            Hours::Fixed(3.0),
            Hours::Exponential { mean: 3.0 },
            Hours::weibull(3.0, 0.7),
            Hours::log_normal(1.9, 21.8),
        ] {
            for window in [0.5, 3.0, 24.0] {
                let mut random = Random::seeded(5);
                let one = |random: &mut Random| {
                    let begins = random.unit() * window;
                    hours.sample(random).min(window - begins)
                };
                let mean = (0..200_000).map(|_| one(&mut random)).sum::<f64>() / 200_000.0;
                let got = hours.within(window);
                assert!((got / mean - 1.0).abs() < 0.01, "{hours:?} in {window}: {got} is not {mean}");
            }
            assert!((hours.within(1e7) / hours.mean() - 1.0).abs() < 0.01);
        }
    }

    #[test]
    fn whichever_is_over_first_is_so_after_the_mean_of_samples() {
        let all = [
            Hours::Fixed(2.0),
            Hours::Exponential { mean: 3.0 },
            Hours::weibull(1.0, 0.7),
            Hours::log_normal(1.9, 21.8),
        ];
        for (one, other) in all.iter().flat_map(|one| all.iter().map(move |other| (one, other))) {
            let mut random = Random::seeded(6);
            let sum: f64 = (0..100_000).map(|_| one.sample(&mut random).min(other.sample(&mut random))).sum();
            let (mean, got) = (sum / 100_000.0, one.first_of(other));
            assert!((got / mean - 1.0).abs() < 0.02, "{one:?} and {other:?}: {got} is not {mean}");
        }
    }

    #[test]
    fn a_log_normal_has_the_median_and_the_percentile_of_the_incidents() {
        let hours = Hours::log_normal(1.9, 21.8);
        let mut random = Random::seeded(4);
        let mut samples: Vec<f64> = (0..100_000).map(|_| hours.sample(&mut random)).collect();
        samples.sort_by(f64::total_cmp);
        assert!((samples[50_000] / 1.9 - 1.0).abs() < 0.03);
        assert!((samples[95_000] / 21.8 - 1.0).abs() < 0.05);
    }
}
