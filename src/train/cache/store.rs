//! The file of one teacher's answers: a header, then records of one size, each with its key and a checksum.
//!
//! Records are only ever appended, so that whatever a crash leaves is a whole number of records and at most one torn one, which is
//! cut off when the file is opened again.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::encoding::Part;
use crate::data::augment::Draw;
use crate::files;
use crate::hash;
use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"limbeckU";
/// Of files whose checksums did not cover the keys.
const EARLIER: &[u8; 8] = b"limbeckT";

/// Which picture an answer is about: the sample, and how it was varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub sample: u32,
    pub dx: i32,
    pub dy: i32,
    pub flip: u32,
}

impl Key {
    pub(crate) fn of(sample: u32, draw: &Draw) -> Self {
        Key { sample, dx: draw.dx, dy: draw.dy, flip: draw.flip }
    }

    pub(crate) fn draw(&self) -> Draw {
        Draw { dx: self.dx, dy: self.dy, flip: self.flip, ..Draw::default() }
    }

    fn bytes(&self) -> [u8; 16] {
        let words = [self.sample, self.dx as u32, self.dy as u32, self.flip];
        let mut bytes = [0; 16];
        bytes.chunks_exact_mut(4).zip(words).for_each(|(b, w)| b.copy_from_slice(&w.to_le_bytes()));
        bytes
    }

    fn read(bytes: &[u8]) -> Self {
        let word = |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        Key { sample: word(0), dx: word(4) as i32, dy: word(8) as i32, flip: word(12) }
    }
}

/// Far beyond what any network says of one image; record sizes of what is below them are no larger than a file can be.
const MOST_VALUES: usize = 1 << 28;
const MOST_PARTS: usize = 1 << 12;

/// What a file is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Hash of the data set.
    pub data: String,
    /// Hash of the teacher's file.
    pub teacher: String,
    /// The tasks it knows.
    pub tasks: Vec<String>,
    /// Pictures it was shown at once: which kernels it ran on, and so the last bits of its answers, depend on that.
    pub batch: usize,
    /// What is kept of each answer.
    pub parts: Vec<Part>,
}

impl Header {
    /// Bytes of a record: key, checksum, answers.
    pub(crate) fn record(&self) -> usize {
        20 + self.parts.iter().map(Part::bytes).sum::<usize>()
    }

    /// Whether answers of these sizes can be those of a network.
    fn is_sound(&self) -> bool {
        let most = |part: &Part| part.len <= MOST_VALUES && part.k <= part.len;
        self.parts.len() <= MOST_PARTS && self.parts.iter().all(most)
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        let text = crate::checkpoint::to_json(self)?;
        Ok([&MAGIC[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat())
    }
}

/// An open file.
pub(crate) struct Store {
    pub header: Header,
    path: PathBuf,
    file: File,
    start: u64,
    places: HashMap<Key, u64>,
    count: u64,
    most: u64,
}

impl Store {
    /// The file at `path`, or a new one, for `header`; it grows to `limit` bytes at most.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] for a file that is no cache or another's.
    pub(crate) fn open(path: &Path, header: Header, limit: u64) -> Result<Self> {
        let start = header.bytes()?;
        if !path.exists() || starts_with(path, EARLIER)? {
            files::write_atomic(path, &start)?;
        }
        let found = Self::existing(path, limit)?;
        match found.header == header {
            true => Ok(found),
            false => Err(Error::data(path, "header", "is a cache of other answers; remove it")),
        }
    }

    /// The file at `path`, which must be there.
    pub(crate) fn existing(path: &Path, limit: u64) -> Result<Self> {
        let fail = |action: &'static str| move |e| Error::io(path, action, e);
        let strange = || Error::data(path, "header", "is no cache of teachers' answers; remove it");
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(fail("open"))?;
        let mut head = [0; 12];
        file.read_exact(&mut head).map_err(|_| strange())?;
        let len = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as u64;
        let whole = file.metadata().map_err(fail("read"))?.len();
        if &head[..8] == EARLIER {
            return Err(Error::data(
                path,
                "header",
                "was written by an earlier version; remove it, and it will be made again",
            ));
        }
        if &head[..8] != MAGIC || 12 + len > whole {
            return Err(strange());
        }
        let mut text = vec![0; len as usize];
        file.read_exact(&mut text).map_err(fail("read"))?;
        let header: Header = serde_json::from_slice(&text).map_err(|_| strange())?;
        if !header.is_sound() {
            return Err(strange());
        }
        let (start, record) = (12 + len, header.record() as u64);
        let count = (whole - start) / record;
        if start + count * record != whole {
            files::shorten(&file, path, start + count * record).map_err(fail("shorten"))?;
        }
        let most = limit.saturating_sub(start) / record;
        let mut store = Store { header, path: path.to_path_buf(), file, start, places: HashMap::new(), count: 0, most };
        // Keys alone are read now; answers when they are asked for.
        for i in 0..count {
            let key = Key::read(&store.read(i, 16)?);
            store.places.insert(key, i);
        }
        store.count = count;
        Ok(store)
    }

    fn read(&mut self, record: u64, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let place = self.start + record * self.header.record() as u64;
        let read = self.file.seek(SeekFrom::Start(place)).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|e| Error::io(&self.path, "read", e))?;
        Ok(bytes)
    }

    /// Records there may be.
    pub(crate) fn most(&self) -> u64 {
        self.most
    }

    /// Records there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.places.contains_key(key)
    }

    /// Every key, in order.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.places.keys().copied().collect();
        keys.sort();
        keys
    }

    /// The answers about `key`, one row a part.
    ///
    /// # Errors
    /// [`Error::Data`] where the record is damaged.
    pub(crate) fn get(&mut self, key: &Key) -> Result<Option<Vec<Vec<f32>>>> {
        let Some(&place) = self.places.get(key) else { return Ok(None) };
        let bytes = self.read(place, self.header.record())?;
        let sum = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
        if sum != checksum(&bytes[..16], &bytes[20..]) || Key::read(&bytes) != *key {
            let message = "is damaged; remove the file, and it will be made again";
            return Err(Error::data(&self.path, format!("record {place}"), message));
        }
        let (mut at, mut rows) = (20, Vec::new());
        for part in &self.header.parts {
            rows.push(part.decode(&bytes[at..]));
            at += part.bytes();
        }
        Ok(Some(rows))
    }

    /// Keeps the answers about `key`; false where there is no room.
    pub(crate) fn put(&mut self, key: Key, rows: &[&[f32]]) -> Result<bool> {
        if self.has(&key) {
            return Ok(true);
        }
        if self.count >= self.most {
            return Ok(false);
        }
        let mut answers = Vec::new();
        self.header.parts.iter().zip(rows).for_each(|(part, row)| part.encode(row, &mut answers));
        let record = [&key.bytes()[..], &checksum(&key.bytes(), &answers).to_le_bytes(), &answers].concat();
        let place = self.start + self.count * record.len() as u64;
        let written =
            self.file.seek(SeekFrom::Start(place)).and_then(|_| files::write_all(&mut self.file, &self.path, &record));
        written.map_err(|e| Error::io(&self.path, "append to", e))?;
        self.places.insert(key, self.count);
        self.count += 1;
        Ok(true)
    }
}

/// Of a record's key and its answers: an answer about another picture is as wrong as another answer.
fn checksum(key: &[u8], answers: &[u8]) -> u32 {
    let hash = hash::extend(hash::fnv1a(key), answers);
    (hash ^ (hash >> 32)) as u32
}

fn starts_with(path: &Path, magic: &[u8; 8]) -> Result<bool> {
    let mut head = [0; 8];
    let mut file = File::open(path).map_err(|e| Error::io(path, "open", e))?;
    // A file that is too short is told of where it is read.
    Ok(file.read_exact(&mut head).is_ok() && head == *magic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Storage;
    use std::io::Write;

    fn header() -> Header {
        let part = |name: &str, len| Part { name: name.into(), len, storage: Storage::F32, k: 0 };
        Header {
            data: "d".into(),
            teacher: "t".into(),
            tasks: vec!["a".into()],
            batch: 2,
            parts: vec![part("logits 0", 3), part("layer1", 2)],
        }
    }

    fn key(sample: u32, dx: i32) -> Key {
        Key { sample, dx, dy: -1, flip: 0 }
    }

    #[test]
    fn what_was_kept_is_found_again_and_the_limit_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cache");
        let limit = header().bytes().unwrap().len() as u64 + 2 * header().record() as u64 + 5;
        let mut store = Store::open(&path, header(), limit).unwrap();
        assert_eq!(store.most(), 2);
        let rows: [&[f32]; 2] = [&[1.0, 2.0, 3.0], &[-4.0, 0.5]];
        assert!(store.put(key(1, 2), &rows).unwrap() && store.put(key(1, -2), &[&[0.0; 3], &[0.0; 2]]).unwrap());
        assert!(!store.put(key(2, 0), &rows).unwrap() && store.put(key(1, 2), &rows).unwrap());
        drop(store);
        // A torn record at the end is cut off.
        OpenOptions::new().append(true).open(&path).unwrap().write_all(&[7; 11]).unwrap();
        let mut store = Store::open(&path, header(), limit).unwrap();
        assert_eq!((store.count(), store.keys()), (2, vec![key(1, -2), key(1, 2)]));
        assert_eq!(store.get(&key(1, 2)).unwrap().unwrap(), rows.map(<[f32]>::to_vec));
        assert_eq!(store.get(&key(3, 2)).unwrap(), None);
    }

    #[test]
    fn damage_and_strangers_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cache");
        let mut store = Store::open(&path, header(), 1 << 20).unwrap();
        store.put(key(0, 0), &[&[1.0; 3], &[1.0; 2]]).unwrap();
        drop(store);
        let other = Header { teacher: "u".into(), ..header() };
        assert!(Store::open(&path, other, 1 << 20).err().unwrap().to_string().contains("other answers"));
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let error = Store::open(&path, header(), 1 << 20).unwrap().get(&key(0, 0)).unwrap_err().to_string();
        assert!(error.contains("record 0") && error.contains("damaged"), "{error}");
        bytes[last] ^= 1;
        // Its key says that it is about another picture.
        let key_at = bytes.len() - header().record();
        bytes[key_at] = 5;
        std::fs::write(&path, &bytes).unwrap();
        let mut store = Store::open(&path, header(), 1 << 20).unwrap();
        assert!(store.get(&key(5, 0)).unwrap_err().to_string().contains("damaged"));
        assert_eq!(store.get(&key(0, 0)).unwrap(), None);
        // Sizes beyond all networks.
        let part = |len| Part { name: "logits 0".into(), len, storage: Storage::F32, k: 0 };
        for parts in [vec![part(usize::MAX)], vec![part(1); 5000]] {
            std::fs::write(&path, Header { parts, ..header() }.bytes().unwrap()).unwrap();
            assert!(Store::existing(&path, 1 << 20).err().unwrap().to_string().contains("no cache"));
        }
        // One of an earlier version is made again.
        let mut earlier = header().bytes().unwrap();
        earlier[..8].copy_from_slice(EARLIER);
        std::fs::write(&path, &earlier).unwrap();
        assert!(Store::existing(&path, 1 << 20).err().unwrap().to_string().contains("earlier version"));
        assert_eq!(Store::open(&path, header(), 1 << 20).unwrap().count(), 0);
        std::fs::write(&path, b"nonsense that is long enough").unwrap();
        assert!(Store::existing(&path, 1 << 20).err().unwrap().to_string().contains("no cache"));
    }
}
