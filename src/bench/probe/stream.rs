//! Reading, writing, copying and adding long arrays: the bandwidth of memory.

use std::fmt;

use crate::gpu::{AdapterClass, Defines, Gpu, Profile, Source};
use crate::kernels::case::{Case, Check, Permutation};
use crate::tensor::Tensor;
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "bench/stream", text: include_str!("../../../shaders/bench/stream.wgsl") };

/// Words that lengths must be a multiple of: the largest block of a workgroup.
pub const GRAIN: usize = 64 * 16 * 4;
/// `value` of the shader.
const VALUE: f32 = 3.0;

/// What is done with the arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// One array is read.
    Read,
    /// One array is written.
    Write,
    /// One array is read, one written.
    Copy,
    /// Two arrays are read, one written.
    Triad,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Op::Read => "read",
            Op::Write => "write",
            Op::Copy => "copy",
            Op::Triad => "triad",
        })
    }
}

impl Op {
    /// All of them.
    pub const ALL: [Op; 4] = [Op::Read, Op::Write, Op::Copy, Op::Triad];

    /// Arrays that move.
    pub fn arrays(self) -> u64 {
        match self {
            Op::Read | Op::Write => 1,
            Op::Copy => 2,
            Op::Triad => 3,
        }
    }

    /// Vectors of an invocation. A reader takes more of them, so that the sum it writes does not count.
    fn per(self) -> usize {
        if self == Op::Read { 16 } else { 4 }
    }

    fn defines(self, form: Form) -> Defines {
        defines! { OP = self as i64, PER = self.per(), INT64 = form.int64, RUN = form.run }
    }
}

/// How the arrays are walked over. A software adapter pays by the value rather than the byte, and runs one subgroup after the
/// other: pairs, and runs of a subgroup, are its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    int64: bool,
    run: usize,
}

impl Form {
    const GPU: Form = Form { int64: false, run: 64 };
    const ALL: [Form; 4] =
        [Form::GPU, Form { int64: false, run: 8 }, Form { int64: true, run: 8 }, Form { int64: true, run: 4 }];

    /// What is fastest on an adapter.
    fn of(profile: &Profile) -> Self {
        match (profile.class, profile.subgroups) {
            (AdapterClass::Software, Some((4, _))) => Form { int64: profile.int64, run: 4 },
            (AdapterClass::Software, _) => Form { int64: profile.int64, run: 8 },
            _ => Form::GPU,
        }
    }
}

/// The arrays: two that are read, one that is written, and the readers' sums. All but the sums have one length.
#[derive(Debug, Clone)]
pub struct Arrays {
    a: Tensor,
    b: Tensor,
    out: Tensor,
    sums: Tensor,
}

impl Arrays {
    /// Arrays of `words` words, a multiple of [`GRAIN`]; `a` holds 0, 1, 2, … and `b` a thousand more, modulo 2^16 vectors.
    pub fn new(gpu: &Gpu, words: usize) -> Result<Self> {
        let array = || Tensor::empty(gpu, &[words]);
        let arrays = Arrays { a: array()?, b: array()?, out: array()?, sums: Tensor::empty(gpu, &[words / 64])? };
        write(gpu, &arrays.a, 0.0)?;
        write(gpu, &arrays.b, 1000.0)?;
        Ok(arrays)
    }

    /// The first `words` words of each.
    pub fn first(&self, words: usize) -> Result<Self> {
        let part = |t: &Tensor, words: usize| t.slice(0, &[words]);
        Ok(Arrays {
            a: part(&self.a, words)?,
            b: part(&self.b, words)?,
            out: part(&self.out, words)?,
            sums: part(&self.sums, words / 64)?,
        })
    }

    /// Words of an array.
    pub fn words(&self) -> usize {
        self.a.len()
    }
}

fn write(gpu: &Gpu, out: &Tensor, value: f32) -> Result<()> {
    dispatch(gpu, (Op::Write, Form::of(gpu.profile())), out.len(), value, |launch| launch.bind("out", out))
}

fn dispatch(
    gpu: &Gpu,
    (op, form): (Op, Form),
    words: usize,
    value: f32,
    bind: impl FnOnce(crate::gpu::Launch) -> crate::gpu::Launch,
) -> Result<()> {
    if words == 0 || !words.is_multiple_of(GRAIN) {
        return Err(Error::Shape(format!("stream: {words} words are no multiple of {GRAIN}")));
    }
    let blocks = words / (256 * op.per());
    let launch = gpu.launch(SOURCE, "stream", &op.defines(form))?.u32("blocks", blocks);
    let launch = if op == Op::Copy { launch.f32("value", 0.0) } else { launch.f32("value", value) };
    bind(launch).groups(blocks)
}

/// Records `op` over the whole of the arrays.
pub fn stream(gpu: &Gpu, op: Op, arrays: &Arrays) -> Result<()> {
    stream_as(gpu, op, Form::of(gpu.profile()), arrays)
}

fn stream_as(gpu: &Gpu, op: Op, form: Form, arrays: &Arrays) -> Result<()> {
    let Arrays { a, b, out, sums } = arrays;
    dispatch(gpu, (op, form), arrays.words(), VALUE, |launch| match op {
        Op::Read => launch.bind("a", a).bind("sums", sums),
        Op::Write => launch.bind("out", out),
        Op::Copy => launch.bind("a", a).bind("out", out),
        Op::Triad => launch.bind("a", a).bind("b", b).bind("out", out),
    })
}

/// What word `i` of the result must be.
fn reference(op: Op, run: usize, i: usize) -> f64 {
    let counted = |vector: usize| (vector % 65_536) as f64;
    let vector = i / 4;
    match op {
        Op::Read => {
            // Sum `i` is that of 16 vectors of its run, every `run`-th.
            let first = i / run * run * 16 + i % run;
            (0..16).map(|k| 4.0 * counted(first + run * k)).sum::<f64>() + 4.0 * f64::from(VALUE)
        }
        Op::Write => counted(vector) + f64::from(VALUE),
        Op::Copy => counted(vector),
        Op::Triad => counted(vector) + f64::from(VALUE) * (counted(vector) + 1000.0),
    }
}

/// Runs once and compares the first, the middle and the last words. The values are whole numbers: nothing may be off.
pub fn check(gpu: &Gpu, op: Op, arrays: &Arrays) -> Result<Vec<Check>> {
    check_as(gpu, op, Form::of(gpu.profile()), arrays)
}

fn check_as(gpu: &Gpu, op: Op, form: Form, arrays: &Arrays) -> Result<Vec<Check>> {
    let result = if op == Op::Read { &arrays.sums } else { &arrays.out };
    crate::kernels::elementwise::fill(gpu, result, -1.0)?;
    stream_as(gpu, op, form, arrays)?;
    let len = result.len().min(1024);
    let starts = [0, (result.len() - len) / 128 * 64, result.len() - len];
    let mut checks = Vec::new();
    for start in starts {
        let got = result.slice(start, &[len])?.to_f32(gpu)?;
        let want = (start..start + len).map(|i| reference(op, form.run, i)).collect();
        checks.push(Check { tolerance: 1e-7, ..Check::sum(format!("{op} from {start}"), got, want, 1) });
    }
    Ok(checks)
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = Op::ALL.into_iter().flat_map(|op| Form::ALL.map(|form| (op, form)));
    all.map(|(op, form)| Permutation { source: SOURCE, defines: op.defines(form) }).collect()
}

/// One block, several, and more than the numbers repeat after; in every form the adapter can run.
pub fn cases() -> Vec<Case> {
    let all = Op::ALL.into_iter().flat_map(|op| [1, 3, 64, 100].map(|grains| (op, grains)));
    let case = |(op, grains): (Op, usize)| {
        Case::new(format!("{op} of {grains} blocks"), move |gpu| {
            let arrays = Arrays::new(gpu, grains * GRAIN)?;
            let forms = Form::ALL.into_iter().filter(|form| !form.int64 || gpu.profile().int64);
            let checks = forms.map(|form| check_as(gpu, op, form, &arrays)).collect::<Result<Vec<_>>>()?;
            Ok(checks.into_iter().flatten().collect())
        })
    };
    all.map(case).collect()
}
