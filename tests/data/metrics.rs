//! The metrics against scikit-learn's (`tests/goldens/make_metrics.py`), pycocotools' (`make_detection.py`,
//! `make_letterbox.py`), and torchmetrics' and scikit-learn's (`make_tallies.py`, which says of each value whose it is).

use limbeck::data::letterbox::Letterbox;
use limbeck::geometry::Rect;
use limbeck::metrics::{
    CalibrationTally, CocoClass, Confusion, Detection, DetectionTally, Interpolation, MultilabelTally, RegressionTally,
    Truth,
};
use serde_json::Value;
use std::{fs, path::Path};

fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn list(v: &Value) -> &[Value] {
    v.as_array().unwrap()
}

fn numbers(v: &Value) -> Vec<f64> {
    list(v).iter().map(|v| v.as_f64().unwrap()).collect()
}

#[track_caller]
fn near(what: &str, ours: Option<f64>, theirs: &Value, within: f64) {
    match (ours, theirs.as_f64()) {
        (Some(a), Some(b)) => assert!((a - b).abs() <= within, "{what}: {a} against {b}"),
        (a, b) => assert_eq!(a, b, "{what}"),
    }
}

#[test]
fn average_precision_agrees_with_pycocotools_and_voc() {
    let golden = golden("detection.json");
    let cases = list(&golden["cases"]);
    assert!(cases.len() >= 12);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let mut tally = DetectionTally::new(case["classes"].as_u64().unwrap() as usize);
        for image in list(&case["images"]) {
            let rect = |v: &[f64]| Rect { x0: v[0] as f32, y0: v[1] as f32, x1: v[2] as f32, y1: v[3] as f32 };
            let truth = |v: &Value| {
                let v = numbers(v);
                Truth { rect: rect(&v), class: v[4] as usize, area: v[5], ignored: v[6] != 0.0 }
            };
            let detection = |v: &Value| {
                let v = numbers(v);
                Detection { rect: rect(&v), class: v[4] as usize, score: v[5] as f32 }
            };
            let (truths, detections) = (list(&image["truths"]), list(&image["detections"]));
            tally.add(truths.iter().map(truth).collect(), detections.iter().map(detection).collect()).unwrap();
        }
        let s = tally.coco();
        let ours = [
            s.ap,
            s.ap50,
            s.ap75,
            s.ap_small,
            s.ap_medium,
            s.ap_large,
            s.ar1,
            s.ar10,
            s.ar100,
            s.ar_small,
            s.ar_medium,
            s.ar_large,
        ];
        for (i, ours) in ours.into_iter().enumerate() {
            near(&format!("{name}, number {i}"), ours, &case["coco"][i], 1e-12);
        }
        for (key, interpolation) in [("voc_area", Interpolation::Area), ("voc_eleven", Interpolation::ElevenPoints)] {
            for (class, ours) in tally.voc(0.5, interpolation).into_iter().enumerate() {
                near(&format!("{name}, {key} of class {class}"), ours, &case[key][class], 1e-12);
            }
        }
        // The table is the mean over the rows of the classes that occur.
        let known: Vec<CocoClass> = tally.coco_and_classes().1.into_iter().flatten().collect();
        let mean = |of: fn(&CocoClass) -> f64| {
            (!known.is_empty()).then(|| known.iter().map(of).sum::<f64>() / known.len() as f64)
        };
        let means = [mean(|c| c.ap), mean(|c| c.ap50), mean(|c| c.ap75), mean(|c| c.ar100)];
        for (mean, number) in means.into_iter().zip([0, 1, 2, 8]) {
            near(&format!("{name}, classes, number {number}"), mean, &case["coco"][number], 1e-12);
        }
    }
}

/// `make_letterbox.py`: found on a canvas, measured in images of odd proportions.
#[test]
fn what_is_found_on_a_canvas_is_measured_in_the_image() {
    let golden = golden("letterbox.json");
    let cases = list(&golden["cases"]);
    assert!(cases.len() >= 5);
    for case in cases {
        let pair = |key: &str| [0, 1].map(|k| case[key][k].as_u64().unwrap() as usize);
        let (size, canvas) = (pair("size"), pair("canvas"));
        let (name, place) = (format!("{size:?} on {canvas:?}"), Letterbox::new(size, canvas));
        let mut tally = DetectionTally::new(2);
        let rect = |v: &[f64]| Rect { x0: v[0] as f32, y0: v[1] as f32, x1: v[2] as f32, y1: v[3] as f32 };
        for image in list(&case["images"]) {
            let truths = list(&image["truths"]).iter().map(|v| {
                let v = numbers(v);
                Truth { rect: rect(&v), class: v[4] as usize, area: v[5], ignored: v[6] != 0.0 }
            });
            let detections = list(&image["detections"]).iter().map(|v| {
                let v = numbers(v);
                Detection { rect: rect(&v), class: v[4] as usize, score: v[5] as f32 }
            });
            tally.add(truths.collect(), place.boxes_back(detections.collect())).unwrap();
        }
        let s = tally.coco();
        let ours = [s.ap, s.ap50, s.ap75, s.ap_small, s.ap_medium, s.ap_large, s.ar1, s.ar10, s.ar100];
        let ours = ours.into_iter().chain([s.ar_small, s.ar_medium, s.ar_large]);
        ours.enumerate().for_each(|(i, v)| near(&format!("{name}, number {i}"), v, &case["coco"][i], 1e-12));
        // Masks of n x n blocks, each as large as covers the whole.
        let mask = |key: &str, n: usize, [h, w]: [usize; 2]| -> Vec<u8> {
            let block = |y: usize, x: usize| case[key][y / h.div_ceil(n)][x / w.div_ceil(n)].as_u64().unwrap() as u8;
            (0..h * w).map(|p| block(p / w, p % w)).collect()
        };
        let said = place.mask_back(&mask("answers", 5, canvas));
        let mut pixels = Confusion::new(3);
        for (said, label) in said.into_iter().zip(mask("labels", 7, size)).filter(|(_, label)| *label < 3) {
            pixels.add(said.into(), label.into()).unwrap();
        }
        near(&format!("{name}: mIoU"), pixels.mean_iou(), &case["miou"], 1e-12);
        near(&format!("{name}: pixel accuracy"), Some(pixels.accuracy()), &case["accuracy"], 1e-12);
    }
}

/// torchmetrics computes in single precision.
const SINGLE: f64 = 1e-6;

fn floats(v: &Value) -> Vec<f32> {
    numbers(v).into_iter().map(|v| v as f32).collect()
}

/// The cases of one kind, at least so many.
fn tallies(kind: &str, least: usize) -> Vec<(String, Value)> {
    let golden = golden("tallies.json");
    let cases = list(&golden[kind]);
    assert!(cases.len() >= least, "{kind}: {} cases", cases.len());
    cases.iter().enumerate().map(|(i, c)| (format!("{kind} {i}, {}", c["name"].as_str().unwrap()), c.clone())).collect()
}

#[test]
fn segmentation_agrees_with_torchmetrics() {
    for (name, case) in tallies("segmentation", 13) {
        let mut pixels = Confusion::new(case["classes"].as_u64().unwrap() as usize);
        for (pred, label) in numbers(&case["predictions"]).into_iter().zip(numbers(&case["labels"])) {
            if label != 255.0 {
                pixels.add(pred as usize, label as usize).unwrap();
            }
        }
        // Of no pixel torchmetrics says 0.
        let miou = pixels.mean_iou();
        assert_eq!(miou.is_some(), pixels.total() > 0, "{name}");
        near(&format!("{name}: mIoU"), Some(miou.unwrap_or(0.0)), &case["mean_iou"], SINGLE);
        near(&format!("{name}: pixel accuracy"), Some(pixels.accuracy()), &case["pixel_accuracy"], SINGLE);
        assert_eq!(pixels.iou().len(), list(&case["iou"]).len(), "{name}");
        for (c, iou) in pixels.iou().into_iter().enumerate() {
            near(&format!("{name}: IoU of class {c}"), iou, &case["iou"][c], SINGLE);
        }
    }
}

#[test]
fn attributes_agree_with_scikit_learn_and_torchmetrics() {
    for (name, case) in tallies("attributes", 6) {
        let mut tally = MultilabelTally::new(list(&case["scores"][0]).len());
        for (scores, answers) in list(&case["scores"]).iter().zip(list(&case["answers"])) {
            let answers: Vec<Option<bool>> =
                numbers(answers).into_iter().map(|v| (v >= 0.0).then_some(v == 1.0)).collect();
            tally.add(&floats(scores), &answers).unwrap();
        }
        for (library, within) in [("scikit-learn", 1e-12), ("torchmetrics", SINGLE)] {
            let theirs = &case[library];
            assert_eq!(list(&theirs["each"]).len(), tally.per_attribute().len(), "{name}, {library}");
            for (a, ours) in tally.per_attribute().into_iter().enumerate() {
                let at = |key: &str| format!("{name}, {library}: {key} of attribute {a}");
                for (key, ours) in [("precision", ours.precision), ("recall", ours.recall), ("f1", ours.f1)] {
                    near(&at(key), Some(ours), &theirs["each"][a][key], within);
                }
                near(&at("AP"), ours.average_precision, &theirs["each"][a]["average_precision"], within);
            }
            let all = tally.metrics();
            for (key, ours) in [
                ("accuracy", all.accuracy),
                ("f1", all.f1),
                ("micro_f1", all.micro_f1),
                ("map", all.map.unwrap_or(0.0)),
            ] {
                near(&format!("{name}, {library}: {key}"), Some(ours), &theirs[key], within);
            }
        }
    }
}

#[test]
fn numbers_agree_with_scikit_learn_and_torchmetrics() {
    let mut compared = [0, 0];
    for (name, case) in tallies("numbers", 10) {
        let mut tally = RegressionTally::default();
        let labels = numbers(&case["labels"]);
        for (prediction, label) in numbers(&case["predictions"]).into_iter().zip(numbers(&case["labels"])) {
            tally.add(prediction, label).unwrap();
        }
        let m = tally.metrics();
        // Both in double precision; what torchmetrics cannot compute is not there.
        for (library, compared) in ["scikit-learn", "torchmetrics"].into_iter().zip(&mut compared) {
            let Some(theirs) = case.get(library) else { continue };
            for (key, ours) in [("rmse", m.rmse), ("mae", m.mae), ("r2", m.r2)] {
                if key == "r2" && labels.iter().all(|y| *y == labels[0]) {
                    // Undefined; both libraries give 0 or 1 instead unless told otherwise.
                    assert_eq!(ours, None, "{name}");
                    continue;
                }
                near(&format!("{name}, {library}: {key}"), ours, &theirs[key], 1e-10);
            }
            *compared += 1;
        }
    }
    assert!(compared[0] >= 10 && compared[1] >= 8, "{compared:?}");
}

#[test]
fn calibration_agrees_with_torchmetrics() {
    for (name, case) in tallies("calibration", 9) {
        let mut tally = CalibrationTally::new(case["bins"].as_u64().unwrap() as usize);
        for (p, label) in list(&case["probabilities"]).iter().zip(numbers(&case["labels"])) {
            tally.add(&floats(p), label as usize).unwrap();
        }
        for (key, ours) in [("ece", tally.ece()), ("top1", tally.top1()), ("top5", tally.top5())] {
            near(&format!("{name}: {key}"), Some(ours), &case[key], SINGLE);
        }
    }
}

#[test]
fn metrics_agree_with_scikit_learn() {
    let golden = golden("metrics.json");
    let cases = list(&golden["cases"]);
    assert!(cases.len() >= 7);
    let close = |name: &str, what: &str, ours: f64, theirs: &Value| {
        assert!((ours - theirs.as_f64().unwrap()).abs() < 1e-12, "{name}: {what} {ours} against {theirs}");
    };
    let ints =
        |v: &Value| -> Vec<usize> { v.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect() };
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let mut confusion = Confusion::new(case["classes"].as_u64().unwrap() as usize);
        for (pred, label) in ints(&case["predictions"]).into_iter().zip(ints(&case["labels"])) {
            confusion.add(pred, label).unwrap();
        }
        assert_eq!(serde_json::json!(confusion.rows()), case["confusion"], "{name}");
        let metrics = confusion.metrics();
        close(name, "accuracy", metrics.accuracy, &case["accuracy"]);
        close(name, "precision", metrics.precision, &case["precision"]);
        close(name, "recall", metrics.recall, &case["recall"]);
        close(name, "f1", metrics.f1, &case["f1"]);
        for (c, class) in confusion.per_class().iter().enumerate() {
            close(name, "class precision", class.precision, &case["per_class"]["precision"][c]);
            close(name, "class recall", class.recall, &case["per_class"]["recall"][c]);
            close(name, "class f1", class.f1, &case["per_class"]["f1"][c]);
        }
    }
}

#[cfg(feature = "train")]
#[test]
fn a_confusion_matrix_survives_json() {
    let confusion = Confusion::from_counts(vec![3, 1, 0, 2], 2).unwrap();
    let text = serde_json::to_string(&confusion).unwrap();
    assert_eq!(text, "[[3,1],[0,2]]");
    assert_eq!(serde_json::from_str::<Confusion>(&text).unwrap(), confusion);
    assert!(serde_json::from_str::<Confusion>("[[3,1],[0]]").is_err());
}
