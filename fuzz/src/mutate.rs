//! Random changes to inputs. The same seed gives the same inputs.

use norn_log::memory::Dice;

use crate::Target;

const NUMBERS: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 32, i64::MAX as u64, u64::MAX];

/// A new input for `target`, made of those in `pool`.
pub fn next(target: &Target, pool: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = pick(pool, dice).to_vec();
    // Mostly a few changes: many at once hardly ever leave anything to understand.
    let changes = 1 + dice.below(4) * dice.below(4);
    for _ in 0..changes {
        change(target, pool, &mut bytes, dice);
    }
    bytes.truncate(target.max_len);
    bytes
}

fn pick<'a>(pool: &'a [Vec<u8>], dice: &mut Dice) -> &'a [u8] {
    match pool.len() {
        0 => &[],
        n => &pool[dice.below(n as u64) as usize],
    }
}

/// A position in `0..=len`.
fn place(len: usize, dice: &mut Dice) -> usize {
    dice.below(len as u64 + 1) as usize
}

fn change(target: &Target, pool: &[Vec<u8>], bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = place(bytes.len(), dice);
    match dice.below(if target.dictionary.is_empty() { 9 } else { 14 }) {
        0 => bytes.get_mut(at).map_or((), |b| *b ^= 1 << dice.below(8)),
        1 => bytes.get_mut(at).map_or((), |b| *b = dice.below(256) as u8),
        2 => bytes.insert(at, dice.below(256) as u8),
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(at..(at + 1 + dice.below(8) as usize).min(bytes.len()).max(at))),
        5 => overwrite(bytes, at, dice),
        6 => varint(bytes, at, dice),
        7 => copy_within(bytes, at, dice),
        8 => splice(bytes, pick(pool, dice), at, dice),
        _ => {
            let word = target.dictionary[dice.below(target.dictionary.len() as u64) as usize];
            bytes.splice(at..at, word.bytes());
        }
    }
}

/// Puts a number of 1, 2, 4 or 8 bytes, either way round.
fn overwrite(bytes: &mut [u8], at: usize, dice: &mut Dice) {
    let number = NUMBERS[dice.below(NUMBERS.len() as u64) as usize];
    let len = 1usize << dice.below(4);
    let mut raw = number.to_le_bytes()[..len].to_vec();
    if dice.below(2) == 0 {
        raw.reverse();
    }
    if let Some(slot) = bytes.get_mut(at..at + len) {
        slot.copy_from_slice(&raw);
    }
}

/// Inserts a number as protobuf does.
fn varint(bytes: &mut Vec<u8>, at: usize, dice: &mut Dice) {
    let number = NUMBERS[dice.below(NUMBERS.len() as u64) as usize];
    let mut raw = Vec::new();
    norn_codec::varint::put_uvarint(&mut raw, number);
    bytes.splice(at..at, raw);
}

/// Doubles a piece, here or elsewhere.
fn copy_within(bytes: &mut Vec<u8>, at: usize, dice: &mut Dice) {
    let end = (at + 1 + dice.below(64) as usize).min(bytes.len());
    let piece = bytes[at.min(end)..end].to_vec();
    let to = place(bytes.len(), dice);
    bytes.splice(to..to, piece);
}

/// Goes on as another input does.
fn splice(bytes: &mut Vec<u8>, other: &[u8], at: usize, dice: &mut Dice) {
    bytes.truncate(at);
    bytes.extend_from_slice(&other[place(other.len(), dice)..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_differ_and_can_be_made_again() {
        for target in crate::TARGETS {
            let pool = (target.seeds)();
            let run = |seed| {
                let mut dice = Dice::new(seed);
                (0..300).map(|_| next(target, &pool, &mut dice)).collect::<Vec<_>>()
            };
            let inputs = run(1);
            assert!(inputs == run(1) && inputs != run(2));
            assert!(inputs.iter().filter(|i| !pool.contains(i)).count() > 200, "{}", target.name);
        }
    }
}
