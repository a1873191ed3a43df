//! A table: a row for each image, labels beside answers.

use super::ImageFile;
use limbeck::data::{IGNORED, TaskKind};
use limbeck::files::AtomicFile;
use limbeck::predict::{AnsweredImage, AnsweredTask, TaskLabel, TaskOutput};
use limbeck::{Error, Result};
use std::path::{Path, PathBuf};

/// Objects at least so sure are counted: more likely there than not, as `predict` tells them in words.
const SURE: f32 = 0.5;

/// A CSV file (RFC 4180), whose first line names the columns.
pub struct Table {
    path: PathBuf,
    writer: csv::Writer<AtomicFile>,
    begun: bool,
}

impl Table {
    /// The table at `path`.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Table { path: path.into(), writer: csv::Writer::from_writer(AtomicFile::create(path)?), begun: false })
    }

    fn put(&mut self, cells: Vec<String>) -> Result<()> {
        self.writer.write_record(&cells).map_err(|e| Error::io(&self.path, "write", e.into()))
    }
}

impl ImageFile for Table {
    fn add(&mut self, image: &AnsweredImage) -> Result<()> {
        if !self.begun {
            let own = ["path", "split", "seed"].map(String::from).into_iter();
            self.put(own.chain(image.tasks.iter().flat_map(columns)).collect())?;
            self.begun = true;
        }
        let own = [image.path.clone().unwrap_or_default(), image.split.into(), image.seed.to_string()];
        self.put(own.into_iter().chain(image.tasks.iter().flat_map(cells)).collect())
    }

    fn commit(self: Box<Self>) -> Result<()> {
        let Table { path, writer, .. } = *self;
        writer.into_inner().map_err(|e| Error::io(path, "write", e.into_error()))?.commit()
    }
}

/// The names of a task's columns.
fn columns(task: &AnsweredTask) -> Vec<String> {
    let (name, classes) = (&task.task.name, &task.task.classes);
    let of = |columns: &[&str]| columns.iter().map(|column| format!("{name}.{column}")).collect();
    match task.task.kind {
        TaskKind::Class => of(&["label", "answer", "probability"]),
        TaskKind::Attributes => {
            let own =
                |attribute| ["label", "answer", "probability"].map(|column| format!("{name}.{attribute}.{column}"));
            classes.iter().flat_map(own).collect()
        }
        TaskKind::Number | TaskKind::Boxes => of(&["label", "answer"]),
        TaskKind::Mask => of(&["pixels", "right"]),
        TaskKind::Depth => of(&["pixels", "label", "answer"]),
    }
}

/// What stands in them. What is not known is empty.
fn cells(task: &AnsweredTask) -> Vec<String> {
    let said = |yes: bool| if yes { "yes" } else { "no" }.to_string();
    match (&task.answer, &task.label) {
        (TaskOutput::Class { label: answer, probability, .. }, label) => {
            let label = match label {
                Some(TaskLabel::Class(class)) => class.clone(),
                _ => String::new(),
            };
            vec![label, answer.clone(), probability.to_string()]
        }
        (TaskOutput::Attributes { attributes }, label) => {
            let known = |i: usize| match label {
                Some(TaskLabel::Attributes(all)) => all.get(i).and_then(|(_, yes)| yes.map(said)),
                _ => None,
            };
            let one =
                |(i, (_, p)): (usize, &(String, f32))| [known(i).unwrap_or_default(), said(*p > 0.5), p.to_string()];
            attributes.iter().enumerate().flat_map(one).collect()
        }
        (TaskOutput::Number { value }, label) => {
            let label = match label {
                Some(TaskLabel::Number(label)) => label.to_string(),
                _ => String::new(),
            };
            vec![label, value.to_string()]
        }
        (TaskOutput::Boxes { objects }, label) => {
            let label = match label {
                Some(TaskLabel::Boxes(all)) => all.iter().filter(|o| !o.ignored).count().to_string(),
                _ => String::new(),
            };
            vec![label, objects.iter().filter(|o| o.score >= SURE).count().to_string()]
        }
        (TaskOutput::Mask { classes, .. }, Some(TaskLabel::Mask(truth))) => {
            let known = truth.iter().zip(classes).filter(|(label, _)| **label != IGNORED);
            let right = known.clone().filter(|(label, answer)| label == answer).count();
            vec![known.count().to_string(), right.to_string()]
        }
        (TaskOutput::Depth { values, .. }, Some(TaskLabel::Depth(truth))) => {
            let known: Vec<(f64, f64)> = truth
                .iter()
                .zip(values)
                .filter(|(label, _)| !label.is_nan())
                .map(|(label, answer)| (f64::from(*label), f64::from(*answer)))
                .collect();
            if known.is_empty() {
                return vec!["0".into(), String::new(), String::new()];
            }
            let mean =
                |of: fn(&(f64, f64)) -> f64| (known.iter().map(of).sum::<f64>() / known.len() as f64).to_string();
            vec![known.len().to_string(), mean(|pair| pair.0), mean(|pair| pair.1)]
        }
        (TaskOutput::Mask { .. }, _) => vec![String::new(); 2],
        (TaskOutput::Depth { .. }, _) => vec![String::new(); 3],
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{image, tasks};
    use super::*;

    #[test]
    fn a_row_for_each_image() {
        let folder = tempfile::tempdir().unwrap();
        let (path, tasks) = (folder.path().join("a.csv"), tasks());
        let mut table = Box::new(Table::create(&path).unwrap());
        table.add(&image(&tasks, 0, true)).unwrap();
        table.add(&image(&tasks, 1, false)).unwrap();
        assert!(!path.exists());
        table.commit().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let header = "path,split,seed,kind.label,kind.answer,kind.probability,attributes.new.label,attributes.new.answer,\
                      attributes.new.probability,attributes.big.label,attributes.big.answer,attributes.big.probability,count.label,\
                      count.answer,mask.pixels,mask.right,depth.pixels,depth.label,depth.answer,boxes.label,boxes.answer";
        assert_eq!(lines[0], header);
        let first = "\"images/\"\"0\"\".png\",test,3,c,\"a,b\",0.75,yes,no,0.25,,yes,0.75,2,1.5,5,4,4,2,2.25,1,1";
        assert_eq!(lines[1], first);
        assert_eq!(lines[2], "\"images/\"\"1\"\".png\",test,3,,\"a,b\",0.75,,no,0.25,,yes,0.75,,1.5,,,,,,,1");
        assert_eq!(lines.len(), 3);
    }
}
