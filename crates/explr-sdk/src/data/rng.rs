use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::Rng as _;

/// A random generator that depends on its key alone.
///
/// Samplers and transforms draw from one for each epoch, batch or sample. So
/// what is drawn depends neither on threads nor on what was drawn before, and
/// there is no state to save. The generator is PCG64-MCG.
#[derive(Debug, Clone)]
pub struct Rng(Pcg64Mcg);

impl Rng {
    /// The generator of a key, for example a seed, an epoch and an index.
    pub fn keyed(key: &[u64]) -> Self {
        // SplitMix64 spreads every part of the key over all bits.
        let mut state = 0_u64;
        let mut mix = |part: u64| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ part;
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            state = z ^ (z >> 31);
            state
        };
        for part in key {
            mix(*part);
        }
        let (high, low) = (mix(1), mix(2));
        Self(Pcg64Mcg::new((u128::from(high) << 64) | u128::from(low)))
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 up to and without 1, with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number below `bound`, all equally likely; 0 when `bound` is 0.
    ///
    /// Lemire, "Fast random integer generation in an interval", 2019.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        let limit = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
        loop {
            let (low, high) = self.bits().carrying_mul(bound, 0);
            if low >= limit {
                #[allow(clippy::cast_possible_truncation, reason = "it is below `bound`")]
                return high as usize;
            }
        }
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Puts a list into a random order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn the_numbers_of_a_key_stay_the_same_in_every_release() {
        let mut rng = Rng::keyed(&[42, 0]);
        assert_eq!(
            [rng.bits(), rng.bits()],
            [13_284_137_947_371_790_079, 9_301_592_572_997_836_168]
        );
        let mut list: Vec<u8> = (0..8).collect();
        Rng::keyed(&[42, 1]).shuffle(&mut list);
        assert_eq!(list, [0, 4, 2, 6, 7, 1, 3, 5]);
    }

    #[test]
    fn numbers_are_spread_evenly() {
        let mut counts = [0_u32; 7];
        let mut rng = Rng::keyed(&[1]);
        for _ in 0..70_000 {
            counts[rng.below(7)] += 1;
        }
        assert!(
            counts.iter().all(|n| (9_600..10_400).contains(n)),
            "{counts:?}"
        );
        let mean = (0..10_000).map(|_| rng.uniform()).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert_eq!(rng.below(0), 0);
    }
}
