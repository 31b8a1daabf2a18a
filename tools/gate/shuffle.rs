//! Random order from a seed: xorshift64*, enough to keep two builds from falling into step with the host.

/// The generator.
#[derive(Clone, Debug)]
pub(crate) struct Shuffle(u64);

impl Shuffle {
    /// Any seed will do.
    pub(crate) fn new(seed: u64) -> Shuffle {
        // The state must not be zero, and near seeds must not begin alike.
        Shuffle((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xff51_afd7_ed55_8ccd) | 1)
    }

    /// A number below `bound`, which is above zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % bound.max(1)
    }

    /// Puts `items` in a random order.
    pub(crate) fn order<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_fair_and_belong_to_their_seed() {
        let mut first = [0u32; 4];
        for seed in 0..4_000 {
            let (mut a, mut b) = ([0, 1, 2, 3], [0, 1, 2, 3]);
            Shuffle::new(seed).order(&mut a);
            Shuffle::new(seed).order(&mut b);
            assert_eq!(a, b);
            first[a[0]] += 1;
        }
        assert!(first.iter().all(|n| (900..1_100).contains(n)), "{first:?}");
    }
}
