//! Small continuous-time Markov chains: where repair crews, failovers and their failures depend on the state.

use serde::Serialize;

use crate::nines::Availability;

/// The largest chain: elimination takes the cube of it.
pub const MAX_STATES: usize = 500;

/// States and the rates between them, per hour.
#[derive(Debug, Clone)]
pub struct Chain {
    states: usize,
    rates: Vec<f64>,
}

impl Chain {
    /// `None` without a state, or with more than [`MAX_STATES`].
    pub fn new(states: usize) -> Option<Self> {
        (1..=MAX_STATES).contains(&states).then(|| Self { states, rates: vec![0.0; states * states] })
    }

    /// Adds to a rate. What is not positive and finite, or leads nowhere, adds nothing.
    pub fn rate(&mut self, from: usize, to: usize, per_hour: f64) {
        let inside = from < self.states && to < self.states && from != to;
        if inside && per_hour.is_finite() && per_hour > 0.0 {
            self.rates[from * self.states + to] += per_hour;
        }
    }

    /// The share of time in each state, in the long run. `None` if that depends on where it began.
    ///
    /// Elimination as Grassmann, Taksar and Heyman do it: it never subtracts, so that shares of 1e-12 beside shares of 1 keep all
    /// their digits.
    pub fn steady(&self) -> Option<Vec<f64>> {
        let n = self.states;
        let mut rates = self.rates.clone();
        for last in (1..n).rev() {
            let leaving: f64 = (0..last).map(|to| rates[last * n + to]).sum();
            if leaving <= 0.0 {
                // Nothing leads down from here: either it is absorbing, or states must be eliminated in another order.
                return None;
            }
            for from in 0..last {
                let into = rates[from * n + last] / leaving;
                rates[from * n + last] = into;
                if into > 0.0 {
                    for to in 0..last {
                        let further = into * rates[last * n + to];
                        if to != from {
                            rates[from * n + to] += further;
                        }
                    }
                }
            }
        }
        let mut shares = vec![1.0; n];
        for state in 1..n {
            shares[state] = (0..state).map(|from| shares[from] * rates[from * n + state]).sum();
        }
        let sum: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= sum);
        Some(shares)
    }

    /// The share of time in which it is in a state that serves.
    pub fn availability(&self, up: impl Fn(usize) -> bool) -> Option<Availability> {
        let shares = self.steady()?;
        let down = (0..self.states).filter(|&state| !up(state)).map(|state| shares[state]).sum();
        Some(Availability::from_unavailability(down))
    }
}

/// One that serves and one that waits to take over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pair {
    /// Of each of them, per hour.
    pub failures: f64,
    pub repairs: f64,
    /// How many can be repaired at one time.
    pub crews: usize,
    /// Hours from the failure of the active one until the other serves.
    pub failover: f64,
    /// The share of failovers that come about by themselves.
    pub coverage: f64,
    /// Hours until a person has done what a failover that missed did not.
    pub by_hand: f64,
    /// Whether the one that failed serves again once it is repaired, if that is before a person came.
    pub returns: bool,
}

/// Where the time of a pair goes, as shares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PairShares {
    pub failing_over: f64,
    pub missed: f64,
    pub both_down: f64,
}

impl PairShares {
    pub fn availability(&self) -> Availability {
        Availability::from_unavailability(self.failing_over + self.missed + self.both_down)
    }
}

impl Pair {
    /// States: 0 both well, 1 failing over, 2 one left, 3 none, 4 missed; up in 0 and 2.
    pub fn chain(&self) -> Chain {
        let (both, failing_over, one, none, missed) = (0, 1, 2, 3, 4);
        let mut chain = Chain { states: 5, rates: vec![0.0; 25] };
        let coverage = self.coverage.clamp(0.0, 1.0);
        chain.rate(both, failing_over, coverage * self.failures);
        chain.rate(both, missed, (1.0 - coverage) * self.failures);
        // The one that waits fails, too, and nobody notices but who looks.
        chain.rate(both, one, self.failures);
        chain.rate(failing_over, one, 1.0 / self.failover.max(1e-9));
        chain.rate(missed, one, 1.0 / self.by_hand.max(1e-9));
        if self.returns {
            chain.rate(failing_over, both, self.repairs);
            chain.rate(missed, both, self.repairs);
        }
        chain.rate(one, both, self.repairs);
        chain.rate(one, none, self.failures);
        chain.rate(none, one, self.repairs * self.crews.clamp(1, 2) as f64);
        chain
    }

    /// Where its time goes. `None` if nothing ever fails or nothing is ever repaired.
    pub fn shares(&self) -> Option<PairShares> {
        // Leaving out the states that nothing leads to would only move the others up: their shares are 0.
        let shares = self.chain().steady()?;
        Some(PairShares { failing_over: shares[1], both_down: shares[3], missed: shares[4] })
    }

    pub fn availability(&self) -> Option<Availability> {
        self.shares().map(|shares| shares.availability())
    }
}

/// The share of time in which at least `needed` of `units` alike are up, when `crews` repair one each. `None` for impossible numbers.
pub fn redundant(
    units: usize,
    needed: usize,
    failures: f64,
    repairs: f64,
    crews: usize,
) -> Option<Availability> {
    let mut chain = Chain::new(units + 1)?;
    for down in 0..units {
        chain.rate(down, down + 1, (units - down) as f64 * failures);
        chain.rate(down + 1, down, (down + 1).min(crews) as f64 * repairs);
    }
    chain.availability(|down| units - down >= needed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference_pair(coverage: f64) -> Pair {
        Pair {
            failures: 1.0 / 4380.0,
            repairs: 0.25,
            crews: 1,
            failover: 10.0 / 3600.0,
            coverage,
            by_hand: 0.5,
            returns: false,
        }
    }

    #[test]
    fn missed_failovers_cost_more_than_anything_else() {
        // Reference case 18.
        for (coverage, minutes) in [(1.0, 1.2078), (0.99, 1.8034), (0.95, 4.1857), (0.90, 7.1635)] {
            let got = reference_pair(coverage).availability().unwrap().minutes_per_year();
            assert!((got - minutes).abs() < 5e-5, "{coverage}: {got} is not {minutes}");
        }
        let single = redundant(1, 1, 1.0 / 4380.0, 0.25, 1).unwrap().minutes_per_year();
        assert!((single - 479.562).abs() < 5e-4, "{single}");
    }

    #[test]
    fn two_units_with_one_crew_and_with_two() {
        // Reference case 13.
        for (crews, wanted) in [(1, 0.999_803_960_0), (2, 0.999_901_970_4)] {
            let got = redundant(2, 1, 0.001, 0.1, crews).unwrap().fraction();
            assert!((got - wanted).abs() < 5e-11, "{got}");
        }
        // Reference case 12.
        let got = redundant(1, 1, 1e-3, 0.1, 1).unwrap().fraction();
        assert!((got - 0.990_099_009_9).abs() < 5e-11, "{got}");
    }

    #[test]
    fn a_chain_that_forgets_nothing_has_no_steady_state() {
        let mut chain = Chain::new(3).unwrap();
        chain.rate(0, 1, 1.0);
        chain.rate(0, 2, 1.0);
        chain.rate(1, 0, 1.0);
        assert!(chain.steady().is_none());
        assert!(Chain::new(0).is_none() && Chain::new(MAX_STATES + 1).is_none());
    }

    #[test]
    fn shares_of_one_in_a_billion_billions_keep_their_digits() {
        let mut chain = Chain::new(3).unwrap();
        for (from, to, rate) in [(0, 1, 1e-9), (1, 0, 1.0), (1, 2, 1e-9), (2, 1, 1.0)] {
            chain.rate(from, to, rate);
        }
        let shares = chain.steady().unwrap();
        assert!((shares[2] / 1e-18 - 1.0).abs() < 1e-8, "{:e}", shares[2]);
    }

    fn any_chain() -> impl Strategy<Value = Chain> {
        (2usize..8).prop_flat_map(|states| {
            prop::collection::vec(1e-6f64..1e3, states * states).prop_map(move |rates| {
                let mut chain = Chain::new(states).unwrap();
                for (at, rate) in rates.iter().enumerate() {
                    chain.rate(at / states, at % states, *rate);
                }
                chain
            })
        })
    }

    proptest! {
        /// What flows into each state flows out of it: the definition of a steady state.
        #[test]
        fn in_the_steady_state_every_state_gains_what_it_loses(chain in any_chain()) {
            let shares = chain.steady().unwrap();
            prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let n = chain.states;
            for state in 0..n {
                let gains: f64 = (0..n).map(|from| shares[from] * chain.rates[from * n + state]).sum();
                let losses: f64 = (0..n).map(|to| shares[state] * chain.rates[state * n + to]).sum();
                prop_assert!((gains - losses).abs() <= 1e-9 * gains.max(losses), "{gains} {losses}");
            }
        }

        /// With as many crews as units, units are independent, and the chain is the binomial.
        #[test]
        fn with_a_crew_for_each_unit_the_chain_is_the_binomial(
            units in 1usize..7, needed in 1usize..7, failures in 1e-4f64..0.1, repairs in 0.05f64..2.0,
        ) {
            let needed = needed.min(units);
            let down = failures / (failures + repairs);
            let wanted: f64 = (0u32..1 << units)
                .filter(|failed| units - (failed.count_ones() as usize) < needed)
                .map(|failed| {
                    let failed = failed.count_ones() as i32;
                    down.powi(failed) * (1.0 - down).powi(units as i32 - failed)
                })
                .sum();
            let got = redundant(units, needed, failures, repairs, units).unwrap().unavailability();
            prop_assert!((got / wanted - 1.0).abs() < 1e-9, "{got} {wanted}");
        }

        #[test]
        fn a_pair_is_never_worse_for_better_parts(
            coverage in 0.0f64..0.99, failures in 1e-5f64..1e-2, failover in 1e-3f64..0.1,
        ) {
            let pair = Pair { failures, failover, ..reference_pair(coverage) };
            let down = pair.availability().unwrap().unavailability();
            for better in [
                Pair { coverage: coverage + 0.01, ..pair },
                Pair { failures: failures * 0.9, ..pair },
                Pair { failover: failover * 0.9, ..pair },
                Pair { by_hand: 0.4, ..pair },
                Pair { returns: true, ..pair },
                Pair { repairs: 0.3, ..pair },
                Pair { crews: 2, ..pair },
            ] {
                prop_assert!(better.availability().unwrap().unavailability() <= down, "{better:?}");
            }
        }
    }
}
