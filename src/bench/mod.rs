//! The benchmark: what a machine can do, what these kernels and training steps reach of it, and how machines compare.
//!
//! Three groups of records. `ceiling/…` are the machine's own limits, measured with kernels that do nothing else
//! ([`probe`]). `kernel/…` are the kernels of [`crate::kernels::TABLE`] on the workloads each declares in its own room, with
//! the share of those limits they reach. `train/…`, `distil/…` and `infer/…` are whole steps.
//!
//! A time only counts after a right result: every probe and kernel is first held against its reference, every training step
//! against losses known from another machine. Within a group all take turns ([`measure`]); what is reported is the median, and
//! the median absolute deviation from it.

mod ceiling;
mod compare;
mod kernels;
pub mod measure;
pub mod plot;
pub mod probe;
mod reference;
pub mod schema;
pub mod stats;
mod steps;
pub mod table;
mod tune;

pub use compare::compare;
pub use reference::Reference;
pub use schema::{Record, Report};

use std::time::{Duration, Instant};

use crate::gpu::{AdapterClass, Gpu, Options};
use crate::kernels::Size;
use crate::{Error, Result};
use measure::TimeBudget;
use schema::{Adapter, Program, SCHEMA, Settings};

/// What is measured, and how much of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Fewer sizes and repeats: under 90 seconds on a software adapter.
    pub quick: bool,
    /// Parts of names, separated by commas; only records with one of them in their name are measured.
    pub only: Option<String>,
    /// First find out which variants are fastest here, and store that for the library's use.
    pub tune: bool,
}

/// What happens, for whoever shows it.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A group of so many records begins.
    Group(&'a str, usize),
    /// A record is being prepared.
    Entry(&'a str),
    /// Something worth a line.
    Note(&'a str),
}

/// Where events go.
pub type Progress<'a> = dyn FnMut(Event) + 'a;

/// Which records are wanted.
struct Selection {
    parts: Vec<String>,
    /// Percentages are wanted, so the ceilings they need are measured, selected or not.
    ceilings: bool,
}

/// The ceilings that percentages are taken of.
const NEEDED: [&str; 2] = ["ceiling/fma/f32/", "ceiling/memory/"];

impl Selection {
    fn of(only: Option<&str>) -> Self {
        let parts = only.unwrap_or_default().split(',').map(|p| p.trim().to_lowercase());
        Selection { parts: parts.filter(|p| !p.is_empty()).collect(), ceilings: false }
    }

    /// Whether the user wants this record.
    fn names(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.parts.is_empty() || self.parts.iter().any(|p| name.contains(p.as_str()))
    }

    /// Whether it is measured.
    fn takes(&self, name: &str) -> bool {
        self.names(name) || self.ceilings && NEEDED.iter().any(|n| name.starts_with(n))
    }
}

/// Runs the benchmark on the adapter that `options` open.
///
/// # Errors
/// [`Error::Invalid`] where the pattern names nothing, and what opening or losing a device gives. A wrong result is no error
/// but a record without a score ([`schema::Verdict::Failed`]).
pub fn run(options: &Options, request: &Request, progress: &mut Progress) -> Result<Report> {
    let mut options = options.clone();
    if request.tune {
        tune_and_store(&options, request, progress)?;
        // What was stored is what this run measures.
        options.tuned = true;
    }
    let (start, options) = (Instant::now(), &options);
    let gpu = Gpu::new(options.clone())?;
    let size = if request.quick { Size::Quick } else { Size::Full };
    let mut settings = Settings::new(options, request.quick, request.only.clone());
    settings.tuned = gpu.choices().len();
    settings.matrices = gpu.profile().matrix.is_some();
    let mut selection = Selection::of(request.only.as_deref());
    let workloads = kernels::select(&gpu, size, &selection);
    let steps = steps::select(gpu.profile(), size, &selection);
    selection.ceilings = !workloads.is_empty() || !steps.is_empty();

    let software = gpu.profile().class == AdapterClass::Software;
    let pace = pace(size, software, start);
    // Ceilings come first, for all else is rated by them; steps must leave time for the kernels.
    let limit = |share: f64| if size == Size::Quick && software { pace.within(share) } else { pace };
    let (ceiling, mut records) = ceiling::measure(&gpu, options, size, &selection, &limit(20.0), progress)?;
    let share = if workloads.is_empty() { 80.0 } else { 45.0 };
    // Their losses are held against known ones, which f16 would not meet.
    let plain = Options { matrices: false, ..options.clone() };
    let (steps, mut notes) = steps::measure(&plain, steps, &limit(share), progress)?;
    records.extend(kernels::measure(&gpu, workloads, &ceiling, &pace, progress)?);
    records.extend(steps::shares(steps, &ceiling));
    if records.is_empty() {
        let only = request.only.as_deref().unwrap_or_default();
        return Err(Error::Invalid(format!(
            "no record has {only:?} in its name; parts of names are ceiling, fma, memory, transfer, launch, submit, pipeline, \
             kernel, conv2d, resnet18, forward, train, distil, infer"
        )));
    }
    let unmeasured = ceiling::wants_matrices(&selection) && ceiling.fma_matrix.is_none();
    notes.extend(remarks(&gpu, &pace, unmeasured));
    notes.extend(ceiling::moved(&gpu, &records, &pace)?.and_then(unsteady));
    settings.seconds = start.elapsed().as_secs_f64();
    let (program, adapter) = (Program::current(), Adapter::of(gpu.profile()));
    Ok(Report { schema: SCHEMA, program, adapter, settings, ceiling, records, notes })
}

/// Measures candidates and stores the table of this adapter.
fn tune_and_store(options: &Options, request: &Request, progress: &mut Progress) -> Result<()> {
    let gpu = Gpu::new(Options { tuned: true, ..options.clone() })?;
    let selection = Selection::of(request.only.as_deref());
    let size = if request.quick { Size::Quick } else { Size::Full };
    let (choices, findings) = tune::tune(&gpu, &selection, &pace(size, false, Instant::now()), progress)?;
    for finding in findings.iter().filter(|f| f.better.is_some()) {
        let times =
            finding.seconds.iter().map(|(name, s)| format!("{name} {}", table::quantity(*s, schema::Unit::Seconds)));
        progress(Event::Note(&format!("{}: {}", finding.name, times.collect::<Vec<_>>().join(", "))));
    }
    let path = choices.store(gpu.profile())?;
    let (better, all) = (findings.iter().filter(|f| f.better.is_some()).count(), findings.len());
    progress(Event::Note(&format!(
        "tuned: {better} of {all} shapes have a better variant than the rule's; kept in {}",
        path.display()
    )));
    Ok(())
}

/// How often what is measured. Quick on a software adapter means: 80 seconds, then no more turns.
fn pace(size: Size, software: bool, start: Instant) -> TimeBudget {
    match size {
        Size::Quick => TimeBudget {
            slice: 0.01,
            entry: 0.12,
            least: 3,
            most: 15,
            end: software.then(|| start + Duration::from_secs(80)),
        },
        Size::Full => TimeBudget { slice: 0.05, entry: 1.5, least: 5, most: 31, end: None },
    }
}

/// Says that the machine was not the same at the end as at the beginning, where its best f32 rate `moved` by more than a tenth.
fn unsteady(moved: f64) -> Option<String> {
    let percent = 100.0 * (moved - 1.0);
    (percent.abs() > 10.0).then(|| {
        format!(
            "unsteady: the best f32 rate moved by {percent:+.0} % between beginning and end, so shares of the ceiling \
             are as far off; run again with nothing else running"
        )
    })
}

/// What a reader should know of this run; `unmeasured`: no rate of cooperative matrices though it was wanted.
fn remarks(gpu: &Gpu, pace: &TimeBudget, unmeasured: bool) -> Vec<String> {
    let mut notes = Vec::new();
    match (gpu.profile().cooperative_matrix, gpu.profile().matrix) {
        (false, _) => notes.push("cooperative matrices: none on this adapter".into()),
        (true, Some(_)) => notes.push(
            "cooperative matrices were open: forward convolutions multiply in f16 where their variant is called matrix; whole \
             steps are measured without"
                .into(),
        ),
        (true, None) if unmeasured => notes.push(
            "cooperative matrices: the adapter has them, but in no form that limbeck uses, or they compute wrong".into(),
        ),
        (true, None) => {}
    }
    if !gpu.profile().f16 {
        notes.push("f16: the adapter has none".into());
    }
    if cfg!(debug_assertions) {
        notes.push(
            "debug build: recording is slow in it; these results compare only with those of other debug builds".into(),
        );
    }
    if pace.over() {
        notes.push("the time for a quick run was up: some records have fewer repeats, or none".into());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_changed_is_told_of() {
        assert!([0.91, 1.0, 1.09].iter().all(|moved| unsteady(*moved).is_none()));
        assert!(unsteady(0.8).unwrap().contains("-20 %") && unsteady(1.5).unwrap().contains("+50 %"));
    }

    #[test]
    fn patterns_select_parts_of_names() {
        let all = Selection::of(None);
        assert!(all.names("kernel/conv2d/x") && all.takes("ceiling/submit/empty"));
        let some = Selection::of(Some("Launch, conv2d/resnet20"));
        assert!(some.names("ceiling/launch/16KiB") && some.names("kernel/conv2d/resnet20/3x3"));
        assert!(!some.names("ceiling/fma/f32/vec4x2") && !some.takes("ceiling/fma/f32/vec4x2"));
        let with = Selection { ceilings: true, ..some };
        assert!(with.takes("ceiling/fma/f32/vec4x2") && !with.takes("ceiling/fma/f16/vec4x2"));
        assert!(with.takes("ceiling/memory/copy/1MiB") && !with.takes("ceiling/transfer/upload/16MiB"));
    }
}
