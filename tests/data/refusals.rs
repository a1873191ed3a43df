//! What a user hands in that cannot be right: files, settings, arguments. A table with a row for each: what is given, the kind of
//! error it ends in, and words of the message, which say what is wrong, where, and what to do.

mod files;
mod settings;

use crate::refusal_table::{Answer, Row, answer, assert_refused};
use crate::{folders, idx, pictures};
use limbeck::config::Config;
use limbeck::data::formats::idx as format;
use limbeck::experiment;
use limbeck::gpu::Gpu;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use tempfile::tempdir;

/// Texts of a row.
type Texts = &'static [&'static str];

/// A row: its name, what is given, the kind of error, words of its message.
type Refusal = (&'static str, Given, &'static str, Texts);

enum Given {
    /// The bytes of a file that should hold images in IDX's form.
    IdxFile(Vec<u8>),
    /// What should be such a file, by its path in an empty folder.
    IdxPath(&'static str),
    /// A set in IDX's form, sound but for what is done to it.
    IdxSet(fn(&Path, &mut format::Files)),
    /// Class folders, as they are made here.
    Folders(fn(&Path)),
    /// A sound picture, asked for in this height, width and number of channels.
    Picture([usize; 2], usize),
    /// Settings that are refused when they are read.
    Settings(Run),
    /// Settings that can be read, of data that cannot.
    Data(Run),
    /// Settings and data that can be read each, and not used together; nothing is begun then.
    Start(Run),
    /// What stands after `limbeck`.
    #[cfg(feature = "cli")]
    Arguments(Texts),
}

/// Makes the files of a sound run and gives its settings; changes them; and sets keys as `--set` does.
struct Run(fn(&Path) -> String, fn(&Path), Texts);

/// For a [`Run`] whose files are sound.
fn unchanged(_: &Path) {}

impl Run {
    fn load(&self, folder: &Path) -> limbeck::Result<Config> {
        let Run(make, change, sets) = self;
        let file = folder.join("run.toml");
        fs::write(&file, make(folder)).unwrap();
        change(folder);
        Config::load(&file, &sets.iter().map(|set| set.to_string()).collect::<Vec<_>>())
    }

    /// The settings, where the row is about something else.
    fn sound(&self, name: &str, folder: &Path) -> Config {
        self.load(folder).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs; whether anything had been begun or written when that was refused.
    fn start(&self, name: &str, folder: &Path) -> (Answer, bool) {
        static GPU: OnceLock<Gpu> = OnceLock::new();
        let gpu = GPU.get_or_init(|| Gpu::open().unwrap());
        let (config, out, mut events) = (self.sound(name, folder), folder.join("out"), 0);
        let found = answer(experiment::run(&config, &out, gpu, &AtomicBool::new(false), &mut |_| events += 1));
        (found, events > 0 || out.exists())
    }
}

impl Given {
    fn answer(&self, name: &str, folder: &Path) -> Answer {
        match self {
            Given::IdxFile(bytes) => {
                let path = folder.join("file");
                fs::write(&path, bytes).unwrap();
                let found = answer(format::read_images(&path));
                let named = |message: &str| message.contains(path.to_str().unwrap());
                assert!(found.iter().all(|(_, message)| named(message)), "{name}: no path in {found:?}");
                found
            }
            Given::IdxPath(path) => answer(format::read_images(&folder.join(path))),
            Given::IdxSet(spoil) => {
                let mut files = idx::files(folder, "a", 0);
                spoil(folder, &mut files);
                answer(format::load("set", &files, 0.2, 0))
            }
            Given::Folders(make) => {
                make(folder);
                answer(folders::load(folder))
            }
            Given::Picture(size, channels) => answer(pictures::board(*size, *channels)),
            Given::Settings(run) => answer(run.load(folder)),
            Given::Data(run) => answer(experiment::load_data(&run.sound(name, folder))),
            Given::Start(run) => {
                let (found, begun) = run.start(name, folder);
                assert!(!begun, "{name}: work had begun: {found:?}");
                found
            }
            #[cfg(feature = "cli")]
            Given::Arguments(arguments) => program(folder, arguments),
        }
    }
}

/// The program's answer; its kind is the exit code.
#[cfg(feature = "cli")]
fn program(folder: &Path, arguments: &[&str]) -> Answer {
    let mut command = crate::program::limbeck();
    command.current_dir(folder).env("LIMBECK_CACHE_DIR", folder.join("cache"));
    let output = command.args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then(|| (format!("exit {}", output.status.code().unwrap_or(-1)), told))
}

#[test]
fn what_is_given_and_cannot_be_right_is_refused() {
    let table = files::rows().into_iter().chain(settings::rows());
    let rows: Vec<Row> = table
        .map(|(name, given, kind, says)| {
            let folder = tempdir().unwrap();
            let says = says.iter().map(|words| words.to_string()).collect();
            Row { name: name.into(), answer: given.answer(name, folder.path()), kind, says }
        })
        .collect();
    assert_refused(&rows);
}
