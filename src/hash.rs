//! FNV-1a, 64 bits: tells files, data and settings apart. It is no defence against whoever wants two to look alike.

/// The hash of nothing.
pub(crate) const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The hash of `bytes`.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    extend(EMPTY, bytes)
}

/// `hash`, continued with `bytes`.
pub(crate) fn extend(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |h, &b| extend_word(h, u64::from(b)))
}

/// `hash`, continued with a whole word at once, which is faster and another hash than that of the word's bytes.
pub(crate) fn extend_word(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(PRIME)
}

/// `hash`, continued with `bytes`, eight at once and the rest one by one: for much at a time. Another hash than [`extend`]'s.
#[cfg(any(test, feature = "train"))]
pub(crate) fn extend_words(hash: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    extend(words.iter().fold(hash, |h, word| extend_word(h, u64::from_le_bytes(*word))), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the algorithm's authors (Fowler, Noll, Vo: <http://www.isthe.com/chongo/tech/comp/fnv/>).
    #[test]
    fn equals_the_published_values() {
        assert_eq!(fnv1a(b""), EMPTY);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(extend(fnv1a(b"foo"), b"bar"), fnv1a(b"foobar"));
        assert_eq!(extend_words(EMPTY, b"foobar"), fnv1a(b"foobar"));
        let nine = extend(extend_word(EMPTY, u64::from_le_bytes(*b"12345678")), b"9");
        assert_eq!(extend_words(EMPTY, b"123456789"), nine);
    }
}
