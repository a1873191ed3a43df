//! `limbeck bench`: the benchmark's progress and its outcome.

use super::args::{Bench, BenchCommand};
use super::compile_watch::{CompileWatch, Place};
use super::{complain, say};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use limbeck::bench::{self, Event, Report, Request, table};
use limbeck::files::write_atomic;
use limbeck::{Error, Result};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

/// Does what the arguments ask for.
pub fn dispatch(args: &Bench) -> Result<ExitCode> {
    match &args.command {
        Some(BenchCommand::Compare { files }) => {
            let load = |path: &PathBuf| Ok((path.display().to_string(), Report::load(path)?));
            let results = files.iter().map(load).collect::<Result<Vec<_>>>()?;
            say(bench::compare(&results)?.trim_end())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(BenchCommand::Plot { file, out }) => {
            bench::plot::plot(&Report::load(file)?, out)?;
            say(&format!("{}", out.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        None => measure(args),
    }
}

fn measure(args: &Bench) -> Result<ExitCode> {
    // A long run must not end with a file that cannot be written.
    if let Some(path) = args.json.as_deref().filter(|p| p.is_dir()) {
        return Err(Error::Invalid(format!("{} is a folder; --json wants a file", path.display())));
    }
    let request = Request { quick: args.quick, only: args.only.clone(), tune: args.tune };
    let mut shown = Shown::new(args.quiet);
    let watch = CompileWatch::new(shown.place())?;
    let outcome = bench::run(&watch.options(), &request, &mut |event| shown.show(event));
    shown.finish();
    let report = outcome?;
    say(table::text(&report).trim_end())?;
    if let Some(path) = &args.json {
        write_atomic(path, report.to_json()?.as_bytes())?;
        complain(&format!("results in {}", path.display()));
    }
    let failed = report.records.iter().filter(|r| r.failed()).count();
    if failed > 0 {
        let records = if failed == 1 { "record" } else { "records" };
        complain(&format!("error: {failed} {records} computed wrong values and have no score"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// A bar on a terminal, a line for each group elsewhere; both on stderr.
struct Shown {
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl Shown {
    fn new(quiet: bool) -> Self {
        let dumb = std::env::var("TERM").is_ok_and(|t| t == "dumb");
        let bar = (!quiet && std::io::stderr().is_terminal() && !dumb).then(|| {
            let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
            match ProgressStyle::with_template("{prefix:8} {bar:16} {pos}/{len} {elapsed} {wide_msg}") {
                Ok(style) => bar.with_style(style.progress_chars("━╸─")),
                Err(_) => bar,
            }
        });
        Shown { bar, quiet }
    }

    fn place(&self) -> Place {
        match &self.bar {
            _ if self.quiet => Place::Nowhere,
            Some(bar) => Place::Bar(bar.clone()),
            None => Place::Lines,
        }
    }

    fn show(&mut self, event: Event) {
        match (event, &self.bar) {
            (Event::Group(name, count), Some(bar)) => {
                bar.set_length(count as u64);
                bar.set_position(0);
                bar.set_prefix(name.to_string());
            }
            (Event::Entry(name), Some(bar)) => {
                bar.inc(1);
                bar.set_message(name.to_string());
            }
            (Event::Group(name, count), None) if !self.quiet && count > 0 => {
                complain(&format!("{name}: {count} to measure"));
            }
            (Event::Note(text), Some(bar)) => bar.println(text),
            (Event::Note(text), None) if !self.quiet => complain(text),
            _ => {}
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
