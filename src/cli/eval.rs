//! `limbeck eval`: a run's networks on a split of its data, in words, as JSON, and image by image in a file.

mod save;

use super::args::Eval;
use super::compile_watch::{CompileWatch, Place};
use super::say;
use limbeck::config::{Config, EvaluateOn};
use limbeck::experiment::names;
use limbeck::metrics::{ClassResult, MeanStd, Metric, Scores, TaskResult};
use limbeck::predict::{self, AnsweredImage, EachImage, Evaluation};
use limbeck::{Error, Result};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// Measures; with `--save` the file is written while it is measured, and is there when all is done.
pub fn dispatch(args: &Eval) -> Result<ExitCode> {
    // What is wrong with the arguments is told before a device is opened.
    let seeds = args.seed.map_or_else(|| predict::seeds(&args.dir), |seed| Ok(vec![seed]))?;
    let mut file = args.save.as_deref().map(|path| save::create(path, &seeds)).transpose()?;
    if let Some(path) = &args.save {
        save::spare(path, &Config::load(&args.dir.join(names::CONFIG), &[])?.data)?;
    }
    let mut add = |image: &AnsweredImage| file.as_mut().map_or(Ok(()), |file| file.add(image));
    let each: Option<EachImage> = if args.save.is_some() { Some(&mut add) } else { None };
    let watch = CompileWatch::new(Place::Lines)?;
    let (model, split, gpu) = (&args.model, args.split.name(), watch.open()?);
    let evaluations = predict::evaluate_images(&args.dir, model, split, args.seed, &gpu, each)?;
    if let Some(file) = file {
        file.commit()?;
    }
    let text = if args.json {
        pretty(&evaluations.iter().map(evaluation_json).collect())?
    } else {
        evaluation_text(&evaluations, args.classes)
    };
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// A line for each task: its metrics in per cent, mean and deviation over the seeds; below it, where they are asked for, the metrics
/// beside those of tables and a line for each class.
fn evaluation_text(evaluations: &[Evaluation], classes: bool) -> String {
    let Some(first) = evaluations.first() else { return "no seeds".into() };
    let seeds: Vec<String> = evaluations.iter().map(|e| e.seed.to_string()).collect();
    let mut lines =
        vec![format!("{} on {} ({} images), seed {}", first.model, first.split, first.images, seeds.join(", "))];
    if first.evaluate_on == EvaluateOn::Canvas {
        lines[0] += "; boxes and masks in pixels of the canvas";
    }
    let width = first.tasks.iter().map(|(task, _)| task.chars().count()).max().unwrap_or(0);
    for (t, (task, result)) in first.tasks.iter().enumerate() {
        let all: Vec<&TaskResult> = evaluations.iter().filter_map(|e| Some(&e.tasks.get(t)?.1)).collect();
        let line =
            |of: &dyn Fn(&TaskResult) -> Option<&Scores>| cells(&all.iter().filter_map(|r| of(r)).collect::<Vec<_>>());
        lines.push(format!("  {task:width$}  {}", line(&|r| Some(&r.scores))));
        if !classes {
            continue;
        }
        if !result.more.is_empty() {
            lines.push(format!("  {:width$}  {}", "", line(&|r| Some(&r.more))));
        }
        // In the classes' order, those that only a later seed has at the end.
        let mut names: Vec<&str> = Vec::new();
        for class in all.iter().flat_map(|r| &r.classes) {
            if !names.contains(&class.name.as_str()) {
                names.push(&class.name);
            }
        }
        let wide = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for name in names {
            let of = |r: &TaskResult| r.classes.iter().position(|c| c.name == name);
            let support = all.iter().find_map(|r| Some(r.classes[of(r)?].support)).unwrap_or(0);
            let scores = line(&|r| of(r).map(|i| &r.classes[i].scores));
            lines.push(format!("    {name:wide$}  {support:>9}  {scores}"));
        }
    }
    lines.join("\n")
}

/// The metrics of the first, as means over all of them.
fn cells(all: &[&Scores]) -> String {
    let cell = |(metric, _): (&'static Metric, Option<&f64>)| {
        let values: Option<Vec<f64>> = all.iter().map(|s| Some(metric.shown(*s.get(metric.name)?))).collect();
        let decimals = metric.decimals();
        match values.as_deref().and_then(|v| Some((MeanStd::of(v)?, v.len()))) {
            Some((MeanStd { mean, .. }, 1)) => format!("{} {mean:.decimals$}{}", metric.label, metric.unit()),
            Some((MeanStd { mean, std }, _)) => {
                format!("{} {mean:.decimals$} ± {std:.decimals$}{}", metric.label, metric.unit())
            }
            None => format!("{} –", metric.label),
        }
    };
    let first = all.first().map(|scores| scores.iter().map(cell).collect::<Vec<_>>());
    first.unwrap_or_default().join("  ")
}

fn evaluation_json(e: &Evaluation) -> Value {
    let task = |r: &TaskResult| {
        let table = |scores: &Scores| -> Map<String, Value> {
            scores.iter().map(|(m, v)| (m.name.to_string(), json!(v))).collect()
        };
        let mut fields = table(&r.scores);
        fields.extend(table(&r.more));
        let class = |c: &ClassResult| {
            let mut row = table(&c.scores);
            row.insert("support".into(), json!(c.support));
            (c.name.clone(), Value::Object(row))
        };
        if !r.classes.is_empty() {
            fields.insert("classes".into(), Value::Object(r.classes.iter().map(class).collect()));
        }
        fields.extend(r.confusion.as_ref().map(|c| ("confusion".to_string(), json!(c.rows()))));
        Value::Object(fields)
    };
    let tasks: Map<String, Value> = e.tasks.iter().map(|(name, r)| (name.clone(), task(r))).collect();
    let mut all = json!({
        "model": e.model, "seed": e.seed, "split": e.split, "images": e.images, "evaluate_on": e.evaluate_on, "tasks": tasks
    });
    if !e.files.is_empty() {
        all["files"] = json!(e.files.iter().map(|file| file.to_string_lossy()).collect::<Vec<_>>());
    }
    all
}

fn pretty(value: &Value) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map_err(|e| Error::Invalid(format!("the answer cannot be written as JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck::metrics::Confusion;

    fn evaluation(seed: u64, right: u64) -> Evaluation {
        let confusion = Confusion::from_counts(vec![right, 10 - right, 10 - right, right], 2).unwrap();
        let tasks = vec![("first".to_string(), TaskResult::of_classes(confusion, &["a", "b"].map(String::from)))];
        Evaluation {
            model: "distilled".into(),
            seed,
            split: "test".into(),
            images: 20,
            files: Vec::new(),
            evaluate_on: EvaluateOn::Image,
            tasks,
        }
    }

    #[test]
    fn evaluations_in_words_and_json() {
        let one = evaluation_text(&[evaluation(0, 9)], false);
        assert_eq!(
            one,
            "distilled on test (20 images), seed 0\n  first  acc 90.00 %  F1 90.00 %  precision 90.00 %  recall 90.00 %"
        );
        assert!(
            evaluation_text(&[evaluation(0, 9), evaluation(3, 7)], false)
                .contains("seed 0, 3\n  first  acc 80.00 ± 14.14 %")
        );
        let each = evaluation_text(&[evaluation(0, 9), evaluation(3, 7)], true);
        let row = "\n    b         10  precision 80.00 ± 14.14 %  recall 80.00 ± 14.14 %  F1 80.00 ± 14.14 %";
        assert!(each.ends_with(row), "{each}");
        let json = evaluation_json(&evaluation(0, 9));
        assert_eq!(json["tasks"]["first"]["accuracy"], 0.9);
        assert_eq!(json["tasks"]["first"]["confusion"], json!([[9, 1], [1, 9]]));
        let row = json!({"precision": 0.9, "recall": 0.9, "f1": 0.9, "support": 10});
        assert_eq!(json["tasks"]["first"]["classes"]["b"], row);
    }
}
