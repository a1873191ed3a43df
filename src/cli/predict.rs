//! `limbeck predict`: a network's answers about images, in words, as JSON, drawn.

use super::args::Predict;
use super::{complain, pretty, say};
use limbeck::data::formats::image::Picture;
use limbeck::gpu::Gpu;
use limbeck::predict::{Predictor, TaskOutput, TaskPrediction};
use limbeck::report::prediction_png;
use limbeck::{Error, Result};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::ExitCode;

/// Classifies one image after the other; one that cannot be read is named and does not keep the others from being classified.
pub fn dispatch(args: &Predict) -> Result<ExitCode> {
    if args.draw.is_some() && args.images.len() != 1 {
        let n = args.images.len();
        return Err(Error::Invalid(format!("--draw takes one image, not {n}; call it once for each")));
    }
    let gpu = Gpu::open()?;
    let classifier = Predictor::of_run(&gpu, &args.dir, &args.model)?;
    let (mut answers, mut failures) = (Vec::new(), 0);
    for image in &args.images {
        let answered = classifier.classify_file(&gpu, image).and_then(|tasks| {
            if let Some(path) = &args.draw {
                let picture = Picture::read(image, classifier.card().image[2])?;
                prediction_png(&picture.pixels, picture.shape, &tasks, path)?;
            }
            Ok(tasks)
        });
        match answered {
            Ok(tasks) if args.json => answers.push(prediction_json(image, &tasks)),
            Ok(tasks) => say(&prediction_text(image, &tasks))?,
            // The file is at fault; anything else concerns all images.
            Err(error @ (Error::Io { .. } | Error::Data { .. })) => {
                complain(&format!("error: {error}"));
                failures += 1;
            }
            Err(error) => return Err(error),
        }
    }
    if args.json {
        say(&pretty(&Value::Array(answers))?)?;
    }
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `digit.png: first 3 (98.1 %); second 7 (88.0 %)`.
fn prediction_text(image: &Path, tasks: &[TaskPrediction]) -> String {
    let answers: Vec<String> = tasks.iter().map(|t| format!("{} {}", t.task, t.answer)).collect();
    format!("{}: {}", image.display(), answers.join("; "))
}

fn prediction_json(image: &Path, tasks: &[TaskPrediction]) -> Value {
    let named = |all: &[(String, f32)]| Value::Object(all.iter().map(|(n, p)| (n.clone(), json!(p))).collect());
    let task = |t: &TaskPrediction| match &t.answer {
        TaskOutput::Class { label, probability, probabilities } => {
            json!({"label": label, "probability": probability, "probabilities": named(probabilities)})
        }
        TaskOutput::Attributes { attributes } => json!({"attributes": named(attributes)}),
        other => json!(other),
    };
    let tasks: Map<String, Value> = tasks.iter().map(|t| (t.task.clone(), task(t))).collect();
    json!({"image": image.to_string_lossy(), "tasks": tasks})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_in_words_and_json() {
        let probabilities = vec![("1".to_string(), 0.25), ("3".to_string(), 0.75)];
        let class = TaskOutput::Class { label: "3".into(), probability: 0.75, probabilities };
        let all = [("first", class), ("count", TaskOutput::Number { value: 2.5 })];
        let all = all.map(|(task, answer)| TaskPrediction { task: task.into(), answer });
        let image = Path::new("a.png");
        assert_eq!(prediction_text(image, &all), "a.png: first 3 (75.0 %); count 2.50");
        let json = prediction_json(image, &all);
        assert_eq!(json["tasks"]["count"], json!({"value": 2.5}));
        assert_eq!(json["tasks"]["first"]["probabilities"], json!({"1": 0.25, "3": 0.75}));
    }
}
