//! What a benchmark leaves behind: the JSON file, and what must agree before two of them may be compared.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

use super::stats::Spread;
use crate::gpu::{Options, Profile};
use crate::{Error, Result};

/// The version of the file's form. It grows whenever a field changes its meaning, or a value the way it is measured.
pub const SCHEMA: u32 = 2;

/// Rates and seconds between which every machine's lie by far.
const MEASURABLE: std::ops::RangeInclusive<f64> = 1e-12..=1e24;
/// Operations and bytes of one record; a year of the fastest machine.
const MOST_COUNTED: u64 = 1 << 62;

/// One run of the benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What measured.
    pub program: Program,
    /// What was measured.
    pub adapter: Adapter,
    /// How.
    pub settings: Settings,
    /// The machine's own limits, from the records `ceiling/…`.
    pub ceiling: Ceiling,
    /// Everything that was measured.
    pub records: Vec<Record>,
    /// What a reader should know: what was left out, and why.
    pub notes: Vec<String>,
}

/// The program that measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The crate's version.
    pub version: String,
    /// `release` or `debug`.
    pub profile: String,
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// Threads the processor runs at once.
    pub threads: usize,
}

impl Program {
    /// This one.
    pub fn current() -> Self {
        Program {
            version: env!("CARGO_PKG_VERSION").into(),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" }.into(),
            os: std::env::consts::OS.into(),
            arch: std::env::consts::ARCH.into(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// The adapter that was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// As the driver calls it.
    pub name: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Driver and version.
    pub driver: String,
    /// What its kernels are chosen for.
    pub class: String,
    /// Smallest and largest subgroup.
    pub subgroups: Option<(u32, u32)>,
    /// Half-precision arithmetic.
    pub f16: bool,
    /// Cooperative matrices.
    pub cooperative_matrix: bool,
    /// GPU timestamps.
    pub timestamps: bool,
}

impl Adapter {
    /// What is known of an adapter.
    pub fn of(profile: &Profile) -> Self {
        Adapter {
            name: profile.name.clone(),
            backend: profile.backend.clone(),
            driver: profile.driver.clone(),
            class: format!("{:?}", profile.class),
            subgroups: profile.subgroups,
            f16: profile.f16,
            cooperative_matrix: profile.cooperative_matrix,
            timestamps: profile.timestamps,
        }
    }
}

/// How it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Fewer sizes and repeats.
    pub quick: bool,
    /// Only names with one of these parts.
    pub only: Option<String>,
    /// Shaders with bounds checks.
    pub checked: bool,
    /// Buffers poisoned with NaN.
    pub poison: bool,
    /// Cooperative matrices open to kernels, so that forward convolutions may multiply in f16.
    #[serde(default)]
    pub matrices: bool,
    /// Shapes for which a measurement, not the rule, named the variant.
    pub tuned: usize,
    /// When it began, seconds since 1970.
    pub began: u64,
    /// How long it took, seconds.
    pub seconds: f64,
}

impl Settings {
    /// Of a run that begins now.
    pub fn new(options: &Options, quick: bool, only: Option<String>) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Settings {
            quick,
            only,
            checked: options.checked,
            poison: options.poison,
            matrices: false,
            tuned: 0,
            began: now.map_or(0, |d| d.as_secs()),
            seconds: 0.0,
        }
    }
}

/// The machine's own limits; `None` where they were not measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Best fused multiply-add rate in f32, FLOP/s.
    pub fma_f32: Option<f64>,
    /// The same in f16.
    pub fma_f16: Option<f64>,
    /// The same of cooperative matrices, operands in f16 and sums in f32.
    #[serde(default)]
    pub fma_matrix: Option<f64>,
    /// Memory bandwidth by the size of an array, in order of size.
    pub memory: Vec<MemoryPoint>,
    /// What a dispatch costs.
    pub launch: Option<LaunchCost>,
}

/// Memory bandwidth over arrays of one size, B/s; all bytes moved count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryPoint {
    /// Bytes of each array.
    pub bytes: u64,
    /// One array read.
    pub read: Option<f64>,
    /// One array written.
    pub write: Option<f64>,
    /// One read, one written.
    pub copy: Option<f64>,
    /// Two read, one written.
    pub triad: Option<f64>,
}

impl MemoryPoint {
    /// The best of the four.
    pub fn best(&self) -> Option<f64> {
        [self.read, self.write, self.copy, self.triad].into_iter().flatten().max_by(f64::total_cmp)
    }
}

/// The time of one dispatch that moves V bytes, `T = a + V / b`, fitted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LaunchCost {
    /// a, seconds.
    pub seconds: f64,
    /// b, B/s.
    pub bandwidth: f64,
    /// Largest relative deviation of a measured point.
    pub worst: f64,
}

impl Ceiling {
    /// The bandwidth for work that moves `bytes`: at the measured size nearest to a half of it, as of a copy, by ratio. Small
    /// work lives in caches and large work in memory, so one number would be wrong for one of them.
    pub fn bandwidth(&self, bytes: u64) -> Option<f64> {
        let far = |p: &&MemoryPoint| (p.bytes as f64 * 2.0 / bytes.max(1) as f64).ln().abs();
        self.memory.iter().filter(|p| p.best().is_some()).min_by(|a, b| far(a).total_cmp(&far(b)))?.best()
    }

    /// The shortest time this machine could need for `flops` and `bytes`, and which of both decides.
    pub fn least_seconds(&self, flops: u64, bytes: u64) -> Option<(f64, Bound)> {
        self.least_seconds_at(self.fma_f32?, flops, bytes)
    }

    /// The same for arithmetic whose peak is `peak` FLOP/s.
    pub fn least_seconds_at(&self, peak: f64, flops: u64, bytes: u64) -> Option<(f64, Bound)> {
        let compute = flops as f64 / peak;
        let memory = bytes as f64 / self.bandwidth(bytes)?;
        Some(if compute >= memory { (compute, Bound::Compute) } else { (memory, Bound::Memory) })
    }
}

/// What limits some work on a machine with these ceilings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Arithmetic.
    Compute,
    /// Memory.
    Memory,
}

/// Whether a correct result was seen before its time was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was, with this share of the tolerance used up.
    Passed(f64),
    /// It was not; there is no score then.
    Failed(String),
    /// It was not run: too large for the adapter, or out of time.
    Skipped(String),
}

/// The unit of a record's value, and which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Floating-point operations a second.
    #[serde(rename = "FLOP/s")]
    Flops,
    /// Bytes a second.
    #[serde(rename = "B/s")]
    Bytes,
    /// Images a second.
    #[serde(rename = "images/s")]
    Images,
    /// Seconds; less is better.
    #[serde(rename = "s")]
    Seconds,
}

impl Unit {
    /// By how much `new` is better than `old`: above 1, better.
    pub fn gain(self, old: f64, new: f64) -> f64 {
        if self == Unit::Seconds { old / new } else { new / old }
    }
}

/// One thing that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// `kernel/conv2d/resnet18/3x3-64-64-32x32-b32/forward`.
    pub name: String,
    /// The score, from the median; none without a correct result.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: Unit,
    /// Seconds of one run.
    pub seconds: Option<Spread>,
    /// `timestamps` or `wall`.
    pub clock: Option<String>,
    /// Floating-point operations of one run, counted as the plain algorithm has them.
    pub flops: u64,
    /// Bytes one run must move at least.
    pub bytes: u64,
    /// The share of this machine's own ceiling, in per cent.
    pub percent: Option<f64>,
    /// Which ceiling that is.
    pub bound: Option<Bound>,
    /// The kernel's variant.
    pub variant: Option<String>,
    /// Whether it computed right.
    pub verdict: Verdict,
    /// Further figures by name, in the unit the name says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub more: BTreeMap<String, f64>,
}

impl Record {
    /// A record without a score.
    pub fn without(name: impl Into<String>, unit: Unit, verdict: Verdict) -> Self {
        Record {
            name: name.into(),
            value: None,
            unit,
            seconds: None,
            clock: None,
            flops: 0,
            bytes: 0,
            percent: None,
            bound: None,
            variant: None,
            verdict,
            more: BTreeMap::new(),
        }
    }

    /// Whether a wrong result was seen.
    pub fn failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed(_))
    }
}

impl Report {
    /// The record called `name`.
    pub fn record(&self, name: &str) -> Option<&Record> {
        self.records.iter().find(|r| r.name == name)
    }

    /// The file's text.
    pub fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self);
        text.map(|t| t + "\n").map_err(|e| Error::Invalid(format!("the results cannot be written as JSON: {e}")))
    }

    /// Reads a file's text; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Data`] for another version of the form, and for what is no result at all.
    pub fn from_json(text: &str, path: impl AsRef<Path>) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let bad = |message: String| Error::data(path.as_ref(), "", message);
        let version: Version =
            serde_json::from_str(text).map_err(|e| bad(format!("this is no result of `limbeck bench --json`: {e}")))?;
        if version.schema != SCHEMA {
            return Err(bad(format!(
                "its schema is {}, this program's is {SCHEMA}: results of different schemas cannot be compared; \
                 measure again with this version",
                version.schema
            )));
        }
        let report: Report = serde_json::from_str(text).map_err(|e| bad(format!("the results are damaged: {e}")))?;
        report.check().map_err(|what| bad(format!("the results are damaged: {what}")))?;
        Ok(report)
    }

    /// Finds numbers that no machine reaches, before ratios and pictures are made of them.
    fn check(&self) -> std::result::Result<(), String> {
        let sound = |x: &f64| MEASURABLE.contains(x);
        let Ceiling { fma_f32, fma_f16, fma_matrix, memory, .. } = &self.ceiling;
        if let Some(peak) = [fma_f32, fma_f16, fma_matrix].into_iter().flatten().find(|x| !sound(x)) {
            return Err(format!("a peak of {peak:e} FLOP/s"));
        }
        let rates = |p: &MemoryPoint| [p.read, p.write, p.copy, p.triad].into_iter().flatten().find(|x| !sound(x));
        if let Some((point, rate)) = memory.iter().find_map(|p| Some((p, rates(p)?))) {
            return Err(format!("{rate:e} B/s over {} bytes", point.bytes));
        }
        for record in &self.records {
            let times = record.seconds.iter().flat_map(|s| [s.median, s.least, s.most]);
            if let Some(wrong) = record.value.into_iter().chain(times).find(|x| !sound(x)) {
                return Err(format!("{} has {wrong:e}", record.name));
            }
            if record.flops > MOST_COUNTED || record.bytes > MOST_COUNTED {
                return Err(format!("{} has {} operations on {} bytes", record.name, record.flops, record.bytes));
            }
        }
        Ok(())
    }

    /// Reads a file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, "read", e))?;
        Self::from_json(&text, path)
    }
}

#[cfg(test)]
mod tests;
