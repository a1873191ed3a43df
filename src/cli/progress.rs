//! A run's events for people: a bar on a terminal, lines elsewhere. Both on stderr; stdout is for results.

use super::compile_watch::Place;
use super::eta::{Eta, duration};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use limbeck::metrics::Scores;
use limbeck::report::table::count;
use limbeck::train::EpochRecord;
use limbeck::train::Event;
use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Where the progress goes.
enum Sink {
    /// Nowhere.
    Quiet,
    /// One line after the other.
    Lines(Box<dyn Write>),
    /// A bar that is redrawn, and lines above it.
    Bar(ProgressBar),
}

/// Shows a run's events.
pub struct Progress {
    sink: Sink,
    clock: Instant,
    eta: Eta,
    /// Stages of the run; stages finished; epochs and steps of the one that is running.
    stages: usize,
    finished: usize,
    epochs: usize,
    steps: usize,
    /// Images a second, smoothed; the time of the last step event.
    rate: Option<f64>,
    last_step: f64,
    validation: String,
}

impl Progress {
    /// For this process's stderr, or nowhere.
    pub fn new(quiet: bool) -> Self {
        let dumb = std::env::var("TERM").is_ok_and(|t| t == "dumb");
        let sink = if quiet {
            Sink::Quiet
        } else if std::io::stderr().is_terminal() && !dumb {
            Sink::Bar(bar(std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())))
        } else {
            Sink::Lines(Box::new(std::io::stderr()))
        };
        Self::to(sink)
    }

    fn to(sink: Sink) -> Self {
        Progress {
            sink,
            clock: Instant::now(),
            eta: Eta::new(0, 1),
            stages: 0,
            finished: 0,
            epochs: 1,
            steps: 1,
            rate: None,
            last_step: 0.0,
            validation: String::new(),
        }
    }

    /// Where else is said what goes on between events.
    pub fn place(&self) -> Place {
        match &self.sink {
            Sink::Quiet => Place::Nowhere,
            Sink::Lines(_) => Place::Lines,
            Sink::Bar(bar) => Place::Bar(bar.clone()),
        }
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        self.show_at(event, self.clock.elapsed().as_secs_f64());
    }

    /// Removes the bar.
    pub fn finish(&mut self) {
        if let Sink::Bar(bar) = &self.sink {
            bar.finish_and_clear();
        }
    }

    fn show_at(&mut self, event: &Event, now: f64) {
        match event {
            Event::Run { name, adapter, seeds, stages, notes } => {
                (self.stages, self.eta) = (*stages, Eta::new(*stages, seeds.len()));
                let plural = if seeds.len() == 1 { "seed" } else { "seeds" };
                self.line(&format!("{name}: {stages} stages over {} {plural} on {adapter}", seeds.len()));
                notes.iter().for_each(|note| self.line(note));
            }
            Event::Note { text } => self.line(&format!("  {text}")),
            Event::Row { name } => self.line(&format!("{name}:")),
            Event::Cached { label } => {
                self.finished += 1;
                self.line(&format!("{} {label}: already finished", self.counter(self.finished)));
            }
            Event::Stage { index, label, epochs, steps, params, beside, macs, resumed } => {
                self.stage((*index, label), (*epochs, *steps), (*params, *beside, *macs), *resumed, now);
            }
            Event::Step { epoch, step, loss, images } => self.step(*epoch, *step, *loss, *images, now),
            Event::Epoch(record) => self.epoch(record, now),
            Event::StageDone { label, test, seconds } => {
                self.eta.end(now);
                self.finished += 1;
                let done = format!("test {}, {}", figures(test.iter().map(|(t, m)| (t, m))), duration(*seconds));
                match self.sink {
                    // The bar names the stage only while it runs.
                    Sink::Bar(_) => self.line(&format!("{} {label}: {done}", self.counter(self.finished))),
                    _ => self.line(&format!("  {done}")),
                }
            }
        }
    }

    fn stage(
        &mut self,
        of: (usize, &str),
        size: (usize, usize),
        cost: (usize, usize, u64),
        resumed: Option<(usize, usize)>,
        now: f64,
    ) {
        let ((index, label), (epochs, steps)) = (of, (size.0.max(1), size.1.max(1)));
        (self.epochs, self.steps, self.rate, self.last_step) = (epochs, steps, None, now);
        self.validation.clear();
        let done = resumed.map_or(0, |(epoch, step)| epoch * steps + step);
        self.eta.begin(index, now, done as f64 / (epochs * steps) as f64);
        let counter = self.counter(index + 1);
        match &self.sink {
            Sink::Bar(bar) => {
                bar.set_length((epochs * steps) as u64);
                bar.set_position(done as u64);
                bar.set_prefix(format!("{counter} {label}"));
                bar.set_message("");
            }
            _ => {
                let from = resumed.map(|(e, s)| format!(", going on at epoch {}, step {s}", e + 1)).unwrap_or_default();
                let (params, macs) = (count(cost.0 as u64), count(cost.2));
                let beside = match cost.1 {
                    0 => String::new(),
                    n => format!(" (and {} beside it)", count(n as u64)),
                };
                self.line(&format!(
                    "{counter} {label}: {epochs} epochs of {steps} steps, {params} parameters{beside}, {macs} MACs{from}"
                ));
            }
        }
    }

    fn step(&mut self, epoch: usize, step: usize, loss: f32, images: usize, now: f64) {
        let seconds = now - self.last_step;
        if seconds > 0.0 {
            let rate = images as f64 / seconds;
            self.rate = Some(self.rate.map_or(rate, |old| 0.7 * old + 0.3 * rate));
        }
        self.last_step = now;
        let done = epoch * self.steps + step;
        self.eta.advance(done as f64 / (self.epochs * self.steps) as f64);
        if let Sink::Bar(bar) = &self.sink {
            // What matters most comes first: a narrow terminal cuts the end off.
            let mut parts = vec![format!("epoch {}/{}", epoch + 1, self.epochs)];
            parts.extend(self.eta.remaining(now).map(|s| format!("{} left", duration(s))));
            parts.push(format!("loss {loss:.4}"));
            parts.extend(self.rate.map(|r| format!("{r:.0} images/s")));
            parts.extend((!self.validation.is_empty()).then(|| format!("val {}", self.validation)));
            bar.set_message(parts.join(" · "));
            bar.set_position(done as u64);
        }
    }

    fn epoch(&mut self, record: &EpochRecord, now: f64) {
        // The next step's rate must not count the validation.
        self.last_step = now;
        self.eta.advance((record.epoch + 1) as f64 / self.epochs as f64);
        self.validation = figures(&record.val);
        if matches!(self.sink, Sink::Lines(_)) {
            let best = if record.best { " (best)" } else { "" };
            let left = self.eta.remaining(now).map(|s| format!("  {} left", duration(s))).unwrap_or_default();
            let width = self.epochs.to_string().len();
            self.line(&format!(
                "  epoch {:>width$}/{}  loss {:.4}  val {}{best}  {:.0} images/s{left}",
                record.epoch + 1,
                self.epochs,
                record.train_loss,
                self.validation,
                record.images_per_second,
            ));
        }
    }

    fn counter(&self, number: usize) -> String {
        let width = self.stages.to_string().len();
        format!("[{number:>width$}/{}]", self.stages)
    }

    fn line(&mut self, text: &str) {
        match &mut self.sink {
            Sink::Quiet => {}
            // A closed stderr is no reason to stop training.
            Sink::Lines(out) => drop(writeln!(out, "{text}")),
            Sink::Bar(bar) => bar.println(text),
        }
    }
}

fn bar(colours: bool) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
    let template = if colours { "{prefix} {bar:16.cyan/white.dim} {wide_msg}" } else { "{prefix} {bar:16} {wide_msg}" };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("━╸─")),
        Err(_) => bar,
    }
}

/// Each task's main metric: `digit 97.10 %, boxes AP 41.25 %, count RMSE 0.512`. Accuracies go without their name.
fn figures<'a>(tasks: impl IntoIterator<Item = (&'a String, &'a Scores)>) -> String {
    let one = |(task, scores): (&'a String, &'a Scores)| {
        let (metric, value) = scores.main()?;
        let name = if metric.name == "accuracy" { String::new() } else { format!("{} ", metric.label) };
        let decimals = metric.decimals();
        Some(match value {
            Some(value) => format!("{task} {name}{:.decimals$}{}", metric.shown(*value), metric.unit()),
            None => format!("{task} {name}–"),
        })
    };
    let texts: Vec<String> = tasks.into_iter().filter_map(one).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);
    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn play(progress: &mut Progress) {
        let metrics = Scores::new([("accuracy", 0.9725)]);
        let notes = ["1 files were skipped:".to_string()];
        progress.show_at(&Event::Run { name: "demo", adapter: "a GPU", seeds: &[0], stages: 12, notes: &notes }, 0.0);
        progress.show_at(&Event::Cached { label: "seed 0 · teacher/first" }, 0.0);
        let resumed = Some((1, 5));
        let label = "seed 0 · joint";
        progress.show_at(
            &Event::Stage {
                index: 1,
                label,
                epochs: 10,
                steps: 10,
                params: 77_432,
                beside: 0,
                macs: 1_234_567,
                resumed,
            },
            0.0,
        );
        progress.show_at(&Event::Step { epoch: 1, step: 10, loss: 0.5, images: 320 }, 4.0);
        let record = EpochRecord {
            stage: "joint".into(),
            seed: 0,
            epoch: 1,
            lr: 0.1,
            train_loss: 0.51239,
            losses: BTreeMap::new(),
            weights: BTreeMap::new(),
            gradient_norms: None,
            val_loss: None,
            val: BTreeMap::from([("first".into(), metrics.clone()), ("second".into(), metrics.clone())]),
            ema_val: BTreeMap::new(),
            best: true,
            seconds: 5.0,
            images_per_second: 80.4,
        };
        progress.show_at(&Event::Epoch(&record), 5.0);
        progress.show_at(&Event::StageDone { label, test: &[("first".into(), metrics)], seconds: 85.0 }, 85.0);
    }

    #[test]
    fn lines_tell_the_story() {
        let page = Page::default();
        play(&mut Progress::to(Sink::Lines(Box::new(page.clone()))));
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        // 5 % in 5 s: 80 s left of this stage, 100 s for each of ten more.
        let expected = "\
demo: 12 stages over 1 seed on a GPU
1 files were skipped:
[ 1/12] seed 0 · teacher/first: already finished
[ 2/12] seed 0 · joint: 10 epochs of 10 steps, 77.4 k parameters, 1.23 M MACs, going on at epoch 2, step 5
  epoch  2/10  loss 0.5124  val first 97.25 %, second 97.25 % (best)  80 images/s  18 min 00 s left
  test first 97.25 %, 1 min 25 s
";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_bar_and_silence_take_the_same_events() {
        play(&mut Progress::to(Sink::Quiet));
        let hidden = bar(true);
        hidden.set_draw_target(ProgressDrawTarget::hidden());
        let mut progress = Progress::to(Sink::Bar(hidden.clone()));
        play(&mut progress);
        assert_eq!((hidden.length(), hidden.position()), (Some(100), 20));
        assert!(hidden.message().ends_with(" left · loss 0.5000 · 80 images/s"), "{}", hidden.message());
        assert_eq!(hidden.prefix(), "[ 2/12] seed 0 · joint");
        progress.finish();
        assert!(hidden.is_finished());
    }
}
