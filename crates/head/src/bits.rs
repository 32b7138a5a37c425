//! A set of 32-bit numbers that takes any order, gives them back ascending and never pauses to
//! grow: bits in pages of 65,536.

const SHIFT: u32 = 16;
const WORDS: usize = (1 << SHIFT) / 64;

/// See the module doc.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    pages: Vec<Option<Box<[u64; WORDS]>>>,
}

impl Bits {
    /// Adds a number.
    #[inline]
    pub(crate) fn insert(&mut self, number: u32) {
        let page = (number >> SHIFT) as usize;
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        let words = self.pages[page].get_or_insert_with(|| Box::new([0; WORDS]));
        words[number as usize / 64 % WORDS] |= 1 << (number % 64);
    }

    /// The first number of the set from `from` on.
    pub(crate) fn next(&self, from: u32) -> Option<u32> {
        let mut word = from as usize / 64;
        let mut mask = u64::MAX << (from % 64);
        loop {
            let page = self.pages.get(word / WORDS)?;
            let Some(words) = page else {
                word = (word / WORDS + 1) * WORDS;
                mask = u64::MAX;
                continue;
            };
            let found = words[word % WORDS] & mask;
            if found != 0 {
                return Some(word as u32 * 64 + found.trailing_zeros());
            }
            word += 1;
            mask = u64::MAX;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn gives_back_ascending(
            numbers in prop::collection::vec(prop_oneof![0u32..300, 60_000..140_000u32, u32::MAX - 70..=u32::MAX], 0..100),
        ) {
            let mut bits = Bits::default();
            numbers.iter().for_each(|&n| bits.insert(n));
            let (mut found, mut next) = (Vec::new(), bits.next(0));
            while let Some(number) = next {
                found.push(number);
                next = number.checked_add(1).and_then(|from| bits.next(from));
            }
            let want: Vec<u32> = numbers.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
            prop_assert_eq!(found, want);
        }
    }
}
