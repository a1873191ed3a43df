//! The metrics against scikit-learn's (`tests/goldens/make_metrics.py`).
#![cfg(feature = "formats")]

use limbeck::metrics::Confusion;
use std::{fs, path::Path};

#[test]
fn metrics_agree_with_scikit_learn() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/metrics.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 7);
    let close = |name: &str, what: &str, ours: f64, theirs: &serde_json::Value| {
        assert!((ours - theirs.as_f64().unwrap()).abs() < 1e-12, "{name}: {what} {ours} against {theirs}");
    };
    let ints = |v: &serde_json::Value| -> Vec<usize> {
        v.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect()
    };
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
