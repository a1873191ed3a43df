//! Whether the references see a kernel that computes wrong gradients.

use super::*;
use crate::params::Named;

/// The gradients of the first step of `train/resnet20/b32`, and what is known of that case.
fn first() -> (Vec<Named>, &'static reference::Reference) {
    let case = Case { kind: Kind::Train, network: "resnet20", batch: 32 };
    let mut bench = Bench::new(&Options::default(), case).unwrap();
    bench.step().unwrap();
    let gradients = bench.student.as_ref().unwrap().network.params().export_grads(&bench.gpu).unwrap();
    (gradients, reference::find(&case.name()).unwrap())
}

#[test]
fn one_wrong_gradient_among_many_is_seen() {
    let (right, known) = first();
    let judge = |gradients: &[Named]| {
        let outcome = Outcome { values: known.values.into(), gradients: Some(reference::checksum(gradients)) };
        reference::judge(Some(known), &outcome)
    };
    assert!(matches!(judge(&right), Verdict::Passed(_)), "{:?}", judge(&right));
    let seen = |fault: fn(&mut Vec<f32>)| {
        let each = right.iter().enumerate().filter(|(at, _)| {
            let mut wrong = right.clone();
            fault(&mut wrong[*at].data);
            matches!(judge(&wrong), Verdict::Failed(_))
        });
        each.map(|(_, named)| named.name.as_str()).collect::<Vec<_>>()
    };
    let all: Vec<&str> = right.iter().map(|named| named.name.as_str()).collect();
    assert_eq!(seen(|g| g.iter_mut().for_each(|v| *v *= 1.05)), all);
    // These may by chance change little of a tensor, but not of many.
    let minus = seen(|g| g.iter_mut().for_each(|v| *v = -*v));
    let moved = seen(|g| g.rotate_right(1));
    let lost = seen(|g| {
        let part = g.len().div_ceil(4);
        g[..part].fill(0.0);
    });
    for (what, seen) in [("minus", minus), ("moved", moved), ("lost", lost)] {
        assert!(4 * seen.len() > 3 * all.len(), "{what}: {} of {}", seen.len(), all.len());
    }
}
