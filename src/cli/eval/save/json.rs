//! Everything, as JSON: an object with what is measured and `images`, a line for each.

use super::super::super::predict::output_json;
use super::ImageFile;
use limbeck::data::formats::outline::class_runs;
use limbeck::data::{IGNORED, Task};
use limbeck::files::AtomicFile;
use limbeck::predict::{AnsweredImage, AnsweredTask, LabelledObject, TaskLabel};
use limbeck::{Error, Result};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Version of the form.
const SCHEMA: u32 = 1;

/// The file, written image by image.
pub struct Json {
    file: AtomicFile,
    begun: bool,
}

impl Json {
    /// The file at `path`.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Json { file: AtomicFile::create(path)?, begun: false })
    }
}

impl ImageFile for Json {
    fn add(&mut self, image: &AnsweredImage) -> Result<()> {
        let before = if self.begun { ",\n".to_string() } else { head(image)? };
        self.begun = true;
        self.file.put((before + &line(image)?).as_bytes())
    }

    fn commit(mut self: Box<Self>) -> Result<()> {
        self.file.put(if self.begun { b"\n]}\n" } else { b"{\"images\": []}\n" })?;
        self.file.commit()
    }
}

/// What is measured, up to the first image.
fn head(image: &AnsweredImage) -> Result<String> {
    let task = |task: &AnsweredTask| {
        let Task { name, kind, classes, .. } = task.task;
        (name.clone(), json!({"kind": kind, "classes": classes}))
    };
    let tasks: Map<String, Value> = image.tasks.iter().map(task).collect();
    let (model, split, evaluate_on) = (image.model, image.split, image.evaluate_on);
    let all = json!({"schema": SCHEMA, "model": model, "split": split, "evaluate_on": evaluate_on, "tasks": tasks});
    let text = all.to_string();
    let open = text.strip_suffix('}').ok_or_else(|| Error::Invalid("the answers cannot be written as JSON".into()))?;
    Ok(format!("{open},\"images\":[\n"))
}

fn line(image: &AnsweredImage) -> Result<String> {
    let task = |task: &AnsweredTask| {
        let label = task.label.as_ref().map(|label| label_json(task.task, label, image.size)).transpose()?;
        Ok((task.task.name.clone(), json!({"label": label, "answer": output_json(&task.answer, None)?})))
    };
    let tasks: Map<String, Value> = image.tasks.iter().map(task).collect::<Result<_>>()?;
    let mut all = json!({"path": image.path, "split": image.split, "seed": image.seed, "number": image.number});
    if image.tasks.iter().any(|task| task.task.kind.is_spatial()) {
        all["size"] = json!(image.size);
    }
    all["tasks"] = Value::Object(tasks);
    Ok(all.to_string())
}

/// A label, in the form of the answer beside it.
fn label_json(task: &Task, label: &TaskLabel, size: [usize; 2]) -> Result<Value> {
    Ok(match label {
        TaskLabel::Class(class) => json!({"label": class}),
        TaskLabel::Attributes(all) => {
            let all: Map<String, Value> = all.iter().map(|(name, yes)| (name.clone(), json!(yes))).collect();
            json!({"attributes": all})
        }
        TaskLabel::Number(value) => json!({"value": value}),
        TaskLabel::Mask(classes) => {
            let mut runs = class_runs(classes, size)?;
            runs.remove(&IGNORED);
            let run = |(class, counts): (u8, Vec<usize>)| json!({"class": class, "label": task.classes.get(usize::from(class)), "size": size, "counts": counts});
            json!({"size": size, "names": task.classes, "runs": runs.into_iter().map(run).collect::<Vec<_>>()})
        }
        TaskLabel::Depth(values) => {
            let known = || values.iter().copied().filter(|value| !value.is_nan());
            let (lowest, highest) = (known().reduce(f32::min), known().reduce(f32::max));
            json!({"size": size, "lowest": lowest, "highest": highest, "pixels": known().count()})
        }
        TaskLabel::Boxes(all) => {
            let one =
                |o: &LabelledObject| json!({"label": o.label, "box": o.rect, "area": o.area, "ignored": o.ignored});
            json!({"objects": all.iter().map(one).collect::<Vec<_>>()})
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{image, tasks};
    use super::*;

    #[test]
    fn everything_of_each_image_in_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let (path, tasks) = (folder.path().join("a.json"), tasks());
        let mut file = Box::new(Json::create(&path).unwrap());
        file.add(&image(&tasks, 0, true)).unwrap();
        file.add(&image(&tasks, 1, false)).unwrap();
        file.commit().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 4);
        let all: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&all["schema"], &all["model"], &all["split"]), (&json!(1), &json!("distilled"), &json!("test")));
        assert_eq!(all["tasks"]["boxes"], json!({"kind": "boxes", "classes": ["disc", "cross"]}));
        let [first, second] = [0, 1].map(|i| &all["images"][i]);
        let own = (&first["path"], &first["seed"], &first["number"], &first["size"]);
        assert_eq!(own, (&json!("images/\"0\".png"), &json!(3), &json!(0), &json!([2, 3])));
        let task = |task: &str| &first["tasks"][task];
        assert_eq!((&task("kind")["label"], &task("kind")["answer"]["label"]), (&json!({"label": "c"}), &json!("a,b")));
        assert_eq!(task("attributes")["label"], json!({"attributes": {"new": true, "big": null}}));
        // By columns: 0 0 1 unknown 1 1, and 0 0 1 0 0 1.
        let runs = |side: &str| {
            task("mask")[side]["runs"].as_array().unwrap().iter().map(|r| r["counts"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(runs("label"), [json!([0, 2, 4]), json!([2, 1, 1, 2])]);
        assert_eq!(runs("answer"), [json!([0, 2, 1, 2, 1]), json!([2, 1, 2, 1])]);
        assert_eq!(task("depth")["label"], json!({"size": [2, 3], "lowest": 1.0, "highest": 3.0, "pixels": 4}));
        let object = json!({"label": "cross", "box": {"x0": 0.5, "y0": 0.25, "x1": 2.0, "y1": 1.25}, "area": 1.25, "ignored": true});
        assert_eq!(task("boxes")["label"]["objects"][1], object);
        assert_eq!(task("boxes")["answer"]["objects"][0]["score"], 0.5);
        assert!(
            second["tasks"]
                .as_object()
                .unwrap()
                .values()
                .all(|task| task["label"].is_null() && task["answer"].is_object())
        );
        // An image without pixels of its own has no size.
        let mut alone = image(&tasks, 0, true);
        alone.tasks.truncate(2);
        assert!(!line(&alone).unwrap().contains("size"));
    }
}
