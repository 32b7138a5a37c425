//! A list that grows page by page and never moves what it holds.
//!
//! Doubling a vector of millions of entries stops its owner for milliseconds; adding a page does
//! not. The first page grows as a vector does, so small lists stay small. Indices are not used
//! twice: an entry that is removed leaves a hole. A full page that is mostly holes keeps its
//! entries with their places, and one of nothing but holes is freed.

const SHIFT: u32 = 10;
const PAGE: usize = 1 << SHIFT;

/// With so many entries or fewer, a page keeps them with their places.
const SPARSE: usize = PAGE / 8;

/// Indices that are given; the few above it are free for marks such as "none".
const INDICES: u32 = u32::MAX - 15;

/// What a list is made of.
pub(crate) trait Entry: Sized {
    /// Stands where an entry was removed.
    const HOLE: Self;

    /// Whether this is [`Entry::HOLE`].
    fn is_hole(&self) -> bool;
}

/// Any number but the highest.
impl Entry for u32 {
    const HOLE: Self = Self::MAX;

    fn is_hole(&self) -> bool {
        *self == Self::HOLE
    }
}

#[derive(Debug)]
struct Page<T> {
    entries: Vec<T>,
    /// Places of the entries, ascending; empty while each entry is at its place.
    places: Vec<u16>,
    holes: u16,
}

impl<T: Entry> Page<T> {
    #[inline]
    fn slot(&self, place: u16) -> Option<usize> {
        if self.places.is_empty() { Some(place as usize) } else { self.places.binary_search(&place).ok() }
    }

    fn remove(&mut self, place: u16) -> Option<T> {
        let slot = self.slot(place)?;
        let entry = self.entries.get_mut(slot).filter(|entry| !entry.is_hole())?;
        let removed = std::mem::replace(entry, T::HOLE);
        self.holes += 1;
        let left = PAGE - self.holes as usize;
        if !self.places.is_empty() {
            self.entries.remove(slot);
            self.places.remove(slot);
            if left.is_power_of_two() {
                self.shrink();
            }
        } else if left <= SPARSE && self.entries.len() == PAGE {
            let entries = std::mem::take(&mut self.entries).into_iter().zip(0..);
            let (entries, places) = entries.filter(|(entry, _)| !entry.is_hole()).unzip();
            (self.entries, self.places) = (entries, places);
            self.shrink();
        }
        if left == 0 {
            (self.entries, self.places) = (Vec::new(), Vec::new());
        }
        Some(removed)
    }

    fn shrink(&mut self) {
        self.entries.shrink_to_fit();
        self.places.shrink_to_fit();
    }

    /// The first place from `place` on that is no hole.
    fn next(&self, place: u16) -> Option<u16> {
        if self.places.is_empty() {
            let rest = self.entries.get(place as usize..)?;
            return Some(place + rest.iter().position(|entry| !entry.is_hole())? as u16);
        }
        self.places.get(self.places.partition_point(|&p| p < place)).copied()
    }
}

/// See the module doc. Indices are dense, from 0.
#[derive(Debug)]
pub(crate) struct Paged<T> {
    pages: Vec<Page<T>>,
    len: u32,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }
}

impl<T: Entry> Paged<T> {
    /// Appends an entry and gives its index; `None` when all but 16 of 2^32 indices are used.
    pub(crate) fn push(&mut self, entry: T) -> Option<u32> {
        let index = self.len;
        if index == INDICES {
            return None;
        }
        self.len += 1;
        if index as usize & (PAGE - 1) == 0 {
            let capacity = if self.pages.is_empty() { 0 } else { PAGE };
            let entries = Vec::with_capacity(capacity);
            self.pages.push(Page { entries, places: Vec::new(), holes: 0 });
        }
        self.pages.last_mut()?.entries.push(entry);
        Some(index)
    }

    /// The entry at `index`; `None` where there is a hole.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let (page, place) = split(index);
        let page = self.pages.get(page)?;
        page.entries.get(page.slot(place)?).filter(|entry| !entry.is_hole())
    }

    /// The entry at `index`, to be changed.
    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let (page, place) = split(index);
        let page = self.pages.get_mut(page)?;
        let slot = page.slot(place)?;
        page.entries.get_mut(slot).filter(|entry| !entry.is_hole())
    }

    /// Takes the entry at `index` out.
    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let (page, place) = split(index);
        self.pages.get_mut(page)?.remove(place)
    }

    /// The first index from `index` on that has an entry.
    pub(crate) fn next(&self, index: u32) -> Option<u32> {
        let (first, mut place) = split(index);
        for (number, page) in self.pages.iter().enumerate().skip(first) {
            if let Some(found) = page.next(place) {
                return Some((number as u32) << SHIFT | u32::from(found));
            }
            place = 0;
        }
        None
    }

    /// Bytes of heap, what entries own not included.
    pub(crate) fn size_bytes(&self) -> usize {
        let bytes =
            |p: &Page<T>| p.entries.capacity() * size_of::<T>() + p.places.capacity() * size_of::<u16>();
        self.pages.iter().map(bytes).sum::<usize>() + self.pages.capacity() * size_of::<Page<T>>()
    }
}

/// Page and place in it of an index.
#[inline]
fn split(index: u32) -> (usize, u16) {
    ((index >> SHIFT) as usize, (index as usize & (PAGE - 1)) as u16)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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

    fn all(list: &Paged<u32>) -> BTreeMap<u32, u32> {
        let found = std::iter::successors(list.next(0), |&i| list.next(i + 1));
        found.map(|i| (i, list.get(i).copied().expect("an entry"))).collect()
    }

    #[test]
    fn keeps_what_was_not_removed() {
        let mut list = Paged::default();
        let mut model: BTreeMap<u32, u32> = (0..5000).map(|i| (i, i * 3)).collect();
        model.values().for_each(|&v| _ = list.push(v));
        let full = list.size_bytes();
        for every in [2, 3, 5, 7, 11] {
            for i in (0..5000).filter(|i| i % every > 0) {
                assert_eq!(list.remove(i), model.remove(&i));
                assert_eq!(list.get(i), None);
                assert_eq!(list.get_mut(i), None);
            }
            assert_eq!(all(&list), model);
        }
        // The last page still grows, the others have two entries each.
        assert!(list.size_bytes() < full / 3, "{} of {full}", list.size_bytes());
        assert_eq!(list.push(9), Some(5000));
        model.insert(5000, 9);
        assert_eq!(all(&list), model);
        for i in 0..4096 {
            list.remove(i);
        }
        assert_eq!(list.size_bytes(), 4 * PAGE + list.pages.capacity() * size_of::<Page<u32>>());
        assert_eq!(list.next(0), model.range(4096..).next().map(|(i, _)| *i));
    }
}
