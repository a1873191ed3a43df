//! What each command does: the library's calls, and their outcome in words.

use super::args::{Args, CacheCommand, Command, Eval, Only, Run, RunSome};
use super::progress::Progress;
use super::{INTERRUPTED, complain, say};
use limbeck::config::Config;
use limbeck::config::EvaluateOn;
use limbeck::experiment::ablation::Ablation;
use limbeck::experiment::names;
use limbeck::experiment::{self, StageKind};
use limbeck::files::write_atomic;
use limbeck::gpu::{self, Gpu};
use limbeck::metrics::{ClassResult, MeanStd, Metric, Scores, TaskResult};
use limbeck::predict;
use limbeck::predict::Evaluation;
use limbeck::report::{ablation, confusion_svg, curves_svg, table};
use limbeck::train;
use limbeck::{Error, Result};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Does what the arguments ask for.
pub fn dispatch(args: Args) -> Result<ExitCode> {
    match args.command {
        Command::Run(args) => run(&args),
        Command::Ablate(args) => ablate(&args),
        Command::Eval(args) => eval(&args),
        Command::Predict(args) => super::predict::dispatch(&args),
        Command::Cache { command: CacheCommand::Verify { dir, part } } => verify(&dir, part),
        Command::Keys(args) => super::keys::dispatch(&args),
        Command::Devices => devices(),
        Command::Bench(args) => super::bench::dispatch(&args),
    }
}

fn run(RunSome { run: args, only }: &RunSome) -> Result<ExitCode> {
    let config = Config::load(&args.file, &args.sets)?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("runs").join(&config.name));
    let gpu = Gpu::open()?;
    let stop = stop_on_interrupt()?;
    let mut progress = Progress::new(args.quiet);
    let mut show = |event: train::event::Event| progress.show(&event);
    if !only.is_empty() {
        let kinds: Vec<StageKind> = only.iter().map(|kind| kind.kind()).collect();
        let outcome = experiment::run_only(&config, &out, &kinds, &gpu, &stop, &mut show);
        progress.finish();
        say(&table::text(&outcome?))?;
        say(&format!(
            "In {}: config.toml, data.json, metrics.jsonl, the networks. Without --only the same command trains what is missing and \
             writes the summary.",
            out.display()
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = experiment::run(&config, &out, &gpu, &stop, &mut show);
    progress.finish();
    let summary = outcome?;

    let journal = out.join(names::METRICS);
    // Where all stages were finished by a run whose journal was removed since, there are no curves.
    let drawn = journal.exists();
    if drawn {
        curves_svg(&train::event::read_records(&journal)?, out.join("curves.svg"))?;
    }
    // Numbers and attributes have nothing to confuse.
    let confused = summary.models.values().any(|m| !m.confusion.is_empty());
    if confused {
        confusion_svg(&summary, out.join("confusion.svg"))?;
    }
    write_atomic(out.join("summary.md"), table::markdown(&summary).as_bytes())?;
    say(&table::text(&summary))?;
    say(&format!(
        "In {}: summary.json, summary.md,{}{} data.json, the networks.",
        out.display(),
        if drawn { " curves.svg, metrics.jsonl," } else { "" },
        if confused { " confusion.svg," } else { "" }
    ))?;
    Ok(ExitCode::SUCCESS)
}

impl Only {
    fn kind(self) -> StageKind {
        match self {
            Only::Teachers => StageKind::Teachers,
            Only::Single => StageKind::Single,
            Only::Joint => StageKind::Joint,
            Only::Distilled => StageKind::Distilled,
        }
    }
}

fn ablate(args: &Run) -> Result<ExitCode> {
    let plan = Ablation::load(&args.file, &args.sets)?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("runs").join(&plan.name));
    let gpu = Gpu::open()?;
    let stop = stop_on_interrupt()?;
    let mut progress = Progress::new(args.quiet);
    let outcome = experiment::ablation::ablate(&plan, &out, &gpu, &stop, &mut |event| progress.show(&event));
    progress.finish();
    let outcome = outcome?;
    write_atomic(out.join("ablation.md"), ablation::markdown(&outcome).as_bytes())?;
    write_atomic(out.join("ablation.csv"), ablation::csv(&outcome).as_bytes())?;
    let picture = out.join("ablation.svg");
    // Without any Δm there is nothing to draw; an older picture would show another comparison.
    let drawn = outcome.rows.iter().any(|row| row.delta_m.is_some());
    if drawn {
        ablation::ablation_svg(&outcome, &picture)?;
    } else if picture.exists() {
        std::fs::remove_file(&picture).map_err(|e| Error::io(&picture, "remove", e))?;
    }
    say(&ablation::text(&outcome))?;
    let kinds = if drawn { ".md, .csv, .svg" } else { ".md, .csv" };
    say(&format!("In {}: ablation.json, {kinds}, and the stages.", out.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn verify(dir: &Path, part: f64) -> Result<ExitCode> {
    if !(part > 0.0 && part <= 1.0) {
        return Err(Error::Invalid(format!("--part is {part}; it must be above 0 and at most 1")));
    }
    let found = experiment::verify_cache(dir, part, &Gpu::open()?)?;
    if found.is_empty() {
        return Err(Error::Invalid(format!(
            "{} has no cache; [cache] storage in a run's file makes one",
            dir.display()
        )));
    }
    for v in &found {
        let verdict = if v.wrong == 0 { "as the teacher says".into() } else { format!("{} WRONG", v.wrong) };
        say(&format!(
            "{}: {} of {} answers checked, {verdict} ({})",
            v.tasks.join(", "),
            v.checked,
            v.answers,
            v.file.display()
        ))?;
    }
    Ok(if found.iter().any(|v| v.wrong > 0) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A flag that the first Ctrl-C (or SIGTERM) raises; the second ends the program on the spot, which is safe too.
fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let handler = move || {
        if flag.swap(true, Ordering::SeqCst) {
            end_at_once();
        }
        complain("\nstopping after this step; press Ctrl-C again to stop at once");
    };
    ctrlc::set_handler(handler).map_err(|e| Error::Invalid(format!("Ctrl-C cannot be watched for: {e}")))?;
    Ok(stop)
}

/// Ends the process as a signal would. `exit` would first run what libraries have registered for the end, and a driver's compiler, taken
/// down while its threads compile, crashes.
fn end_at_once() -> ! {
    #[cfg(unix)]
    // SAFETY: `_exit` takes a number and never returns; nothing of this process runs after it.
    unsafe {
        libc::_exit(INTERRUPTED.into())
    }
    #[cfg(not(unix))]
    std::process::exit(INTERRUPTED.into())
}

fn eval(args: &Eval) -> Result<ExitCode> {
    let evaluations = predict::evaluate(&args.dir, &args.model, args.split.name(), &Gpu::open()?)?;
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

fn devices() -> Result<ExitCode> {
    let profiles = gpu::devices();
    if profiles.is_empty() {
        // Opening one fails with the reason and what to install.
        Gpu::open()?;
    }
    for (i, p) in profiles.iter().enumerate() {
        let mark = if i == 0 { "*" } else { " " };
        let mut can: Vec<String> = vec![format!("{} MiB a buffer", p.max_buffer >> 20)];
        can.extend(p.subgroups.map(|(least, most)| {
            if least == most { format!("subgroups of {least}") } else { format!("subgroups of {least} to {most}") }
        }));
        can.extend(p.f16.then(|| "f16".to_string()));
        can.extend(p.cooperative_matrix.then(|| "cooperative matrices".to_string()));
        can.extend(p.timestamps.then(|| "timestamps".to_string()));
        say(&format!("{mark} {p}\n    {:?}; {}", p.class, can.join(", ")))?;
    }
    say("* is chosen unless WGPU_ADAPTER_NAME names another.")?;
    Ok(ExitCode::SUCCESS)
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
