//! Sound files for every reader of `tests/support/readers.rs`, from which changed ones grow.

use crate::idx as idx_files;
use crate::support::{idx_folder, run_until};
use limbeck::bench::Report;
use limbeck::config::Config;
use limbeck::data::formats::{depth_map, index_mask};
use limbeck::gpu::Gpu;
use limbeck::train::Event;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

/// By the name of the reader.
pub fn corpus() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let mut all = pictures();
    all.extend(texts());
    all.extend(stored());
    all
}

/// What `save` writes to a file of this name.
fn saved(name: &str, save: &dyn Fn(&Path)) -> Vec<u8> {
    let folder = tempdir().unwrap();
    let path = folder.path().join(name);
    save(&path);
    fs::read(path).unwrap()
}

fn pictures() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let rgb = image::RgbImage::from_fn(13, 9, |x, y| image::Rgb([20 * x as u8, 25 * y as u8, 7]));
    let of_colour = ["a.png", "a.jpg"].map(|name| saved(name, &|path| rgb.save(path).unwrap()));
    let mask = saved("mask.png", &|path| index_mask::write(path, &[0, 1, 2, 1, 0, 2], [2, 3]).unwrap());
    let depths = saved("depth.npy", &|path| depth_map::write(path, &[0.5, 1.0, 2.0, 4.0, 1.5, 3.0], [2, 3]).unwrap());
    let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_vec(3, 2, vec![1u16, 2, 3, 400, 5000, 65535]).unwrap();
    let deep = saved("depth.png", &|path| deep.save(path).unwrap());
    let (images, labels) = (idx_files::images(4, 3, 2, 1), idx_files::labels(&[0, 1, 1, 0]));
    let zipped = [idx_files::gz(&images), idx_files::gz(&labels)];
    vec![
        ("pictures", of_colour.to_vec()),
        ("masks", vec![mask]),
        ("depths_npy", vec![depths]),
        ("depths_png", vec![deep]),
        ("idx", [vec![images, labels], zipped.to_vec()].concat()),
    ]
}

/// What people write: annotations, tables, lists, settings.
fn texts() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let coco = r#"{"images": [{"id": 7, "file_name": "a.png", "width": 20, "height": 16}, {"id": "x", "file_name": "b.png"}],
        "categories": [{"id": 2, "name": "cat"}, {"id": 5, "name": "dog"}],
        "annotations": [
          {"id": 1, "image_id": 7, "category_id": 2, "bbox": [1, 2, 6.5, 5], "area": 32, "iscrowd": 0,
           "segmentation": [[1, 2, 7, 2, 7, 7, 1, 7]]},
          {"id": 2, "image_id": 7, "category_id": 5, "bbox": [3, 3, 4, 4], "iscrowd": 1,
           "segmentation": {"size": [16, 20], "counts": [40, 5, 275]}},
          {"id": 3, "image_id": "x", "category_id": 5, "bbox": [0, 0, 20, 16],
           "segmentation": {"size": [16, 20], "counts": "0P:"}}]}"#;
    let panoptic = r#"{"images": [{"id": 7, "file_name": "a.png", "width": 20, "height": 16}],
        "categories": [{"id": 9, "name": "sky", "isthing": 0}, {"id": 4, "name": "cat", "isthing": 1}],
        "annotations": [{"image_id": 7, "file_name": "a.png", "segments_info": [
          {"id": 65793, "category_id": 4, "bbox": [1, 0, 2, 2], "area": 4, "iscrowd": 0},
          {"id": 131586, "category_id": 9, "bbox": [3, 0, 1, 2], "area": 2}]}]}"#;
    let voc = "<?xml version=\"1.0\"?>\n<!-- by hand --><annotation><folder>x</folder><filename>a.png</filename>\
        <size><width>20</width><height>16</height><depth>3</depth></size>\
        <object><name>cat</name><difficult>0</difficult><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>9.5</xmax><ymax>8</ymax></bndbox></object>\
        <object><name>d&amp;g</name><difficult>1</difficult><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>20</xmax><ymax>16</ymax></bndbox>\
        </object></annotation>";
    let labelme = r#"{"version": "5.0", "flags": {}, "shapes": [
        {"label": "cat", "shape_type": "polygon", "group_id": 1, "points": [[1, 2], [8, 2.5], [8, 7], [1, 7]]},
        {"label": "cat", "shape_type": "rectangle", "group_id": 1, "points": [[9, 9], [12, 14]]},
        {"label": "dog", "shape_type": "circle", "group_id": null, "points": [[9, 9], [12, 9]]}],
        "imagePath": "a.png", "imageData": null, "imageHeight": 16, "imageWidth": 20}"#;
    let table = "image,kind,bright,size,owner\na.png,red,yes,1.5,1\nb,green,0,4,2\n\"c.png\",red,1,-3e2,3\nd.png,green,no,7,\"4,5\"\n";
    let yaml = "path: .\ntrain: images/train\nval: [a, b]\nnames:\n  0: cat\n  1: 'dog'\n  2: \"x y\"\n";
    let list = "names: [cat, dog]\nnc: 2\ntrain: ../train/images # there\nclasses: {0: a, 1: b}\n";
    let ablation = "name = \"x\"\nbase = \"base.toml\"\n[[row]]\nname = \"joint,\"\nstage = \"joint\"\n\
        grid = { balance.method = [\"dwa\", \"famo\"] }\n[[row]]\nname = \"distilled\"\nstage = \"distilled\"\nset = ['train.epochs=2']\n";
    let examples = ["coco", "digits", "nuclei", "clothing"];
    let examples = examples.map(|name| fs::read(format!("examples/{name}.toml")).unwrap());
    let utf16 =
        |text: &str| [&[0xff, 0xfe][..], &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()].concat();
    let of = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    vec![
        ("coco", of(&[coco])),
        ("panoptic", of(&[panoptic])),
        ("voc", [of(&[voc]), vec![utf16(voc)]].concat()),
        ("voc_set", of(&["a 1\nb -1\n\nc  0\n"])),
        ("yolo", of(&["0 0.5 0.5 0.25 0.5\n4 0.1 0.2 0.3 0.2 0.3 0.9\n", "4 0.5 0.5 1 1\n"])),
        ("labelme", of(&[labelme])),
        ("table", [of(&[table]), vec![utf16(table)]].concat()),
        ("names", of(&[yaml, list])),
        ("mask_lists", of(&["a.png b.png\nc.png d.png\n", "./a.png,b.png\n"])),
        ("image_lists", of(&["# two\na.png\n./b.png\n*.png\n"])),
        ("run", examples.to_vec()),
        ("ablation", of(&[ablation])),
    ]
}

/// What the program stores: as an earlier version did, without a hash that would refuse whatever has changed, and as this one does.
fn stored() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let fixture = |name: &str| fs::read(Path::new("tests/fixtures/run-7deaba2").join(name)).unwrap();
    let journal = fixture("metrics.jsonl");
    let journal: Vec<u8> = journal.split_inclusive(|b| *b == b'\n').take(3).flatten().copied().collect();
    // Interrupted in the last of its stages, so that there is something of everything.
    let folder = tempdir().unwrap();
    let text = idx_folder(folder.path()).to_toml().replace("storage = \"none\"", "storage = \"f16\"");
    let config = Config::parse(&text, Path::new("small.toml"), &[]).unwrap();
    let out = folder.path().join("run");
    let distilling = |event: &Event| matches!(event, Event::Epoch(record) if record.stage == "distilled");
    run_until(&config, &out, &Gpu::open().unwrap(), distilling).unwrap_err();
    let own = |name: &str| fs::read(out.join("seed-0").join(name)).unwrap();
    let caches = fs::read_dir(out.join("cache")).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let result = || vec![fixture("seed-0/distilled.json"), own("single-kind.json")];
    vec![
        ("network", vec![fixture("seed-0/teacher-first.safetensors"), own("single-kind.safetensors")]),
        ("stage_state", vec![own("distilled.state.safetensors")]),
        ("stage_result", result()),
        ("answers", caches.collect()),
        ("journal", vec![journal]),
        ("reports", vec![fixture("summary.json"), benchmark()]),
    ]
}

/// One of the results of the benchmark that lie in the repository.
fn benchmark() -> Vec<u8> {
    let files = fs::read_dir("benches/results").unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    files.sort_by_key(|path| fs::metadata(path).unwrap().len());
    let mut report = Report::load(files.first().expect("a result of the benchmark")).unwrap();
    report.records.truncate(2);
    report.to_json().unwrap().into_bytes()
}
