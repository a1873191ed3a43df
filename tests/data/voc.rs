//! Pascal VOC's files: annotations, lists of sets, masks in a palette's numbers.

use limbeck::config::Config;
use limbeck::data::{IGNORED, Labels};
use limbeck::experiment;
use limbeck::gpu::Gpu;
use limbeck::predict::Predictor;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tempfile::tempdir;

/// Twelve images with a square each, and the settings of a run on them.
pub fn set(root: &Path) -> String {
    for i in 0..12u32 {
        let (x, y) = (2 + i % 5, 3 + i % 4);
        let pixel = |px, py| if (x..x + 6).contains(&px) && (y..y + 6).contains(&py) { [250, 10, 10] } else { [90; 3] };
        let name = format!("{i}.png");
        image::RgbImage::from_fn(20, 16, |px, py| image::Rgb(pixel(px, py))).save(root.join(&name)).unwrap();
        let text = format!(
            "<annotation><filename>{name}</filename><size><width>20</width><height>16</height></size><object><name>square</name>\
             <bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object></annotation>",
            x + 1,
            y + 1,
            x + 6,
            y + 6
        );
        std::fs::write(root.join(format!("{i}.xml")), text).unwrap();
    }
    format!(
        "name = \"voc\"\nseeds = [0]\n[data]\nsource = \"voc\"\nroot = {:?}\nimages = \".\"\nannotations = \".\"\n\
         size = [20, 20]\nval_fraction = 0.25\ntest_fraction = 0.25\n[train]\nepochs = 2\nbatch = 3\n\
         [teacher]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n[student]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n",
        root
    )
}

/// Of the images of [`set`]: the first eight, the next two, and two of which the first eight have one.
pub fn lists(root: &Path) {
    let list = |name: &str, ids: std::ops::Range<u32>| {
        let lines: Vec<String> = ids.map(|i| format!("{i} 1\n")).collect();
        std::fs::write(root.join(name), lines.concat()).unwrap();
    };
    [("train.txt", 0..8), ("val.txt", 8..10), ("twice.txt", 7..9)].into_iter().for_each(|(name, ids)| list(name, ids));
}

#[test]
fn a_run_learns_from_voc_annotations() {
    let folder = tempdir().unwrap();
    let text = set(folder.path());
    let file = folder.path().join("voc.toml");
    std::fs::write(&file, &text).unwrap();
    let config = Config::load(&file, &[]).unwrap();
    assert_eq!(Config::parse(&config.to_toml(), &file, &[]).unwrap(), config);
    let out = folder.path().join("run");
    let summary = experiment::run(&config, &out, &Gpu::open().unwrap(), &AtomicBool::new(false), &mut |_| {}).unwrap();
    let tasks: Vec<&str> = summary.models["joint"].metrics.keys().map(String::as_str).collect();
    assert_eq!(tasks, ["boxes", "count"]);
    // In use the student sees an image as it did in training: whole, on grey.
    // For that the data need not be there any more.
    let gone = out.join("config.toml");
    let own = std::fs::read_to_string(&gone).unwrap();
    std::fs::write(&gone, own.replace(&format!("{:?}", folder.path()), "\"/nowhere\"")).unwrap();
    assert!(Config::load(&gone, &[]).unwrap_err().to_string().contains("/nowhere"));
    let student = Predictor::of_run(&Gpu::open().unwrap(), &out, "joint").unwrap();
    let pixels = student.read(&folder.path().join("0.png")).unwrap();
    assert!(student.card().letterbox && pixels[..2 * 20 * 3].iter().all(|v| *v == 114) && pixels[2 * 20 * 3] == 90);
    // As lists say, where there are lists; the rest of the images is left out.
    lists(folder.path());
    let with = |sets: &str| -> limbeck::Result<[usize; 3]> {
        std::fs::write(&file, text.replace("[train]", &format!("sets = {{ {sets} }}\n[train]"))).unwrap();
        let config = Config::load(&file, &[])?;
        assert_eq!(Config::parse(&config.to_toml(), &file, &[])?, config);
        let data = experiment::load_data(&config)?;
        Ok([data.train.len(), data.val.len(), data.test.len()])
    };
    assert_eq!(with("train = \"train.txt\"").unwrap(), [4, 2, 2]);
    assert_eq!(with("train = \"train.txt\", val = \"val.txt\"").unwrap(), [6, 2, 2]);
    assert_eq!(with("train = \"train.txt\", test = \"val.txt\"").unwrap(), [6, 2, 2]);
    // Masks as in `SegmentationClass`: a palette's numbers, 255 on the seam around the object; not every image has one.
    std::fs::create_dir(folder.path().join("SegmentationClass")).unwrap();
    for i in 0..8u8 {
        let path = folder.path().join(format!("SegmentationClass/{i}.png"));
        let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), 20, 16);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_palette((0..768).map(|v| (v % 251) as u8).collect::<Vec<u8>>());
        let value = |p: usize| [0, 0, 255, 1][p % 20 / 5];
        encoder.write_header().unwrap().write_image_data(&(0..320).map(value).collect::<Vec<u8>>()).unwrap();
    }
    let masks = "masks = { folder = \"SegmentationClass\", names = [\"background\", \"square\"] }\n[train]";
    std::fs::write(&file, text.replace("[train]", masks)).unwrap();
    let data = experiment::load_data(&Config::load(&file, &[]).unwrap()).unwrap();
    let names: Vec<&str> = data.tasks.iter().map(|t| t.name.as_str()).collect();
    assert_eq!((names, data.tasks[1].classes.len()), (vec!["boxes", "mask", "count"], 2));
    let known = data.splits().map(|(_, s)| s.labelled(&[1]).len());
    assert_eq!((known.iter().sum::<usize>(), data.skipped.len()), (8, 4), "{:?}", data.skipped);
    let Labels::Mask(mask) = &data.train.labels[1] else { panic!() };
    let first = data.train.labelled(&[1])[0] as usize;
    // Two rows of the canvas lie above the image.
    let at = |x: usize| mask[first * 400 + 5 * 20 + x];
    assert_eq!([at(0), at(9), at(12), at(17), mask[first * 400]], [0, 0, IGNORED, 1, IGNORED]);
}
