//! What each command does: the library's calls, and their outcome in words.

use super::args::{Args, CacheCommand, Command, Only, Run, RunSome};
use super::compile_watch::{CompileWatch, Place};
use super::progress::Progress;
use super::{INTERRUPTED, complain, say};
use limbeck::config::Config;
use limbeck::experiment::ablation::Ablation;
use limbeck::experiment::names;
use limbeck::experiment::{self, StageKind};
use limbeck::files::write_atomic;
use limbeck::gpu::{self, Gpu};
use limbeck::report::{ablation, confusion_svg, curves_svg, table};
use limbeck::train;
use limbeck::{Error, Result};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Does what the arguments ask for.
pub fn dispatch(args: Args) -> Result<ExitCode> {
    match args.command {
        Command::Run(args) => run(&args),
        Command::Ablate(args) => ablate(&args),
        Command::Eval(args) => super::eval::dispatch(&args),
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
    let mut progress = Progress::new(args.quiet);
    let watch = CompileWatch::new(progress.place())?;
    let (gpu, stop) = (watch.open()?, stop_on_interrupt()?);
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
    let mut progress = Progress::new(args.quiet);
    let watch = CompileWatch::new(progress.place())?;
    let (gpu, stop) = (watch.open()?, stop_on_interrupt()?);
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
    let watch = CompileWatch::new(Place::Lines)?;
    let found = experiment::verify_cache(dir, part, &watch.open()?)?;
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
