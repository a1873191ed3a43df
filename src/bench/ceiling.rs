//! The machine's own limits: arithmetic, memory, transfers, launches, pipelines.

use std::cell::RefCell;
use std::rc::Rc;

use super::measure::{Entry, TimeBudget, Verify, excuse, interleave};
use super::probe::{fma, fresh, matrix, stream};
use super::schema::{Ceiling, LaunchCost, MemoryPoint, Record, Unit, Verdict};
use super::{NEEDED, Progress, Selection, stats};
use crate::gpu::{AdapterClass, Gpu, Options};
use crate::kernels::{Check, Size};
use crate::tensor::Tensor;
use crate::{Error, Result};
use stream::{Arrays, Op};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Measures what is selected, and what the percentages of other records need.
pub(super) fn measure(
    gpu: &Gpu,
    options: &Options,
    size: Size,
    selection: &Selection,
    pace: &TimeBudget,
    progress: &mut Progress,
) -> Result<(Ceiling, Vec<Record>)> {
    let mut records = Vec::new();
    let wanted = |mut entries: Vec<Entry>| {
        entries.retain(|e| selection.takes(&e.name));
        entries
    };
    let (single, half) = (wanted(arithmetic(gpu, false)?), wanted(arithmetic(gpu, true)?));
    let (memory, overhead) = (memory_sizes(gpu, size), overhead(gpu, size, selection, &mut records)?);
    let streams = launch_sizes().into_iter().map(|b| (Op::Copy, b, true)).chain(memory);
    let streams: Vec<_> =
        streams.filter(|(op, bytes, launch)| selection.takes(&stream_name(*op, *bytes, *launch))).collect();
    progress(super::Event::Group("ceiling", single.len() + half.len() + overhead.len() + streams.len()));
    // What percentages are taken of comes first.
    records.extend(interleave(gpu, single, pace, progress)?);
    records.extend(memory_records(gpu, &streams, pace, progress)?);
    records.extend(interleave(gpu, overhead, pace, progress)?);
    records.extend(interleave(gpu, half, pace, progress)?);
    gpu.trim()?;
    records.extend(matrices(gpu, options, selection, pace, progress)?);
    let ceiling = summary(&records, &streams);
    if let Some(launch) = ceiling.launch {
        records.push(launch_record(launch));
    }
    Ok((ceiling, records))
}

/// How much the best f32 rate has moved since `records` were measured: now over then. `None` where there is none, or no time to
/// measure it again.
pub(super) fn moved(gpu: &Gpu, records: &[Record], pace: &TimeBudget) -> Result<Option<f64>> {
    let rates = records.iter().filter(|r| r.name.starts_with(NEEDED[0]) && r.value.is_some());
    let Some(best) = rates.max_by(|a, b| a.value.unwrap_or(0.0).total_cmp(&b.value.unwrap_or(0.0))) else {
        return Ok(None);
    };
    let entries = arithmetic(gpu, false)?.into_iter().filter(|e| e.name == best.name).collect();
    let again = interleave(gpu, entries, pace, &mut |_| ())?;
    Ok(again.first().and_then(|r| r.value).zip(best.value).map(|(now, then)| now / then))
}

/// A chain of fused multiply-adds in every form.
fn arithmetic(gpu: &Gpu, half: bool) -> Result<Vec<Entry>> {
    if half && !gpu.profile().f16 {
        return Ok(Vec::new());
    }
    // Enough invocations to fill the machine, enough rounds that starting them does not count.
    let (invocations, rounds) =
        if gpu.profile().class == AdapterClass::Software { (1 << 14, 64) } else { (1 << 20, 64) };
    let out = Tensor::empty(gpu, &[invocations])?;
    let entry = |chains: fma::Chains| {
        let (checked, timed) = (out.clone(), out.clone());
        let verify: Verify = Box::new(move |gpu| fma::check(gpu, chains, rounds, &checked));
        let entry = Entry::gpu(format!("ceiling/fma/{chains}"), Unit::Flops, verify, move |gpu| {
            fma::fma(gpu, chains, rounds, &timed)
        });
        entry.work(chains.flops(rounds) * invocations as u64, 4 * invocations as u64)
    };
    Ok(fma::Chains::all(half).into_iter().map(entry).collect())
}

/// Whether the user wants a rate of cooperative matrices, of whatever size.
pub(super) fn wants_matrices(selection: &Selection) -> bool {
    matrix::Chains::names().any(|name| selection.names(&format!("ceiling/fma/{name}")))
}

/// Chains of products of cooperative matrices. Where `gpu` was opened without, another device is opened for them alone, so
/// that whatever else is measured is what is used by default.
fn matrices(
    gpu: &Gpu,
    options: &Options,
    selection: &Selection,
    pace: &TimeBudget,
    progress: &mut Progress,
) -> Result<Vec<Record>> {
    // Percentages of kernels that compute with them are taken of them.
    let needed = selection.ceilings && gpu.profile().matrix.is_some();
    if !gpu.profile().cooperative_matrix || !needed && !wants_matrices(selection) {
        return Ok(Vec::new());
    }
    let gpu = &if gpu.profile().matrix.is_some() {
        gpu.clone()
    } else {
        Gpu::new(Options { matrices: true, ..options.clone() })?
    };
    let (invocations, rounds) =
        if gpu.profile().class == AdapterClass::Software { (1 << 10, 4) } else { (1 << 20, 64) };
    let out = Tensor::empty(gpu, &[invocations])?;
    let entry = |chains: matrix::Chains| {
        let (checked, timed) = (out.clone(), out.clone());
        let verify: Verify = Box::new(move |gpu| matrix::check(gpu, chains, rounds, &checked));
        let entry = Entry::gpu(format!("ceiling/fma/{chains}"), Unit::Flops, verify, move |gpu| {
            matrix::matrix(gpu, chains, rounds, &timed)
        });
        let subgroups = invocations.div_ceil(chains.matrix.lanes) as u64;
        entry.work(chains.flops(rounds) * subgroups, 4 * invocations as u64)
    };
    let mut entries: Vec<Entry> = matrix::Chains::all(gpu).into_iter().map(entry).collect();
    entries.retain(|e| needed || selection.names(&e.name));
    progress(super::Event::Group("matrices", entries.len()));
    interleave(gpu, entries, pace, progress)
}

/// `64KiB`, `16MiB`.
fn size_name(bytes: u64) -> String {
    match bytes {
        b if b >= 1 << 30 && b.is_multiple_of(1 << 30) => format!("{}GiB", b >> 30),
        b if b >= MIB => format!("{}MiB", b / MIB),
        b => format!("{}KiB", b / KIB),
    }
}

fn stream_name(op: Op, bytes: u64, launch: bool) -> String {
    if launch {
        format!("ceiling/launch/{}", size_name(bytes))
    } else {
        format!("ceiling/memory/{op}/{}", size_name(bytes))
    }
}

/// Sizes of a dispatch whose cost is fitted.
fn launch_sizes() -> Vec<u64> {
    [16, 32, 64, 128, 256, 512].map(|k| k * KIB).into()
}

/// What is done with arrays of which size: 64 KiB to 1 GiB where the adapter allows. Software adapters and GPUs that share the
/// processor's memory stop at a size that leaves room for other programs.
fn memory_sizes(gpu: &Gpu, size: Size) -> Vec<(Op, u64, bool)> {
    let profile = gpu.profile();
    let shared = matches!(profile.class, AdapterClass::Software | AdapterClass::Integrated);
    let (sizes, largest): (&[u64], u64) = match (size, shared) {
        (Size::Quick, true) => (&[64 * KIB, MIB, 16 * MIB, 64 * MIB], 64 * MIB),
        (Size::Quick, false) => (&[64 * KIB, MIB, 16 * MIB, 256 * MIB], 256 * MIB),
        (Size::Full, shared) => {
            let largest = if shared { 256 * MIB } else { 1024 * MIB };
            (&[64 * KIB, 256 * KIB, MIB, 4 * MIB, 16 * MIB, 64 * MIB, 256 * MIB, 1024 * MIB], largest)
        }
    };
    let largest = largest.min(profile.max_buffer).min(profile.max_binding);
    let sizes = sizes.iter().copied().filter(move |s| *s <= largest);
    sizes.flat_map(|bytes| Op::ALL.map(|op| (op, bytes, false))).collect()
}

/// The arrays of the largest size serve all others. Where the machine has no room for them, the largest size is left out.
fn memory_records(
    gpu: &Gpu,
    wanted: &[(Op, u64, bool)],
    pace: &TimeBudget,
    progress: &mut Progress,
) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut rest = wanted.to_vec();
    while let Some(largest) = rest.iter().map(|(_, bytes, _)| *bytes).max() {
        match streams(gpu, &rest, largest) {
            Ok(entries) => {
                records.extend(interleave(gpu, entries, pace, progress)?);
                break;
            }
            Err(error) => {
                let verdict = excuse(error)?;
                let (out, kept): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(_, bytes, _)| *bytes == largest);
                let skip =
                    |(op, bytes, launch)| Record::without(stream_name(op, bytes, launch), Unit::Bytes, verdict.clone());
                records.extend(out.into_iter().map(skip));
                rest = kept;
                gpu.trim()?;
            }
        }
    }
    Ok(records)
}

fn streams(gpu: &Gpu, wanted: &[(Op, u64, bool)], largest: u64) -> Result<Vec<Entry>> {
    let arrays = Arrays::new(gpu, largest as usize / 4)?;
    let entry = |&(op, bytes, launch): &(Op, u64, bool)| {
        let (checked, timed) = (arrays.first(bytes as usize / 4)?, arrays.first(bytes as usize / 4)?);
        let verify: Verify = Box::new(move |gpu| stream::check(gpu, op, &checked));
        let unit = if launch { Unit::Seconds } else { Unit::Bytes };
        let entry =
            Entry::gpu(stream_name(op, bytes, launch), unit, verify, move |gpu| stream::stream(gpu, op, &timed));
        Ok(entry.work(0, op.arrays() * bytes))
    };
    wanted.iter().map(entry).collect()
}

/// Transfers, the empty submission, new and known pipelines, of those that are asked for. A transfer that the machine has no room for
/// is a record without a figure.
fn overhead(gpu: &Gpu, size: Size, selection: &Selection, records: &mut Vec<Record>) -> Result<Vec<Entry>> {
    let mut all = vec![
        Entry::wall("ceiling/submit/empty".into(), Unit::Seconds, Box::new(|_| Ok(Vec::new())), |gpu| {
            gpu.flush()?;
            gpu.wait()
        }),
        pipeline("ceiling/pipeline/cold", true, gpu)?,
        pipeline("ceiling/pipeline/warm", false, gpu)?,
    ];
    all.retain(|e| selection.takes(&e.name));
    let profile = gpu.profile();
    let small = size == Size::Quick || profile.class == AdapterClass::Software;
    let most = profile.max_buffer.min(profile.max_binding);
    let large = if small || most < 256 * MIB { 16 * MIB } else { 256 * MIB };
    for bytes in [64 * KIB, large] {
        let names = ["upload", "download"].map(|way| transfer_name(way, bytes));
        if !names.iter().any(|name| selection.takes(name)) {
            continue;
        }
        match transfers(gpu, bytes) {
            Ok(entries) => all.extend(entries.into_iter().filter(|e| selection.takes(&e.name))),
            Err(error) => {
                let verdict = excuse(error)?;
                records.extend(names.map(|name| Record::without(name, Unit::Bytes, verdict.clone())));
            }
        }
    }
    Ok(all)
}

fn transfer_name(way: &str, bytes: u64) -> String {
    format!("ceiling/transfer/{way}/{}", size_name(bytes))
}

/// A launch of a kernel, waited for: one that is new each time, or one that is known.
fn pipeline(name: &str, cold: bool, gpu: &Gpu) -> Result<Entry> {
    const ROWS: usize = 1024;
    let nonces = Rc::new(RefCell::new(fresh::nonces()));
    let next = move |nonces: &RefCell<dyn Iterator<Item = u32>>| {
        let nonce = nonces.borrow_mut().next();
        nonce.ok_or_else(|| Error::Invalid("there is no number left for a new kernel".into()))
    };
    let (x, out) = fresh::operands(gpu, ROWS)?;
    let (own, known) = (nonces.clone(), next(&*nonces)?);
    let verify: Verify = Box::new(move |gpu| fresh::check(gpu, [known, next(&*own)?], ROWS));
    let mut entry = Entry::wall(name.into(), Unit::Seconds, verify, move |gpu| {
        fresh::fresh(gpu, if cold { next(&*nonces)? } else { known }, &x, &out)?;
        gpu.flush()?;
        gpu.wait()
    });
    // Each repetition leaves a pipeline behind.
    entry.repeat = if cold { 1 } else { entry.repeat };
    Ok(entry)
}

/// To the GPU and back, by the wall clock.
fn transfers(gpu: &Gpu, bytes: u64) -> Result<[Entry; 2]> {
    let words = bytes as usize / 4;
    let data: Rc<Vec<u32>> = Rc::new((0..words as u32).map(|i| i.wrapping_mul(2_654_435_761)).collect());
    // Compared as halves: f32 holds no 32 bits, and a NaN pattern would not equal itself.
    let check = move |what: &str, got: &[u32], want: &[u32]| {
        let same = got.len() == want.len() && got.iter().zip(want).all(|(a, b)| a == b);
        Check::sum(what, vec![if same { 1.0 } else { 0.0 }], vec![1.0], 1)
    };
    let name = |way: &str| transfer_name(way, bytes);
    let (sent, want) = (data.clone(), data.clone());
    let verify: Verify =
        Box::new(move |gpu| Ok(vec![check("upload", &Tensor::from_u32(gpu, &sent, &[words])?.to_u32(gpu)?, &want)]));
    let sent = data.clone();
    let upload = Entry::wall(name("upload"), Unit::Bytes, verify, move |gpu| {
        drop(Tensor::from_u32(gpu, &sent, &[words])?);
        gpu.flush()?;
        gpu.wait()
    });
    let there = Tensor::from_u32(gpu, &data, &[words])?;
    let again = there.clone();
    let verify: Verify = Box::new(move |gpu| Ok(vec![check("download", &there.to_u32(gpu)?, &data)]));
    let download = Entry::wall(name("download"), Unit::Bytes, verify, move |gpu| again.to_u32(gpu).map(drop));
    Ok([upload.work(0, bytes), download.work(0, bytes)])
}

/// The best of what was measured.
fn summary(records: &[Record], streams: &[(Op, u64, bool)]) -> Ceiling {
    let best = |prefix: &str| {
        records.iter().filter(|r| r.name.starts_with(prefix)).filter_map(|r| r.value).max_by(f64::total_cmp)
    };
    let find = |name: String| records.iter().find(|r| r.name == name);
    let mut sizes: Vec<u64> = streams.iter().filter(|(.., launch)| !launch).map(|(_, bytes, _)| *bytes).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let point = |bytes: u64| {
        let value = |op| find(stream_name(op, bytes, false)).and_then(|r| r.value);
        let [read, write, copy, triad] = Op::ALL.map(value);
        MemoryPoint { bytes, read, write, copy, triad }
    };
    let launches: Vec<(f64, f64)> = launch_sizes()
        .into_iter()
        .filter_map(|bytes| Some((2.0 * bytes as f64, find(stream_name(Op::Copy, bytes, true))?.value?)))
        .collect();
    Ceiling {
        fma_f32: best("ceiling/fma/f32/"),
        fma_f16: best("ceiling/fma/f16/"),
        fma_matrix: best("ceiling/fma/matrix/"),
        memory: sizes.into_iter().map(point).filter(|p| p.best().is_some()).collect(),
        launch: stats::fit(&launches).map(|l| LaunchCost { seconds: l.a, bandwidth: l.b, worst: l.worst }),
    }
}

/// The fitted cost of a dispatch as a record. Where caches make large sizes no slower than small ones in proportion, the line
/// may begin below zero; that is no cost, and no score.
fn launch_record(launch: LaunchCost) -> Record {
    let mut record = Record::without("ceiling/launch/fitted", Unit::Seconds, Verdict::Passed(0.0));
    record.value = (launch.seconds > 0.0).then_some(launch.seconds);
    record.more.insert("bandwidth B/s".into(), launch.bandwidth);
    record.more.insert("worst deviation".into(), launch.worst);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_short_names() {
        assert_eq!([64 * KIB, MIB, 256 * MIB, 1 << 30].map(size_name), ["64KiB", "1MiB", "256MiB", "1GiB"]);
        assert_eq!(stream_name(Op::Triad, MIB, false), "ceiling/memory/triad/1MiB");
        assert!(launch_sizes().iter().all(|b| (*b as usize / 4).is_multiple_of(stream::GRAIN)));
    }

    #[test]
    fn the_best_counts_and_failures_do_not() {
        let record = |name: &str, value| Record { value, ..Record::without(name, Unit::Flops, Verdict::Passed(0.0)) };
        let records = [
            record("ceiling/fma/f32/vec4x2", Some(90e9)),
            record("ceiling/fma/f32/scalarx12", Some(100e9)),
            record("ceiling/fma/f32/vec4x8", None),
            record("ceiling/memory/copy/1MiB", Some(4e9)),
        ];
        let ceiling = summary(&records, &[(Op::Copy, MIB, false), (Op::Copy, KIB * 64, false)]);
        assert_eq!((ceiling.fma_f32, ceiling.fma_f16), (Some(100e9), None));
        assert_eq!(ceiling.memory.len(), 1);
        assert_eq!(ceiling.bandwidth(1), Some(4e9));
        assert_eq!(ceiling.launch, None);
    }
}
