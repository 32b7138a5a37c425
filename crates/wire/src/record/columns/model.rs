//! What both sides expect of the next series.

use crate::fields::Range32;
use crate::record::FIRST_OWN_SYMBOL;

/// Values are remembered by this many low bits of their name's reference.
const LAST_VALUES: usize = 1024;
/// Most pairs of a series that have a bit in its mask.
pub(super) const MASKED: usize = 64;

/// The state of a prediction. Splitting and joining do the same with it.
#[derive(Debug)]
pub(super) struct Model {
    /// Label names of the lists, one behind the other.
    names: Vec<u32>,
    lists: Vec<Range32>,
    /// The list of the series before.
    pub list: Range32,
    /// Newest value of a name.
    last: Box<[u32; LAST_VALUES]>,
    /// The reference that a new symbol will have.
    new: u32,
}

impl Model {
    pub fn new() -> Self {
        Self {
            names: Vec::new(),
            lists: Vec::new(),
            list: Range32::default(),
            last: Box::new([0; LAST_VALUES]),
            new: FIRST_OWN_SYMBOL,
        }
    }

    pub fn clear(&mut self) {
        self.names.clear();
        self.lists.clear();
        self.list = Range32::default();
        self.last.fill(0);
        self.new = FIRST_OWN_SYMBOL;
    }

    /// About how many bytes are kept for reuse, beside what does not grow.
    pub fn kept_bytes(&self) -> usize {
        self.names.capacity() * size_of::<u32>() + self.lists.capacity() * size_of::<Range32>()
    }

    /// Names of a list.
    #[inline]
    pub fn names(&self, list: Range32) -> &[u32] {
        list.of(&self.names)
    }

    /// A list by its number.
    pub fn list(&self, number: usize) -> Option<Range32> {
        self.lists.get(number).copied()
    }

    pub fn lists(&self) -> usize {
        self.lists.len()
    }

    /// Adds a list, whose names are `names`.
    pub fn add_list(&mut self, names: impl IntoIterator<Item = u32>) -> Range32 {
        let start = self.names.len();
        self.names.extend(names);
        let list = Range32::since(start, &self.names);
        self.lists.push(list);
        list
    }

    /// The value that the label `name` most likely has.
    #[inline]
    pub fn expected(&self, name: u32) -> u32 {
        self.last[name as usize % LAST_VALUES]
    }

    #[inline]
    pub fn learn(&mut self, name: u32, value: u32) {
        self.last[name as usize % LAST_VALUES] = value;
    }

    /// A reference as it is stored: 0 is the next symbol that was not used yet.
    #[inline]
    pub fn store(&mut self, reference: u32) -> u64 {
        if reference == self.new {
            self.new = self.new.wrapping_add(1);
            return 0;
        }
        self.used(reference);
        u64::from(reference) + 1
    }

    /// The opposite of [`Model::store`].
    #[inline]
    pub fn load(&mut self, stored: u64) -> Option<u32> {
        if stored == 0 {
            let reference = self.new;
            self.new = self.new.wrapping_add(1);
            return Some(reference);
        }
        let reference = u32::try_from(stored - 1).ok()?;
        self.used(reference);
        Some(reference)
    }

    #[inline]
    fn used(&mut self, reference: u32) {
        if reference > self.new {
            self.new = reference.wrapping_add(1);
        }
    }
}
