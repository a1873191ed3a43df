//! Answers in words and as JSON, printed as they come.

use super::super::put;
use limbeck::Result;
use limbeck::data::formats::outline::class_runs;
use limbeck::predict::{TaskOutput, TaskPrediction};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Answers on their way to stdout, none of which is kept: a line each, or an array of JSON with a line for each.
pub struct Answers {
    json: bool,
    told: usize,
}

impl Answers {
    /// Nothing told yet.
    pub fn new(json: bool) -> Self {
        Answers { json, told: 0 }
    }

    /// Tells one, and whether anybody still reads.
    pub fn tell(&mut self, answer: &str) -> Result<bool> {
        let text = self.next(answer);
        self.told += 1;
        put(&text)
    }

    /// Closes the array.
    pub fn end(&self) -> Result<()> {
        if self.json { put(self.last()).map(drop) } else { Ok(()) }
    }

    fn next(&self, answer: &str) -> String {
        match (self.json, self.told) {
            (false, _) => format!("{answer}\n"),
            (true, 0) => format!("[\n{answer}"),
            (true, _) => format!(",\n{answer}"),
        }
    }

    fn last(&self) -> &'static str {
        if self.told == 0 { "[]\n" } else { "\n]\n" }
    }
}

/// `digit.png: first 3 (98.1 %); second 7 (88.0 %)`; of objects those whose score is at least `least`, where it is given.
pub fn in_words(image: &Path, tasks: &[TaskPrediction], least: Option<f32>) -> String {
    let words = |answer: &TaskOutput| least.map_or_else(|| answer.to_string(), |least| answer.in_words(least));
    let answers: Vec<String> = tasks.iter().map(|t| format!("{} {}", t.task, words(&t.answer))).collect();
    format!("{}: {}", image.display(), answers.join("; "))
}

/// The answers to one image; `files` are those of masks and depths, by task.
pub fn json_of(image: &Path, tasks: &[TaskPrediction], files: &BTreeMap<String, PathBuf>) -> Result<Value> {
    let task =
        |t: &TaskPrediction| Ok((t.task.clone(), output_json(&t.answer, files.get(&t.task).map(PathBuf::as_path))?));
    let tasks: Map<String, Value> = tasks.iter().map(task).collect::<Result<_>>()?;
    Ok(json!({"image": image.to_string_lossy(), "tasks": tasks}))
}

/// The answer to one task. A mask without a file is the run lengths of its classes in COCO's form, column by column.
pub fn output_json(answer: &TaskOutput, file: Option<&Path>) -> Result<Value> {
    let named = |all: &[(String, f32)]| Value::Object(all.iter().map(|(n, p)| (n.clone(), json!(p))).collect());
    let mut value = match answer {
        TaskOutput::Class { label, probability, probabilities } => {
            json!({"label": label, "probability": probability, "probabilities": named(probabilities)})
        }
        TaskOutput::Attributes { attributes } => json!({"attributes": named(attributes)}),
        TaskOutput::Mask { size, names, .. } => json!({"size": size, "names": names}),
        TaskOutput::Depth { size, values } => {
            let lowest = values.iter().copied().fold(f32::INFINITY, f32::min);
            let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            json!({"size": size, "lowest": lowest, "highest": highest})
        }
        other @ (TaskOutput::Number { .. } | TaskOutput::Boxes { .. }) => json!(other),
    };
    match (file, answer) {
        (Some(path), _) => value["file"] = json!(path.to_string_lossy()),
        (None, TaskOutput::Mask { size, names, classes }) => {
            let run = |(class, counts): (u8, Vec<usize>)| {
                let label = names.get(usize::from(class));
                json!({"class": class, "label": label, "size": size, "counts": counts})
            };
            value["runs"] = class_runs(classes, *size)?.into_iter().map(run).collect();
        }
        _ => {}
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck::geometry::Rect;
    use limbeck::predict::DetectedObject;

    fn answers<const N: usize>(all: [(&str, TaskOutput); N]) -> Vec<TaskPrediction> {
        all.map(|(task, answer)| TaskPrediction { task: task.into(), answer }).into()
    }

    #[test]
    fn predictions_in_words_and_json() {
        let probabilities = vec![("1".to_string(), 0.25), ("3".to_string(), 0.75)];
        let class = TaskOutput::Class { label: "3".into(), probability: 0.75, probabilities };
        let all = answers([("first", class), ("count", TaskOutput::Number { value: 2.5 })]);
        let image = Path::new("a.png");
        assert_eq!(in_words(image, &all, None), "a.png: first 3 (75.0 %); count 2.50");
        let json = json_of(image, &all, &BTreeMap::new()).unwrap();
        assert_eq!(json["image"], "a.png");
        assert_eq!(json["tasks"]["count"], json!({"value": 2.5}));
        assert_eq!(json["tasks"]["first"]["probabilities"], json!({"1": 0.25, "3": 0.75}));
        let objects =
            vec![DetectedObject { label: "disc".into(), score: 0.25, rect: Rect::from_size(1.0, 2.0, 3.0, 4.0) }];
        let all = answers([("boxes", TaskOutput::Boxes { objects })]);
        assert_eq!(in_words(image, &all, None), "a.png: boxes nothing");
        assert_eq!(in_words(image, &all, Some(0.2)), "a.png: boxes disc 25 %");
        let json = json_of(image, &all, &BTreeMap::new()).unwrap();
        let one = json!({"label": "disc", "score": 0.25, "box": {"x0": 1.0, "y0": 2.0, "x1": 4.0, "y1": 6.0}});
        assert_eq!(json["tasks"]["boxes"], json!({"objects": [one]}));
    }

    #[test]
    fn pixels_are_run_lengths_or_files() {
        let names = ["ground", "disc"].map(String::from).to_vec();
        // Rows 0 1 1 and 0 0 1; by columns 0 0 1 0 1 1.
        let mask = TaskOutput::Mask { size: [2, 3], names, classes: vec![0, 1, 1, 0, 0, 1] };
        let all = answers([("mask", mask), ("depth", TaskOutput::Depth { size: [1, 2], values: vec![0.5, 2.0] })]);
        let json = json_of(Path::new("a.png"), &all, &BTreeMap::new()).unwrap();
        let runs = json!([
            {"class": 0, "label": "ground", "size": [2, 3], "counts": [0, 2, 1, 1, 2]},
            {"class": 1, "label": "disc", "size": [2, 3], "counts": [2, 1, 1, 2]},
        ]);
        let mask = json!({"size": [2, 3], "names": ["ground", "disc"], "runs": runs});
        assert_eq!(json["tasks"], json!({"mask": mask, "depth": {"size": [1, 2], "lowest": 0.5, "highest": 2.0}}));
        // However many pixels there are, an image is a line.
        assert!(!json.to_string().contains('\n'));
        let files = [("mask", "out/mask/a.png"), ("depth", "out/depth/a.npy")];
        let files = BTreeMap::from(files.map(|(task, path)| (task.to_string(), PathBuf::from(path))));
        let json = json_of(Path::new("a.png"), &all, &files).unwrap();
        assert_eq!(
            json["tasks"]["mask"],
            json!({"size": [2, 3], "names": ["ground", "disc"], "file": "out/mask/a.png"})
        );
        assert_eq!(json["tasks"]["depth"]["file"], "out/depth/a.npy");
    }

    #[test]
    fn what_is_told_one_after_the_other_is_one_array() {
        let mut answers = Answers::new(true);
        assert_eq!(answers.last(), "[]\n");
        let mut text = String::new();
        for answer in ["1", "2", "3"] {
            text += &answers.next(answer);
            answers.told += 1;
        }
        text += answers.last();
        assert_eq!(text, "[\n1,\n2,\n3\n]\n");
        assert_eq!(Answers::new(false).next("a"), "a\n");
    }
}
