//! A hash in a file's own text, so that a bit that has changed is found when the file is read, and not in what it leads to.

use std::path::Path;

use crate::hash;
use crate::{Error, Result};

const START: &str = "{\"hash\":\"";
const DIGITS: usize = 16;
const END: &str = "\",";

/// `text`, a JSON object with entries, and as its first entry the hash of them and of what lies `beside` it.
pub(crate) fn seal(text: &str, beside: u64) -> String {
    let entries = text.strip_prefix('{').unwrap_or(text);
    format!("{START}{:016x}{END}{entries}", hash::extend(beside, text.as_bytes()))
}

/// What [`seal`] was given; a text without a hash, as earlier versions wrote it, as it is.
///
/// # Errors
/// [`Error::Checkpoint`] where the hash is not that of the text and what lies `beside` it.
pub(crate) fn unseal(path: &Path, text: &str, beside: u64) -> Result<String> {
    let parts = text.strip_prefix(START).and_then(|rest| rest.split_at_checked(DIGITS));
    let Some((found, entries)) = parts.and_then(|(hash, rest)| Some((hash, rest.strip_prefix(END)?))) else {
        return Ok(text.to_string());
    };
    let own = format!("{{{entries}");
    match format!("{:016x}", hash::extend(beside, own.as_bytes())) == found {
        true => Ok(own),
        false => Err(Error::checkpoint(
            path,
            "is damaged: it has changed since it was written, as its hash shows; restore a copy, or delete it to start over",
        )),
    }
}

/// The hash of tensors: their names, shapes and bytes, in the order of their names.
pub(crate) fn digest(mut tensors: Vec<(&str, &[usize], &[u8])>) -> u64 {
    tensors.sort_by_key(|(name, ..)| *name);
    tensors.iter().fold(hash::EMPTY, |hash, (name, shape, bytes)| {
        let named = hash::extend_word(hash::extend(hash, name.as_bytes()), shape.len() as u64);
        let shaped = shape.iter().fold(named, |hash, n| hash::extend_word(hash, *n as u64));
        hash::extend_words(shaped, bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_shows() {
        let path = Path::new("state.json");
        let text = r#"{"data":"1f","sums":[0.5,1e-3]}"#;
        let sealed = seal(text, 7);
        assert!(sealed.starts_with(START) && sealed.ends_with(&text[1..]), "{sealed}");
        assert_eq!(unseal(path, &sealed, 7).unwrap(), text);
        // Other tensors beside it.
        assert!(unseal(path, &sealed, 8).is_err());
        for i in START.len()..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[i] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            // Where the entry is no longer one, what stands behind it is what was stored, or no JSON.
            match unseal(path, &changed, 7) {
                Err(error) => {
                    assert!(error.to_string().contains("state.json") && error.to_string().contains("damaged"))
                }
                Ok(other) => assert!(i >= START.len() + DIGITS && other.starts_with(START), "byte {i}: {other}"),
            }
        }
        assert_eq!(unseal(path, text, 7).unwrap(), text);
    }

    #[test]
    fn tensors_differ_by_name_shape_and_every_bit() {
        let bytes: Vec<u8> = (0..24).collect();
        let own = digest(vec![("a", &[2, 3], &bytes), ("b", &[1], &bytes[..4])]);
        assert_eq!(own, digest(vec![("b", &[1], &bytes[..4]), ("a", &[2, 3], &bytes)]));
        assert_ne!(own, digest(vec![("b", &[1], &bytes[..4]), ("a", &[3, 2], &bytes)]));
        assert_ne!(own, digest(vec![("c", &[1], &bytes[..4]), ("a", &[2, 3], &bytes)]));
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(own, digest(vec![("a", &[2, 3], &flipped), ("b", &[1], &bytes[..4])]), "bit {bit}");
        }
    }
}
