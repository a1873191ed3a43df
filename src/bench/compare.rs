//! Several results side by side: how many times as fast each is as the first.

use std::fmt::Write as _;

use super::schema::{Record, Report};
use super::table;
use crate::{Error, Result};

/// A table of the records all have in common, the first one's value and the gain of each other over it (above 1: better), and
/// the geometric mean of the gains over each group.
///
/// # Errors
/// [`Error::Invalid`] for fewer than two results, or where they cannot be compared: a debug and a release build, shaders with
/// and without checks or poison, or nothing in common.
pub fn compare(results: &[(String, Report)]) -> Result<String> {
    let [(first_name, first), others @ ..] = results else {
        return Err(Error::Invalid("there is nothing to compare; give at least two files".into()));
    };
    if others.is_empty() {
        return Err(Error::Invalid("one result compares with nothing; give at least two files".into()));
    }
    for (name, other) in others {
        refuse(first_name, first, name, other)?;
    }
    let common: Vec<&Record> = first
        .records
        .iter()
        .filter(|r| r.value.is_some() && others.iter().all(|(_, o)| value(o, r).is_some()))
        .collect();
    if common.is_empty() {
        return Err(Error::Invalid("the files have no record with a score in common".into()));
    }
    let mut text = String::new();
    for (i, (name, report)) in results.iter().enumerate() {
        let Report { adapter, program, .. } = report;
        let _ = writeln!(
            text,
            "[{i}] {name}: {} ({}, {}), limbeck {}",
            adapter.name, adapter.backend, adapter.driver, program.version
        );
    }
    let mut rows = vec![header(others.len())];
    rows.extend(common.iter().map(|r| row(r, others)));
    text += &table::columns(&rows);
    text += "\ngeometric means\n";
    // Records of one group need not stand together.
    let mut seen = std::collections::BTreeSet::new();
    let groups: Vec<&str> = common.iter().map(|r| group(&r.name)).filter(|name| seen.insert(*name)).collect();
    let mut means = vec![header(others.len())];
    for name in groups {
        let of: Vec<&&Record> = common.iter().filter(|r| group(&r.name) == name).collect();
        let mean = |(_, other): &(String, Report)| {
            let logs: f64 = of.iter().filter_map(|r| gain(r, other)).map(f64::ln).sum();
            times((logs / of.len() as f64).exp())
        };
        means.push(
            [name.to_string(), format!("{} records", of.len())].into_iter().chain(others.iter().map(mean)).collect(),
        );
    }
    text += &table::columns(&means);
    let left: usize = first.records.iter().filter(|r| r.value.is_some()).count() - common.len();
    if left > 0 {
        let _ = writeln!(text, "{left} records of [0] are not in all the others, or have no score there.");
    }
    Ok(text)
}

/// Refuses a pair that would compare apples with pears.
fn refuse(first_name: &str, first: &Report, name: &str, other: &Report) -> Result<()> {
    let differs = |what: &str, a: String, b: String| {
        Err(Error::Invalid(format!(
            "{first_name} has {what} {a}, {name} has {b}: these times do not compare; measure one of them again"
        )))
    };
    if first.schema != other.schema {
        return differs("schema", first.schema.to_string(), other.schema.to_string());
    }
    if first.program.profile != other.program.profile {
        return differs("build profile", first.program.profile.clone(), other.program.profile.clone());
    }
    if first.settings.checked != other.settings.checked {
        return differs("checked shaders:", first.settings.checked.to_string(), other.settings.checked.to_string());
    }
    if first.settings.matrices != other.settings.matrices {
        let open = |matrices: bool| if matrices { "open" } else { "not open" }.to_string();
        return differs("cooperative matrices:", open(first.settings.matrices), open(other.settings.matrices));
    }
    if first.settings.poison != other.settings.poison {
        return differs("poisoned buffers:", first.settings.poison.to_string(), other.settings.poison.to_string());
    }
    Ok(())
}

fn value(report: &Report, like: &Record) -> Option<f64> {
    report.record(&like.name).filter(|r| r.unit == like.unit)?.value
}

fn gain(record: &Record, other: &Report) -> Option<f64> {
    Some(record.unit.gain(record.value?, value(other, record)?))
}

/// `ceiling/memory`, `kernel/conv2d`, `train/resnet20`.
fn group(name: &str) -> &str {
    let second = name.match_indices('/').nth(1).map_or(name.len(), |(at, _)| at);
    &name[..second]
}

fn times(gain: f64) -> String {
    if gain < 100.0 { format!("{gain:.2}x") } else { format!("{gain:.0}x") }
}

fn header(others: usize) -> Vec<String> {
    ["".to_string(), "[0]".to_string()].into_iter().chain((1..=others).map(|i| format!("[{i}]"))).collect()
}

fn row(record: &Record, others: &[(String, Report)]) -> Vec<String> {
    let own = table::value(record);
    let gains = others.iter().map(|(_, o)| gain(record, o).map_or("–".into(), times));
    [record.name.clone(), own].into_iter().chain(gains).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::schema::{Adapter, Ceiling, Program, SCHEMA, Settings, Unit, Verdict};
    use crate::bench::stats::Spread;
    use crate::gpu::Options;

    pub(in crate::bench) fn report(scale: f64) -> Report {
        let record = |name: &str, unit, value: f64| Record {
            value: Some(value),
            seconds: Spread::of(&[0.1, 0.2, 0.4]),
            clock: Some("wall".into()),
            flops: 1 << 30,
            bytes: 1 << 24,
            percent: Some(12.5),
            ..Record::without(name, unit, Verdict::Passed(0.1))
        };
        let adapter = Adapter {
            name: "a <GPU>".into(),
            backend: "vulkan".into(),
            driver: "1.0".into(),
            class: "Software".into(),
            subgroups: Some((8, 8)),
            f16: true,
            cooperative_matrix: false,
            timestamps: true,
        };
        let memory = [1 << 16, 1 << 26].map(|bytes| crate::bench::schema::MemoryPoint {
            bytes,
            copy: Some(4e9 * scale),
            ..Default::default()
        });
        Report {
            schema: SCHEMA,
            program: Program::current(),
            adapter,
            settings: Settings::new(&Options::default(), true, None),
            ceiling: Ceiling { fma_f32: Some(100e9 * scale), memory: memory.into(), ..Ceiling::default() },
            records: vec![
                record("ceiling/submit/empty", Unit::Seconds, 1e-4 / scale),
                record("kernel/linear/1024x1024x1024", Unit::Flops, 30e9 * scale),
                record("kernel/conv2d/a/forward", Unit::Flops, 20e9 * scale),
                Record::without("kernel/conv2d/b/forward", Unit::Flops, Verdict::Failed("wrong".into())),
                record("train/resnet20/b64", Unit::Images, 70.0 * scale),
            ],
            notes: vec!["a note".into()],
        }
    }

    fn pair(change: impl Fn(&mut Report)) -> Result<String> {
        let mut other = report(2.0);
        change(&mut other);
        compare(&[("a.json".into(), report(1.0)), ("b.json".into(), other)])
    }

    #[test]
    fn faster_is_above_one_in_every_unit() {
        let text = pair(|_| {}).unwrap();
        println!("{text}");
        assert_eq!(text.matches("2.00x").count(), 4 + 4, "{text}");
        assert!(!text.contains("kernel/conv2d/b"), "no score, no ratio");
        assert!(text.contains("[1] b.json: a <GPU> (vulkan, 1.0)"));
    }

    /// A group whose records stand apart has one mean, of all of them.
    #[test]
    fn every_group_stands_once() {
        let apart = |scale: f64| {
            let mut report = report(scale);
            let (first, mut last) = (report.records[0].clone(), report.records[0].clone());
            last.name = format!("{}/again", first.name);
            report.records.push(last);
            report
        };
        let text = compare(&[("a".into(), apart(1.0)), ("b".into(), apart(2.0))]).unwrap();
        let means = text.split_once("geometric means").unwrap().1;
        assert_eq!(means.matches("ceiling/submit").count(), 1, "{text}");
        assert!(means.lines().any(|l| l.contains("ceiling/submit") && l.contains("2 records")), "{text}");
    }

    #[test]
    fn what_does_not_compare_is_refused() {
        let refused = |change: &dyn Fn(&mut Report), word: &str| {
            let error = pair(change).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        refused(&|r| r.program.profile = "other".into(), "build profile");
        refused(&|r| r.schema += 1, "schema");
        refused(&|r| r.settings.checked = true, "checked");
        refused(&|r| r.settings.poison = true, "poisoned");
        refused(&|r| r.settings.matrices = true, "matrices");
        refused(&|r| r.records.clear(), "in common");
        assert!(compare(&[("a".into(), report(1.0))]).is_err());
        assert!(compare(&[]).is_err());
    }

    #[test]
    fn a_record_that_is_missing_is_counted() {
        let text = pair(|r| r.records.truncate(2)).unwrap();
        assert!(text.contains("2 records of [0] are not in all the others"), "{text}");
    }
}
