//! What the targets share: the input lies in a file, and one of the readers is shown it.

#[path = "../../tests/support/readers.rs"]
mod readers;

use readers::{READERS, Reader, beside};
use std::path::PathBuf;
use std::sync::OnceLock;

/// Shows these bytes to a reader. That it panics, hangs, or takes more memory than it may is for libFuzzer to see.
pub fn read(name: &str, bytes: &[u8]) {
    static READER: OnceLock<(&Reader, PathBuf)> = OnceLock::new();
    let (reader, input) = READER.get_or_init(|| {
        let reader = READERS.iter().find(|reader| reader.name == name).expect("a reader of that name");
        // One for each process: libFuzzer may start several.
        let root = std::env::temp_dir().join(format!("limbeck-fuzz-{}", std::process::id()));
        (reader, beside(&root, reader))
    });
    std::fs::write(input, bytes).expect("the input can be written");
    (reader.read)(input);
}
