#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::proto::Message;
use crate::protobuf::put_bytes_field;
use crate::record::tests::{rebuild, ref_record, text_record};
use crate::record::{Builder, View};
use crate::testing::{mutate, mutations};

fn split(value: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    Splitter::new().split(value, &mut out);
    out.split_off(6)
}

/// Bytes that were kept as they are.
fn kept(columns: &[u8]) -> u64 {
    let mut header = crate::protobuf::Reader::new(columns);
    (0..7).map(|_| header.varint().unwrap()).last().unwrap()
}

fn check(value: &[u8]) -> Vec<u8> {
    let columns = split(value);
    assert_eq!(join(&columns, value.len()).unwrap(), value);
    for len in [value.len() + 1, value.len().wrapping_sub(1)] {
        if len <= value.len() + 1 {
            assert_eq!(join(&columns, len), Err(ColumnsError));
        }
    }
    columns
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_record_comes_back(texts in text_record(), refs in ref_record(), mutations in mutations()) {
        let mut view = View::new();
        view.decode(0, &texts.encode_to_vec()).unwrap();
        check(&rebuild(&mut Builder::new(), &view));
        let refs = refs.encode_to_vec();
        check(&refs);
        check(&mutate(refs, &mutations));
    }

    #[test]
    fn any_bytes_come_back(value in vec(any::<u8>(), 0..300)) {
        check(&value);
    }

    #[test]
    fn a_splitter_can_be_used_again(records in vec(ref_record(), 1..4)) {
        let mut splitter = Splitter::new();
        for record in records {
            let value = record.encode_to_vec();
            let mut columns = Vec::new();
            splitter.split(&value, &mut columns);
            prop_assert_eq!(columns, split(&value));
        }
    }

    #[test]
    fn broken_columns_make_a_record_of_that_length_or_none(
        record in ref_record(), mutations in mutations(), len in 0usize..2000,
    ) {
        let value = record.encode_to_vec();
        let columns = mutate(split(&value), &mutations);
        for len in [value.len(), len] {
            if let Ok(got) = join(&columns, len) {
                prop_assert_eq!(got.len(), len);
            }
        }
    }

    #[test]
    fn samples_are_taken_apart(
        samples in vec((any::<i64>(), any::<u64>()), 0..4), many in 0usize..100, times in 1usize..300,
    ) {
        let mut builder = Builder::new();
        for i in 0..times {
            let labels = (0..many).map(|k| (format!("l{k}"), format!("v{}", i * k % 7)));
            let mut series = builder.series(labels);
            for (timestamp, value) in &samples {
                series.sample(*timestamp, f64::from_bits(*value));
            }
        }
        prop_assert_eq!(kept(&check(&builder.finish())), 0);
    }
}

#[test]
fn label_lists_count_as_kept() {
    let mut builder = Builder::new();
    for i in 0..4000u32 {
        // Another list of 16 names for each series.
        let labels = (0..16).map(|k| (format!("l{k}_{}", i >> k & 1), "v"));
        builder.series(labels).sample(1000, 1.0);
    }
    let mut splitter = Splitter::new();
    splitter.split(&builder.finish(), &mut Vec::new());
    assert!(splitter.kept_bytes() > 4000 * 16 * size_of::<u32>() + 4000 * 8 * 2, "{}", splitter.kept_bytes());
}

#[test]
fn bytes_are_as_drawn() {
    let mut builder = Builder::new();
    builder.series([("__name__", "a"), ("job", "api")]).sample(1000, 1.0);
    builder.series([("__name__", "a"), ("job", "web")]).sample(1000, 0.0).created(3);
    builder.series([("le", "5")]).sample(1015, 2.0).sample(1030, 2.0);
    let value = builder.finish();
    let want = [
        // Lengths of the streams, number of values.
        &[4u8, 8, 7, 3, 9, 7, 2, 4][..],
        &[1, 3, 3, 1],
        b"aapiweb5",
        // A new list; the same, one sample and two bytes of the rest; a new list, two samples.
        &[2, 1, 1, 2, 5, 2, 0],
        &[0b11, 0b10, 0b1],
        // Names 1 and 19, values 64 and 65; 66; name 4, value 67.
        &[2, 2, 20, 0, 0, 0, 1, 5, 0],
        // + 1000, + 0, + 15 twice.
        &[0xd0, 0x0f, 0, 0, 0, 30, 1],
        b"\x30\x03",
        &[0; 4 * 6],
        &[0xf0, 0, 0, 0],
        &[0x3f, 0, 0x40, 0x40],
    ];
    assert_eq!(check(&value), want.concat());
}

#[test]
fn what_is_written_otherwise_is_kept() {
    let series = |body: &[u8]| {
        let mut out = Vec::new();
        put_bytes_field(&mut out, 5, body);
        out
    };
    let fine = series(b"\x0a\x02\x01\x40\x12\x02\x10\x05");
    assert_eq!(kept(&check(&fine)), 0);
    let cases: &[(&[u8], u64)] = &[
        // A padded reference, a reference above 32 bits, an odd number: the whole series.
        (b"\x0a\x03\x81\x00\x40\x12\x02\x10\x05", 11),
        (b"\x0a\x06\x80\x80\x80\x80\x10\x01", 10),
        (b"\x0a\x01\x01\x12\x02\x10\x05", 9),
        // No references first.
        (b"\x12\x02\x10\x05\x0a\x02\x01\x40", 10),
        // A padded or written zero, fields in another order: the sample and what follows.
        (b"\x0a\x02\x01\x40\x12\x03\x10\x85\x00", 5),
        (b"\x0a\x02\x01\x40\x12\x02\x10\x00", 4),
        (b"\x0a\x02\x01\x40\x12\x09\x09\0\0\0\0\0\0\0\0", 11),
        (b"\x0a\x02\x01\x40\x12\x0b\x10\x05\x09\0\0\0\0\0\0\xf0\x3f", 13),
        (b"\x0a\x02\x01\x40\x12\x83\x00\x10\x85\x01", 6),
    ];
    for (body, want) in cases {
        let odd = series(body);
        assert_eq!(kept(&check(&odd)), *want, "{body:x?}");
        // Behind a series that was kept whole, all is.
        let more = if *want == odd.len() as u64 { fine.len() as u64 } else { 0 };
        assert_eq!(kept(&check(&[&odd[..], &fine].concat())), want + more);
    }
    // Symbols behind series, padded lengths.
    assert_eq!(kept(&check(&[&fine[..], b"\x22\x01a"].concat())), 3);
    assert_eq!(kept(&check(b"\x22\x81\x00a")), 4);
    // A part of a record of another version.
    assert_eq!(kept(&check(b"\x0a\x02\x10\x05")), 4);
}

#[test]
fn few_columns_do_not_make_a_long_record() {
    let names = 10_000u64;
    let mut references = Vec::new();
    crate::protobuf::put_varint(&mut references, names);
    references.extend(vec![2; names as usize]);
    // Ten thousand series with the list, and values that are never there.
    let heads = [&[3u8, 0, 0][..], &[1, 0, 0].repeat(10_000)].concat();
    let masks = vec![0; 10_001];
    let mut columns = Vec::new();
    for len in [0, 0, heads.len(), masks.len(), references.len(), 0, 0, 0] {
        crate::protobuf::put_varint(&mut columns, len as u64);
    }
    columns.extend([&heads[..], &masks, &references].concat());
    assert_eq!(join(&columns, 50_000), Err(ColumnsError));
    // A list of more names than there are bytes.
    assert_eq!(join(b"\0\0\x03\x01\x02\0\0\0\x03\0\0\0\xff\x7f", 100), Err(ColumnsError));
    // More values than bytes.
    assert_eq!(join(b"\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 100), Err(ColumnsError));
    assert_eq!(join(&[0; 8], 0), Ok(Vec::new()));
    assert_eq!(join(&[0; 7], 0), Err(ColumnsError));
}
