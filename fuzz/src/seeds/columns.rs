//! Columns of integers.

use norn_codec::columns::Encoder;

/// A frame of each kind.
pub fn frames() -> Vec<Vec<u8>> {
    let frame = |values: &[i64]| {
        let mut out = Vec::new();
        assert!(Encoder::default().put(values, &mut out).is_ok(), "far fewer than fit");
        out
    };
    let squares: Vec<i64> = (0..200).map(|i| i * i).collect();
    vec![
        frame(&[]),
        frame(&[10, 15, 20]),
        frame(&[i64::MAX, i64::MIN / 2, 3]),
        frame(&[100, 101, 107, 105, 90, 91, 92, 93, 99, 100, 101]),
        frame(&squares),
    ]
}
