//! Repeatable randomness.

use rand::SeedableRng;

/// The random generator of samplers: the same on every machine and in every
/// version of this crate.
pub type Rng = rand_pcg::Pcg64;

/// The generator of a purpose within a trial. It depends on nothing else, so a
/// resumed study draws what an uninterrupted one would have drawn.
pub(crate) fn generator(seed: u64, trial: u64, purpose: &str) -> Rng {
    Rng::seed_from_u64(mix(mix(seed ^ fnv(purpose)).wrapping_add(trial)))
}

/// The seed of a trial's own random generators, from the study's.
pub fn trial_seed(seed: u64, trial: u64) -> u64 {
    // 53 bits: every JSON reader keeps them.
    mix(mix(seed).wrapping_add(trial)) >> 11
}

/// `SplitMix64` (Steele, Lea, Flood 2014).
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// FNV-1a.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
