#[test]
fn a_series_survives_builder_and_view() {
    use super::*;
    let mut b = Builder::new();
    b.series([("__name__", "up"), ("job", "x")]).sample(1_700_000_000_000, 1.5).created(7);
    b.series([("__name__", "up"), ("job", "y")]).sample(1_700_000_000_000, 0.0);
    b.metadata("up", norn_model::metadata::MetricType::Gauge, "h", "");
    let len = b.len();
    let value = b.finish();
    assert_eq!(value.len(), len);
    let mut v = View::new();
    v.decode(2, &value).unwrap();
    let s: Vec<_> = v.series().map(|s| (s.labels().collect::<Vec<_>>(), s.samples().to_vec())).collect();
    assert_eq!(s.len(), 2);
    assert_eq!(s[1].0, [("__name__", "up"), ("job", "y")]);
    assert_eq!(v.metadata().count(), 1);
}
