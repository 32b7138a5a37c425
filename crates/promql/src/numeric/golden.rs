//! Comparison with tables of Go's results; `testdata/gomath.go` says how they are made.
#![allow(clippy::unwrap_used)]

use super::arithmetic::{hypot, max, min, modulo};
use super::format::{decimal, general, general2, open_metrics, write_json};
use super::hyperbolic::{acosh, asinh, atanh, cosh, sinh, tanh};
use super::logarithm::{log, log1p, log2, log10};
use super::power::{exp, exp2, frexp, ldexp, pow};
use super::trigonometry::{acos, asin, atan, atan2, cos, sin, tan};

const SPECIALS: [u64; 28] = [
    0,
    1 << 63,
    0x7ff0000000000000,
    0xfff0000000000000,
    0x7ff8000000000001,
    1,
    1 << 63 | 1,
    0x000fffffffffffff,
    0x0010000000000000,
    0x3ff0000000000000,
    0xbff0000000000000,
    0x4000000000000000,
    0x3fe0000000000000,
    0xbfe0000000000000,
    0x7fefffffffffffff,
    0xffefffffffffffff,
    0x3fe6a09e667f3bcd,
    0x3fe6a09e667f3bcc,
    0x3fefffffffffffff,
    0x3ff0000000000001,
    0x40862e42fefa39ef,
    0x40862e42fefa39f0,
    0xc0874910d52d3051,
    0x408ff80000000000,
    0xc090c80000000000,
    0x41c0000000000000,
    0x41bfffffffffffff,
    0x3ff921fb54442d18,
];

/// SplitMix64, as in `gomath.go`.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e3779b97f4a7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58476d1ce4e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d049bb133111eb);
        z ^ z >> 31
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn value(&mut self, class: u64) -> f64 {
        match class {
            0 => f64::from_bits(self.next()),
            1 => 2.0 * self.unit() - 1.0,
            2 => {
                let unit = 1.0 + self.unit();
                let v = unit * 2f64.powi((self.next() % 80) as i32 - 40);
                if self.next() & 1 == 1 { -v } else { v }
            }
            3 => 1600.0 * self.unit() - 800.0,
            4 => ((self.next() % 201) as i64 - 100) as f64,
            _ => 1.0 + self.unit() / 1024.0,
        }
    }

    fn args(&mut self, i: usize) -> (f64, f64) {
        let n = SPECIALS.len();
        if i < n * n {
            return (f64::from_bits(SPECIALS[i / n]), f64::from_bits(SPECIALS[i % n]));
        }
        let class = self.next();
        (self.value(class % 6), self.value((class >> 8) % 6))
    }
}

type Function = fn(f64, f64) -> f64;

const FUNCTIONS: [(&str, Function); 26] = [
    ("exp", |x, _| exp(x)),
    ("exp2", |x, _| exp2(x)),
    ("log", |x, _| log(x)),
    ("log2", |x, _| log2(x)),
    ("log10", |x, _| log10(x)),
    ("log1p", |x, _| log1p(x)),
    ("sin", |x, _| sin(x)),
    ("cos", |x, _| cos(x)),
    ("tan", |x, _| tan(x)),
    ("asin", |x, _| asin(x)),
    ("acos", |x, _| acos(x)),
    ("atan", |x, _| atan(x)),
    ("sinh", |x, _| sinh(x)),
    ("cosh", |x, _| cosh(x)),
    ("tanh", |x, _| tanh(x)),
    ("asinh", |x, _| asinh(x)),
    ("acosh", |x, _| acosh(x)),
    ("atanh", |x, _| atanh(x)),
    ("pow", pow),
    ("atan2", atan2),
    ("modulo", modulo),
    ("hypot", hypot),
    ("min", min),
    ("max", max),
    ("frexp", |x, _| {
        let (fraction, exponent) = frexp(x);
        fraction * f64::from(exponent)
    }),
    ("ldexp", |x, y| ldexp(x, (y.to_bits() % 4200) as i32 - 2100)),
];

fn fold(v: f64) -> u32 {
    if v.is_nan() { 0 } else { v.to_bits() as u32 ^ (v.to_bits() >> 32) as u32 }
}

/// A larger table may be named by `NORN_GOMATH`.
fn table() -> Vec<u8> {
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/gomath.bin");
    let path = std::env::var("NORN_GOMATH").unwrap_or_else(|_| committed.to_owned());
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn equals_go_bit_by_bit() {
    let table = table();
    assert_eq!(&table[..8], b"GOMATH01");
    let count = u32::from_le_bytes(table[8..12].try_into().unwrap()) as usize;
    let seed = u64::from_le_bytes(table[12..20].try_into().unwrap());
    assert!(count >= 2000);
    assert_eq!(table.len(), 20 + FUNCTIONS.len() * count * 4);
    let mut failures = Vec::new();
    for ((name, function), want) in FUNCTIONS.iter().zip(table[20..].chunks(count * 4)) {
        let mut rng = Rng(seed);
        let mut wrong = 0;
        for (i, want) in want.chunks(4).enumerate() {
            let (x, y) = rng.args(i);
            let got = function(x, y);
            if fold(got) != u32::from_le_bytes(want.try_into().unwrap()) {
                wrong += 1;
                if wrong == 1 {
                    failures.push(format!("{name}({x:e}, {y:e}) gave {got:e} ({:#x})", got.to_bits()));
                }
            }
        }
        if wrong > 0 {
            failures.push(format!("{name}: {wrong} of {count} differ"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn formats_as_go() {
    let mut lines = 0;
    for line in include_str!("../../testdata/goformat.txt").lines() {
        let want: Vec<&str> = line.split('\t').collect();
        let v = f64::from_bits(u64::from_str_radix(want[0], 16).unwrap());
        let mut json = String::new();
        write_json(&mut json, v);
        assert_eq!([decimal(v), general(v), general2(v), json, open_metrics(v)], want[1..], "{v:e}");
        lines += 1;
    }
    assert!(lines > 250);
}
