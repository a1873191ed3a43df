//! Files that nobody would write: sound ones in which something was changed at random. Whatever reads them gives an answer or an error, in
//! bounded time and memory, and never panics.
//!
//! `LIMBECK_FUZZ_SECONDS` says how long each test goes on (20), `LIMBECK_FUZZ_SEED` where it begins (the same place each time). The input
//! that was tried last lies in `target/tmp/fuzz/`, where it is found even if it ended the process, or in the folder that
//! `LIMBECK_FUZZ_FOLDER` names: one in memory is faster.

mod corpus;

use crate::memory::most_during;
use crate::readers::{READERS, beside};
use crate::support::setting;
use crate::{coco, labelme, masks, members, table, voc, yolo};
use corpus::corpus;
use limbeck::config::Config;
use limbeck::experiment;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// No input this small may take longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Nor more memory.
const MEMORY: usize = 256 << 20;

fn time_is_up(start: Instant) -> bool {
    start.elapsed().as_secs() >= setting("LIMBECK_FUZZ_SECONDS", 20)
}

fn rng(of: &str) -> ChaCha8Rng {
    let name = of.bytes().fold(0u64, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into()));
    ChaCha8Rng::seed_from_u64(setting("LIMBECK_FUZZ_SEED", 0).wrapping_add(name))
}

/// Words that stand at the edge of what a reader takes.
const WORDS: &[&str] = &[
    "0",
    "-1",
    "1e999",
    "NaN",
    "-0.0",
    "1e-300",
    "99999999999999999999",
    "18446744073709551615",
    "2147483648",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "[[[[",
    "}",
    "<a>",
    "</",
    "&x;",
    "..",
    "/",
    "\u{fffd}",
    "\0",
    "\n",
    "\r",
    ",",
    ";",
    "\t",
    "é",
    "1e30",
    "-1e30",
    "4294967296",
];

/// The bytes with something changed.
fn changed(sound: &[u8], others: &[Vec<u8>], rng: &mut impl Rng) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=bytes.len());
        let end = (at + rng.random_range(0..=16usize)).min(bytes.len());
        match rng.random_range(0..10) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = *[0, 1, 0x7f, 0x80, 0xfe, 0xff, b' ', b'"'].choose(rng).unwrap(),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let part = bytes[at..end].to_vec();
                let times = *[1usize, 2, 50].choose(rng).unwrap();
                bytes.splice(at..at, part.repeat(times));
            }
            5 | 6 => drop(bytes.splice(at..end, WORDS.choose(rng).unwrap().bytes())),
            // A number becomes another.
            7 => {
                let digit = (at..bytes.len()).find(|i| bytes[*i].is_ascii_digit());
                if let Some(start) = digit {
                    let length = bytes[start..].iter().take_while(|b| b.is_ascii_digit()).count();
                    bytes.splice(start..start + length, WORDS.choose(rng).unwrap().bytes());
                }
            }
            8 if bytes.len() >= 4 => {
                let at = rng.random_range(0..=bytes.len() - 4);
                let word = *[0u32, 1, 0xff, 0x7fff_ffff, 0x8000_0000, u32::MAX, 1 << 20].choose(rng).unwrap();
                bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
            }
            // The end of another file.
            9 if !others.is_empty() => {
                let other = others.choose(rng).unwrap();
                bytes.truncate(at);
                bytes.extend(&other[rng.random_range(0..=other.len())..]);
            }
            _ => bytes.insert(at, rng.random()),
        }
    }
    // Growing files would only become slow.
    bytes.truncate(sound.len() * 8 + 4096);
    bytes
}

/// What is read, by which thread, and since when.
static UNDER_WAY: Mutex<Vec<(ThreadId, Instant, PathBuf)>> = Mutex::new(Vec::new());

/// Ends the process, and tells of the input, where one takes much longer than it may: it may never come to its end.
fn watch() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let all = UNDER_WAY.lock().unwrap();
                if let Some((_, start, input)) = all.iter().find(|(_, start, _)| start.elapsed() > 3 * PATIENCE) {
                    eprintln!("after {:?} there is no answer yet; the input is {}", start.elapsed(), input.display());
                    std::process::abort();
                }
            }
        });
    });
}

/// Reads, and tells of what must not be; the most memory that it took.
fn survives(what: &str, input: &Path, read: impl FnOnce()) -> usize {
    watch();
    let (own, start) = (std::thread::current().id(), Instant::now());
    UNDER_WAY.lock().unwrap().push((own, start, input.to_path_buf()));
    let (outcome, most) = most_during(|| catch_unwind(AssertUnwindSafe(read)));
    UNDER_WAY.lock().unwrap().retain(|(thread, ..)| *thread != own);
    assert!(outcome.is_ok(), "{what} panicked; the input is {}", input.display());
    assert!(most <= MEMORY, "{what} took {} MB; the input is {}", most >> 20, input.display());
    assert!(start.elapsed() < PATIENCE, "{what} took {:?}; the input is {}", start.elapsed(), input.display());
    most
}

/// Inputs of one reader before it is the next one's turn, at least.
const TURN: u64 = 30;

/// What one reader has been shown.
struct Tally {
    name: &'static str,
    rng: ChaCha8Rng,
    tried: u64,
    accepted: u64,
    most: usize,
}

impl Tally {
    fn new(name: &'static str) -> Self {
        Tally { name, rng: rng(name), tried: 0, accepted: 0, most: 0 }
    }

    /// Whether there is one more input in a turn that began at `begun`. Readers have equal times: slow ones see fewer inputs.
    fn turn(&mut self, begun: Instant) -> bool {
        let more = !self.tried.is_multiple_of(TURN) || begun.elapsed() < Duration::from_millis(20);
        self.tried += u64::from(more);
        more
    }
}

/// A folder that outlives the process, without what an earlier one left there.
fn kept(name: &str) -> PathBuf {
    let root = std::env::var_os("LIMBECK_FUZZ_FOLDER").map(PathBuf::from);
    let folder = root.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn readers_of_single_files_survive_whatever_is_in_them() {
    let (root, corpus, start) = (kept("files"), corpus(), Instant::now());
    let others: Vec<Vec<u8>> = corpus.iter().flat_map(|(_, sound)| sound.clone()).collect();
    let sound: BTreeMap<&str, Vec<Vec<u8>>> = corpus.into_iter().collect();
    let readers: Vec<_> = READERS.iter().map(|reader| (reader, beside(&root, reader), &sound[reader.name])).collect();
    // Sound files are read; the rest would show nothing otherwise.
    let mut refused = Vec::new();
    for (reader, path, sound) in &readers {
        for (i, bytes) in sound.iter().enumerate() {
            fs::write(path, bytes).unwrap();
            if !(reader.read)(path) {
                refused.push(format!("file {i} of {}", reader.name));
            }
        }
    }
    assert!(refused.is_empty(), "sound files are refused: {}", refused.join(", "));
    // Each reader has its own numbers, so that what it is shown does not depend on how fast the others are.
    let mut tallies: Vec<Tally> = readers.iter().map(|(reader, ..)| Tally::new(reader.name)).collect();
    while !time_is_up(start) {
        for ((reader, path, sound), tally) in readers.iter().zip(&mut tallies) {
            let turn = Instant::now();
            while tally.turn(turn) {
                let rng = &mut tally.rng;
                fs::write(path, changed(sound.choose(rng).unwrap(), &others, rng)).unwrap();
                let mut read = false;
                let memory = survives(reader.name, path, || read = (reader.read)(path));
                tally.most = tally.most.max(memory);
                tally.accepted += u64::from(read);
            }
        }
    }
    let all = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
    let most = tallies.iter().map(|tally| tally.most).max().unwrap_or(0);
    println!("{} files, {} of which were read; {} MB at most", all(|t| t.tried), all(|t| t.accepted), most >> 20);
    for Tally { name, tried, accepted, most, .. } in &tallies {
        println!("  {name}: {tried}, {accepted}, {} kB", most >> 10);
        assert!(*tried >= TURN && *accepted > 0, "{name}: {tried}, {accepted}");
    }
}

/// Each reader has its target, and each target its reader.
#[test]
fn every_reader_has_a_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for reader in &READERS {
        let target = fs::read_to_string(root.join("fuzz_targets").join(reader.name).with_extension("rs")).unwrap();
        assert!(target.contains(&format!("read({:?}, bytes)", reader.name)), "{}", reader.name);
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{}.rs\"", reader.name)), "{}", reader.name);
    }
    assert_eq!(fs::read_dir(root.join("fuzz_targets")).unwrap().count(), READERS.len());
    assert_eq!(manifest.matches("[[bin]]").count(), READERS.len());
}

/// What the targets of `fuzz/` begin with.
#[test]
#[ignore = "writes the folder in LIMBECK_FUZZ_CORPUS: ./x fuzz"]
fn the_corpus_is_written() {
    let root = PathBuf::from(std::env::var_os("LIMBECK_FUZZ_CORPUS").expect("LIMBECK_FUZZ_CORPUS names a folder"));
    for (name, sound) in corpus() {
        let folder = root.join(name);
        fs::create_dir_all(&folder).unwrap();
        for (i, bytes) in sound.into_iter().enumerate() {
            fs::write(folder.join(format!("sound-{i}")), bytes).unwrap();
        }
    }
}

/// Every file below a folder.
fn all(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() { found.extend(all(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn sources_survive_whatever_is_in_one_of_their_files() {
    type Make = fn(&Path) -> String;
    let makes: [(&str, Make); 7] = [
        ("coco", coco::set),
        ("voc", voc::set),
        ("yolo", yolo::set),
        ("labelme", labelme::set),
        ("csv", table::set),
        ("masks", masks::set),
        ("members", members::set),
    ];
    let (mut rng, start) = (rng("sources"), Instant::now());
    let sets: Vec<_> = makes
        .iter()
        .map(|(name, make)| {
            let folder = kept(name);
            fs::remove_dir_all(&folder).unwrap();
            let data = folder.join("data");
            fs::create_dir_all(&data).unwrap();
            let file = folder.join("run.toml");
            fs::write(&file, make(&data)).unwrap();
            let load = move |sets: &[&str]| {
                let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
                Config::load(&file, &sets).and_then(|config| experiment::load_data(&config))
            };
            assert!(load(&[]).is_ok(), "{name}");
            let files: Vec<(PathBuf, Vec<u8>)> =
                all(&data).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
            (*name, files, load)
        })
        .collect();
    let (mut tried, mut loaded, mut most) = (0u64, 0u64, 0);
    while !time_is_up(start) {
        for (name, files, load) in &sets {
            // Annotations are few among many images; they are what is worth changing.
            let texts: Vec<_> =
                files.iter().filter(|(path, _)| path.extension().is_none_or(|e| e != "png" && e != "jpg")).collect();
            let (path, sound) = match texts.choose(&mut rng) {
                Some(text) if rng.random_bool(0.9) => *text,
                _ => files.choose(&mut rng).unwrap(),
            };
            fs::write(path, changed(sound, &[], &mut rng)).unwrap();
            let sets: &[&str] = if rng.random_bool(0.7) { &["data.on_error=skip"] } else { &[] };
            most = most.max(survives(name, path, || loaded += u64::from(load(sets).is_ok())));
            fs::write(path, sound).unwrap();
            tried += 1;
        }
    }
    println!("{tried} sets, {loaded} of which were loaded; {} MB at most", most >> 20);
    assert!(tried >= 30 && loaded > 0, "{tried}, {loaded}");
}
