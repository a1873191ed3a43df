use super::*;
use crate::config::Config;
use crate::data::compose::{Pairing, Samples};
use crate::data::{IGNORED, MISSING, Skipped, UNKNOWN, digits};
use crate::geometry::Rect;

/// Six training, three validation and three test images with a task of every kind.
fn data() -> Dataset {
    let pairing = Pairing { canvas: [10, 10], samples: Samples { train: 6, val: 3, test: 3 }, seed: 0 };
    let mut data = digits::load(&pairing, 0).unwrap();
    let thing = |class: u32, ignored: bool| Object {
        ignored,
        ..Object::new(Rect { x0: 1.0, y0: 1.0, x1: 4.0, y1: 3.0 }, class)
    };
    data.name = "all kinds".into();
    data.tasks = vec![
        Task::class("colour", ["red", "green", "blue"].map(String::from).to_vec()),
        Task::new("traits", TaskKind::Attributes, &["old", "big"]),
        Task::new("age", TaskKind::Number, &[]),
        Task::new("mask", TaskKind::Mask, &["ground", "sky", "sea"]),
        Task::new("depth", TaskKind::Depth, &[]),
        Task::new("boxes", TaskKind::Boxes, &["cat", "dog"]),
    ];
    for split in [&mut data.train, &mut data.val, &mut data.test] {
        let n = split.images.count;
        // A quarter of the pixels is sky, half of them ground, the rest has no class; the last image has no mask.
        let pixel = |i: usize| if i >= (n - 1) * 100 { IGNORED } else { [1, 0, 0, IGNORED][i % 4] };
        let depth = |i: usize| if i.is_multiple_of(2) { f32::NAN } else { (i % 100) as f32 / 100.0 };
        let mut boxes = vec![Some(vec![]); n];
        boxes[0] = Some(vec![thing(0, false), thing(0, false), thing(1, true)]);
        boxes[n - 1] = None;
        split.labels = vec![
            Labels::Class((0..n as u32).map(|i| [0, 1, 1, MISSING, 0, 0][i as usize]).collect()),
            Labels::Attributes { count: 2, answers: (0..n).flat_map(|i| [[1.0, 0.0, UNKNOWN][i % 3], 0.0]).collect() },
            Labels::Number((0..n).map(|i| if i == 1 { f32::NAN } else { i as f32 * 1.5 }).collect()),
            Labels::Mask((0..n * 100).map(pixel).collect()),
            Labels::Depth((0..n * 100).map(depth).collect()),
            Labels::Boxes(boxes),
        ];
    }
    data
}

fn source(text: &str) -> Source {
    let text = format!("[data]\n{text}\n[teacher]\narch = \"resnet8\"\n");
    Config::parse(&text, "run.toml".as_ref(), &[]).unwrap().data.source
}

fn digits_source() -> Source {
    source("source = \"digits\"")
}

#[test]
fn labels_of_every_kind_are_counted() {
    let data = data();
    data.check().unwrap();
    let overview = Overview::of(&data, &digits_source());
    assert_eq!(overview.images, PerSplit { train: 6, val: 3, test: 3 });
    let train: Vec<&TaskLabels> = overview.tasks.iter().map(|t| &t.labels.train).collect();
    let named = |all: &[(&str, u64)]| -> Vec<NameCount> {
        all.iter().map(|(name, count)| NameCount { name: name.to_string(), count: *count }).collect()
    };
    assert_eq!(train.iter().map(|t| t.images).collect::<Vec<_>>(), [5, 6, 5, 5, 6, 5]);
    assert_eq!(train[0].counts, Counts::Classes { classes: named(&[("red", 3), ("green", 2), ("blue", 0)]) });
    let yes_no = |name: &str, yes, no| YesNo { name: name.into(), yes, no };
    assert_eq!(train[1].counts, Counts::Attributes { attributes: vec![yes_no("old", 2, 2), yes_no("big", 0, 6)] });
    assert_eq!(train[2].counts, Counts::Numbers { known: 5, min: Some(0.0), mean: Some(4.2), max: Some(7.5) });
    let classes = named(&[("ground", 250), ("sky", 125), ("sea", 0)]);
    assert_eq!(train[3].counts, Counts::Pixels { pixels: 500, classed: 375, classes });
    assert!(matches!(train[4].counts, Counts::Numbers { known: 300, .. }));
    let classes = named(&[("cat", 2), ("dog", 0)]);
    assert_eq!(train[5].counts, Counts::Objects { objects: 2, ignored: 1, images_without: 4, classes });

    let json: serde_json::Value = serde_json::from_str(&overview.to_json().unwrap()).unwrap();
    assert_eq!(json["images"]["val"], 3);
    assert_eq!(json["tasks"][0]["kind"], "class");
    assert_eq!(json["tasks"][0]["labels"]["train"]["classes"][1], serde_json::json!({"name": "green", "count": 2}));
    assert_eq!(json["tasks"][5]["labels"]["test"]["objects"], 2);
}

#[test]
fn nothing_known_is_null_and_a_dash() {
    let mut data = data();
    for split in [&mut data.train, &mut data.val, &mut data.test] {
        let (n, pixels) = (split.len(), 100);
        split.labels.iter_mut().for_each(|labels| *labels = labels.missing(n, pixels));
    }
    let overview = Overview::of(&data, &digits_source());
    assert_eq!(
        overview.tasks[2].labels.test,
        TaskLabels { images: 0, counts: Counts::Numbers { known: 0, min: None, mean: None, max: None } }
    );
    let text = overview.lines("skipped.txt").join("\n");
    for part in ["3 classes without a label in train", "no number in train", "  mean           –", "  % classed      –"]
    {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!text.contains("none in") && !text.contains("NaN"), "{text}");
}

#[test]
fn the_table_is_short() {
    let text = Overview::of(&data(), &digits_source()).lines("skipped.txt").join("\n");
    let expected = "  data         train   val  test
  images           6     3     3   10x10, grey
  colour           5     3     3   3 classes of 2 (green) to 3 (red) images each; none in train, val, test of
                                   blue
  traits           6     3     3   2 attributes, yes 2 (old) times; no yes in train, val, test of big
  age              5     2     2   0 to 7.5
    mean         4.2   1.5   1.5
  mask             5     2     2   3 classes of 33.3 % (sky) to 66.7 % (ground) of the pixels; none in train,
                                   val, test of sea
    % classed   75.0  75.0  75.0
  depth            6     3     3   0.01 to 0.99
    mean         0.5   0.5   0.5
  boxes            5     2     2   2 classes of 2 (cat) objects; 1 ignored; 4 images without an object; none
                                   in train, val, test of dog
    objects        2     2     2";
    assert_eq!(text, expected);
}

#[test]
fn ten_tasks_of_many_classes_fit_a_terminal() {
    let mut data = data();
    let long = |k: usize| format!("a class with a very long name indeed, number {k}");
    data.tasks = (0..10).map(|k| Task::class(format!("task_{k}\n"), (0..1000).map(long).collect())).collect();
    for split in [&mut data.train, &mut data.val, &mut data.test] {
        split.labels = (0..10).map(|_| Labels::Class((0..split.images.count as u32).collect())).collect();
    }
    let lines = Overview::of(&data, &digits_source()).lines("skipped.txt");
    assert!(lines.len() <= 2 + 10 * 5, "{}", lines.len());
    assert!(lines.iter().all(|line| line.chars().count() <= 110 && !line.contains('\n')), "{lines:#?}");
    assert!(lines[2].contains("1,000 classes of 1 images each; none in train of 994"), "{}", lines[2]);
}

#[test]
fn what_was_skipped_is_told_by_reason() {
    let mut data = data();
    let mut skipped: Vec<Skipped> = (0..1200).map(|i| Skipped::not_named(format!("d/{i}.png"), "in t.csv")).collect();
    skipped.extend((0..5).map(|i| Skipped::left_out(format!("{i}.png"), "is annotated, but there is no such file")));
    skipped.push(Skipped::left_out("t.csv", "\"x\" is no number").at("line 3"));
    skipped.push(Skipped::left_out("t.csv", "\"y\" is no number").at("line 7"));
    skipped.push(Skipped::incomplete("a.png", "has no mask; its pixels' classes are not known"));
    data.skipped = skipped;
    let lines = Overview::of(&data, &digits_source()).lines("skipped.txt");
    let start = lines.iter().position(|l| l.starts_with("  left out")).unwrap();
    let expected = "  left out: 7
    5 × is annotated, but there is no such file
      0.png
      1.png
      2.png
      … and 2 more in skipped.txt
    2 × \"…\" is no number
      t.csv, line 3: \"x\" is no number
      t.csv, line 7: \"y\" is no number
  used, but incomplete: 1
    1 × has no mask; its pixels' classes are not known
      a.png
  1,200 images in d are not named in t.csv; they are not used";
    assert_eq!(lines[start..].join("\n"), expected);
    // Very many reasons are not all shown.
    data.skipped = (0..20u8).map(|i| Skipped::left_out("x", format!("reason {}", char::from(b'a' + i)))).collect();
    let lines = Overview::of(&data, &digits_source()).lines("skipped.txt");
    assert_eq!(lines.last().unwrap(), "    … and 12 more for other reasons in skipped.txt");
}

#[test]
fn a_limit_beyond_what_there_is_is_told() {
    let idx = "source = \"idx\"\nfiles = { train_images = \"a\", train_labels = \"b\", test_images = \"c\", \
               test_labels = \"d\", task = \"t\" }\nlimit = { train = 6, test = 300 }";
    let notes = Overview::of(&data(), &source(idx)).notes;
    assert_eq!(notes, ["data.limit.test is 300, but the test split has 3 images"]);
    let folder = "source = \"folder\"\nfolder = \"f\"\nsize = [8, 8]\nalso = { more = \"g\" }\nlimit.val = 2";
    let notes = Overview::of(&data(), &source(folder)).notes;
    assert_eq!(notes, ["data.limit.val is 2 for each of 2 folders, but the val split has 3 images"]);
    assert!(Overview::of(&data(), &digits_source()).notes.is_empty());
}

#[test]
fn images_that_training_has_too_are_told_of_by_their_pixels() {
    let mut data = data();
    let notes = |data: &Dataset| Overview::of(data, &digits_source()).notes;
    assert!(notes(&data).is_empty());
    let pixels = data.train.images.pixels.len() / data.train.len();
    let image = |split: &Split, sample: usize| split.images.pixels[sample * pixels..][..pixels].to_vec();
    // One image of validation, under a name of its own; two of test, one of which training has twice.
    let (first, third) = (image(&data.train, 0), image(&data.train, 2));
    data.train.images.pixels[5 * pixels..].copy_from_slice(&third);
    data.val.images.pixels[pixels..2 * pixels].copy_from_slice(&third);
    data.test.images.pixels[..pixels].copy_from_slice(&third);
    data.test.images.pixels[2 * pixels..].copy_from_slice(&first);
    let named = |prefix: &str, split: &Split| (0..split.len()).map(|i| format!("{prefix}/{i}.png").into()).collect();
    data.train.files = named("train", &data.train);
    data.val.files = named("val", &data.val);
    assert_eq!(
        notes(&data),
        [
            "1 image of the val split is in training, too, pixel for pixel, such as val/1.png (train/2.png there)",
            "2 images of the test split are in training, too, pixel for pixel, such as image 1 (train/2.png there)",
        ]
    );
    // One bit of one pixel makes it another image.
    data.val.images.pixels[pixels] ^= 1;
    data.test = data.val.clone();
    assert!(notes(&data).is_empty());
}
