//! The splits that the YAML file of a YOLO data set names, as ultralytics' tools write it: `path`, and below it `train`, `val` and `test`,
//! each a folder of images, a text file that names an image in each line, or a list of those.

use super::find::identity;
use super::{folder, text, yaml};
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use yaml_rust2::Yaml;

/// The images of training, validation and test; `None` for a split that the file does not name.
///
/// # Errors
/// [`Error::Io`] where a file cannot be read; [`Error::Data`] with the key where it is no YAML, names no training images, or names a
/// folder or a file that is not there or holds no image.
pub fn read(path: &Path) -> Result<[Option<Vec<PathBuf>>; 3]> {
    let document = yaml::read(path)?;
    let own = path.parent().unwrap_or(Path::new("."));
    let root = document["path"].as_str().map_or_else(|| own.to_path_buf(), |below| own.join(below));
    let part = |keys: &[&str]| {
        let Some(key) = keys.iter().find(|key| !document[**key].is_badvalue() && !document[**key].is_null()) else {
            return Ok(None);
        };
        let wrong =
            || Error::data(path, *key, "expected a folder of images, a text file that names them, or a list of such");
        let all = match &document[*key] {
            Yaml::String(one) if one.trim().is_empty() => return Ok(None),
            Yaml::String(one) => vec![one.as_str()],
            Yaml::Array(list) => list.iter().map(|one| one.as_str().ok_or_else(wrong)).collect::<Result<_>>()?,
            _ => return Err(wrong()),
        };
        let images = all.into_iter().map(|one| images((path, key), [&root, own], one)).collect::<Result<Vec<_>>>()?;
        // A list may name what lies in a folder of the same split.
        let mut seen = BTreeSet::new();
        Ok(Some(images.concat().into_iter().filter(|path| seen.insert(identity(path))).collect()))
    };
    let [train, val, test] = [part(folder::SPLITS[0])?, part(folder::SPLITS[1])?, part(folder::SPLITS[2])?];
    if train.is_none() {
        let message =
            "is missing: expected the folder of the training images; without it set data.images and data.labels";
        return Err(Error::data(path, "train", message));
    }
    Ok([train, val, test])
}

/// The images of one entry.
fn images((file, key): (&Path, &str), roots: [&Path; 2], entry: &str) -> Result<Vec<PathBuf>> {
    // Some tools write `../train/images` of a folder that lies beside the file.
    let trimmed = entry.trim_start_matches("../");
    let mut places = roots.into_iter().flat_map(|root| [root.join(entry), root.join(trimmed)]);
    let Some(place) = places.find(|place| place.exists()) else {
        let message = format!("{entry:?} is not there, below {} or beside the file", roots[0].display());
        return Err(Error::data(file, key, message));
    };
    let found: Vec<PathBuf> = if place.is_dir() {
        folder::files(&place).into_iter().filter(|path| folder::is_image(path)).collect()
    } else {
        let list = place.parent().unwrap_or(Path::new("."));
        let of = |line: &str| {
            let inside = [list, roots[0]].map(|root| root.join(line));
            inside.iter().find(|path| path.exists()).unwrap_or(&inside[0]).clone()
        };
        text::read(&place)?.lines().map(str::trim).filter(|line| !line.is_empty()).map(of).collect()
    };
    if found.is_empty() {
        return Err(Error::data(place, "", "holds no PNG or JPEG image"));
    }
    Ok(found)
}

/// Where the labels of an image lie: in `labels` where it lies in `images`, else beside it.
pub fn labels_of(image: &Path) -> PathBuf {
    let parts: Vec<_> = image.components().collect();
    let folder = parts.iter().rposition(|part| part.as_os_str() == "images").filter(|i| i + 1 < parts.len());
    let moved =
        parts.iter().enumerate().map(|(i, part)| if Some(i) == folder { "labels".as_ref() } else { part.as_os_str() });
    moved.collect::<PathBuf>().with_extension("txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(yaml: &str) -> (tempfile::TempDir, Result<[Option<Vec<PathBuf>>; 3]>) {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["images/train/0.jpg", "images/train/1.png", "images/val/2.jpg", "train/images/3.jpg", "empty/a.txt"]
        {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::fs::write(folder.path().join("list.txt"), "./images/val/2.jpg\n\nimages/train/0.jpg\r\n").unwrap();
        let path = folder.path().join("data.yaml");
        std::fs::write(&path, yaml).unwrap();
        let found = read(&path);
        (folder, found)
    }

    #[test]
    fn folders_lists_and_both() {
        for (yaml, expected) in [
            ("train: images/train\nval: images/val", [Some(2), Some(1), None]),
            ("path: images\ntrain: train\nvalid: val\ntest:", [Some(2), Some(1), None]),
            ("train: ../train/images\nval: ../train/images\ntest: list.txt", [Some(1), Some(1), Some(2)]),
            ("train: [images/train, list.txt]", [Some(3), None, None]),
        ] {
            let (folder, found) = set(yaml);
            let found = found.unwrap();
            assert_eq!(found.each_ref().map(|part| part.as_ref().map(Vec::len)), expected, "{yaml}");
            assert!(found.iter().flatten().flatten().all(|path| path.starts_with(folder.path()) && path.exists()));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (yaml, words) in [
            ("names: [a]", "train: is missing"),
            ("train: images/trian", "train: \"images/trian\" is not there"),
            ("train: 3", "train: expected a folder"),
            ("train: [images/train, 3]", "train: expected a folder"),
            ("train: empty", "holds no PNG or JPEG"),
            ("train: [", "malformed YAML"),
        ] {
            let error = set(yaml).1.unwrap_err().to_string();
            assert!(error.contains(words), "{yaml}: {error}");
        }
    }

    #[test]
    fn labels_lie_in_labels_or_beside() {
        for (image, labels) in [
            ("a/images/train/0.jpg", "a/labels/train/0.txt"),
            ("images/images/0.png", "images/labels/0.txt"),
            ("a/0.jpeg", "a/0.txt"),
            ("/data/train/images/v1.5.jpg", "/data/train/labels/v1.5.txt"),
            ("images", "images.txt"),
        ] {
            assert_eq!(labels_of(Path::new(image)), Path::new(labels));
        }
    }
}
