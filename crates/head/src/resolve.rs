//! From the symbols of one record to series numbers.
//!
//! Each symbol is looked up at most once a record, each label pair once as long as its value
//! stands under one name. A series is then a handful of array reads, its identity's bytes, and one
//! comparison with the series that followed last time. Nothing is added to the catalog here.

use norn_wire::record::{Series, View};

use crate::catalog::{Catalog, PairId, TenantNo};
use crate::identity::{self, Key, SeriesRef};
use crate::text::{self, TextId};

/// Not looked up yet, or no reference at all.
const UNSEEN: u32 = u32::MAX;
/// Looked up and not in the catalog.
const UNKNOWN: u32 = u32::MAX - 1;
/// Pair with an empty value: as if it were not there.
const ABSENT: PairId = u32::MAX - 2;

/// Most labels of a series.
pub(crate) const MAX_LABELS: usize = 4096;

/// Room that stays after a record with more symbols.
const KEEP_SYMBOLS: usize = 1 << 16;

/// Labels that name no series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LabelFault {
    /// No label with a value.
    None,
    /// This name comes twice.
    Duplicate(String),
    /// A name is empty.
    EmptyName,
    /// Name or value of this label is longer than [`text::MAX_LEN`].
    TooLong(String),
    /// More than [`MAX_LABELS`].
    TooMany(usize),
}

/// What the labels of a series lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A series.
    Series(SeriesRef),
    /// Good labels of a series that is not there; they are in [`Resolver::labels`].
    New,
    /// Labels that name no series.
    Fault(LabelFault),
}

#[derive(Clone, Copy, Debug)]
struct CachedPair {
    name: u32,
    pair: PairId,
}

/// See the module doc.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    texts: Vec<TextId>,
    pairs: Vec<CachedPair>,
    key: Key,
    flat: Vec<u32>,
    sorted: Vec<(u32, u32)>,
    /// Names of the last series that came in order: those of the next are often the same.
    layout: Vec<u32>,
}

impl Resolver {
    /// Forgets the last record and makes room for one with `symbols` symbols.
    pub(crate) fn start(&mut self, symbols: usize) {
        self.texts.clear();
        self.pairs.clear();
        self.layout.clear();
        if symbols <= KEEP_SYMBOLS {
            self.texts.shrink_to(KEEP_SYMBOLS);
            self.pairs.shrink_to(KEEP_SYMBOLS);
        }
        self.texts.resize(symbols, UNSEEN);
        self.pairs.resize(symbols, CachedPair { name: UNSEEN, pair: UNKNOWN });
    }

    /// Finds a series; `expected` is tried first.
    #[inline]
    pub(crate) fn find(
        &mut self,
        catalog: &Catalog,
        tenant: TenantNo,
        view: &View,
        series: &Series<'_>,
        expected: Option<SeriesRef>,
    ) -> Found {
        if self.encode(catalog, tenant, view, series.label_refs()) {
            let identities = catalog.identities();
            if let Some(expected) = expected
                && identities.get(expected) == *self.key.as_bytes()
                && !self.key.as_bytes().is_empty()
            {
                return Found::Series(expected);
            }
            if let Some(found) = identities.find(self.key.as_bytes()) {
                return Found::Series(found);
            }
        }
        self.find_sorted(catalog, tenant, view, series)
    }

    /// Writes the identity of labels as they stand; false where a pair is not in the catalog.
    #[inline]
    fn encode(&mut self, catalog: &Catalog, tenant: TenantNo, view: &View, refs: &[u32]) -> bool {
        self.key.start(refs.len() / 2);
        for pair in refs.chunks_exact(2) {
            let (name, value) = (pair[0], pair[1]);
            let id = match self.pairs.get(value as usize) {
                Some(cached) if cached.name == name => cached.pair,
                _ => self.look_up(catalog, tenant, view, name, value),
            };
            match id {
                ABSENT => {}
                UNKNOWN => return false,
                id => self.key.push(id),
            }
        }
        true
    }

    fn look_up(&mut self, catalog: &Catalog, tenant: TenantNo, view: &View, name: u32, value: u32) -> PairId {
        let pair = match self.text(catalog, view, value) {
            text::EMPTY => ABSENT,
            UNKNOWN => UNKNOWN,
            value => {
                let name = self.text(catalog, view, name);
                let name = catalog.find_name(tenant, name);
                name.and_then(|name| catalog.find_pair(name, value)).unwrap_or(UNKNOWN)
            }
        };
        if let Some(cached) = self.pairs.get_mut(value as usize) {
            *cached = CachedPair { name, pair };
        }
        pair
    }

    fn text(&mut self, catalog: &Catalog, view: &View, symbol: u32) -> TextId {
        let Some(cached) = self.texts.get_mut(symbol as usize) else { return UNKNOWN };
        if *cached == UNSEEN {
            *cached = catalog.texts().find(view.symbol(symbol)).unwrap_or(UNKNOWN);
        }
        *cached
    }

    /// As [`Resolver::find`] for labels that did not lead to a series as they stand.
    fn find_sorted(
        &mut self,
        catalog: &Catalog,
        tenant: TenantNo,
        view: &View,
        series: &Series<'_>,
    ) -> Found {
        let refs = series.label_refs();
        if let Err(fault) = self.sort(view, refs) {
            return Found::Fault(fault);
        }
        if self.is_sorted(refs) {
            return Found::New;
        }
        let mut flat = std::mem::take(&mut self.flat);
        flat.clear();
        flat.extend(self.sorted.iter().flat_map(|&(name, value)| [name, value]));
        let known = self.encode(catalog, tenant, view, &flat);
        self.flat = flat;
        if !known {
            return Found::New;
        }
        catalog.identities().find(self.key.as_bytes()).map_or(Found::New, Found::Series)
    }

    /// Whether the labels were in identity's order before [`Resolver::sort`].
    fn is_sorted(&self, refs: &[u32]) -> bool {
        refs.len() == self.sorted.len() * 2
            && refs.chunks_exact(2).zip(&self.sorted).all(|(pair, sorted)| (pair[0], pair[1]) == *sorted)
    }

    /// Brings labels into identity's order.
    pub(crate) fn sort(&mut self, view: &View, refs: &[u32]) -> Result<(), LabelFault> {
        let pairs = refs.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        self.sorted.clear();
        let fits = |value| (1..=text::MAX_LEN).contains(&view.symbol(value).len());
        if refs.len() == self.layout.len() * 2
            && !refs.is_empty()
            && pairs.clone().zip(&self.layout).all(|((name, value), of)| name == *of && fits(value))
        {
            self.sorted.extend(pairs);
            return Ok(());
        }
        self.sorted.extend(pairs.filter(|&(_, value)| !view.symbol(value).is_empty()));
        match self.sorted.len() {
            0 => return Err(LabelFault::None),
            1..=MAX_LABELS => {}
            count => return Err(LabelFault::TooMany(count)),
        }
        self.sorted.sort_by(|a, b| view.symbol(a.0).cmp(view.symbol(b.0)));
        for (i, &(name, value)) in self.sorted.iter().enumerate() {
            let text = view.symbol(name);
            if text.is_empty() {
                return Err(LabelFault::EmptyName);
            }
            if text.len().max(view.symbol(value).len()) > text::MAX_LEN {
                return Err(LabelFault::TooLong(text.to_owned()));
            }
            if i > 0 && view.symbol(self.sorted[i - 1].0) == text {
                return Err(LabelFault::Duplicate(text.to_owned()));
            }
        }
        if self.is_sorted(refs) {
            self.layout.clear();
            self.layout.extend(self.sorted.iter().map(|&(name, _)| name));
        }
        Ok(())
    }

    /// The series with the labels that [`Resolver::sort`] put in order, if it is there by now.
    pub(crate) fn find_now(&mut self, catalog: &Catalog, tenant: TenantNo, view: &View) -> Option<SeriesRef> {
        let identity = self.identity(view, |name, value| catalog.pair_of(tenant, name, value))?;
        catalog.identities().find(identity)
    }

    /// Adds the series with the labels that [`Resolver::sort`] put in order, which is not there;
    /// `None` when there is no room.
    pub(crate) fn add(&mut self, catalog: &mut Catalog, tenant: TenantNo, view: &View) -> Option<SeriesRef> {
        let identity = self.identity(view, |name, value| catalog.intern_pair(tenant, name, value))?;
        catalog.add_series(tenant, identity)
    }

    /// The identity of the labels that were put in order. `find` is asked for pairs that were not
    /// known yet.
    fn identity(&mut self, view: &View, mut find: impl FnMut(&str, &str) -> Option<PairId>) -> Option<&[u8]> {
        self.key.start(self.sorted.len());
        for &(name, value) in &self.sorted {
            let cached = self.pairs.get_mut(value as usize)?;
            if cached.name != name || cached.pair >= ABSENT {
                let pair = find(view.symbol(name), view.symbol(value))?;
                *cached = CachedPair { name, pair };
            }
            self.key.push(cached.pair);
        }
        Some(self.key.as_bytes())
    }

    /// The labels that [`Resolver::sort`] put in order.
    pub(crate) fn labels<'a>(&'a self, view: &'a View) -> impl Iterator<Item = (&'a str, &'a str)> + Clone {
        self.sorted.iter().map(|&(name, value)| (view.symbol(name), view.symbol(value)))
    }
}

const _: () = assert!(MAX_LABELS * 5 <= identity::MAX_LEN);
