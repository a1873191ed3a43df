//! Measuring many things side by side: first each one's result is checked, then all take turns, so that a machine that warms
//! up, throttles or is disturbed does so to all of them alike.

use std::time::{Duration, Instant};

use super::schema::{Record, Unit, Verdict};
use super::stats::Spread;
use super::{Event, Progress};
use crate::gpu::{Clock, Gpu, Timing};
use crate::kernels::Check;
use crate::{Error, Result};

/// How often and how long things are measured.
#[derive(Debug, Clone, Copy)]
pub struct TimeBudget {
    /// Seconds a measurement should take: short work is repeated within it, so that neither clock nor recording counts.
    pub slice: f64,
    /// Seconds all measurements of one thing may take.
    pub entry: f64,
    /// Measurements at least, however long they take.
    pub least: usize,
    /// Measurements at most.
    pub most: usize,
    /// When to come to an end: nothing is begun after this.
    pub end: Option<Instant>,
}

impl TimeBudget {
    /// Whether the time is up.
    pub fn over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// This pace, but not beyond `seconds` from now.
    pub fn within(self, seconds: f64) -> Self {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        TimeBudget { end: Some(self.end.map_or(end, |e| e.min(end))), ..self }
    }
}

/// Why a record was not measured where the time was up.
pub const LATE: &str = "out of time";

/// Runs some work so many times over, and says how long all of it took.
pub(super) type Run = Box<dyn FnMut(&Gpu, usize) -> Result<Timing>>;
/// Runs the work once and compares its result.
pub(super) type Verify = Box<dyn FnOnce(&Gpu) -> Result<Vec<Check>>>;

/// One thing to be measured.
pub(super) struct Entry {
    pub name: String,
    pub unit: Unit,
    pub flops: u64,
    pub bytes: u64,
    pub variant: Option<String>,
    pub verify: Verify,
    pub run: Run,
    /// Repetitions of one measurement at most.
    pub repeat: usize,
}

impl Entry {
    /// Work on the GPU whose dispatches `record` records; timed by the GPU's clock where it has one.
    pub fn gpu(name: String, unit: Unit, verify: Verify, record: impl Fn(&Gpu) -> Result<()> + 'static) -> Self {
        let run = move |gpu: &Gpu, n: usize| gpu.time(|| (0..n).try_for_each(|_| record(gpu)));
        Entry { name, unit, flops: 0, bytes: 0, variant: None, verify, run: Box::new(run), repeat: 1000 }
    }

    /// Work of the processor and the GPU together, by the wall clock; `act` waits where waiting belongs to it.
    pub fn wall(name: String, unit: Unit, verify: Verify, mut act: impl FnMut(&Gpu) -> Result<()> + 'static) -> Self {
        let run = move |gpu: &Gpu, n: usize| {
            gpu.flush()?;
            gpu.wait()?;
            let start = Instant::now();
            (0..n).try_for_each(|_| act(gpu))?;
            Ok(Timing::wall(start.elapsed().as_secs_f64()))
        };
        Entry { name, unit, flops: 0, bytes: 0, variant: None, verify, run: Box::new(run), repeat: 1000 }
    }

    /// States what one run computes and moves.
    pub fn work(mut self, flops: u64, bytes: u64) -> Self {
        (self.flops, self.bytes) = (flops, bytes);
        self
    }
}

/// An entry under way.
struct Turn {
    entry: Entry,
    verdict: Verdict,
    samples: Vec<f64>,
    clock: Option<Clock>,
    repeat: usize,
    wanted: usize,
}

/// What a list of checks comes to.
pub(super) fn verdict(checks: &[Check]) -> Verdict {
    let wrong = checks.iter().find(|c| !c.passes());
    match wrong {
        Some(c) => Verdict::Failed(format!(
            "{}: off by {:.2e} where {:.2e} is allowed; this driver computes wrong values, update it",
            c.what,
            c.error(),
            c.tolerance
        )),
        None => Verdict::Passed(checks.iter().map(|c| c.error() / c.tolerance).fold(0.0, f64::max)),
    }
}

/// An error that concerns one entry becomes its verdict; a lost device concerns all.
pub(super) fn excuse(error: Error) -> Result<Verdict> {
    match error {
        Error::DeviceLost { .. } => Err(error),
        Error::Limit { .. } | Error::OutOfMemory { .. } => Ok(Verdict::Skipped(error.to_string())),
        other => Ok(Verdict::Failed(other.to_string())),
    }
}

impl Turn {
    /// Checks the result and finds out how long a run takes.
    fn begin(gpu: &Gpu, mut entry: Entry, pace: &TimeBudget) -> Result<Self> {
        let verify = std::mem::replace(&mut entry.verify, Box::new(|_| Ok(Vec::new())));
        let (verdict, seconds) = match Self::warm(gpu, verify, &mut entry.run) {
            Ok((verdict, seconds)) => (verdict, seconds),
            Err(error) => (excuse(error)?, 1.0),
        };
        let most = entry.repeat.max(1);
        let repeat = ((pace.slice / seconds.max(1e-9)) as usize).clamp(1, most);
        let wanted = ((pace.entry / (repeat as f64 * seconds).max(1e-9)) as usize).clamp(pace.least, pace.most);
        let wanted = if matches!(verdict, Verdict::Passed(_)) { wanted } else { 0 };
        Ok(Turn { entry, verdict, samples: Vec::new(), clock: None, repeat, wanted })
    }

    fn warm(gpu: &Gpu, verify: Verify, run: &mut Run) -> Result<(Verdict, f64)> {
        let verdict = verdict(&verify(gpu)?);
        if !matches!(verdict, Verdict::Passed(_)) {
            return Ok((verdict, 1.0));
        }
        // Some drivers compile at the first dispatch, and the first repetition fills the pool.
        let mut seconds = run(gpu, 1)?.wall;
        if seconds < 0.05 {
            seconds = seconds.min(run(gpu, 2)?.wall / 2.0);
        }
        if seconds < 2e-3 {
            // So short that submission and waiting hide it: once more, many times over.
            seconds = run(gpu, 20)?.wall / 20.0;
        }
        Ok((verdict, seconds))
    }

    fn take(&mut self, gpu: &Gpu) -> Result<()> {
        match (self.entry.run)(gpu, self.repeat) {
            Ok(timing) => {
                self.samples.push(timing.seconds / self.repeat as f64);
                // Where one measurement had to fall back to the wall clock, all are as uncertain as that one.
                let wall = timing.clock == Clock::Wall || self.clock == Some(Clock::Wall);
                self.clock = Some(if wall { Clock::Wall } else { Clock::Timestamps });
            }
            Err(error) => {
                self.verdict = excuse(error)?;
                (self.wanted, self.samples) = (0, Vec::new());
            }
        }
        Ok(())
    }

    fn end(self) -> Record {
        let Entry { name, unit, flops, bytes, variant, .. } = self.entry;
        let seconds = Spread::of(&self.samples);
        let late = seconds.is_none() && matches!(self.verdict, Verdict::Passed(_));
        let verdict = if late { Verdict::Skipped(LATE.into()) } else { self.verdict };
        let value = seconds.map(|s| match unit {
            Unit::Flops => flops as f64 / s.median,
            Unit::Bytes => bytes as f64 / s.median,
            Unit::Seconds => s.median,
            Unit::Images => 1.0 / s.median,
        });
        let clock = self.clock.map(|c| c.name().to_string());
        Record { value, seconds, clock, flops, bytes, variant, ..Record::without(name, unit, verdict) }
    }
}

/// Measures all entries, turn by turn.
pub(super) fn interleave(
    gpu: &Gpu,
    entries: Vec<Entry>,
    pace: &TimeBudget,
    progress: &mut Progress,
) -> Result<Vec<Record>> {
    let mut turns = Vec::new();
    for entry in entries {
        if pace.over() {
            let late = Verdict::Skipped(LATE.into());
            let Entry { name, unit, .. } = entry;
            turns.push(Err(Record::without(name, unit, late)));
            continue;
        }
        progress(Event::Entry(&entry.name));
        turns.push(Ok(Turn::begin(gpu, entry, pace)?));
    }
    for round in 0..pace.most {
        for turn in turns.iter_mut().filter_map(|t| t.as_mut().ok()) {
            if round < turn.wanted && !pace.over() {
                turn.take(gpu)?;
            }
        }
    }
    Ok(turns.into_iter().map(|turn| turn.map_or_else(|record| record, Turn::end)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Options;

    fn entry(name: &str, got: f32) -> Entry {
        let verify: Verify = Box::new(move |_| Ok(vec![Check::sum("value", vec![got], vec![1.0], 1)]));
        Entry::wall(name.into(), Unit::Bytes, verify, |_| Ok(())).work(0, 1000)
    }

    fn run(entries: Vec<Entry>, end: Option<Instant>) -> Vec<Record> {
        let gpu = Gpu::new(Options::default()).unwrap();
        let pace = TimeBudget { slice: 1e-4, entry: 1e-3, least: 3, most: 5, end };
        interleave(&gpu, entries, &pace, &mut |_| {}).unwrap()
    }

    #[test]
    fn what_computes_wrong_has_no_score() {
        let records = run(vec![entry("right", 1.0), entry("wrong", 1.001), entry("none", f32::NAN)], None);
        assert!(records[0].value.is_some_and(|v| v > 0.0) && records[0].seconds.unwrap().count >= 3);
        for wrong in &records[1..] {
            assert!(wrong.failed() && wrong.value.is_none() && wrong.seconds.is_none(), "{wrong:?}");
        }
        let mut broken = entry("breaks", 1.0);
        broken.run = Box::new(|_, _| Err(Error::Invalid("it broke".into())));
        let records = run(vec![broken], None);
        assert!(matches!(&records[0].verdict, Verdict::Failed(why) if why.contains("it broke")));
    }

    #[test]
    fn what_is_too_late_is_named() {
        let records = run(vec![entry("late", 1.0)], Some(Instant::now()));
        assert_eq!((&records[0].verdict, records[0].value), (&Verdict::Skipped(LATE.into()), None));
        let pace = TimeBudget { slice: 1.0, entry: 1.0, least: 1, most: 1, end: None };
        assert!(!pace.over() && pace.within(0.0).over() && !pace.within(100.0).over());
        assert!(pace.within(0.0).within(100.0).over(), "an end is never put off");
    }
}
