//! A list that grows page by page and never moves what it holds.
//!
//! Doubling a vector of millions of entries stops its owner for milliseconds; adding a page does
//! not. The first page grows as a vector does, so small lists stay small.

const SHIFT: u32 = 10;
const PAGE: usize = 1 << SHIFT;

/// See the module doc. Indices are dense, from 0.
#[derive(Debug)]
pub(crate) struct Paged<T> {
    pages: Vec<Vec<T>>,
    len: u32,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }
}

impl<T> Paged<T> {
    /// Appends an entry and gives its index; `None` when 2^32 − 1 indices are used.
    pub(crate) fn push(&mut self, entry: T) -> Option<u32> {
        let index = self.len;
        self.len = index.checked_add(1)?;
        if index as usize & (PAGE - 1) == 0 {
            let capacity = if self.pages.is_empty() { 0 } else { PAGE };
            self.pages.push(Vec::with_capacity(capacity));
        }
        self.pages.last_mut()?.push(entry);
        Some(index)
    }

    /// The entry at `index`.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.pages.get((index >> SHIFT) as usize)?.get(index as usize & (PAGE - 1))
    }

    /// The entry at `index`, to be changed.
    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.pages.get_mut((index >> SHIFT) as usize)?.get_mut(index as usize & (PAGE - 1))
    }

    /// Bytes of heap, what entries own not included.
    pub(crate) fn size_bytes(&self) -> usize {
        let entries: usize = self.pages.iter().map(|p| p.capacity() * size_of::<T>()).sum();
        entries + self.pages.capacity() * size_of::<Vec<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_pushed() {
        let mut list = Paged::default();
        for i in 0..3000u32 {
            assert_eq!(list.push(i * 7), Some(i));
        }
        assert!((0..3000).all(|i| list.get(i) == Some(&(i * 7))));
        assert_eq!(list.get(3000), None);
        assert_eq!(list.get(5000), None);
        if let Some(entry) = list.get_mut(1024) {
            *entry = 1;
        }
        assert_eq!(list.get(1024), Some(&1));
    }
}
