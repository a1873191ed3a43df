//! The formats on data sets as they are in the world, with all their gaps. Needs `LIMBECK_DATA`, a folder with `coco/`, `raccoon/`,
//! `nuclei/` and `clothing/`:
//! `LIMBECK_DATA=../data cargo test --release --test data real_data -- --ignored --nocapture`

use limbeck::config::Config;
use limbeck::data::{Dataset, Labels};
use limbeck::experiment::load_data;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    std::env::var_os("LIMBECK_DATA").map(PathBuf::from).expect("set LIMBECK_DATA to the folder of the data sets")
}

/// The data of an example's file, with values of its own, and the files it names.
fn example(name: &str, folder: &str, sets: &[&str]) -> Dataset {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    let mut all = vec![format!("data.root={}", root().join(folder).display())];
    all.extend(sets.iter().map(|s| s.to_string()));
    let config = Config::load(&file, &all).unwrap_or_else(|e| panic!("{e}"));
    let data = load_data(&config).unwrap_or_else(|e| panic!("{e}"));
    println!("{name}: {:?}, left out or told of: {}", data.splits().map(|(_, s)| s.len()), data.skipped.len());
    for skipped in &data.skipped {
        println!("  {skipped}");
    }
    data
}

fn samples(data: &Dataset) -> usize {
    data.splits().iter().map(|(_, s)| s.len()).sum()
}

fn files(folder: &str) -> usize {
    std::fs::read_dir(root().join(folder)).unwrap().count()
}

fn told(data: &Dataset, part: &str) -> usize {
    data.skipped.iter().filter(|s| s.reason.contains(part)).count()
}

fn objects(data: &Dataset, task: usize) -> usize {
    let of = |labels: &Labels| match labels {
        Labels::Boxes(all) => all.iter().flatten().map(Vec::len).sum(),
        _ => 0,
    };
    data.splits().iter().map(|(_, s)| of(&s.labels[task])).sum()
}

#[test]
#[ignore = "needs the data sets"]
fn every_image_of_coco_is_read_or_named() {
    let all = ["data.limit={}", "data.size=[64, 64]"];
    let data = example("coco.toml", "coco", &all);
    assert_eq!(samples(&data), files("coco/images"));
    // Two images without a file of boxes, two files without an image, 28 images without a mask.
    assert_eq!(
        (told(&data, "objects are not known"), told(&data, "without an image"), told(&data, "no mask")),
        (2, 2, 28)
    );
    let polygons = example(
        "coco.toml",
        "coco",
        &[&all[..], &["data.labels=polygons_yolo", "data.names=names_instance.yaml", "data.on_error=skip"]].concat(),
    );
    assert_eq!(samples(&polygons), files("coco/images"));
    let panoptic = [
        "data.source=panoptic",
        "data.annotations=panoptic/panoptic_train2017.json",
        "data.segments=panoptic/panoptic_train2017",
    ];
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/coco.toml")).unwrap();
    let own =
        |line: &&str| !["labels", "names", "folder", "ignored", "[data.masks]"].iter().any(|k| line.starts_with(k));
    let text: Vec<&str> = text.lines().filter(own).collect();
    let root = format!("data.root={}", root().join("coco").display());
    let sets: Vec<String> = all.iter().chain(&panoptic).map(|s| s.to_string()).chain([root]).collect();
    let config = Config::parse(&text.join("\n"), Path::new("panoptic.toml"), &sets).unwrap_or_else(|e| panic!("{e}"));
    let data = load_data(&config).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((samples(&data), data.tasks[0].classes.len(), data.tasks[1].classes.len()), (100, 80, 133));
    assert_eq!(samples(&data) + told(&data, "not named by any annotation"), files("coco/images"));
}

#[test]
#[ignore = "needs the data sets"]
fn every_image_of_the_others_is_read_or_named() {
    let raccoon = example("raccoon.toml", "raccoon", &["data.size=[64, 64]"]);
    assert_eq!((samples(&raccoon), files("raccoon/images"), objects(&raccoon, 0)), (200, 200, 217));
    let nuclei = example("nuclei.toml", "nuclei", &["data.size=[64, 64]"]);
    assert_eq!((samples(&nuclei), files("nuclei/images")), (334, 334));
    let clothing = example("clothing.toml", "clothing", &["data.size=[32, 32]"]);
    assert_eq!(samples(&clothing) + told(&clothing, "not named in images.csv"), files("clothing/images"));
    let rows = std::fs::read_to_string(root().join("clothing/images.csv")).unwrap().lines().count() - 1;
    assert_eq!(samples(&clothing) + told(&clothing, "there is no image"), rows);
}
