//! Boxes in COCO's forms: a list of results, and beside it the truth, as pycocotools reads them.

use super::ImageFile;
use limbeck::data::TaskKind;
use limbeck::files::AtomicFile;
use limbeck::geometry::Rect;
use limbeck::predict::{AnsweredImage, AnsweredTask, TaskLabel, TaskOutput};
use limbeck::{Error, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Results in `NAME.coco.json`, the truth in `NAME.coco.gt.json`. Images in which nobody has looked for objects are in neither, as they
/// are not measured.
pub struct Coco {
    results: List,
    /// Its `images`; what follows them waits for the end.
    truth: List,
    annotations: Vec<Value>,
    classes: Vec<String>,
}

/// An array in a file, a line for each element.
struct List {
    file: AtomicFile,
    before: &'static str,
    elements: usize,
}

impl List {
    fn add(&mut self, element: &Value) -> Result<()> {
        let before = if self.elements == 0 { self.before } else { ",\n" };
        self.elements += 1;
        self.file.put(format!("{before}{element}").as_bytes())
    }

    fn end(mut self, after: &str) -> Result<AtomicFile> {
        let before = if self.elements == 0 { self.before } else { "" };
        self.file.put(format!("{before}\n]{after}\n").as_bytes())?;
        Ok(self.file)
    }
}

/// `x.coco.gt.json` of `x.coco.json`.
pub fn truth_beside(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}.gt.json"))
}

impl Coco {
    /// The two files of which the results are at `path`.
    pub fn create(path: &Path) -> Result<Self> {
        let list = |path: &Path, before| Ok::<_, Error>(List { file: AtomicFile::create(path)?, before, elements: 0 });
        // `info` is asked for by some versions of pycocotools.
        let (results, truth) = (list(path, "[\n")?, list(&truth_beside(path), "{\"info\":{},\"images\":[\n")?);
        Ok(Coco { results, truth, annotations: Vec::new(), classes: Vec::new() })
    }
}

/// The only task of boxes.
fn boxes<'a, 'b>(image: &'b AnsweredImage<'a>) -> Result<&'b AnsweredTask<'a>> {
    let mut all = image.tasks.iter().filter(|task| task.task.kind == TaskKind::Boxes);
    match (all.next(), all.next()) {
        (Some(one), None) => Ok(one),
        _ => {
            let names: Vec<&str> = image.tasks.iter().map(|task| task.task.name.as_str()).collect();
            let message = format!(
                "a .coco.json holds the answers to one task of boxes; {} has: {}. Save them as .json or .csv",
                image.model,
                names.join(", ")
            );
            Err(Error::Invalid(message))
        }
    }
}

/// Left, top, width and height. Corners are of single precision, their differences are not rounded to it.
fn bbox(rect: &Rect) -> [f64; 4] {
    let [x0, y0, x1, y1] = [rect.x0, rect.y0, rect.x1, rect.y1].map(f64::from);
    [x0, y0, x1 - x0, y1 - y0]
}

impl ImageFile for Coco {
    fn add(&mut self, image: &AnsweredImage) -> Result<()> {
        let AnsweredTask { task, label, answer } = boxes(image)?;
        self.classes.clone_from(&task.classes);
        let (Some(TaskLabel::Boxes(truth)), TaskOutput::Boxes { objects }) = (label, answer) else { return Ok(()) };
        let (id, [height, width]) = (image.number + 1, image.size);
        let file = image.path.clone().unwrap_or_else(|| id.to_string());
        self.truth.add(&json!({"id": id, "file_name": file, "width": width, "height": height}))?;
        for object in truth {
            let number = self.annotations.len() + 1;
            self.annotations.push(json!({
                "id": number, "image_id": id, "category_id": object.class + 1, "bbox": bbox(&object.rect), "area": f64::from(object.area),
                "iscrowd": u8::from(object.ignored)
            }));
        }
        for object in objects {
            let class = task.classes.iter().position(|class| *class == object.label);
            let class =
                class.ok_or_else(|| Error::Invalid(format!("{:?} is no class of {:?}", object.label, task.name)))?;
            let score = f64::from(object.score);
            self.results
                .add(&json!({"image_id": id, "category_id": class + 1, "bbox": bbox(&object.rect), "score": score}))?;
        }
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<()> {
        let Coco { results, truth, annotations, classes } = *self;
        let category = |(i, name): (usize, &String)| json!({"id": i + 1, "name": name});
        let categories: Vec<Value> = classes.iter().enumerate().map(category).collect();
        let annotations: Vec<String> = annotations.iter().map(Value::to_string).collect();
        let (categories, annotations) = (json!(categories), annotations.join(",\n"));
        let truth = truth.end(&format!(",\"categories\":{categories},\"annotations\":[\n{annotations}\n]}}"))?;
        let results = results.end("")?;
        truth.commit()?;
        results.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{image, tasks};
    use super::*;

    #[test]
    fn results_and_truth_go_together() {
        let folder = tempfile::tempdir().unwrap();
        let (path, tasks) = (folder.path().join("a.coco.json"), tasks());
        let mut file = Box::new(Coco::create(&path).unwrap());
        // Of the first image nothing is known.
        for (number, labelled) in [(0, false), (1, true), (2, true)] {
            file.add(&image(&tasks, number, labelled)).unwrap();
        }
        file.commit().unwrap();
        let read = |name: &str| -> Value {
            serde_json::from_str(&std::fs::read_to_string(folder.path().join(name)).unwrap()).unwrap()
        };
        let (results, truth) = (read("a.coco.json"), read("a.coco.gt.json"));
        let result = |image: u32, class: u32, score: f64| json!({"image_id": image, "category_id": class, "bbox": [1.0, 0.0, 1.5, 1.0], "score": score});
        assert_eq!(results, json!([result(2, 2, 0.5), result(2, 1, 0.25), result(3, 2, 0.5), result(3, 1, 0.25)]));
        let own =
            |id: u32| json!({"id": id, "file_name": format!("images/\"{}\".png", id - 1), "width": 3, "height": 2});
        assert_eq!(truth["images"], json!([own(2), own(3)]));
        assert_eq!(truth["categories"], json!([{"id": 1, "name": "disc"}, {"id": 2, "name": "cross"}]));
        let object = |id: u32, image: u32, class: u32, crowd: u32| json!({"id": id, "image_id": image, "category_id": class, "bbox": [0.5, 0.25, 1.5, 1.0], "area": 1.25, "iscrowd": crowd});
        assert_eq!(
            truth["annotations"],
            json!([object(1, 2, 1, 0), object(2, 2, 2, 1), object(3, 3, 1, 0), object(4, 3, 2, 1)])
        );
    }

    #[test]
    fn nothing_found_is_an_empty_list_and_other_tasks_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, tasks) = (folder.path().join("a.coco.json"), tasks());
        let mut file = Box::new(Coco::create(&path).unwrap());
        let mut other = image(&tasks, 0, true);
        other.tasks.truncate(3);
        let told = file.add(&other).unwrap_err().to_string();
        assert!(told.contains("one task of boxes; distilled has: kind, attributes, count"), "{told}");
        let mut blind = image(&tasks, 0, true);
        blind.tasks[5].answer = TaskOutput::Boxes { objects: Vec::new() };
        file.add(&blind).unwrap();
        file.commit().unwrap();
        let results: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(results, json!([]));
    }
}
