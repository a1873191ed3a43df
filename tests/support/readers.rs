//! Whatever reads files that others wrote: each reader takes a path and gives an answer or an error. The loop of `tests/data/fuzz.rs` and the
//! targets of `fuzz/` share them.

use limbeck::bench::schema::Report;
use limbeck::checkpoint;
use limbeck::config::Config;
use limbeck::data::formats::coco::{self, OnError};
use limbeck::data::formats::find::ImageFinder;
use limbeck::data::formats::mask_pairs::MaskPairs;
use limbeck::data::formats::objects::{self, AnnotatedImage, Masks, TaskChoice};
use limbeck::data::formats::table::{self, Column};
use limbeck::data::formats::{depth_map, idx, image, index_mask, labelme, names, panoptic, voc, yolo, yolo_sets};
use limbeck::experiment::Summary;
use limbeck::experiment::ablation::{Ablation, Outcome};
use limbeck::gpu::Gpu;
use limbeck::predict::ImageList;
use limbeck::train::{event::read_records, read_stored};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A reader: its name, what its file is called, and what reads it and says whether there was something to read. Beside the file lie the
/// images of [`beside`].
pub struct Reader {
    pub name: &'static str,
    pub file: &'static str,
    pub read: fn(&Path) -> bool,
}

const fn reader(name: &'static str, file: &'static str, read: fn(&Path) -> bool) -> Reader {
    Reader { name, file, read }
}

/// Every one.
pub const READERS: [Reader; 23] = [
    reader("pictures", "input", |path| {
        let read = [image::size(path).is_ok(), image::read(path, [8, 8], 3, MAX_PIXELS).is_ok()];
        read[0] & read[1] & image::read_boxed(path, [8, 8], 1, MAX_PIXELS).is_ok()
    }),
    reader("masks", "input.png", |path| index_mask::read(path).is_ok()),
    reader("depths_npy", "input.npy", |path| depth_map::read(path, None, [2, 3]).is_ok()),
    reader("depths_png", "input.png", |path| depth_map::read(path, Some(0.5), [2, 3]).is_ok()),
    reader("idx", "input", |path| idx::read_images(path).is_ok() | idx::read_labels(path).is_ok()),
    reader("names", "input.yaml", |path| names::read(path).is_ok() | yolo_sets::read(path).is_ok()),
    reader("coco", "input.json", |path| {
        both(|on_error| {
            let found = coco::read(path, &ImageFinder::new(folder(path)), on_error)?;
            place(&found.classes, objects::of_instances(&found), Masks::Drawn, on_error)
        })
    }),
    reader("panoptic", "input.json", |path| {
        both(|on_error| {
            let found = panoptic::read(path, &ImageFinder::new(folder(path)), folder(path), on_error)?;
            place(&found.things, found.images, Masks::Segments(found.classes), on_error)
        })
    }),
    reader("voc", "a.xml", |path| {
        both(|on_error| {
            let found = voc::read(folder(path), &ImageFinder::new(folder(path)), None, None, on_error)?;
            place(&found.classes, found.images, Masks::Drawn, on_error)
        })
    }),
    reader("voc_set", "input.txt", |path| voc::image_set(path).is_ok()),
    reader("yolo", "a.txt", |path| {
        let names = BTreeMap::from([(0, "cat".to_string()), (4, "dog".to_string())]);
        both(|on_error| {
            let pairs = [(folder(path).join("a.png"), path.to_path_buf())];
            let found = yolo::read_pairs(&pairs, &names, on_error)?;
            place(&found.classes, found.images, Masks::Drawn, on_error)
        })
    }),
    reader("labelme", "a.json", |path| {
        both(|on_error| {
            let found = labelme::read(folder(path), &ImageFinder::new(folder(path)), None, on_error)?;
            place(&found.classes, found.images, Masks::Drawn, on_error)
        })
    }),
    reader("table", "input.csv", |path| both(|on_error| table::load("table", &columns(path, on_error)).map(drop))),
    reader("mask_lists", "input.txt", |path| {
        let pairs = MaskPairs::new(folder(path), folder(path), ["", ""], &[]);
        both(|on_error| pairs.listed(path, on_error).map(drop))
    }),
    reader("image_lists", "input.txt", |path| ImageList::default().add_list(path).is_ok()),
    reader("run", "input.toml", |path| {
        // Without the second, data are looked for from where the program was started.
        let root = format!("data.root={}", folder(path).display());
        Config::load(path, &[]).is_ok() | Config::load(path, &[root]).is_ok()
    }),
    reader("ablation", "input.toml", |path| Ablation::load(path, &[]).is_ok()),
    reader("network", "input.safetensors", |path| checkpoint::load(&GPU, path).is_ok()),
    reader("stage_state", "input.state.safetensors", |path| read_stored(path).is_ok()),
    reader("stage_result", "input.json", |path| read_stored(path).is_ok()),
    reader("answers", "input.cache", |path| read_stored(path).is_ok()),
    reader("journal", "input.jsonl", |path| read_records(path).is_ok()),
    reader("reports", "input.json", |path| {
        Summary::load(path).is_ok() | Outcome::load(path).is_ok() | Report::load(path).is_ok()
    }),
];

/// The largest image that is decoded here.
const MAX_PIXELS: usize = 1 << 20;

/// Networks are made on it, where a card and its tensors go together.
static GPU: LazyLock<Gpu> = LazyLock::new(|| Gpu::open().expect("a device for networks"));

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Whether it can be read where what is wrong is refused, or where it is skipped.
fn both(read: impl Fn(OnError) -> limbeck::Result<()>) -> bool {
    let [strict, lenient] = [OnError::Fail, OnError::Skip].map(|on_error| read(on_error).is_ok());
    strict | lenient
}

/// What is made of annotations that were read: an image on its canvas, its mask drawn.
fn place(classes: &[String], images: Vec<AnnotatedImage>, masks: Masks, on_error: OnError) -> limbeck::Result<()> {
    let outlined = images.iter().flat_map(|image| image.objects.iter().flatten()).any(|(_, outline)| outline.is_some());
    // Without an outline there is nothing to draw a mask of, which is refused before any image is read.
    let asked = |question: &TaskChoice| *question != TaskChoice::Mask || outlined || masks != Masks::Drawn;
    let questions = TaskChoice::ALL.map(|(_, question)| question).into_iter().filter(asked).collect();
    let max_pixels = MAX_PIXELS;
    let options = objects::Options { size: [16, 16], channels: 3, max_pixels, questions, masks, depth: None, on_error };
    objects::load("input", classes, [images.clone(), images.clone(), images], &options).map(drop)
}

fn columns(path: &Path, on_error: OnError) -> table::Options {
    let columns = [("kind", Column::Class), ("bright", Column::Attribute), ("size", Column::Number)];
    table::Options {
        file: path.to_path_buf(),
        images: folder(path).to_path_buf(),
        image: "image".into(),
        columns: columns.map(|(name, column)| (name.to_string(), column)).into(),
        unknown: vec!["?".into()],
        yes: Vec::new(),
        no: Vec::new(),
        group: Some("owner".into()),
        size: [16, 16],
        channels: 3,
        max_pixels: MAX_PIXELS,
        val_fraction: 0.25,
        test_fraction: 0.25,
        split_seed: 0,
        on_error,
    }
}

/// Makes a folder for the input of `reader`, with what its text may name beside it, and gives the input's path.
pub fn beside(root: &Path, reader: &Reader) -> PathBuf {
    let folder = root.join(reader.name);
    fs::create_dir_all(&folder).expect("a folder for the input");
    for (i, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let pixels: Vec<u8> = (0..16 * 20).map(|at| ((at + i) % 3) as u8).collect();
        index_mask::write(&folder.join(name).with_extension("png"), &pixels, [16, 20])
            .expect("an image beside the input");
    }
    // What a comparison varies.
    fs::write(folder.join("base.toml"), "[data]\nsource = \"digits\"\n").expect("a file beside the input");
    // What the examples in `examples/` name: whether it is there is looked at before anything else of them.
    if reader.name == "run" {
        for name in ["images", "boxes_yolo", "semantic"] {
            fs::create_dir_all(folder.join(name)).expect("a folder beside the input");
        }
        for name in [
            "names_detection.yaml",
            "names_semantic.yaml",
            "instances_train.json",
            "instances_val.json",
            "instances_test.json",
            "images.csv",
        ] {
            fs::write(folder.join(name), "").expect("a file beside the input");
        }
    }
    folder.join(reader.file)
}
