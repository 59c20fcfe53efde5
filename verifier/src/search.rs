//! A search for bytes, eight at a time. The standard library's takes much code or much time in WASM.

/// Counts the bytes before the first one that is less than `limit`, at most 128, or one of `others`.
// Out of line: inlined copies would enlarge the WASM module.
#[inline(never)]
pub(crate) fn count_before(bytes: &[u8], limit: u8, others: [u8; 2]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH_BITS: u64 = ONES << 7;
    // A subtraction sets the highest bit of a byte if the bit was clear and the byte is less. Its
    // borrow falsifies only higher bytes, and the first mark is right.
    let less = |word: u64, than: u8| word.wrapping_sub(ONES * u64::from(than)) & !word & HIGH_BITS;
    let equal = |word: u64, byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
    // Returns 8 if no byte of the word is special.
    let first_in = |word: u64| {
        let [one, other] = others.map(|byte| equal(word, byte));
        (less(word, limit) | one | other).trailing_zeros() as usize / 8
    };

    let (words, rest) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let first = first_in(u64::from_le_bytes(*word));
        if first < 8 {
            return 8 * index + first;
        }
    }
    // Zeros follow the last bytes.
    let last = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    8 * words.len() + first_in(last).min(rest.len())
}
