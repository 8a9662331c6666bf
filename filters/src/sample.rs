//! The head decision: keep this exchange or not.
//!
//! A share of all ids is kept by comparing a hash of the id with a threshold, so that every
//! replica decides alike. XXH3 with its default seed: fixed across builds and machines.

use offpath_trace::TraceId;
use xxhash_rust::xxh3::xxh3_64;

/// Keeps a fixed share of all ids.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    ratio: f64,
}

impl Sampler {
    /// `ratio` from 0 (none) to 1 (all).
    pub fn new(ratio: f64) -> Self {
        Self { ratio }
    }

    /// Whether the exchange with this id is kept.
    pub fn keeps(self, id: TraceId) -> bool {
        // The upper 53 bits are exact as a float in 0..1, so a ratio of 1 keeps every id.
        let share = (xxh3_64(id.as_bytes()) >> 11) as f64 / (1_u64 << 53) as f64;
        share < self.ratio
    }

    /// Inverse of the probability of being kept; `None` where nothing is.
    pub fn weight(self) -> Option<f64> {
        (self.ratio > 0.0).then(|| 1.0 / self.ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ratio: f64) {
        let sampler = Sampler::new(ratio);
        let count = 20_000_u32;
        // Counted ids: the hash must spread what is not random too.
        let ids = (0..count).map(|bits| TraceId::from_random(u128::from(bits) + 1));
        let kept = ids.filter(|id| sampler.keeps(*id)).count() as f64;
        let mean = ratio * f64::from(count);
        let error = (f64::from(count) * ratio * (1.0 - ratio)).sqrt();
        assert!((kept - mean).abs() <= 4.0 * error, "{kept} kept at {ratio}");
    }

    #[test]
    fn the_share_kept_is_the_ratio() {
        check(0.0);
        check(0.01);
        check(0.05);
        check(0.5);
        check(1.0);
    }

    #[test]
    fn what_a_smaller_ratio_keeps_a_larger_one_keeps_too() {
        let ids = (1..5_000).map(TraceId::from_random);
        assert!(
            ids.into_iter()
                .all(|id| !Sampler::new(0.1).keeps(id) || Sampler::new(0.2).keeps(id))
        );
    }

    #[test]
    fn a_decision_is_the_same_on_every_build() {
        let id = TraceId::from_random(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        let edge = (xxh3_64(id.as_bytes()) >> 11) as f64 / (1_u64 << 53) as f64;
        assert!(!Sampler::new(edge).keeps(id));
        assert!(Sampler::new(edge + 1e-9).keeps(id));
        // From the reference implementation, by another binding of it.
        assert_eq!(xxh3_64(b"offpath"), 1_759_727_363_255_291_716);
    }
}
