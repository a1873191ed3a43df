//! IDX, the format of MNIST (LeCun, Cortes & Burges 1998), plain or gzipped; told apart by content, not by name.
//!
//! A file is a big-endian header (two zero bytes, a type, a number of dimensions, each dimension as u32) and the values in
//! row-major order. Images are unsigned bytes in three dimensions (magic `00 00 08 03`), labels in one (`00 00 08 01`).

use crate::{
    Error, Result,
    data::{Dataset, Images, Labels, Split, Task, split},
};
use flate2::read::MultiGzDecoder;
use std::{
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::{Path, PathBuf},
};

/// Deflate shrinks at most 1032 to 1; a header that promises more than that of its file is lying.
const MAX_RATIO: u64 = 1032;

/// The four files of a data set with its own test part, and its task.
#[derive(Debug, Clone)]
pub struct Files {
    /// Training images.
    pub train_images: PathBuf,
    /// Training labels.
    pub train_labels: PathBuf,
    /// Test images.
    pub test_images: PathBuf,
    /// Test labels.
    pub test_labels: PathBuf,
    /// The task's name.
    pub task: String,
    /// The classes' names. `None`: `0`, `1`, … up to the largest training label, all of which must then occur.
    pub classes: Option<Vec<String>>,
    /// Whether a mirrored image keeps its label.
    pub flip: bool,
}

/// Reads the four files; the test files become the test split, validation is cut from train (`val_fraction` of it,
/// stratified, by `split_seed`).
pub fn load(name: &str, files: &Files, val_fraction: f64, split_seed: u64) -> Result<Dataset> {
    let train = read_split(&files.train_images, &files.train_labels)?;
    let test = read_split(&files.test_images, &files.test_labels)?;
    let size = |s: &Split| (s.images.height, s.images.width);
    if size(&train) != size(&test) {
        let ((h, w), (th, tw)) = (size(&test), size(&train));
        let message = format!("its images are {h}x{w}, those of {} are {th}x{tw}", files.train_images.display());
        return Err(Error::data(&files.test_images, "byte 8", message));
    }
    let classes = match &files.classes {
        Some(names) => names.clone(),
        None => infer_classes(&files.train_labels, train.labels[0].classes())?,
    };
    check_labels(&files.train_labels, train.labels[0].classes(), classes.len())?;
    check_labels(&files.test_labels, test.labels[0].classes(), classes.len())?;
    let task = Task { flip: files.flip, ..Task::class(&files.task, classes) };
    split::with_own_test(name, task, train, test, val_fraction, split_seed)
}

/// Images and their labels, equal in number.
pub fn read_split(images: &Path, labels: &Path) -> Result<Split> {
    // What the headers say is compared before memory is taken for either.
    let (pixels, values) = (Opened::new(images, 3, "images")?, Opened::new(labels, 1, "labels")?);
    let (count, known) = (pixels.dims[0], values.dims[0]);
    if count != known {
        let message = format!("{known} labels, but {} holds {count} images; are they a pair?", images.display());
        return Err(Error::data(labels, "byte 4", message));
    }
    let (pixels, values) = (pixels.images()?, values.labels()?);
    Ok(Split { images: pixels, labels: vec![Labels::Class(values)], files: Vec::new(), originals: None })
}

/// An image file: `[count, height, width, 1]`.
pub fn read_images(path: &Path) -> Result<Images> {
    Opened::new(path, 3, "images")?.images()
}

/// A label file. Whether the labels are in range is for [`load`] to say, which knows the classes.
pub fn read_labels(path: &Path) -> Result<Vec<u32>> {
    Opened::new(path, 1, "labels")?.labels()
}

fn infer_classes(path: &Path, labels: &[u32]) -> Result<Vec<String>> {
    let count = labels.iter().max().map_or(0, |&m| m as usize + 1);
    let mut seen = vec![false; count];
    labels.iter().for_each(|&l| seen[l as usize] = true);
    if let Some(gap) = seen.iter().position(|s| !s) {
        let largest = count as u32 - 1;
        let record = labels.iter().position(|&l| l == largest).unwrap_or(0);
        let message = format!(
            "label {largest}, but no record has label {gap}: the file is damaged, or some classes have no image \
             (then name all classes with `classes = [...]`)"
        );
        return Err(Error::data(path, format!("record {record}"), message));
    }
    Ok((0..count).map(|c| c.to_string()).collect())
}

fn check_labels(path: &Path, labels: &[u32], classes: usize) -> Result<()> {
    match labels.iter().position(|&l| l as usize >= classes) {
        Some(i) => {
            let message = format!(
                "label {} is out of range: there are {classes} classes, 0 to {}",
                labels[i],
                classes.max(1) - 1
            );
            Err(Error::data(path, format!("record {i}"), message))
        }
        None => Ok(()),
    }
}

/// A file whose header has been read, and found to promise no more than the file's length allows.
struct Opened<'a> {
    /// Of the images or labels, `rank` numbers.
    dims: Vec<usize>,
    source: Source<'a>,
    what: &'static str,
}

impl<'a> Opened<'a> {
    fn new(path: &'a Path, rank: usize, what: &'static str) -> Result<Self> {
        let mut file = File::open(path).map_err(|e| Error::io(path, "read", e))?;
        let io = |e| Error::io(path, "read", e);
        let metadata = file.metadata().map_err(io)?;
        if metadata.is_dir() {
            return Err(Error::data(path, "", format!("this is a folder; expected an IDX file of {what}")));
        }
        let mut start = Vec::new();
        file.by_ref().take(2).read_to_end(&mut start).map_err(io)?;
        file.rewind().map_err(io)?;
        let zipped = start == [0x1f, 0x8b];
        let file = BufReader::with_capacity(1 << 16, file);
        let mut source = Source {
            path,
            reader: if zipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) },
            zipped,
            at: 0,
        };
        check_magic(path, &source.take(4, "its header")?, rank, what)?;
        let header = source.take(4 * rank, "its header")?;
        let dims: Vec<usize> =
            header.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();
        if let Some(d) = dims.iter().position(|&d| d == 0) {
            let message = if d == 0 { format!("the file holds no {what}") } else { "images of zero size".into() };
            return Err(Error::data(path, format!("byte {}", 4 + 4 * d), message));
        }
        let shown = shown(&dims);
        let expected = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let packed = metadata.len().saturating_sub(if zipped { 0 } else { source.at as u64 });
        let room = packed.saturating_mul(if zipped { MAX_RATIO } else { 1 });
        if expected.is_none_or(|n| n as u64 > room) {
            let (at, has) = match zipped {
                true => (4, "far more than it can hold".into()),
                false => (metadata.len(), format!("but ends here, with {packed} of them")),
            };
            let message = format!(
                "the header promises {shown} bytes of {what}, {has}: truncated or damaged, fetch the file again"
            );
            return Err(Error::data(path, format!("byte {at}"), message));
        }
        Ok(Opened { dims, source, what })
    }

    /// The values, and that nothing follows them.
    fn values(mut self) -> Result<Vec<u8>> {
        // Found to be a number when the file was opened.
        let expected = self.dims.iter().product();
        let values = self.source.take(expected, &format!("its {} {}", shown(&self.dims), self.what))?;
        self.source.finish()?;
        Ok(values)
    }

    fn images(self) -> Result<Images> {
        let [count, height, width] = self.dims[..] else {
            return Err(Error::data(self.source.path, "byte 0", "holds no images"));
        };
        Ok(Images { pixels: self.values()?, count, height, width, channels: 1 })
    }

    fn labels(self) -> Result<Vec<u32>> {
        Ok(self.values()?.into_iter().map(u32::from).collect())
    }
}

fn shown(dims: &[usize]) -> String {
    dims.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}

fn check_magic(path: &Path, magic: &[u8], rank: usize, what: &str) -> Result<()> {
    let bad = |m: String| Err(Error::data(path, "byte 0", m));
    match *magic {
        [0, 0, 8, r] if r as usize == rank => Ok(()),
        [0, 0, 8, 1] => bad(format!("this is an IDX file of labels, expected {what}; are the two files swapped?")),
        [0, 0, 8, 3] => bad(format!("this is an IDX file of images, expected {what}; are the two files swapped?")),
        [0, 0, 8, r] => bad(format!("an IDX file of {r} dimensions; {what} have {rank}")),
        [0, 0, 9 | 11..=14, _] => bad(format!("an IDX file whose values are not unsigned bytes; {what} must be")),
        [a, b, c, d] => bad(format!(
            "not an IDX file: it starts with {a:02x} {b:02x} {c:02x} {d:02x}, expected 00 00 08 {rank:02x} or a gzipped file of that"
        )),
        _ => bad("not an IDX file".into()),
    }
}

struct Source<'a> {
    path: &'a Path,
    reader: Box<dyn Read>,
    zipped: bool,
    /// Bytes read so far, after decompression.
    at: usize,
}

impl Source<'_> {
    /// Exactly `n` bytes, or what is missing and where.
    fn take(&mut self, n: usize, what: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(n).is_err() {
            return Err(Error::data(self.path, "byte 4", format!("{n} bytes for {what} do not fit in memory")));
        }
        let end = self.reader.by_ref().take(n as u64).read_to_end(&mut bytes);
        self.at += bytes.len();
        end.map_err(|e| self.broken(e))?;
        if bytes.len() < n {
            let message = format!("the file ends here, in the middle of {what}; it is truncated, fetch it again");
            return Err(Error::data(self.path, self.place(), message));
        }
        Ok(bytes)
    }

    /// Nothing may follow; reading past the end is also what makes gzip compare its checksum.
    fn finish(mut self) -> Result<()> {
        let mut more = [0u8; 1];
        match self.reader.read(&mut more) {
            Ok(0) => Ok(()),
            Ok(_) => {
                Err(Error::data(self.path, self.place(), "the file goes on after the last value the header promises"))
            }
            Err(e) => Err(self.broken(e)),
        }
    }

    fn place(&self) -> String {
        format!("byte {}{}", self.at, if self.zipped { " (unpacked)" } else { "" })
    }

    fn broken(&self, error: io::Error) -> Error {
        match (self.zipped, error.kind()) {
            (true, io::ErrorKind::UnexpectedEof) => Error::data(
                self.path,
                self.place(),
                "the gzip stream breaks off; the file is truncated, fetch it again",
            ),
            (true, io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Error::data(
                self.path,
                self.place(),
                format!("the gzip stream is damaged ({error}); fetch the file again"),
            ),
            _ => Error::io(self.path, "read", error),
        }
    }
}
