//! Contrastive distillation and knowledge review on the GPU against PyTorch: methods with layers of their own.

use super::distillation::by_tape;
use super::*;
use limbeck::distill::{Crd, Review};
use limbeck::loss::{LossLog, LossRecorder};
use limbeck::params::Params;
use limbeck::tape::{Tape, Var};

/// What PyTorch calls a parameter's golden, and a part of it where two parameters are one there.
type Golden<'a> = (&'a str, Option<usize>);

/// The rows' half, for a weight over two maps that stand side by side.
fn half(all: &[f32], part: Option<usize>) -> Vec<f32> {
    let Some(part) = part else { return all.to_vec() };
    let width = all.len() / 4;
    all.chunks(2 * width).flat_map(|row| row[part * width..(part + 1) * width].to_vec()).collect()
}

fn import<'a>(case: &Case, params: &Params, golden: impl Fn(&str) -> Option<Golden<'a>>) -> Result<()> {
    params.import(gpu(), |name, shape| match golden(name) {
        Some((what, part)) => Ok(half(&case.floats(&format!("input.{what}")).nhwc().data, part)),
        // Running statistics, which no training looks at.
        None => Ok(vec![0.0; shape.iter().product()]),
    })
}

/// Both sides' embeddings against both banks, then the banks with the batch in them.
pub fn crd(case: &Case) -> Result<()> {
    let (n, cs) = (case.floats("input.student").shape[0], case.floats("input.student").shape[1]);
    let (ct, depth) = (case.floats("input.teacher").shape[1], case.floats("input.student_bias").shape[0]);
    let entries = case.floats("input.classes").shape[0];
    let crd = Crd::new(gpu(), "crd", (cs, ct), (depth, entries, case.number("tau") as f32), 0)?;
    let golden = |name: &str| match name.strip_prefix("crd.").expect("the name it was given") {
        "student.weight" => "student_weight",
        "student.bias" => "student_bias",
        "teacher.weight" => "teacher_weight",
        "teacher.bias" => "teacher_bias",
        "student.bank" => "bank_student",
        "teacher.bank" => "bank_teacher",
        "classes" => "classes",
        other => panic!("{other} is new"),
    };
    let cursor = case.number("cursor") as f32;
    crd.params().import(gpu(), |name, _| match name {
        "crd.cursor" => Ok(vec![cursor]),
        name => Ok(case.floats(&format!("input.{}", golden(name))).data.clone()),
    })?;
    let labels = case.labels("input.labels");
    let labels = Tensor::from_u32(gpu(), &labels, &[labels.len()])?;
    by_tape(case, |losses, s, t| crd.apply(losses, 0, 1.0, s, (t, &labels)))?;
    for grad in crd.params().export_grads(gpu())? {
        case.check(&format!("grad.{}", golden(&grad.name)), grad.data, TOLERANCE);
    }
    crd.update_memory(gpu())?;
    for buffer in crd.params().export(gpu())? {
        match buffer.name.as_str() {
            "crd.cursor" => assert_eq!(buffer.data, [((cursor as usize + n) % entries) as f32]),
            name if name.ends_with("bank") || name.ends_with("classes") => {
                case.check(&format!("output.{}", golden(name)), buffer.data, TOLERANCE);
            }
            _ => {}
        }
    }
    // What has been put is not put again.
    crd.update_memory(gpu())?;
    let cursor_now = crd.params().export(gpu())?.pop().expect("the cursor comes last");
    assert_eq!(cursor_now.data, [((cursor as usize + n) % entries) as f32]);
    Ok(())
}

/// Fusion and hierarchical loss over all levels.
pub fn review(case: &Case) -> Result<()> {
    let levels = (0..).take_while(|j| case.find(&format!("input.student{j}")).is_some()).count();
    let width = |what: &str, j: usize| case.floats(&format!("input.{what}{j}")).shape[1];
    let channels: Vec<_> = (0..levels).map(|j| (width("student", j), width("teacher", j))).collect();
    let review = Review::new(gpu(), "review", &channels, 0)?;
    let names: Vec<(String, String, Option<usize>)> = (0..levels)
        .flat_map(|j| {
            [
                ("narrow.weight", "narrow", None),
                ("narrow_norm.weight", "narrow_gamma", None),
                ("narrow_norm.bias", "narrow_beta", None),
                ("widen.weight", "widen", None),
                ("widen_norm.weight", "widen_gamma", None),
                ("widen_norm.bias", "widen_beta", None),
                ("attention.own", "attention", Some(0)),
                ("attention.below", "attention", Some(1)),
                ("attention.bias", "attention_bias", None),
            ]
            .map(|(name, golden, part)| (format!("review.{j}.{name}"), format!("{golden}{j}"), part))
        })
        .collect();
    let golden = |name: &str| names.iter().find(|(own, ..)| own == name).map(|(_, what, part)| (what.as_str(), *part));
    import(case, review.params(), golden)?;

    let (mut tape, mut log) = (Tape::new(), LossLog::new(gpu(), vec!["loss".into()], 1)?);
    let both = (0..levels).map(|j| {
        let student = upload(case, &format!("input.student{j}"))?;
        Ok((tape.leaf(student), upload(case, &format!("input.teacher{j}"))?))
    });
    let both: Vec<(Var, Tensor)> = both.collect::<Result<_>>()?;
    let features: Vec<(&Var, &Tensor)> = both.iter().map(|(s, t)| (s, t)).collect();
    review.apply(&mut LossRecorder { gpu: gpu(), tape: &mut tape, log: &log }, 0, 1.0, &features)?;
    log.advance();
    let grads = tape.backward(gpu())?;
    case.check("output.loss", log.take(gpu())?.concat(), TOLERANCE);
    for (j, (student, _)) in both.iter().enumerate() {
        check(case, &format!("grad.student{j}"), &grads.of(student).expect("the student has no gradient"));
    }
    let own: Vec<_> = review.params().export_grads(gpu())?;
    assert_eq!(own.len(), 9 * levels - 3);
    for grad in &own {
        match golden(&grad.name).expect("every parameter has a golden") {
            (what, None) => case.check(&format!("grad.{what}"), grad.data.iter().copied(), TOLERANCE),
            (what, Some(0)) => {
                let below = own.iter().find(|g| g.name == grad.name.replace("own", "below")).expect("its other half");
                let rows = grad.data.chunks(grad.data.len() / 2).zip(below.data.chunks(grad.data.len() / 2));
                let both: Vec<f32> = rows.flat_map(|(own, below)| [own, below].concat()).collect();
                case.check(&format!("grad.{what}"), both, TOLERANCE);
            }
            _ => {}
        }
    }
    Ok(())
}
