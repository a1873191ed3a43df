//! Whole steps: training, distillation and inference of the CIFAR forms of ResNet-20 and ResNet-18 on synthetic batches.
//!
//! Each case opens a device of its own, so that the time to the first step and the peak of memory are its own; then all cases
//! take turns. The batch is drawn from a seed, and so are the weights: the losses of the first steps are the same on every
//! machine, but for rounding, and are compared before anything is timed.

use std::time::Instant;

use super::kernels::rated;
use super::measure::{LATE, TimeBudget, excuse};
use super::reference::{self, Outcome};
use super::schema::{Ceiling, Record, Unit, Verdict};
use super::stats::{Spread, quantile};
use super::{Event, Progress, Selection};
use crate::distill::Kd;
use crate::gpu::{AdapterClass, Gpu, Options, Profile, ReplayedStep};
use crate::kernels::Size;
use crate::kernels::case::values;
use crate::loss::{CrossEntropy, LossLog, LossRecorder};
use crate::nn::{Frozen, HeadSpec, Init, Mode, Network, NetworkSpec, TrunkSpec};
use crate::optim::{Optimizer, Rule, Sgd};
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// Height, width and channels of an image; classes.
const IMAGE: usize = 32;
const CHANNELS: usize = 3;
const CLASSES: usize = 10;
/// Steps whose losses are compared, two at least.
const CHECKED: usize = 3;
/// Seconds of a step that are too many to wait for the third.
const LONG: f64 = 4.0;
const SGD: Sgd = Sgd { lr: 0.05, momentum: 0.9, nesterov: false, weight_decay: 5e-4 };
const KD: Kd = Kd { temperature: 4.0, standardise: false };

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Train,
    /// Against a frozen ResNet-18.
    Distil,
    Infer,
}

/// One case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Case {
    kind: Kind,
    network: &'static str,
    batch: usize,
}

impl Case {
    /// `train/resnet20/b64`.
    fn name(&self) -> String {
        let Case { network, batch, .. } = self;
        match self.kind {
            Kind::Train => format!("train/{network}/b{batch}"),
            Kind::Distil => format!("distil/resnet18-{network}/b{batch}"),
            Kind::Infer => format!("infer/{network}/b{batch}"),
        }
    }
}

/// The cases that are wanted.
pub(super) fn select(profile: &Profile, size: Size, selection: &Selection) -> Vec<Case> {
    let case = |kind, network, batch| Case { kind, network, batch };
    let mut all = vec![
        case(Kind::Infer, "resnet20", 64),
        case(Kind::Infer, "resnet18", 32),
        case(Kind::Train, "resnet20", 64),
        case(Kind::Distil, "resnet20", 64),
        case(Kind::Train, "resnet18", 32),
    ];
    if size == Size::Full || profile.class != AdapterClass::Software {
        all.extend([
            case(Kind::Train, "resnet20", 32),
            case(Kind::Train, "resnet20", 128),
            case(Kind::Train, "resnet18", 128),
            case(Kind::Infer, "resnet20", 128),
            case(Kind::Infer, "resnet18", 128),
        ]);
    }
    all.retain(|c| selection.names(&c.name()));
    all
}

fn network(gpu: &Gpu, name: &str, seed: u64) -> Result<Network> {
    let (trunk, heads) = (TrunkSpec::new(name.parse()?), vec![HeadSpec::linear("class", CLASSES)]);
    Network::new(gpu, NetworkSpec { trunk, channels: CHANNELS, heads, init: Init::HeNormal }, seed)
}

/// What learns.
struct Student {
    network: Network,
    optimizer: Optimizer,
    log: LossLog,
    labels: Tensor,
}

/// A case on its own device.
struct Bench {
    case: Case,
    gpu: Gpu,
    x: Tensor,
    student: Option<Student>,
    frozen: Option<Frozen>,
    work: ReplayedStep,
    alone: ReplayedStep,
    macs: u64,
}

impl Bench {
    fn new(options: &Options, case: Case) -> Result<Self> {
        let gpu = Gpu::new(options.clone())?;
        let n = case.batch;
        let shape = [n, IMAGE, IMAGE, CHANNELS];
        let x = Tensor::from_f32(&gpu, &values(1, shape.iter().product()), &shape)?;
        let own = network(&gpu, case.network, 1)?;
        let forward = own.macs(IMAGE, IMAGE);
        let teacher = if case.kind == Kind::Distil { Some(network(&gpu, "resnet18", 2)?) } else { None };
        let (frozen, macs) = match (&teacher, case.kind) {
            // Backward costs two forward passes.
            (Some(teacher), _) => (Some(teacher.freeze(&gpu)?), 3 * forward + teacher.macs(IMAGE, IMAGE)),
            (None, Kind::Infer) => (Some(own.freeze(&gpu)?), forward),
            (None, _) => (None, 3 * forward),
        };
        let student = if case.kind == Kind::Infer {
            None
        } else {
            let labels: Vec<u32> = (0..n).map(|i| (i % CLASSES) as u32).collect();
            let terms = vec!["ce".to_string(), "kd".to_string()];
            Some(Student {
                optimizer: Optimizer::new(&gpu, own.params(), Rule::Sgd(SGD), None)?,
                log: LossLog::new(&gpu, terms, 64)?,
                labels: Tensor::from_u32(&gpu, &labels, &[n])?,
                network: own,
            })
        };
        let (work, alone) = (ReplayedStep::default(), ReplayedStep::default());
        Ok(Bench { case, gpu, x, student, frozen, work, alone, macs })
    }

    /// One step: what changes is written, then the work is recorded or, from the second step on, replayed. Waits for nothing
    /// but a full log.
    fn step(&mut self) -> Result<()> {
        if let Some(Student { optimizer, log, .. }) = &mut self.student {
            log.prepare(&self.gpu)?;
            optimizer.prepare(&self.gpu, SGD.lr)?;
        }
        let mut work = std::mem::take(&mut self.work);
        let done = work.run(&self.gpu, || self.pass());
        self.work = work;
        done?;
        if let Some(Student { log, .. }) = &mut self.student {
            log.advance();
            if log.full() {
                log.take(&self.gpu)?;
            }
        }
        Ok(())
    }

    /// The dispatches of a step, the same each time.
    fn pass(&self) -> Result<()> {
        let Some(student) = &self.student else {
            return self.infer();
        };
        self.gradients(student)?;
        student.optimizer.apply(&self.gpu, student.network.params())
    }

    /// Forward and backward.
    fn gradients(&self, Student { network, log, labels, .. }: &Student) -> Result<()> {
        let gpu = &self.gpu;
        let mut tape = Tape::new();
        let outputs = network.forward(gpu, &mut tape, Mode::Train, &Var::constant(self.x.clone()))?;
        let mut losses = LossRecorder { gpu, tape: &mut tape, log };
        let weight = if self.frozen.is_some() { 0.1 } else { 1.0 };
        CrossEntropy::default().apply(&mut losses, 0, weight, &outputs.logits[0], labels)?;
        if let Some(teacher) = &self.frozen {
            KD.apply(&mut losses, 1, 0.9, &outputs.logits[0], &teacher.infer(gpu, &self.x)?.logits[0])?;
        }
        drop(outputs);
        tape.backward(gpu)?;
        Ok(())
    }

    /// A pass of the frozen network.
    fn infer(&self) -> Result<()> {
        self.frozen.as_ref().map_or(Ok(()), |frozen| frozen.infer(&self.gpu, &self.x).map(drop))
    }

    /// The same alone, recorded and replayed: what a step spends on its teacher.
    fn teach(&mut self) -> Result<()> {
        let mut alone = std::mem::take(&mut self.alone);
        let done = alone.run(&self.gpu, || self.infer());
        self.alone = alone;
        done
    }

    /// What the last step's gradients were, all of them in two numbers; `None` of an inference.
    fn gradients_checksum(&self) -> Result<Option<[f64; 2]>> {
        let exported = self.student.as_ref().map(|s| s.network.params().export_grads(&self.gpu)).transpose()?;
        Ok(exported.map(|all| reference::checksum(&all)))
    }

    /// The losses of the first steps; of an inference the mean size of the logits and the first of them.
    fn checksum(&mut self) -> Result<Vec<f32>> {
        match (&mut self.student, &self.frozen) {
            (Some(student), _) => {
                let rows = student.log.take(&self.gpu)?;
                Ok(rows.into_iter().take(CHECKED).map(|terms| terms.iter().sum()).collect())
            }
            (None, Some(frozen)) => {
                let logits = frozen.infer(&self.gpu, &self.x)?.logits[0].to_f32(&self.gpu)?;
                let mean = logits.iter().map(|z| f64::from(z.abs())).sum::<f64>() / logits.len() as f64;
                Ok(vec![mean as f32, logits[0]])
            }
            (None, None) => Err(Error::Invalid("a case without a network".into())),
        }
    }

    /// Seconds of `n` steps with one wait at the end.
    fn seconds(&mut self, n: usize, mut act: impl FnMut(&mut Self) -> Result<()>) -> Result<f64> {
        self.gpu.wait()?;
        let start = Instant::now();
        (0..n).try_for_each(|_| act(self))?;
        self.gpu.wait()?;
        Ok(start.elapsed().as_secs_f64())
    }
}

/// A case under way.
struct Turn {
    bench: Bench,
    verdict: Verdict,
    first: f64,
    peak: u64,
    /// Steps of a measurement, and measurements wanted.
    steps: usize,
    wanted: usize,
    /// Seconds a step, from several with one wait; from each with its own; of the teacher alone.
    rates: Vec<f64>,
    single: Vec<f64>,
    teacher: Vec<f64>,
}

/// Single steps a turn takes where they are short.
const SINGLES: usize = 8;

impl Turn {
    fn begin(options: &Options, case: Case, pace: &TimeBudget) -> Result<Self> {
        let start = Instant::now();
        let mut bench = Bench::new(options, case)?;
        bench.step()?;
        bench.gpu.wait()?;
        let first = start.elapsed().as_secs_f64();
        let gradients = bench.gradients_checksum()?;
        let mut second = bench.seconds(1, Bench::step)?;
        // Where a step takes long, the second loss must do: it has seen every gradient and the optimizer.
        if second < LONG {
            for _ in 2..CHECKED {
                second = bench.seconds(1, Bench::step)?;
            }
        }
        // Before the check, which needs memory of its own.
        let peak = bench.gpu.stats().pool.peak;
        let outcome = Outcome { values: bench.checksum()?, gradients };
        let verdict = reference::judge(reference::find(&case.name()), &outcome);
        // A step weighs more than a kernel, so it may take ten times as long.
        let steps = ((10.0 * pace.slice / second) as usize).clamp(1, 50);
        let wanted = ((20.0 * pace.entry / (steps as f64 * second)) as usize).clamp(pace.least, pace.most);
        let wanted = if matches!(verdict, Verdict::Passed(_)) { wanted } else { 0 };
        if case.kind == Kind::Distil && wanted > 0 {
            // Recorded here, so that the turns only replay.
            bench.teach()?;
        }
        // A long step counts from the first one that compiled nothing.
        let known = if steps == 1 && wanted > 0 { vec![second] } else { Vec::new() };
        let (rates, single, teacher) = (known.clone(), known, Vec::new());
        Ok(Turn { bench, verdict, first, peak, steps, wanted, rates, single, teacher })
    }

    fn take(&mut self) -> Result<()> {
        let steps = self.steps;
        let seconds = self.bench.seconds(steps, Bench::step)? / steps as f64;
        self.rates.push(seconds);
        if steps == 1 {
            self.single.push(seconds);
        } else {
            for _ in 0..SINGLES {
                self.single.push(self.bench.seconds(1, Bench::step)?);
            }
        }
        if self.bench.case.kind == Kind::Distil {
            self.teacher.push(self.bench.seconds(steps, Bench::teach)? / steps as f64);
        }
        Ok(())
    }

    fn end(self) -> Record {
        let late = self.rates.is_empty() && matches!(self.verdict, Verdict::Passed(_));
        let verdict = if late { Verdict::Skipped(LATE.into()) } else { self.verdict };
        let batch = self.bench.case.batch as f64;
        let mut record = Record::without(self.bench.case.name(), Unit::Images, verdict);
        record.flops = 2 * self.bench.macs * self.bench.case.batch as u64;
        record.seconds = Spread::of(&self.rates);
        record.value = record.seconds.map(|s| batch / s.median);
        record.clock = record.seconds.map(|_| "wall".to_string());
        let mut more = |name: &str, value: Option<f64>| value.map(|v| record.more.insert(name.to_string(), v));
        more("first step s", Some(self.first));
        more("peak bytes", Some(self.peak as f64));
        more("step p50 s", quantile(&self.single, 0.5));
        more("step p95 s", quantile(&self.single, 0.95));
        if let (Some(teacher), Some(step)) = (Spread::of(&self.teacher), Spread::of(&self.rates)) {
            more("teacher share", Some(teacher.median / step.median));
        }
        record
    }
}

/// Measures the cases, turn by turn.
pub(super) fn measure(
    options: &Options,
    cases: Vec<Case>,
    pace: &TimeBudget,
    progress: &mut Progress,
) -> Result<(Vec<Record>, Vec<String>)> {
    progress(Event::Group("step", cases.len()));
    let (mut turns, mut records, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for case in cases {
        let name = case.name();
        if pace.over() {
            records.push(Record::without(name, Unit::Images, Verdict::Skipped(LATE.into())));
            continue;
        }
        progress(Event::Entry(&name));
        match Turn::begin(options, case, pace) {
            Ok(turn) => turns.push(turn),
            Err(error) => records.push(Record::without(name, Unit::Images, excuse(error)?)),
        }
    }
    if !turns.is_empty() {
        notes.push("first step: device opened, weights drawn, kernels compiled, one step done; compiled kernels that the driver or limbeck kept from earlier runs or cases may have helped".into());
    }
    for round in 0..pace.most {
        for turn in &mut turns {
            if round < turn.wanted && !pace.over() {
                turn.take()?;
            }
        }
    }
    records.splice(0..0, turns.into_iter().map(Turn::end));
    Ok((records, notes))
}

/// The records with their share of the ceiling of arithmetic.
pub(super) fn shares(records: Vec<Record>, ceiling: &Ceiling) -> Vec<Record> {
    records.into_iter().map(|r| rated(r, ceiling)).collect()
}

#[cfg(test)]
mod faults;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu;

    #[test]
    fn every_case_has_a_reference() {
        let Some(mut profile) = gpu::devices().into_iter().next() else { panic!("no adapter") };
        for class in [AdapterClass::Software, AdapterClass::Discrete] {
            profile.class = class;
            for size in [Size::Quick, Size::Full] {
                for case in select(&profile, size, &Selection::of(None)) {
                    let known = reference::find(&case.name()).unwrap_or_else(|| panic!("{} has none", case.name()));
                    assert!(known.values.iter().all(|v| v.is_finite() && *v != 0.0));
                    assert_eq!(known.gradients.is_some(), case.kind != Kind::Infer, "{}", case.name());
                }
            }
        }
    }
}
