//! One opener for all files of text: byte-order marks, UTF-16, and the encoding that an XML file declares.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use std::cell::Cell;
use std::path::Path;

use crate::{Error, Result};

/// A file's text.
///
/// # Errors
/// [`Error::Io`]; [`Error::Data`] for bytes that the encoding does not allow, of UTF-8 with their line.
pub(crate) fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    decode(path, bytes)
}

/// The text of `bytes`; `path` is only named in errors.
pub(crate) fn decode(path: &Path, bytes: Vec<u8>) -> Result<String> {
    // What an XML file declares is not always true; hardly any other text is UTF-8 by chance.
    let plain = || if std::str::from_utf8(&bytes).is_ok() { UTF_8 } else { unmarked(&bytes) };
    let wide = bytes.contains(&0);
    let (encoding, mark) =
        Encoding::for_bom(&bytes).unwrap_or_else(|| (if wide { unmarked(&bytes) } else { plain() }, 0));
    if encoding == UTF_8 {
        let text = String::from_utf8(bytes);
        let invalid = |e: std::string::FromUtf8Error| {
            let message = "is no text in UTF-8; save it as UTF-8, or as UTF-16 with a byte-order mark";
            let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            Error::data(path, format!("line {line}"), message)
        };
        return text.map(|mut text| text.split_off(mark)).map_err(invalid);
    }
    let text = encoding.decode_without_bom_handling_and_without_replacement(&bytes[mark..]);
    let invalid = || Error::data(path, "", format!("is no text in {}, as it says it is", encoding.name()));
    text.map(|text| text.into_owned()).ok_or_else(invalid)
}

/// The encoding of a file without a mark: UTF-16 where XML or JSON begins with it, what XML declares, else UTF-8.
fn unmarked(bytes: &[u8]) -> &'static Encoding {
    let head = &bytes[..bytes.len().min(256)];
    match head {
        [0, b'<', ..] | [0, b'{', ..] | [0, b'[', ..] => return UTF_16BE,
        [b'<' | b'{' | b'[', 0, ..] => return UTF_16LE,
        _ => {}
    }
    let text = String::from_utf8_lossy(head);
    let declared = text.trim_start().strip_prefix("<?xml").and_then(|rest| {
        let rest = rest.split_once("?>")?.0;
        let rest = rest.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        Encoding::for_label(rest[1..].split(quote).next()?.as_bytes())
    });
    // What could be read so far is not in UTF-16, whatever it says.
    declared.filter(|encoding| *encoding != UTF_16LE && *encoding != UTF_16BE).unwrap_or(UTF_8)
}

/// Counts lines up to the records of a table, which come in the order of the text.
pub(crate) struct Lines<'a> {
    text: &'a [u8],
    /// How far was counted, and the line there.
    at: Cell<(usize, usize)>,
}

impl<'a> Lines<'a> {
    /// Of this text.
    pub(crate) fn new(text: &'a str) -> Self {
        Lines { text: text.as_bytes(), at: Cell::new((0, 1)) }
    }

    /// The line at which a record begins, from 1 on, whether lines end in LF or CRLF; empty lines before it are not its own.
    pub(crate) fn of(&self, position: Option<&csv::Position>) -> usize {
        let start = position.map_or(0, |p| p.byte() as usize).min(self.text.len());
        let start = start + self.text[start..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let (from, line) = if self.at.get().0 <= start { self.at.get() } else { (0, 1) };
        let line = line + self.text[from..start].iter().filter(|b| **b == b'\n').count();
        self.at.set((start, line));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> std::result::Result<String, String> {
        decode(Path::new("labels.txt"), bytes.to_vec()).map_err(|e| e.to_string())
    }

    #[test]
    fn marks_and_declarations_are_heeded() {
        let utf16 = |text: &str, big: bool| -> Vec<u8> {
            text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
        };
        assert_eq!(text("caf\u{e9}".as_bytes()).unwrap(), "caf\u{e9}");
        assert_eq!(text(b"\xef\xbb\xbf0 1").unwrap(), "0 1");
        assert_eq!(text(&[b"\xff\xfe".to_vec(), utf16("0 \u{e9}", false)].concat()).unwrap(), "0 \u{e9}");
        assert_eq!(text(&[b"\xfe\xff".to_vec(), utf16("0 \u{e9}", true)].concat()).unwrap(), "0 \u{e9}");
        assert_eq!(text(&utf16("{\"a\": 1}", false)).unwrap(), "{\"a\": 1}");
        assert_eq!(text(&utf16("<a/>", true)).unwrap(), "<a/>");
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>caf\xe9</a>";
        assert!(text(latin).unwrap().ends_with("caf\u{e9}</a>"));
        // Declarations that cannot be true.
        assert!(
            text("<?xml version='1.0' encoding='GBK'?><a>caf\u{e9}</a>".as_bytes()).unwrap().ends_with("caf\u{e9}</a>")
        );
        assert_eq!(text(b"<?xml version=\"1.0\" encoding=\"UTF-16\"?><a/>").unwrap().len(), 43);
        assert_eq!(text(b"").unwrap(), "");
    }

    #[test]
    fn what_is_no_text_is_named_with_its_place() {
        let told = text(b"ab\nc\xff").unwrap_err();
        assert!(told.contains("labels.txt, line 2") && told.contains("UTF-8"), "{told}");
        let told = text(b"\xff\xfe\x00\xd8").unwrap_err();
        assert!(told.contains("UTF-16LE"), "{told}");
    }
}
