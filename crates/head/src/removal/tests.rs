//! Removal against a model, under churn, and beside readers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use futures::FutureExt;
use norn_contract::cardinality::CardinalityRequest;
use norn_contract::source::{LabelsRequest, SeriesSource};
use norn_model::Millis;
use norn_model::labels::Labels;
use norn_model::matcher::{MatchOp, Matcher};
use norn_model::tenant::Tenant;
use proptest::prelude::*;

use super::*;
use crate::identity::Key;
use crate::options::Options;
use crate::order;
use crate::reader::{Reader, TenantReader};
use crate::runs;
use crate::select;
use crate::shared::Shared;
use crate::tenant::TenantState;

fn add(catalog: &mut Catalog, tenant: TenantNo, labels: &[(&str, &str)]) -> SeriesRef {
    let mut key = Key::default();
    key.start(labels.len());
    for (name, value) in labels {
        key.push(catalog.intern_pair(tenant, name, value).expect("room"));
    }
    assert_eq!(catalog.identities().find(key.as_bytes()), None);
    catalog.add_series(tenant, key.as_bytes()).expect("room")
}

/// A partition with a catalog and no samples.
struct Parts {
    shared: Arc<Shared>,
    readers: Vec<Arc<TenantReader>>,
}

impl Parts {
    fn new(tenants: u32) -> Self {
        let shared = Arc::new(Shared::new(Options::default()));
        let reader = Reader::new(Arc::clone(&shared));
        let mut readers = Vec::new();
        for i in 0..tenants {
            let number = shared.catalog.write().add_tenant().expect("room");
            let (state, tenant) = (TenantState::new(number), Tenant::admit(&format!("t{i}")).expect("good"));
            // As if it had samples, so that series are looked for at all.
            state.publish(1, 0, 0, 1);
            shared.tenants.write().insert(tenant.clone(), Arc::new(state));
            readers.push(reader.tenant(&tenant).expect("known"));
        }
        Self { shared, readers }
    }

    fn find(&self, tenant: TenantNo, matchers: &[Matcher]) -> Vec<(Labels, SeriesRef)> {
        let set = select::matching(&self.shared, tenant, matchers);
        let mut series = runs::series(&set).collect();
        let labels = order::materialise(&self.shared, &mut series);
        assert_eq!(labels.len(), series.len());
        assert!(labels.windows(2).all(|two| two[0] < two[1]), "{labels:?}");
        labels.into_iter().zip(series).collect()
    }

    fn values(&self, tenant: TenantNo, name: &str, matchers: &[Matcher]) -> BTreeSet<String> {
        let found = self.reader(tenant).label_values(name.to_owned(), request(matchers));
        found.now_or_never().expect("at once").expect("found").into_iter().collect()
    }

    fn names(&self, tenant: TenantNo, matchers: &[Matcher]) -> BTreeSet<String> {
        let found = self.reader(tenant).label_names(request(matchers));
        found.now_or_never().expect("at once").expect("found").into_iter().collect()
    }

    fn reader(&self, tenant: TenantNo) -> &TenantReader {
        &self.readers[tenant as usize]
    }

    fn remove(&self, series: &[SeriesRef]) {
        let mut removal = Removal::default();
        series.chunks(100).for_each(|slice| removal.take(&self.shared.catalog, slice));
        while removal.step(&self.shared.catalog) {}
    }

    fn bytes(&self) -> usize {
        let bytes = self.shared.catalog.read().size_bytes();
        bytes.texts + bytes.identities + bytes.tables + bytes.postings
    }
}

fn request(matchers: &[Matcher]) -> LabelsRequest {
    let matchers = if matchers.is_empty() { vec![] } else { vec![Arc::from(matchers)] };
    LabelsRequest { matchers, mint: Millis::MIN, maxt: Millis::MAX, limit: 0 }
}

/// Sets of labels that share much, by number.
fn labels(number: u32) -> Vec<(String, String)> {
    let mut labels = vec![("__name__".to_owned(), format!("m{}", number % 3))];
    if !number.is_multiple_of(5) {
        labels.push(("job".to_owned(), format!("j{}", number % 5)));
    }
    if number.is_multiple_of(7) {
        labels.push((format!("only{number}"), "x".to_owned()));
    }
    labels.push(("pod".to_owned(), format!("p{}", number / 4)));
    labels
}

fn matchers(number: u32) -> Vec<Matcher> {
    let new = |op, name: &str, value: &str| Matcher::new(op, name, value).expect("good");
    match number % 6 {
        0 => vec![],
        1 => vec![Matcher::equal("__name__", "m1")],
        2 => vec![new(MatchOp::Regex, "pod", "p(.*[02468])"), new(MatchOp::NotEqual, "job", "j2")],
        3 => vec![new(MatchOp::NotRegex, "job", "j1|j3")],
        4 => vec![Matcher::equal("job", ""), new(MatchOp::Regex, "__name__", ".+")],
        _ => vec![Matcher::equal("pod", &format!("p{}", number / 6 % 15))],
    }
}

#[derive(Clone, Debug)]
enum Act {
    /// Adds the series with the labels of this number, if it is not there.
    Add(TenantNo, u32),
    /// Begins a round, after the one before is done, that takes out one in so many.
    Remove(u32, u32),
    Step,
    Check(TenantNo, u32),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0u32..2, 0u32..60).prop_map(|(tenant, number)| Act::Add(tenant, number)),
        1 => (1u32..4, 0u32..4).prop_map(|(every, from)| Act::Remove(every, from)),
        4 => Just(Act::Step),
        1 => (0u32..2, any::<u32>()).prop_map(|(tenant, number)| Act::Check(tenant, number)),
    ];
    prop::collection::vec(act, 1..250)
}

type Known = BTreeMap<(TenantNo, u32), SeriesRef>;

struct World {
    parts: Parts,
    known: Known,
    removal: Option<Removal>,
}

impl World {
    fn act(&mut self, act: &Act) {
        let catalog = &self.parts.shared.catalog;
        match *act {
            Act::Add(tenant, number) => {
                let labels = labels(number);
                let labels: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                let parts = &self.parts;
                self.known
                    .entry((tenant, number))
                    .or_insert_with(|| add(&mut parts.shared.catalog.write(), tenant, &labels));
            }
            Act::Remove(every, from) => {
                while self.removal.as_mut().is_some_and(|removal| removal.step(catalog)) {}
                let all: BTreeSet<SeriesRef> = self.known.values().copied().collect();
                let gone: Vec<_> = all.into_iter().skip(from as usize).step_by(every as usize).collect();
                let mut removal = Removal::default();
                removal.take(catalog, &gone);
                removal.take(catalog, &gone);
                self.known.retain(|_, series| !gone.contains(series));
                self.removal = Some(removal);
            }
            Act::Step => {
                if self.removal.as_mut().is_some_and(|removal| !removal.step(catalog)) {
                    self.removal = None;
                }
            }
            Act::Check(tenant, number) => self.check(tenant, &matchers(number)),
        }
    }

    fn check(&self, tenant: TenantNo, matchers: &[Matcher]) {
        let known = self.known.iter().filter(|((of, _), _)| *of == tenant);
        let known = known.map(|((_, number), series)| (Labels::from_pairs(labels(*number)), *series));
        let (known, parts): (BTreeMap<_, _>, _) = (known.collect(), &self.parts);
        let passes = |labels: &Labels| matchers.iter().all(|m| m.matches(labels.get(m.name())));
        let want: Vec<_> = known.iter().filter(|(l, _)| passes(l)).map(|(l, s)| (l.clone(), *s)).collect();
        assert_eq!(parts.find(tenant, matchers), want);
        let of = |name| want.iter().map(move |(l, _)| l.get(name).to_owned()).filter(|v| !v.is_empty());
        let names: BTreeSet<_> = want.iter().flat_map(|(l, _)| l.iter().map(|(n, _)| n.to_owned())).collect();
        let some = Matcher::new(MatchOp::Regex, "__name__", ".+").expect("good");
        let with: Vec<_> = matchers.iter().cloned().chain([some]).collect();
        assert_eq!(parts.values(tenant, "pod", &with), of("pod").collect());
        assert_eq!(parts.names(tenant, &with), names);
        let counted = parts.reader(tenant).count(&CardinalityRequest {
            matchers: Arc::from(with.as_slice()),
            since: Millis::MIN,
            names: vec!["job".to_owned()],
        });
        assert_eq!(counted.series, want.len() as u64);
        assert_eq!(counted.values[0].iter().map(|(_, n)| n).sum::<u64>(), of("job").count() as u64);
        assert_eq!(parts.reader(tenant).stats().series, known.len() as u64);
        if self.removal.is_none() && matchers.is_empty() {
            assert_eq!(parts.values(tenant, "pod", &[]), of("pod").collect());
            assert_eq!(parts.names(tenant, &[]), names);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn equals_a_model_whatever_comes_between_slices(acts in acts()) {
        let mut world = World { parts: Parts::new(2), known: Known::new(), removal: None };
        acts.iter().for_each(|act| world.act(act));
        world.act(&Act::Remove(2, 1));
        while world.removal.is_some() {
            world.act(&Act::Step);
            world.check(0, &matchers(4));
        }
        world.check(0, &[]);
        world.check(1, &[]);
    }
}

/// Adds series of `pods` pods with ten metrics each. Gives their numbers.
fn add_pods(catalog: &mut Catalog, generation: u32, pods: u32) -> Vec<SeriesRef> {
    let mut all = Vec::new();
    for pod in 0..pods {
        let (id, name) = (format!("/kubepods/{generation}/{pod:032}"), format!("app-{generation}-{pod:05}"));
        for metric in 0..10 {
            let (metric, node) = (format!("container_metric_{metric}"), format!("node-{}", pod % 20));
            let labels = [("__name__", metric.as_str()), ("id", &id), ("job", "kubelet"), ("node", &node)];
            all.push(add(catalog, 0, &[&labels[..], &[("pod", name.as_str())]].concat()));
        }
    }
    all
}

#[test]
fn churn_does_not_grow() {
    let parts = Parts::new(1);
    let (mut before, mut bytes) = (Vec::new(), Vec::new());
    for generation in 0..20 {
        let mut added = add_pods(&mut parts.shared.catalog.write(), generation, 1000);
        // A few stay for good: pages and slabs keep what lives in them.
        added.retain(|series| series % 4096 != 0);
        parts.remove(&before);
        before = added;
        bytes.push(parts.bytes());
    }
    let (early, late) = (bytes[1] as f64, bytes[19] as f64);
    assert!(late < 1.3 * early, "{bytes:?}");
    assert!(parts.find(0, &[]).len() < 10_100);
    parts.remove(&before);
    assert!((parts.bytes() as f64) < 0.4 * early, "{} of {bytes:?}", parts.bytes());
    let stayed = parts.find(0, &[]).len();
    assert_eq!(u64::from(parts.shared.catalog.read().tenant_series_count(0)), stayed as u64);
    assert!(stayed > 40);
}

#[test]
fn everything_comes_back_when_all_series_go() {
    let parts = Parts::new(1);
    let empty = parts.bytes();
    let all = add_pods(&mut parts.shared.catalog.write(), 0, 3000);
    let full = parts.bytes();
    parts.remove(&all);
    let catalog = parts.shared.catalog.read();
    let (bytes, left) = (catalog.size_bytes(), parts.bytes() - empty);
    // Pages and slabs that are written to stay, and the smallest tables.
    assert!(left < 250_000 && left * 6 < full, "{left} of {full}: {bytes:?}");
    assert!(bytes.postings < 200);
    assert_eq!((catalog.pair_of(0, "job", "kubelet"), catalog.name_of(0, "job")), (None, None));
    drop(catalog);
    assert_eq!((parts.names(0, &[]), parts.values(0, "job", &[])), (BTreeSet::new(), BTreeSet::new()));
}

#[test]
fn a_long_set_is_passed_while_it_grows() {
    let parts = Parts::new(1);
    let mut catalog = parts.shared.catalog.write();
    let all: Vec<_> = (0..30_000)
        .map(|i| add(&mut catalog, 0, &[("even", if i % 2 == 0 { "y" } else { "n" }), ("i", &i.to_string())]))
        .collect();
    drop(catalog);
    let gone: Vec<_> = all.iter().copied().filter(|i| i % 6 == 0).collect();
    let mut removal = Removal::default();
    removal.take(&parts.shared.catalog, &gone);
    let (mut steps, mut again) = (0, Vec::new());
    let even = [Matcher::equal("even", "y")];
    loop {
        if steps % 20 == 0 {
            let value = format!("again{steps}");
            again.push(add(&mut parts.shared.catalog.write(), 0, &[("even", "y"), ("i", &value)]));
            assert_eq!(parts.find(0, &even).len(), 10_000 + again.len());
        }
        steps += 1;
        if !removal.step(&parts.shared.catalog) {
            break;
        }
    }
    let catalog = parts.shared.catalog.read();
    let pair = catalog.pair_of(0, "even", "y").expect("known");
    let set: Vec<Run> = catalog.copy(Member::SeriesOfPair(pair)).runs().collect();
    let left = all.iter().copied().filter(|i| i % 2 == 0 && i % 6 > 0);
    assert_eq!(runs::series(&set).collect::<Vec<_>>(), left.chain(again).collect::<Vec<_>>());
    assert_eq!(catalog.series_count_of(pair), set.iter().map(|(s, e)| e - s).sum::<u32>());
}

/// Half of the series go and come back all the time, under the same labels; the others stay.
#[test]
fn readers_beside_a_removal_see_what_stays() {
    let (parts, over) = (Arc::new(Parts::new(1)), Arc::new(AtomicBool::new(false)));
    let stay = add_pods(&mut parts.shared.catalog.write(), 0, 40).len();
    let reader = || {
        let (parts, over) = (Arc::clone(&parts), Arc::clone(&over));
        move || {
            let mut rounds = 0u32;
            while !over.load(Ordering::Acquire) || rounds == 0 {
                let found = parts.find(0, &matchers(3));
                let of_first = found.iter().filter(|(l, _)| l.get("pod").starts_with("app-0-")).count();
                assert_eq!(of_first, stay);
                assert!(found.iter().all(|(l, _)| l.len() == 5), "{found:?}");
                let pods = parts.values(0, "pod", &[]);
                assert!(pods.iter().filter(|p| p.starts_with("app-0-")).count() == 40, "{pods:?}");
                assert!(pods.iter().all(|p| p.starts_with("app-")), "{pods:?}");
                assert_eq!(parts.names(0, &[]).len(), 5);
                rounds += 1;
            }
            rounds
        }
    };
    let readers: Vec<_> = (0..2).map(|_| thread::spawn(reader())).collect();
    let mut before = Vec::new();
    for round in 0..60 {
        let mut removal = Removal::default();
        removal.take(&parts.shared.catalog, &before);
        before = add_pods(&mut parts.shared.catalog.write(), 1, 40);
        if round % 2 == 0 {
            before.extend(add_pods(&mut parts.shared.catalog.write(), 2, 40));
        }
        while removal.step(&parts.shared.catalog) {}
    }
    over.store(true, Ordering::Release);
    assert!(readers.into_iter().all(|reader| reader.join().expect("no panic") > 0));
}
