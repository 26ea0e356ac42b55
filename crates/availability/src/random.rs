//! Random numbers from a seed: years must be the same years again.

/// xoshiro256++ (Blackman and Vigna 2019): a period that 10^9 draws a second don't get through, and no weak bits. SplitMix64, which is
/// enough for picking among members, is too small for years by the thousand: here it only fills the state.
#[derive(Debug, Clone)]
pub struct Random {
    state: [u64; 4],
    /// Normal numbers come in pairs.
    normal: Option<f64>,
}

impl Random {
    pub fn seeded(seed: u64) -> Self {
        Self::of_block(seed, 0)
    }

    /// Numbers of their own for each block of a seed, so that blocks can be drawn in any order and on any thread.
    pub fn of_block(seed: u64, block: u64) -> Self {
        let mut mixed = split_mix(seed).wrapping_add(split_mix(block ^ 0x6a09_e667_f3bc_c908));
        let state = std::array::from_fn(|_| {
            mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            split_mix(mixed)
        });
        Self { state, normal: None }
    }

    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// With mean 1.
    pub fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// With mean 0 and deviation 1, by Marsaglia's polar method.
    pub fn normal(&mut self) -> f64 {
        if let Some(second) = self.normal.take() {
            return second;
        }
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let scale = (-2.0 * square.ln() / square).sqrt();
                self.normal = Some(y * scale);
                return x * scale;
            }
        }
    }
}

fn split_mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Draws positions, each as often as its weight says, in the time of two look-ups (Walker's aliases, as Vose makes them).
#[derive(Debug, Clone)]
pub(crate) struct Weighted {
    keep: Vec<f64>,
    alias: Vec<u32>,
    pub(crate) sum: f64,
}

impl Weighted {
    pub(crate) fn new(weights: &[f64]) -> Self {
        let sum: f64 = weights.iter().sum();
        let mut keep: Vec<f64> = weights.iter().map(|weight| weight / sum * weights.len() as f64).collect();
        let mut alias: Vec<u32> = (0..weights.len() as u32).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..weights.len()).partition(|&at| keep[at] < 1.0);
        while let (Some(&little), Some(&much)) = (small.last(), large.last()) {
            small.pop();
            alias[little] = much as u32;
            keep[much] -= 1.0 - keep[little];
            if keep[much] < 1.0 {
                large.pop();
                small.push(much);
            }
        }
        // What is left over is 1, but for the last bits.
        small.into_iter().chain(large).for_each(|at| keep[at] = 1.0);
        Self { keep, alias, sum }
    }

    pub(crate) fn pick(&self, random: &mut Random) -> usize {
        let at = random.below(self.keep.len());
        if random.unit() < self.keep[at] { at } else { self.alias[at] as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_reference() {
        // From the authors' C code, with the state 1, 2, 3, 4.
        let mut random = Random { state: [1, 2, 3, 4], normal: None };
        let wanted = [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386];
        assert_eq!(wanted.map(|_| random.next_u64()), wanted);
    }

    #[test]
    fn blocks_of_a_seed_differ_and_are_the_same_again() {
        let first = |seed, block| Random::of_block(seed, block).next_u64();
        assert_eq!(first(1, 7), first(1, 7));
        let mut all: Vec<u64> =
            (0..100).flat_map(|seed| (0..100).map(move |block| first(seed, block))).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 10_000);
    }

    #[test]
    fn weights_are_kept() {
        let weights = [1.0, 0.0, 7.0, 2.0];
        let weighted = Weighted::new(&weights);
        let mut random = Random::seeded(1);
        let mut counts = [0.0; 4];
        (0..100_000).for_each(|_| counts[weighted.pick(&mut random)] += 1e-4);
        for (got, wanted) in counts.iter().zip(weights) {
            assert!((got - wanted).abs() < 0.05, "{counts:?}");
        }
    }

    #[test]
    fn normal_numbers_have_their_mean_and_deviation() {
        let mut random = Random::seeded(2);
        let numbers: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let mean = numbers.iter().sum::<f64>() / 1e5;
        let square = numbers.iter().map(|x| x * x).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.02 && (square - 1.0).abs() < 0.02, "{mean} {square}");
    }
}
