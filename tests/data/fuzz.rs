//! Files that nobody would write: sound ones in which something was changed at random. Whatever reads them gives an answer or an error, in
//! bounded time, and never panics.
//!
//! `LIMBECK_FUZZ_SECONDS` says how long each test goes on (20), `LIMBECK_FUZZ_SEED` where it begins (the same place each time). The input
//! that was tried last lies in `target/tmp/fuzz/`, where it is found even if it ended the process.

use limbeck::config::Config;
use limbeck::data::formats::{depth_map, idx, image as picture, index_mask, names, yolo_sets};
use limbeck::experiment::{self, Summary};
use limbeck::train::event::read_records;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::tempdir;

use crate::support::setting;
use crate::{coco, idx as idx_files, labelme, masks, members, table, voc, yolo};

/// No input this small may take longer.
const PATIENCE: Duration = Duration::from_secs(20);

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

/// Reads, and tells of what must not be.
fn survives(what: &str, input: &Path, read: impl FnOnce()) {
    let start = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(read));
    assert!(outcome.is_ok(), "{what} panicked; the input is {}", input.display());
    assert!(start.elapsed() < PATIENCE, "{what} took {:?}; the input is {}", start.elapsed(), input.display());
}

/// A folder that outlives the process.
fn kept(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

type Read = fn(&Path);

/// Readers of one file, and sound files of each.
fn readers() -> Vec<(&'static str, Vec<Vec<u8>>, Read)> {
    let folder = tempdir().unwrap();
    let saved = |name: &str, save: &dyn Fn(&Path)| {
        let path = folder.path().join(name);
        save(&path);
        fs::read(path).unwrap()
    };
    let rgb = image::RgbImage::from_fn(13, 9, |x, y| image::Rgb([20 * x as u8, 25 * y as u8, 7]));
    let pictures = ["a.png", "a.jpg"].map(|name| saved(name, &|path| rgb.save(path).unwrap()));
    let mask = saved("mask.png", &|path| index_mask::write(path, &[0, 1, 2, 1, 0, 2], [2, 3]).unwrap());
    let depths = saved("depth.npy", &|path| depth_map::write(path, &[0.5, 1.0, 2.0, 4.0, 1.5, 3.0], [2, 3]).unwrap());
    let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_vec(3, 2, vec![1u16, 2, 3, 400, 5000, 65535]).unwrap();
    let deep = saved("depth.png", &|path| deep.save(path).unwrap());
    let (images, labels) = (idx_files::images(4, 3, 2, 1), idx_files::labels(&[0, 1, 1, 0]));
    let zipped = [idx_files::gz(&images), idx_files::gz(&labels)];
    let yaml = b"path: .\ntrain: images/train\nval: [a, b]\nnames:\n  0: cat\n  1: 'dog'\n  2: \"x y\"\n".to_vec();
    let config = fs::read("examples/coco.toml").unwrap();
    let journal = fs::read("tests/fixtures/run-7deaba2/metrics.jsonl").unwrap_or_else(|_| b"{}\n".to_vec());
    let journal = journal[..journal.len().min(2000)].to_vec();
    let summary = fs::read("tests/fixtures/run-7deaba2/summary.json").unwrap_or_else(|_| b"{}".to_vec());
    vec![
        ("pictures", pictures.to_vec(), |path| {
            let _ = picture::size(path);
            let _ = picture::read(path, [8, 8], 3, 1 << 20);
            let _ = picture::read_boxed(path, [8, 8], 1, 1 << 20);
        }),
        ("masks", vec![mask], |path| drop(index_mask::read(path))),
        ("depths.npy", vec![depths], |path| drop(depth_map::read(path, None, [2, 3]))),
        ("depths.png", vec![deep], |path| drop(depth_map::read(path, Some(0.5), [2, 3]))),
        ("idx", [vec![images, labels], zipped.to_vec()].concat(), |path| {
            let _ = idx::read_images(path);
            let _ = idx::read_labels(path);
        }),
        ("names.yaml", vec![yaml], |path| {
            let _ = names::read(path);
            let _ = yolo_sets::read(path);
        }),
        ("run.toml", vec![config], |path| drop(Config::load(path, &[]))),
        ("metrics.jsonl", vec![journal], |path| drop(read_records(path))),
        ("summary.json", vec![summary], |path| drop(Summary::load(path))),
    ]
}

#[test]
fn readers_of_single_files_survive_whatever_is_in_them() {
    let (folder, readers, mut rng, start) = (kept("files"), readers(), rng("files"), Instant::now());
    let others: Vec<Vec<u8>> = readers.iter().flat_map(|(_, sound, _)| sound.clone()).collect();
    // Sound files are read; the rest would show nothing otherwise.
    let whole = folder.join("whole");
    fs::write(&whole, &readers[0].1[0]).unwrap();
    assert!(picture::read(&whole, [8, 8], 3, 1 << 20).is_ok());
    let mut tried = 0u64;
    while !time_is_up(start) {
        for (name, sound, read) in &readers {
            let path = folder.join(name);
            for _ in 0..50 {
                fs::write(&path, changed(sound.choose(&mut rng).unwrap(), &others, &mut rng)).unwrap();
                survives(name, &path, || read(&path));
                tried += 1;
            }
        }
    }
    println!("{tried} files");
    assert!(tried >= 450, "{tried}");
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
    let (mut tried, mut loaded) = (0u64, 0u64);
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
            survives(name, path, || loaded += u64::from(load(sets).is_ok()));
            fs::write(path, sound).unwrap();
            tried += 1;
        }
    }
    println!("{tried} sets, {loaded} of which were loaded");
    assert!(tried >= 30 && loaded > 0, "{tried}, {loaded}");
}
