//! Coverage-guided driver: libFuzzer over the target that `NORN_FUZZ_TARGET` names.
#![no_main]
// The macro exports the function that libFuzzer calls, which is unsafe to promise.
#![allow(unsafe_code)]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use norn_fuzz::{Target, find};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("NORN_FUZZ_TARGET").unwrap_or_default();
    find(&name).unwrap_or_else(|| panic!("NORN_FUZZ_TARGET={name:?} is not a target"))
});

fuzz_target!(|data: &[u8]| {
    (TARGET.run)(data);
});
