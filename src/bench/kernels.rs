//! The kernels of the table on the workloads they declare, and the share of the machine's ceiling each reaches.

use super::measure::{Entry, LATE, TimeBudget, Verify, excuse, interleave};
use super::schema::{Ceiling, Record, Unit, Verdict};
use super::{Event, Progress, Selection};
use crate::Result;
use crate::gpu::{AdapterClass, Gpu};
use crate::kernels::{Size, TABLE, Workload};

/// Bytes of inputs that lie ready at once. What takes turns with each other is bounded by this.
fn room(class: AdapterClass) -> u64 {
    match class {
        AdapterClass::Software | AdapterClass::Integrated => 256 << 20,
        _ => 2 << 30,
    }
}

/// The workloads that are wanted, with the names of their records.
pub(super) fn select(gpu: &Gpu, size: Size, selection: &Selection) -> Vec<(String, Workload)> {
    let named = |kernel: &crate::kernels::Kernel| {
        let name = kernel.name;
        (kernel.workloads)(gpu, size).into_iter().map(move |w| (format!("kernel/{name}/{}", w.name), w))
    };
    TABLE.iter().flat_map(named).filter(|(name, _)| selection.names(name)).collect()
}

/// Measures them, in groups that fit into memory together.
pub(super) fn measure(
    gpu: &Gpu,
    mut workloads: Vec<(String, Workload)>,
    ceiling: &Ceiling,
    pace: &TimeBudget,
    progress: &mut Progress,
) -> Result<Vec<Record>> {
    progress(Event::Group("kernel", workloads.len()));
    let order: Vec<String> = workloads.iter().map(|(name, _)| name.clone()).collect();
    // The light ones first: where time runs out, the fewest are left out.
    workloads.sort_by_key(|(_, w)| w.flops.max(10 * w.bytes));
    let room = room(gpu.profile().class);
    let mut records: Vec<Record> = Vec::new();
    let mut waiting = workloads.into_iter().peekable();
    while waiting.peek().is_some() {
        let (mut entries, mut held) = (Vec::new(), 0);
        while let Some((name, workload)) = waiting.next_if(|(_, w)| held == 0 || held + w.bytes <= room) {
            held += workload.bytes;
            if pace.over() {
                records.push(Record::without(name, unit(&workload, ceiling), Verdict::Skipped(LATE.into())));
                continue;
            }
            match entry(gpu, &name, &workload, ceiling) {
                Ok(entry) => entries.push(entry),
                Err(error) => records.push(Record::without(name, unit(&workload, ceiling), excuse(error)?)),
            }
        }
        records.extend(interleave(gpu, entries, pace, progress)?.into_iter().map(|r| rated(r, ceiling)));
        // The inputs of the next group are of other sizes.
        gpu.trim()?;
    }
    records.sort_by_key(|r| order.iter().position(|name| *name == r.name));
    Ok(records)
}

/// Work that arithmetic bounds is rated by its operations, other work by its bytes.
fn unit(workload: &Workload, ceiling: &Ceiling) -> Unit {
    let by_memory = match ceiling.least_seconds(workload.flops, workload.bytes) {
        Some((_, bound)) => bound == super::schema::Bound::Memory,
        // Without ceilings: a machine does some ten operations in the time of a byte.
        None => workload.flops < 10 * workload.bytes,
    };
    if by_memory { Unit::Bytes } else { Unit::Flops }
}

fn entry(gpu: &Gpu, name: &str, workload: &Workload, ceiling: &Ceiling) -> Result<Entry> {
    let prepared = (workload.prepare)(gpu)?;
    let verify: Verify = Box::new(move |gpu| (prepared.check)(gpu));
    let unit = unit(workload, ceiling);
    let mut entry = Entry::gpu(name.to_string(), unit, verify, move |gpu| (prepared.run)(gpu));
    entry.variant = workload.variant.clone();
    Ok(entry.work(workload.flops, workload.bytes))
}

/// The record with its share of the ceiling: that of cooperative matrices for a variant that multiplies with them.
pub(super) fn rated(mut record: Record, ceiling: &Ceiling) -> Record {
    let matrices = record.variant.as_deref().is_some_and(|v| v.starts_with("matrix"));
    let peak = if matrices { ceiling.fma_matrix } else { ceiling.fma_f32 };
    let least = peak.and_then(|peak| ceiling.least_seconds_at(peak, record.flops, record.bytes));
    if let (Some(seconds), Some((least, bound))) = (record.seconds, least) {
        record.percent = Some(100.0 * least / seconds.median);
        record.bound = Some(bound);
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::schema::{Bound, MemoryPoint};
    use crate::bench::stats::Spread;

    #[test]
    fn the_share_is_of_the_ceiling_that_binds() {
        let copy = Some(4e9);
        let memory = vec![MemoryPoint { bytes: 1 << 20, copy, ..MemoryPoint::default() }];
        let ceiling = Ceiling { fma_f32: Some(100e9), fma_matrix: Some(400e9), memory, ..Ceiling::default() };
        let record = |flops, bytes, seconds| {
            let mut r = Record::without("kernel/x", Unit::Flops, Verdict::Passed(0.0));
            (r.flops, r.bytes, r.seconds) = (flops, bytes, Spread::of(&[seconds]));
            rated(r, &ceiling)
        };
        let gemm = record(2_000_000_000, 12 << 20, 0.1);
        assert_eq!((gemm.percent, gemm.bound), (Some(20.0), Some(Bound::Compute)));
        let product = Record { variant: Some("matrix-64x64".into()), percent: None, ..gemm.clone() };
        assert_eq!(rated(product, &ceiling).percent, Some(5.0), "a variant on matrices is held against theirs");
        let norm = record(4_000_000, 4_000_000, 0.002);
        assert_eq!((norm.percent, norm.bound), (Some(50.0), Some(Bound::Memory)));
        let none = rated(norm.clone(), &Ceiling::default());
        assert_eq!(none.percent, norm.percent, "without ceilings nothing is changed");
    }
}
