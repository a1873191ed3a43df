use super::*;
use crate::bench::compare::tests::report;

#[test]
fn numbers_that_no_machine_reaches_are_refused() {
    let read = |report: &Report| Report::from_json(&report.to_json().unwrap(), "a.json");
    read(&report(1.0)).unwrap();
    type Change = (&'static str, fn(&mut Report));
    let changes: [Change; 6] = [
        ("a peak of 1e-310 FLOP/s", |r| r.ceiling.fma_f32 = Some(1e-310)),
        ("a peak of -1e9 FLOP/s", |r| r.ceiling.fma_f16 = Some(-1e9)),
        ("1e300 B/s over", |r| r.ceiling.memory[0].read = Some(1e300)),
        ("has -5e0", |r| r.records[0].value = Some(-5.0)),
        ("has 0e0", |r| r.records[0].seconds = Spread::of(&[0.0, 1.0, 2.0])),
        ("18446744073709551615 operations", |r| r.records[0].flops = u64::MAX),
    ];
    for (what, change) in changes {
        let mut other = report(1.0);
        change(&mut other);
        let error = read(&other).unwrap_err().to_string();
        assert!(error.contains("a.json: the results are damaged") && error.contains(what), "{what}: {error}");
    }
}
