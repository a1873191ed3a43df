//! Images and masks that their names, or lists of them, bring together.
//!
//! `a/0.jpg` has the mask `a/0.png`. Each name may go on after what the two share, in the same way for all: of `x_leftImg8bit.png` and
//! `x_gtFine_labelIds.png` that is `x`.

use super::coco::OnError;
use super::find::{ImageFinder, identity};
use super::objects::AnnotatedImage;
use super::{image, text};
use crate::data::Skipped;
use crate::{Error, Result};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// A folder of images and one of masks, with what lies in folders below.
pub struct MaskPairs {
    images: ImageFinder,
    masks: ImageFinder,
    /// What the names of images and of masks end in, after what they share.
    suffixes: [String; 2],
    /// Whether both are one folder.
    shared: bool,
}

/// Images with their masks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Paired {
    /// The images, of whose objects nothing is known.
    pub images: Vec<AnnotatedImage>,
    /// The masks by the images' files. An image may have none.
    pub masks: HashMap<PathBuf, PathBuf>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

/// Whether the file's name is that of a mask that can be read.
fn is_png(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"))
}

/// A file's name without the ending.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

impl MaskPairs {
    /// The images in and below `images` and the masks in and below `masks`, whose names end in `suffixes`. What lies in `others` is
    /// neither.
    pub fn new(images: &Path, masks: &Path, suffixes: [&str; 2], others: &[PathBuf]) -> Self {
        let shared = identity(images) == identity(masks);
        // One of the two may lie in the other.
        let but = |own: &Path, other: &Path| -> Vec<PathBuf> {
            let all = others.iter().cloned().chain((!shared).then(|| other.to_path_buf()));
            all.filter(|folder| identity(folder) != identity(own)).collect()
        };
        MaskPairs {
            images: ImageFinder::new(images).excluding(but(images, masks)),
            masks: ImageFinder::new(masks).excluding(but(masks, images)),
            suffixes: suffixes.map(String::from),
            shared,
        }
    }

    /// What an image's name shares with that of its mask: its path below the folder, without ending and suffix.
    fn shared_name(&self, image: &Path) -> Option<String> {
        let below = image.strip_prefix(self.images.folder()).unwrap_or(image).with_extension("");
        below.to_string_lossy().strip_suffix(self.suffixes[0].as_str()).map(str::to_string)
    }

    fn is_mask(&self, path: &Path) -> bool {
        is_png(path) && stem(path).ends_with(&self.suffixes[1])
    }

    /// The mask of an image: the one that lies where the image's path says, or else whose path agrees with it.
    fn mask_of(&self, image: &Path, exactly: bool) -> Option<PathBuf> {
        let name = format!("{}{}.png", self.shared_name(image)?, self.suffixes[1]);
        let found = if exactly { self.masks.exact(&name) } else { self.masks.find(&name).ok() };
        found.filter(|mask| is_png(mask) && identity(mask) != identity(image))
    }

    /// Every image, with its mask.
    ///
    /// # Errors
    /// [`Error::Data`] where there is no image or no image has a mask, and, unless `on_error` says to skip it, for an image that cannot be
    /// read or whose mask is another's too.
    pub fn all(&self, on_error: OnError) -> Result<Paired> {
        let (mut images, mut skipped) = (Vec::new(), Vec::new());
        for path in self.images.all() {
            if self.shared && self.is_mask(path) {
                continue;
            }
            match self.shared_name(path) {
                Some(_) => images.push(path.to_path_buf()),
                None => {
                    let reason = format!("its name does not end in {:?}, as data.image_suffix says", self.suffixes[0]);
                    skipped.push(Skipped::left_out(path, reason));
                }
            }
        }
        let Some(first) = images.first().cloned() else {
            let message = match (self.suffixes[0].as_str(), self.shared) {
                ("", false) => "holds no PNG or JPEG image".to_string(),
                ("", true) => "holds no JPEG image; where masks lie among the images, PNG files are masks unless \
                               data.mask_suffix says what their names end in"
                    .to_string(),
                (suffix, _) => format!("holds no PNG or JPEG image whose name ends in {suffix:?}"),
            };
            return Err(Error::data(self.images.folder(), "", message));
        };
        let mut masks: Vec<Option<PathBuf>> = images.iter().map(|image| self.mask_of(image, true)).collect();
        // What an image has by its own path is no other's.
        let taken: BTreeSet<PathBuf> = masks.iter().flatten().map(|mask| identity(mask)).collect();
        for (image, mask) in images.iter().zip(&mut masks).filter(|(_, mask)| mask.is_none()) {
            *mask = self.mask_of(image, false).filter(|mask| !taken.contains(&identity(mask)));
        }
        if masks.iter().all(Option::is_none) {
            return Err(self.unlike(&first));
        }
        read(images.into_iter().zip(masks), skipped, on_error)
    }

    /// The images that a list names, one in a line, and after it, where the list has two columns, its mask.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] where no image is named that is there, and, unless `on_error` says to skip it, with the line for an
    /// image or a mask that is not there. Otherwise as [`MaskPairs::all`].
    pub fn listed(&self, list: &Path, on_error: OnError) -> Result<Paired> {
        let text = text::read(list)?;
        let (mut pairs, mut skipped, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
        for (i, line) in lines {
            let place = format!("line {}", i + 1);
            match self.named(line) {
                Ok((image, mask)) if seen.insert(identity(&image)) => pairs.push((image, mask)),
                Ok(_) => skipped.push(Skipped::left_out(list, "names an image again; it counts once").at(place)),
                Err(reason) => on_error.refuse(list, &place, &reason, &mut skipped)?,
            }
        }
        if pairs.is_empty() {
            let first = skipped.first().map(|one| format!("; {one}")).unwrap_or_default();
            let message = format!("names no image that is there; expected an image in each line{first}");
            return Err(Error::data(list, "", message));
        }
        read(pairs, skipped, on_error)
    }

    /// The image and the mask of a line.
    fn named(&self, line: &str) -> std::result::Result<(PathBuf, Option<PathBuf>), String> {
        // A folder's name may have a blank in it.
        if let Some(image) = self.images.exact(line) {
            let mask = self.mask_of(&image, true).or_else(|| self.mask_of(&image, false));
            return Ok((image, mask));
        }
        let columns: Vec<&str> = match (line.contains('\t'), line.contains(char::is_whitespace)) {
            (true, _) => line.split('\t').map(str::trim).filter(|column| !column.is_empty()).collect(),
            (false, true) => line.split_whitespace().collect(),
            (false, false) => line.split(',').filter(|column| !column.is_empty()).collect(),
        };
        let image = |name: &str| {
            let found = self.images.find(name);
            // Lists may leave out what all names end in.
            found.or_else(|reason| self.images.find(&format!("{name}{}", self.suffixes[0])).map_err(|_| reason))
        };
        let alone = |name: &str| {
            let image = image(name).map_err(|reason| format!("image {name:?}: {reason}"))?;
            let mask = self.mask_of(&image, true).or_else(|| self.mask_of(&image, false));
            Ok((image, mask))
        };
        let &[first, second] = columns.as_slice() else { return alone(line) };
        let (found, mask) = (image(first), self.masks.find(second));
        match (found, mask) {
            (Ok(image), Ok(mask)) => Ok((image, Some(mask))),
            // A name may have a blank in it; a path that has one would be found by its end alone.
            (Err(_), Err(_)) if !line.contains(['/', '\\']) => alone(line),
            (Err(reason), _) => Err(format!("image {first:?}: {reason}")),
            (_, Err(reason)) => Err(format!("mask {second:?}: {}", reason.replacen("image", "mask", 1))),
        }
    }

    /// Masks that are none of `used`, by their [`identity`].
    #[cfg_attr(not(feature = "train"), expect(dead_code))] // for sources
    pub(crate) fn unused(&self, used: &BTreeSet<PathBuf>) -> Vec<Skipped> {
        let masks = self.masks.all().into_iter().filter(|path| self.is_mask(path) && !used.contains(&identity(path)));
        masks.map(|path| Skipped::left_out(path, "a mask that belongs to no image")).collect()
    }

    /// Says that no image has a mask, and what the names may end in.
    fn unlike(&self, first: &Path) -> Error {
        let own = stem(first);
        let masks = self.masks.all().into_iter().filter(|path| is_png(path) && *path != first).map(stem);
        let alike = |mask: &String| own.chars().zip(mask.chars()).take_while(|(a, b)| a == b).count();
        let folder = self.masks.folder();
        let Some(nearest) = masks.min_by_key(|mask| Reverse(alike(mask))) else {
            return Error::data(folder, "", "holds no PNG mask");
        };
        let shared = alike(&nearest);
        let rest = |name: &str| name.chars().skip(shared).collect::<String>();
        let keys = [("image_suffix", rest(&own)), ("mask_suffix", rest(&nearest))];
        let keys = keys.iter().filter(|(_, rest)| !rest.is_empty());
        let keys: Vec<String> = keys.map(|(key, rest)| format!("data.{key} = {rest:?}")).collect();
        let advice = match (shared, keys.is_empty()) {
            (0, _) | (_, true) => "name them alike, or list both in data.sets".to_string(),
            _ => format!("if they belong together, set {}", keys.join(" and ")),
        };
        let ending = match self.suffixes[1].as_str() {
            "" => String::new(),
            suffix => format!(", followed by {suffix:?}"),
        };
        let message = format!(
            "has no mask for any image; a mask is a PNG file named like its image{ending}. An image is called {own:?}, the mask most like it \
             {nearest:?}; {advice}"
        );
        Error::data(folder, "", message)
    }
}

/// The images with their sizes.
fn read(
    pairs: impl IntoIterator<Item = (PathBuf, Option<PathBuf>)>,
    skipped: Vec<Skipped>,
    on_error: OnError,
) -> Result<Paired> {
    let mut paired = Paired { skipped, ..Paired::default() };
    let mut owners: HashMap<PathBuf, PathBuf> = HashMap::new();
    for (path, mask) in pairs {
        let key = mask.as_deref().map(identity);
        if let Some(other) = key.as_ref().and_then(|key| owners.get(key)) {
            let reason = format!("has the mask of {} too; name them apart, or list both in data.sets", other.display());
            on_error.refuse(&path, "", &reason, &mut paired.skipped)?;
            continue;
        }
        // Also of an image that cannot be read it is the mask.
        paired.masks.extend(mask.map(|mask| (path.clone(), mask)));
        let size = match image::size(&path) {
            Ok(size) => size,
            Err(error) => {
                let reason = match error {
                    Error::Data { message, .. } => message,
                    other => other.to_string(),
                };
                on_error.refuse(&path, "", &reason, &mut paired.skipped)?;
                continue;
            }
        };
        owners.extend(key.map(|key| (key, path.clone())));
        paired.images.push(AnnotatedImage { path, size, objects: None, segments: None });
    }
    Ok(paired)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            ::image::GrayImage::new(4, 3).save(path).unwrap();
        }
        folder
    }

    /// The pairs, by their paths below the folder; `-` is no mask.
    fn told(found: Result<Paired>, root: &Path) -> std::result::Result<Vec<String>, String> {
        let found = found.map_err(|error| error.to_string())?;
        let below = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        let mask = |image: &Path| found.masks.get(image).map_or("-".into(), |mask| below(mask));
        Ok(found.images.iter().map(|image| format!("{} {}", below(&image.path), mask(&image.path))).collect())
    }

    fn all(
        names: &[&str],
        [images, masks]: [&str; 2],
        suffixes: [&str; 2],
    ) -> std::result::Result<Vec<String>, String> {
        let folder = folder(names);
        let at = |name: &str| folder.path().join(name);
        told(MaskPairs::new(&at(images), &at(masks), suffixes, &[]).all(OnError::Fail), folder.path())
    }

    #[test]
    fn masks_are_named_like_their_images() {
        let apart = ["images", "masks"];
        let row = |names: &[&str], folders, suffixes, expected: &[&str]| {
            assert_eq!(all(names, folders, suffixes).unwrap(), expected, "{names:?}");
        };
        row(
            &["images/0.jpg", "images/1.png", "images/2.png", "masks/0.png", "masks/1.png", "masks/9.png"],
            apart,
            ["", ""],
            &["images/0.jpg masks/0.png", "images/1.png masks/1.png", "images/2.png -"],
        );
        // In folders below, whose names repeat; the masks' may be fewer.
        row(
            &["images/a/0.jpg", "images/b/0.jpg", "masks/a/0.png", "masks/b/0.png"],
            apart,
            ["", ""],
            &["images/a/0.jpg masks/a/0.png", "images/b/0.jpg masks/b/0.png"],
        );
        row(&["images/a/0.jpg", "masks/0.png"], apart, ["", ""], &["images/a/0.jpg masks/0.png"]);
        // One that is another's by its own path is not taken twice.
        row(
            &["images/0.jpg", "images/a/0.jpg", "masks/a/0.png"],
            apart,
            ["", ""],
            &["images/0.jpg -", "images/a/0.jpg masks/a/0.png"],
        );
        // Nor one in another folder than the image's.
        row(
            &["images/0.jpg", "images/b/0.jpg", "masks/c/0.png"],
            apart,
            ["", ""],
            &["images/0.jpg masks/c/0.png", "images/b/0.jpg -"],
        );
        row(
            &["images/c/x_left.png", "masks/c/x_fine_color.png", "masks/c/x_fine_ids.png"],
            apart,
            ["_left", "_fine_ids"],
            &["images/c/x_left.png masks/c/x_fine_ids.png"],
        );
        // All in one folder, told apart by ending or suffix; masks below the images.
        row(&["d/0.jpg", "d/0.png"], ["d", "d"], ["", ""], &["d/0.jpg d/0.png"]);
        row(&["d/0.png", "d/0_mask.png"], ["d", "d"], ["", "_mask"], &["d/0.png d/0_mask.png"]);
        row(&["d/0.png", "d/masks/0.png"], ["d", "d/masks"], ["", ""], &["d/0.png d/masks/0.png"]);
    }

    #[test]
    fn what_has_no_mask_is_told_with_what_names_end_in() {
        let apart = ["images", "masks"];
        for (names, suffixes, words) in [
            (&["images/01.jpg", "masks/01_L.png"][..], ["", ""], "set data.mask_suffix = \"_L\""),
            (
                &["images/x_left.png", "masks/x_fine.png", "masks/y.png"],
                ["", ""],
                "set data.image_suffix = \"left\" and data.mask_suffix = \"fine\"",
            ),
            (&["images/a.jpg", "masks/b.png"], ["", ""], "name them alike, or list both in data.sets"),
            (&["images/a.jpg", "masks/a.jpg"], ["", ""], "holds no PNG mask"),
            (&["images/a.jpg", "masks/a.png"], ["_l", ""], "holds no PNG or JPEG image whose name ends in \"_l\""),
        ] {
            let error = all(names, apart, suffixes).unwrap_err();
            assert!(error.contains(words), "{names:?}: {error}");
        }
        // One mask, two images.
        let error = all(&["images/a/0.jpg", "images/b/0.jpg", "masks/0.png"], apart, ["", ""]).unwrap_err();
        assert!(error.contains("0.jpg: has the mask of ") && error.contains("; fix it"), "{error}");
    }

    #[test]
    fn lists_have_one_column_or_two() {
        let names = ["images/0.jpg", "images/1.jpg", "images/a b.jpg", "masks/0.png", "masks/1.png", "masks/a b.png"];
        let folder = folder(&names);
        let at = |name: &str| folder.path().join(name);
        let pairs = MaskPairs::new(&at("images"), &at("masks"), ["", ""], &[]);
        let list = |text: &str, on_error| {
            std::fs::write(at("list.txt"), text).unwrap();
            pairs.listed(&at("list.txt"), on_error)
        };
        let one = "images/0.jpg masks/0.png";
        for (text, expected) in [
            ("1\n\n0\r\n", &["images/1.jpg masks/1.png", one][..]),
            ("0.jpg\n", &[one]),
            ("a b\n", &["images/a b.jpg masks/a b.png"]),
            ("images/0.jpg masks/0.png\n", &[one]),
            ("/SegNet/set/images/0.jpg /SegNet/set/masks/0.png\n", &[one]),
            ("a b.jpg\tmasks/0.png\n", &["images/a b.jpg masks/0.png"]),
            ("images/0.jpg,masks/0.png\n", &[one]),
            ("0\n0\n", &[one]),
        ] {
            assert_eq!(told(list(text, OnError::Fail), folder.path()).unwrap(), expected, "{text:?}");
        }
        assert!(list("0\n0\n", OnError::Fail).unwrap().skipped[0].to_string().contains("line 2: names an image again"));
        for (text, words) in [
            ("0\nimages/7.jpg masks/0.png\n", "list.txt, line 2: image \"images/7.jpg\": there is no image"),
            ("0.jpg masks/7.png\n", "mask \"masks/7.png\": there is no mask of this name"),
            ("\n", "names no image that is there"),
        ] {
            let error = list(text, OnError::Fail).unwrap_err().to_string();
            assert!(error.contains(words), "{text:?}: {error}");
        }
        let found = list("7.jpg\n1\n", OnError::Skip).unwrap();
        assert_eq!((found.images.len(), found.skipped.len()), (1, 1));
        let error = list("7.jpg\n", OnError::Skip).unwrap_err().to_string();
        assert!(error.contains("names no image that is there") && error.contains("line 1"), "{error}");
    }
}
