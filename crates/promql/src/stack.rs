//! Stack for walking trees by recursion.
//!
//! The parser bounds how deep a tree is, but not by what the smallest stack of any thread can take.

/// Stack that must be left; more than one level of any recursion here takes.
const RED_ZONE: usize = 128 << 10;
/// Stack that is added at once.
const SEGMENT: usize = 1 << 20;

/// Runs `f`, on a new piece of stack where little of the old one is left.
pub fn ensure<T>(f: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(RED_ZONE, SEGMENT, f)
}
