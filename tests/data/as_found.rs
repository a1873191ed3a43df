//! Data sets as people have them: written on another system, by another tool, in another encoding. Each row alters a sound set so that it
//! means the same; what is loaded must then be the same.

use limbeck::config::Config;
use limbeck::data::{Dataset, Split};
use limbeck::experiment;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

use crate::{coco, labelme, table, voc, yolo};

type Make = fn(&Path) -> String;
type Sets = &'static [&'static str];

/// A set and its settings; what is done to its files; keys set as `--set` does; and words of what is told of it, where something is.
type Row = (&'static str, Make, fn(&Path), Sets, &'static str);

/// The set, loaded.
fn load(make: Make, alter: fn(&Path), sets: Sets) -> Result<Dataset, String> {
    let folder = tempdir().unwrap();
    let file = folder.path().join("run.toml");
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(&file, make(&data)).unwrap();
    alter(&data);
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    let config = Config::load(&file, &sets).map_err(|e| e.to_string())?;
    experiment::load_data(&config).map_err(|e| e.to_string())
}

/// Everything that is learnt and measured, as text: an unknown number is no number, and equals nothing.
pub fn content(data: &Dataset) -> String {
    let own = |split: &Split| split.originals.as_ref().map(|own| format!("{:?}", (&own.places, &own.labels)));
    format!("{:?}", data.splits().map(|(_, split)| (&split.images, &split.labels, own(split))))
}

pub fn edit(file: &Path, change: impl Fn(String) -> String) {
    fs::write(file, change(fs::read_to_string(file).unwrap())).unwrap();
}

/// Every file of an ending.
fn edit_all(folder: &Path, ending: &str, change: impl Fn(String) -> String) {
    for path in
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == ending))
    {
        edit(&path, &change);
    }
}

fn utf16(file: &Path) {
    let text = fs::read_to_string(file).unwrap();
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    fs::write(file, units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).unwrap();
}

fn sound(_: &Path) {}

#[test]
fn sets_mean_the_same_however_they_are_written() {
    let rows: &[Row] = &[
        (
            "names of another system",
            coco::set,
            |d| {
                edit(&d.join("instances.json"), |t| {
                    t.replace("wide.png", "C:\\\\\\\\sets\\\\\\\\wide.png").replace("\\\\\\\\", "\\\\")
                })
            },
            &[],
            "",
        ),
        ("names without endings", coco::set, |d| edit(&d.join("held.json"), |t| t.replace(".png", "")), &[], ""),
        (
            "names with another ending",
            coco::set,
            |d| edit(&d.join("held.json"), |t| t.replace("tall.png", "tall.jpg")),
            &[],
            "",
        ),
        (
            "an image in a folder below",
            coco::set,
            |d| {
                fs::create_dir(d.join("below")).unwrap();
                fs::rename(d.join("wide.png"), d.join("below/wide.png")).unwrap();
            },
            &[],
            "",
        ),
        (
            "ids that are texts",
            coco::set,
            |d| {
                edit(&d.join("instances.json"), |t| {
                    t.replace("\"image_id\": 1", "\"image_id\": \"im1\"")
                        .replace("\"id\": 1, \"file_name\"", "\"id\": \"im1\", \"file_name\"")
                })
            },
            &[],
            "",
        ),
        (
            "ids below 0",
            coco::set,
            |d| {
                edit(&d.join("instances.json"), |t| {
                    t.replace("\"image_id\": 2", "\"image_id\": -2")
                        .replace("\"id\": 2, \"file_name\"", "\"id\": -2, \"file_name\"")
                })
            },
            &[],
            "",
        ),
        (
            "ids and sizes with points",
            coco::set,
            |d| {
                edit(&d.join("instances.json"), |t| {
                    t.replace("\"image_id\": 1", "\"image_id\": 1.0")
                        .replace("\"width\": 16", "\"width\": 16.0")
                        .replace("\"category_id\": 2", "\"category_id\": 2.0")
                })
            },
            &[],
            "",
        ),
        (
            "no sizes",
            coco::set,
            |d| edit(&d.join("instances.json"), |t| t.replace(", \"width\": 8, \"height\": 16", "")),
            &[],
            "",
        ),
        (
            "an area that is no number",
            coco::set,
            |d| edit(&d.join("instances.json"), |t| t.replace("\"area\": 16", "\"area\": NaN")),
            &[],
            "",
        ),
        ("UTF-16", coco::set, |d| utf16(&d.join("instances.json")), &[], ""),
        ("a mark before the text", coco::set, |d| edit(&d.join("held.json"), |t| format!("\u{feff}{t}")), &[], ""),
        (
            "an annotation twice",
            coco::set,
            |d| {
                fs::write(
                    d.join("instances.json"),
                    coco::instances(r#", {"id": 4, "image_id": 2, "category_id": 1, "bbox": [2, 2, 4, 4]}"#),
                )
                .unwrap()
            },
            &[],
            "an object of \"square\" is listed again, at [2, 2, 6, 6]; it counts once",
        ),
        (
            "categories in another order",
            coco::set,
            |d| {
                edit(&d.join("held.json"), |t| {
                    t.replace(
                        "{\"id\": 1, \"name\": \"square\"}, {\"id\": 2,",
                        "{\"id\": 2, \"name\": \"square\"}, {\"id\": 1,",
                    )
                    .replace("\"category_id\": 1", "\"category_id\": X")
                    .replace("\"category_id\": 2", "\"category_id\": 1")
                    .replace("\"category_id\": X", "\"category_id\": 2")
                })
            },
            &[],
            "they were matched by name",
        ),
        (
            "an annotated image that is gone",
            coco::set,
            |d| {
                edit(&d.join("instances.json"), |t| {
                    t.replace(
                        "\"images\": [",
                        "\"images\": [{\"id\": 9, \"file_name\": \"wode.png\", \"width\": 3, \"height\": 3}, ",
                    )
                    .replace(
                        "\"annotations\": [",
                        "\"annotations\": [{\"image_id\": 9, \"category_id\": 1, \"bbox\": [0, 0, 1, 1]},",
                    )
                })
            },
            &[],
            "is annotated, but there is no image of this name, here or in a folder below; the nearest is \"wide.png\"",
        ),
        (
            "an image and a category that are none",
            coco::set,
            |d| {
                edit(&d.join("instances.json"), |t| {
                    t.replace("\"images\": [", "\"images\": [{\"id\": 9}, ")
                        .replace("\"categories\": [", "\"categories\": [{\"id\": 9}, ")
                })
            },
            &["data.on_error=skip"],
            "missing field `name`",
        ),
        (
            "VOC without sizes",
            voc::set,
            |d| {
                edit_all(d, "xml", |t| {
                    t.replace("<width>20</width><height>16</height>", "<width>0</width><height>0</height>")
                })
            },
            &[],
            "",
        ),
        (
            "VOC of images of other names",
            voc::set,
            |d| edit_all(d, "xml", |t| t.replace(".png</filename>", "_resized.bmp</filename>")),
            &[],
            "",
        ),
        (
            "VOC in another encoding",
            voc::set,
            |d| {
                let bytes = fs::read(d.join("3.xml")).unwrap();
                let head = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><!-- \xe9 -->";
                fs::write(d.join("3.xml"), [head.as_slice(), &bytes].concat()).unwrap();
            },
            &[],
            "",
        ),
        (
            "VOC, an object twice",
            voc::set,
            |d| {
                edit(&d.join("0.xml"), |t| {
                    let from = t.find("<object>").unwrap();
                    let object = t[from..].replace("</annotation>", "");
                    t.replace("</annotation>", &format!("{object}</annotation>"))
                })
            },
            &[],
            "listed again",
        ),
        (
            "YOLO, classes with points",
            yolo::set,
            |d| edit_all(&d.join("labels"), "txt", |t| t.replacen("4 ", "4.0 ", 1)),
            &[],
            "",
        ),
        (
            "YOLO, other ends of lines",
            yolo::set,
            |d| edit_all(&d.join("labels"), "txt", |t| t.replace('\n', "\r\n\r\n")),
            &[],
            "",
        ),
        ("YOLO, UTF-16", yolo::set, |d| utf16(&d.join("labels/5.txt")), &[], ""),
        ("YOLO, a box twice", yolo::set, |d| edit(&d.join("labels/0.txt"), |t| t.clone() + &t), &[], "listed again"),
        (
            "YOLO, names under classes",
            yolo::set,
            |d| edit(&d.join("names.yaml"), |t| t.replace("names:", "classes:")),
            &[],
            "",
        ),
        (
            "labelme, images in a folder below",
            labelme::set,
            |d| {
                fs::create_dir(d.join("below")).unwrap();
                (0..12).for_each(|i| fs::rename(d.join(format!("{i}.png")), d.join(format!("below/{i}.png"))).unwrap());
            },
            &[],
            "",
        ),
        (
            "labelme, files of other names than their images, of another system and ending",
            labelme::set,
            |d| {
                fs::create_dir(d.join("below")).unwrap();
                fs::rename(d.join("unseen.png"), d.join("below/unseen.png")).unwrap();
                for i in 0..12 {
                    fs::rename(d.join(format!("{i}.png")), d.join(format!("below/{i}.png"))).unwrap();
                    fs::rename(d.join(format!("{i}.json")), d.join(format!("sheet-{i}.json"))).unwrap();
                }
                edit_all(d, "json", |t| {
                    t.replace("\"imagePath\": \"", "\"imagePath\": \"C:\\\\sets\\\\").replace(".png", ".jpg")
                });
            },
            &["data.images=below"],
            "",
        ),
        (
            "labelme, as other tools write its numbers",
            labelme::set,
            |d| {
                edit_all(d, "json", |t| {
                    t.replace("\"group_id\": null", "\"group_id\": NaN").replace(
                        "\"imageHeight\": 16, \"imageWidth\": 20",
                        "\"imageHeight\": NaN, \"imageWidth\": 20.0",
                    )
                })
            },
            &[],
            "",
        ),
        (
            "a class that is ignored, by its name",
            yolo::set,
            sound,
            &["data.masks={ folder = \"masks\", names = \"masks.yaml\", ignored = [\"none\"] }"],
            "",
        ),
        (
            "a table of pandas",
            table::set,
            |d| edit(&d.join("table.csv"), |t| t.replace("true", "1.0").replace("false", "0.0")),
            &[],
            "",
        ),
        (
            "a table with its own yes and no",
            table::set,
            |d| edit(&d.join("table.csv"), |t| t.replace("true", "+").replace("false", "-1")),
            &["data.yes=[\"+\"]", "data.no=[\"-1\"]"],
            "",
        ),
        ("a table of Windows", table::set, |d| edit(&d.join("table.csv"), |t| t.replace('\n', "\r\n")), &[], ""),
        ("a table in UTF-16", table::set, |d| utf16(&d.join("table.csv")), &[], ""),
        ("a table of folders", table::set, |d| edit(&d.join("table.csv"), |t| t.replace("\n1", "\nimg\\1")), &[], ""),
    ];
    for (name, make, alter, sets, words) in rows {
        let expected = load(*make, sound, &[]).unwrap();
        let found = load(*make, *alter, sets).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found.tasks, expected.tasks, "{name}");
        assert!(content(&found) == content(&expected), "{name}: other content; {:?}", found.skipped);
        let told = |data: &Dataset| data.skipped.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        let (told, before) = (told(&found), told(&expected));
        match *words {
            "" => assert_eq!(told.len(), before.len(), "{name}: {told:?}"),
            words => assert!(told.iter().any(|line| line.contains(words)), "{name}: {told:?}"),
        }
    }
}

#[test]
fn what_no_image_fits_is_told_with_line_and_nearest_name() {
    for (make, alter, words) in [
        (
            table::set as Make,
            (|d| edit(&d.join("table.csv"), |t| t.replace(".png", ".png.bak"))) as fn(&Path),
            "names no image that is there",
        ),
        (
            table::set,
            |d| {
                edit(&d.join("table.csv"), |t| {
                    t.replace('\n', "\r\n").replace("\r\n4.png,red,true,8", "\r\n4.png,red,true,eight")
                })
            },
            "table.csv, line 6: column \"size\": \"eight\" is no number",
        ),
        (
            table::set,
            |d| {
                edit(&d.join("table.csv"), |t| {
                    t.replace("\n3.png,green", "\n\n\n3.png,green").replace("false,7", "maybe,7")
                })
            },
            "line 7: column \"bright\": \"maybe\" is neither",
        ),
        (
            coco::set,
            |d| edit(&d.join("held.json"), |t| t.replace("held-", "kept-")),
            "is data.images the right folder?",
        ),
        (
            coco::set,
            |d| edit(&d.join("held.json"), |t| t.replace("\"name\": \"square\"", "\"name\": \"circle\"")),
            "has 2 objects of \"circle\", which",
        ),
    ] {
        let Err(error) = load(make, alter, &[]) else { panic!("{words}: it went through") };
        assert!(error.contains(words), "{words}: {error}");
    }
}
