//! Several sources as one.
//!
//! Partitions of one process, and heads beside blocks, each give series in label order.
//! [`Merged`] asks all of them, merges their label sets and reads a series from every source that
//! has it.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt, try_join_all};
use norn_model::labels::Labels;
use norn_model::sample::Exemplar;

use crate::source::{
    ChunkBuf, Coverage, ExemplarsRequest, LabelsRequest, MetadataRequest, MetricMetadata, SelectRequest,
    Selection, SeriesData, SeriesExemplars, SeriesSource, SourceError,
};

/// The union of several sources. Fails when one of them does.
pub struct Merged {
    sources: Vec<Arc<dyn SeriesSource>>,
    /// What all together are complete for, where it is known and they are asked one by one.
    in_turn: Option<Coverage>,
}

impl Merged {
    /// Sources of which each may have samples of any time, asked at once: the answer is complete
    /// where all of them are. A single one is given back as it is.
    pub fn of(mut sources: Vec<Arc<dyn SeriesSource>>) -> Arc<dyn SeriesSource> {
        match (sources.len(), sources.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                sources.extend(last);
                Arc::new(Self { sources, in_turn: None })
            }
        }
    }

    /// Sources between which samples move: each is asked when the one before has answered, so
    /// that what moves from one to a later one meanwhile is seen twice rather than never.
    ///
    /// `coverage` is that of all together. It can not be told from the parts: a block says nothing
    /// of the other blocks of its range, and there is no block where there was no sample.
    pub fn in_turn(sources: Vec<Arc<dyn SeriesSource>>, coverage: Coverage) -> Arc<dyn SeriesSource> {
        Arc::new(Self { sources, in_turn: Some(coverage) })
    }

    async fn ask<'a, T>(
        &'a self,
        one: impl Fn(&'a dyn SeriesSource) -> BoxFuture<'a, Result<T, SourceError>>,
    ) -> Result<Vec<T>, SourceError> {
        if self.in_turn.is_none() {
            return try_join_all(self.sources.iter().map(|s| one(&**s))).await;
        }
        let mut answers = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            answers.push(one(&**source).await?);
        }
        Ok(answers)
    }
}

impl SeriesSource for Merged {
    fn select(&self, request: SelectRequest) -> BoxFuture<'_, Result<Selection, SourceError>> {
        async move {
            let limit = request.max_series;
            let mut merged = selections(self.ask(|s| s.select(request.clone())).await?);
            if limit > 0 && merged.labels.len() > limit {
                return Err(SourceError::TooManySeries { limit });
            }
            merged.coverage = self.in_turn.unwrap_or(merged.coverage);
            Ok(merged)
        }
        .boxed()
    }

    fn label_names(&self, request: LabelsRequest) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        async move {
            let lists = self.ask(|s| s.label_names(request.clone())).await?;
            Ok(merge_texts(lists, request.limit))
        }
        .boxed()
    }

    fn label_values(
        &self,
        name: String,
        request: LabelsRequest,
    ) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        async move {
            let lists = self.ask(|s| s.label_values(name.clone(), request.clone())).await?;
            Ok(merge_texts(lists, request.limit))
        }
        .boxed()
    }

    fn metadata(&self, request: MetadataRequest) -> BoxFuture<'_, Result<Vec<MetricMetadata>, SourceError>> {
        async move { Ok(merge_metadata(self.ask(|s| s.metadata(request.clone())).await?, &request)) }.boxed()
    }

    fn exemplars(
        &self,
        request: ExemplarsRequest,
    ) -> BoxFuture<'_, Result<Vec<SeriesExemplars>, SourceError>> {
        async move { Ok(merge_exemplars(self.ask(|s| s.exemplars(request.clone())).await?)) }.boxed()
    }
}

/// For each merged series, where its parts are: `(selection, index in it)`.
struct MergedData {
    parts: Vec<Arc<dyn SeriesData>>,
    /// `places[starts[i]..starts[i + 1]]` belong to series `i`.
    starts: Vec<u32>,
    places: Vec<(u32, u32)>,
}

impl SeriesData for MergedData {
    fn read(&self, index: usize, out: &mut ChunkBuf) -> Result<(), SourceError> {
        let places = &self.places[self.starts[index] as usize..self.starts[index + 1] as usize];
        for &(part, series) in places {
            self.parts[part as usize].read(series as usize, out)?;
        }
        if places.len() > 1 {
            out.chunks.sort_by_key(|c| c.mint);
            out.drop_repeated();
        }
        Ok(())
    }
}

/// Selections as one: complete where all of them are.
pub fn selections(parts: Vec<Selection>) -> Selection {
    let coverage = parts.iter().fold(Coverage::ALL, |c, p| Coverage {
        mint: c.mint.max(p.coverage.mint),
        maxt: c.maxt.min(p.coverage.maxt),
    });
    let mut heads = vec![0usize; parts.len()];
    let total = parts.iter().map(|p| p.labels.len()).sum();
    let mut labels: Vec<Labels> = Vec::with_capacity(total);
    let (mut starts, mut places) = (Vec::with_capacity(total + 1), Vec::with_capacity(total));
    while let Some(least) = least(&parts, &heads) {
        starts.push(places.len() as u32);
        for (i, part) in parts.iter().enumerate() {
            if part.labels.get(heads[i]) == Some(&least) {
                places.push((i as u32, heads[i] as u32));
                heads[i] += 1;
            }
        }
        labels.push(least);
    }
    starts.push(places.len() as u32);
    let data = MergedData { parts: parts.into_iter().map(|p| p.data).collect(), starts, places };
    Selection { labels, data: Arc::new(data), coverage }
}

fn least(parts: &[Selection], heads: &[usize]) -> Option<Labels> {
    parts.iter().zip(heads).filter_map(|(p, &i)| p.labels.get(i)).min().cloned()
}

fn merge_texts(lists: Vec<Vec<String>>, limit: usize) -> Vec<String> {
    let mut all: Vec<String> = lists.into_iter().flatten().collect();
    all.sort_unstable();
    all.dedup();
    if limit > 0 {
        all.truncate(limit);
    }
    all
}

fn merge_metadata(lists: Vec<Vec<MetricMetadata>>, request: &MetadataRequest) -> Vec<MetricMetadata> {
    let mut all: Vec<MetricMetadata> = lists.into_iter().flatten().collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let mut merged: Vec<MetricMetadata> = Vec::with_capacity(all.len());
    for (name, entries) in all {
        match merged.last_mut() {
            Some((last, known)) if *last == name => {
                for entry in entries {
                    if !known.contains(&entry) {
                        known.push(entry);
                    }
                }
            }
            _ => merged.push((name, entries)),
        }
    }
    for (_, entries) in &mut merged {
        entries.truncate(request.limit_per_metric.unwrap_or(usize::MAX));
    }
    merged.truncate(request.limit.unwrap_or(usize::MAX));
    merged
}

fn merge_exemplars(lists: Vec<Vec<SeriesExemplars>>) -> Vec<SeriesExemplars> {
    let mut all: Vec<SeriesExemplars> = lists.into_iter().flatten().collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1.append(&mut next.1);
        }
        same
    });
    for (_, exemplars) in &mut all {
        sort_exemplars(exemplars);
    }
    all
}

/// Sorts a series' exemplars by time and drops repetitions.
pub fn sort_exemplars(exemplars: &mut Vec<Exemplar>) {
    exemplars.sort_by(|a, b| a.timestamp.cmp(&b.timestamp).then(a.value.total_cmp(&b.value)));
    exemplars.dedup_by(|a, b| {
        a.timestamp == b.timestamp && a.value.to_bits() == b.value.to_bits() && a.labels == b.labels
    });
}

#[cfg(test)]
mod tests {
    use std::future::{poll_fn, ready};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Poll;

    use futures::executor::block_on;
    use norn_model::chunk::ChunkEncoding;
    use norn_model::metadata::Metadata;

    use super::*;
    use crate::source::Need;

    struct Fixed(Vec<i64>);

    impl SeriesData for Fixed {
        fn read(&self, index: usize, out: &mut ChunkBuf) -> Result<(), SourceError> {
            let mint = self.0[index];
            out.push(ChunkEncoding::Xor, mint, mint, &[mint as u8]);
            Ok(())
        }
    }

    fn selection(series: &[(&str, i64)]) -> Selection {
        Selection {
            labels: series.iter().map(|(v, _)| Labels::from_pairs([("a", *v)])).collect(),
            data: Arc::new(Fixed(series.iter().map(|s| s.1).collect())),
            coverage: Coverage::ALL,
        }
    }

    #[test]
    fn merges_in_label_order_and_reads_every_part() {
        let merged = selections(vec![
            selection(&[("1", 50), ("3", 7)]),
            selection(&[]),
            selection(&[("1", 20), ("2", 9)]),
        ]);
        let values: Vec<_> = merged.labels.iter().map(|l| l.get("a").to_owned()).collect();
        assert_eq!(values, ["1", "2", "3"]);
        let times = |i| {
            let mut buf = ChunkBuf::default();
            merged.data.read(i, &mut buf).expect("reads");
            buf.chunks.iter().map(|c| (c.mint, buf.slice(c)[0])).collect::<Vec<_>>()
        };
        assert_eq!(times(0), [(20, 20), (50, 50)]);
        assert_eq!(times(1), [(9, 9)]);
        assert_eq!(times(2), [(7, 7)]);
    }

    type Answer = BoxFuture<'static, Result<Selection, SourceError>>;

    /// Answers selections.
    struct Fake<F>(F);

    impl<F: Fn() -> Answer + Send + Sync> SeriesSource for Fake<F> {
        fn select(&self, _: SelectRequest) -> BoxFuture<'_, Result<Selection, SourceError>> {
            (self.0)()
        }

        fn label_names(&self, _: LabelsRequest) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
            ready(Ok(Vec::new())).boxed()
        }

        fn label_values(
            &self,
            _: String,
            _: LabelsRequest,
        ) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
            ready(Ok(Vec::new())).boxed()
        }

        fn metadata(&self, _: MetadataRequest) -> BoxFuture<'_, Result<Vec<MetricMetadata>, SourceError>> {
            ready(Ok(Vec::new())).boxed()
        }

        fn exemplars(&self, _: ExemplarsRequest) -> BoxFuture<'_, Result<Vec<SeriesExemplars>, SourceError>> {
            ready(Ok(Vec::new())).boxed()
        }
    }

    /// Lets others run first.
    async fn yield_once() {
        let mut yielded = false;
        let poll = poll_fn(move |context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
        });
        poll.await;
    }

    /// A head that answers late, and blocks that have its series from then on.
    fn moving() -> Vec<Arc<dyn SeriesSource>> {
        let moved = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&moved);
        let head = Fake(move || {
            let cut = Arc::clone(&cut);
            async move {
                yield_once().await;
                cut.store(true, Ordering::SeqCst);
                Ok(selection(&[("1", 50)]))
            }
            .boxed()
        });
        let blocks = Fake(move || {
            let series: &[_] = if moved.load(Ordering::SeqCst) { &[("1", 50)] } else { &[] };
            ready(Ok(selection(series))).boxed()
        });
        vec![Arc::new(head), Arc::new(blocks)]
    }

    #[test]
    fn what_moves_between_sources_that_are_asked_in_turn_is_in_both_and_comes_out_once() {
        let request =
            SelectRequest { matchers: Arc::new([]), mint: 0, maxt: 99, need: Need::Samples, max_series: 0 };
        let coverage = Coverage { mint: 7, maxt: i64::MAX };
        let merged = block_on(Merged::in_turn(moving(), coverage).select(request)).expect("selects");
        assert_eq!((merged.labels.len(), merged.coverage), (1, coverage));
        let mut buf = ChunkBuf::default();
        merged.data.read(0, &mut buf).expect("reads");
        assert_eq!((buf.bytes.len(), buf.chunks.len()), (2, 1));
    }

    #[test]
    fn coverage_of_sources_with_other_series_is_what_all_cover() {
        let part = |mint, maxt| Selection { coverage: Coverage { mint, maxt }, ..selection(&[]) };
        let merged = selections(vec![part(5, 90), part(0, 80)]);
        assert_eq!(merged.coverage, Coverage { mint: 5, maxt: 80 });
    }

    #[test]
    fn merges_exemplars() {
        let at = |timestamp| Exemplar { labels: Labels::from_pairs([("id", "1")]), value: 2.0, timestamp };
        let of = |name: &str, times: &[i64]| {
            (Labels::from_pairs([("a", name)]), times.iter().map(|t| at(*t)).collect::<Vec<_>>())
        };
        let merged = merge_exemplars(vec![
            vec![of("1", &[5, 9]), of("3", &[1])],
            vec![of("1", &[2, 5, 7]), of("2", &[4])],
        ]);
        assert_eq!(merged, [of("1", &[2, 5, 7, 9]), of("2", &[4]), of("3", &[1])]);
    }

    #[test]
    fn merges_texts_and_metadata() {
        let lists = vec![vec!["b".to_owned(), "c".to_owned()], vec!["a".to_owned(), "b".to_owned()]];
        assert_eq!(merge_texts(lists.clone(), 0), ["a", "b", "c"]);
        assert_eq!(merge_texts(lists, 2), ["a", "b"]);
        let one = |help: &str| Metadata { help: help.into(), ..Metadata::default() };
        let merged = merge_metadata(
            vec![vec![("m".into(), vec![one("x")])], vec![("m".into(), vec![one("x"), one("y")])]],
            &MetadataRequest::default(),
        );
        assert_eq!(merged, [("m".to_owned(), vec![one("x"), one("y")])]);
    }
}
