//! Lists that decide which image belongs to which split, of every source that reads images from files.

use crate::{coco, folders, labelme, masks, table, voc, yolo};
use limbeck::config::Config;
use limbeck::data::{Dataset, Fate, Split};
use limbeck::experiment;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

const SPLITS: [&str; 3] = ["train", "val", "test"];

/// Writes a data set below a folder and gives the settings of a run on it.
type Make = fn(&Path) -> String;

/// The settings of a run on class folders.
fn pictures(root: &Path) -> String {
    format!(
        "[data]\nsource = \"folder\"\nroot = {root:?}\nfolder = \"photos\"\nsize = [8, 8]\nflip_invariant = [\"class\", \"sign\"]\n"
    )
}

/// Two class folders of eight pictures each.
fn class_folders(root: &Path) -> String {
    folders::red_and_blue(root, "photos", 8);
    pictures(root).replace(", \"sign\"", "")
}

/// The same twice, each a task of its own.
fn two_tasks(root: &Path) -> String {
    ["photos", "signs"].iter().for_each(|folder| folders::red_and_blue(root, folder, 8));
    pictures(root) + "also = { sign = \"signs\" }\n"
}

/// Two class folders for each split.
fn class_folders_of_splits(root: &Path) -> String {
    SPLITS.iter().for_each(|part| folders::red_and_blue(root, &format!("photos/{part}"), 4));
    pictures(root).replace(", \"sign\"", "")
}

/// Images of one file of instances, without others that are held out.
fn undivided_coco(root: &Path) -> String {
    coco::set(root).replace("val = \"held.json\"\ntest = \"held.json\"\n", "")
}

/// A table whose rows do not belong together.
fn table_without_groups(root: &Path) -> String {
    table::set(root).replace("group = \"owner\"\n", "")
}

fn load(settings: &str, root: &Path, sets: &[&str]) -> limbeck::Result<Dataset> {
    let file = root.join("members.toml");
    fs::write(&file, settings).unwrap();
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    let config = Config::load(&file, &sets)?;
    assert_eq!(Config::parse(&config.to_toml(), &file, &[])?, config);
    experiment::load_data(&config)
}

/// The paths of a split's images below `root`.
fn names(split: &Split, root: &Path) -> BTreeSet<String> {
    let name = |i: usize| split.file(i).unwrap().strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
    (0..split.len()).map(name).collect()
}

/// A list for each split.
pub fn lists(root: &Path, lists: [&str; 3]) {
    for (part, lines) in SPLITS.iter().zip(lists) {
        fs::write(root.join(format!("{part}.txt")), lines.replace(' ', "\n")).unwrap();
    }
}

/// Images and masks with a list in each form, and the settings of a run on them.
pub fn set(root: &Path) -> String {
    let settings = masks::set(root);
    lists(root, ["# 0 1.png images/2.png 3 4 5", "", ""]);
    fs::write(
        root.join("val.csv"),
        "path,split,seed\nimages/6.png,val,0\n\"images/7.png\",val,0\nimages/6.png,val,1\n",
    )
    .unwrap();
    let test = r#"{"images": [{"path": "images/8.png", "split": "test"}, {"path": "9.png"}]}"#;
    fs::write(root.join("test.json"), test).unwrap();
    settings + "[data.members]\ntrain = \"train.txt\"\nval = \"val.csv\"\ntest = \"test.json\"\n"
}

const ALL: &str = "data.members={ train = \"train.txt\", val = \"val.txt\", test = \"test.txt\" }";

#[test]
fn lists_decide_the_splits_of_every_source() {
    let sources: [(&str, Make); 10] = [
        ("folder", class_folders),
        ("folders of two tasks", two_tasks),
        ("folders of splits", class_folders_of_splits),
        ("coco", coco::set),
        ("undivided coco", undivided_coco),
        ("table", table_without_groups),
        ("masks", masks::set),
        ("voc", voc::set),
        ("yolo", yolo::set),
        ("labelme", labelme::set),
    ];
    for (name, make) in sources {
        let folder = tempdir().unwrap();
        let root = folder.path();
        let settings = make(root);
        let before = load(&settings, root, &[]).unwrap();
        let all: BTreeSet<String> = before.splits().iter().flat_map(|(_, split)| names(split, root)).collect();
        // What was learnt is tested, and the other way round; the last image is in no list.
        let mut wanted = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
        let last = if all.len() > 3 { all.last().cloned() } else { None };
        for (i, image) in all.iter().filter(|image| Some(*image) != last.as_ref()).enumerate() {
            wanted[i % 3].insert(image.clone());
        }
        for (part, wanted) in SPLITS.iter().zip(&wanted) {
            let lines: String = wanted.iter().rev().map(|image| format!("{image}\n")).collect();
            fs::write(root.join(format!("{part}.txt")), lines).unwrap();
        }
        let data = load(&settings, root, &[ALL]).unwrap_or_else(|error| panic!("{name}: {error}"));
        for ((_, split), wanted) in data.splits().iter().zip(&wanted) {
            assert_eq!(&names(split, root), wanted, "{name}");
        }
        let left: Vec<_> =
            data.skipped.iter().filter(|one| one.reason.ends_with("the lists of data.members")).collect();
        assert_eq!(left.len(), usize::from(last.is_some()), "{name}: {left:?}");
        assert!(left.iter().all(|one| one.fate == Fate::NotNamed && last.iter().all(|last| one.path.ends_with(last))));
        // Other lists are other data, whatever their order.
        assert_ne!(data.fingerprint(), before.fingerprint(), "{name}");
        let lines = fs::read_to_string(root.join("train.txt")).unwrap();
        let turned: Vec<&str> = lines.lines().rev().collect();
        fs::write(root.join("train.txt"), turned.join("\n")).unwrap();
        let again = load(&settings, root, &[ALL]).unwrap();
        assert_eq!(again.fingerprint(), data.fingerprint(), "{name}");
        assert!(again.splits().iter().zip(data.splits()).all(|((_, a), (_, b))| a.files == b.files), "{name}");
    }
}

#[test]
fn a_list_of_the_test_alone_leaves_the_rest_to_learn_from() {
    let sources: [(&str, Make, &str); 4] = [
        ("folder", class_folders, "red/00.png blue/01 photos/blue/02.png"),
        ("table", table::set, "0 1.png 2 3"),
        ("masks", masks::set, "images/3.png 5"),
        ("voc", voc::set, "7.png 8.jpg"),
    ];
    for (name, make, test) in sources {
        let folder = tempdir().unwrap();
        let root = folder.path();
        let settings = make(root);
        let before = load(&settings, root, &[]).unwrap();
        lists(root, ["", "", test]);
        let data = load(&settings, root, &["data.members={ test = \"test.txt\" }"]).unwrap();
        let images = |data: &Dataset| data.splits().iter().map(|(_, split)| split.len()).sum::<usize>();
        assert_eq!((data.test.len(), images(&data)), (test.split(' ').count(), images(&before)), "{name}");
        // Validation is cut from the rest, and is no smaller part of it than it was.
        assert!(data.val.len() * before.train.len() >= before.val.len() * data.train.len() / 2, "{name}");
        let overlap = names(&data.train, root).intersection(&names(&data.val, root)).count();
        assert_eq!(overlap, 0, "{name}");
    }
}

#[test]
fn lists_of_all_forms_go_together() {
    let folder = tempdir().unwrap();
    let data = load(&set(folder.path()), folder.path(), &[]).unwrap();
    assert_eq!(data.splits().map(|(_, split)| split.len()), [6, 2, 2]);
    assert_eq!(data.skipped.len(), 2, "{:?}", data.skipped);
}

/// Groups stay together where lists leave something to be cut.
#[test]
fn groups_stay_together_beside_lists() {
    let folder = tempdir().unwrap();
    let settings = table::set(folder.path());
    lists(folder.path(), ["", "", "0.png 1.png 6.png 7.png"]);
    let data = load(&settings, folder.path(), &["data.members={ test = \"test.txt\" }"]).unwrap();
    let owners = |split: &Split| -> BTreeSet<u32> {
        let number = |name: String| name.trim_end_matches(".png").parse::<u32>().unwrap() / 2;
        names(split, folder.path()).into_iter().map(number).collect()
    };
    let [train, val, test] = [&data.train, &data.val, &data.test].map(owners);
    assert_eq!(test, BTreeSet::from([0, 3]));
    assert!(!val.is_empty() && train.is_disjoint(&val) && train.len() + val.len() == 10, "{train:?} {val:?}");
}
