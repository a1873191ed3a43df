//! labelme's files, which lie beside their images.

use limbeck::config::Config;
use limbeck::data::Labels;
use limbeck::experiment;
use std::path::Path;
use tempfile::tempdir;

/// Twelve images with the outline of a square each, one that nobody has labelled, and the settings of a run on them.
pub fn set(root: &Path) -> String {
    for i in 0..12u32 {
        let (x, y) = (2 + i % 5, 3 + i % 4);
        image::RgbImage::new(20, 16).save(root.join(format!("{i}.png"))).unwrap();
        let (x1, y1) = (x + 6, y + 6);
        let text = format!(
            r#"{{"shapes": [{{"label": "square", "shape_type": "polygon", "group_id": null,
                "points": [[{x}, {y}], [{x1}, {y}], [{x1}, {y1}], [{x}, {y1}]]}}],
                "imagePath": "{i}.png", "imageData": null, "imageHeight": 16, "imageWidth": 20}}"#
        );
        std::fs::write(root.join(format!("{i}.json")), text).unwrap();
    }
    image::RgbImage::new(20, 16).save(root.join("unseen.png")).unwrap();
    format!(
        "[data]\nsource = \"labelme\"\nroot = {:?}\nannotations = \".\"\nsize = [20, 20]\n\
         val_fraction = 0.25\ntest_fraction = 0.25\ntasks = [\"boxes\", \"mask\", \"count\"]\n",
        root
    )
}

/// Outlines give masks.
#[test]
fn labelme_files_become_boxes_masks_and_counts() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("labelme.toml");
    std::fs::write(&file, set(folder.path())).unwrap();
    let config = Config::load(&file, &[]).unwrap();
    assert_eq!(Config::parse(&config.to_toml(), &file, &[]).unwrap(), config);
    let data = experiment::load_data(&config).unwrap();
    assert_eq!(data.splits().map(|(_, split)| split.len()), [6, 3, 3]);
    assert_eq!(data.tasks[1].classes, ["background", "square"]);
    let Labels::Mask(mask) = &data.train.labels[1] else { panic!() };
    assert!(mask[..400].iter().filter(|v| **v == 1).count() == 36, "a square of six pixels");
    assert!(data.skipped.len() == 1 && data.skipped[0].path.ends_with("unseen.png"), "{:?}", data.skipped);
}
