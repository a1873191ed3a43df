use super::*;
use crate::data::Images;

fn all() -> Vec<(Task, Labels)> {
    let rect = |x| Rect::from_size(x, 0.0, 1.0, 1.0);
    let object = |class| Object::new(rect(class as f32), class);
    vec![
        (Task::class("c", vec!["a".into(), "b".into()]), Labels::Class(vec![0, 1, MISSING])),
        (
            Task::new("attributes", TaskKind::Attributes, &["a", "b"]),
            Labels::Attributes { count: 2, answers: vec![0.0, 1.0, 1.0, UNKNOWN, UNKNOWN, UNKNOWN] },
        ),
        (Task::new("number", TaskKind::Number, &[]), Labels::Number(vec![1.0, 4.0, f32::NAN])),
        (Task::new("mask", TaskKind::Mask, &["a", "b"]), Labels::Mask(vec![0, 1, 1, 0, IGNORED, IGNORED])),
        (Task::new("depth", TaskKind::Depth, &[]), Labels::Depth(vec![0.5, 1.5, 2.0, f32::NAN, f32::NAN, f32::NAN])),
        (
            Task::new("boxes", TaskKind::Boxes, &["a", "b"]),
            Labels::Boxes(vec![Some(vec![object(0), object(1)]), Some(vec![]), None]),
        ),
    ]
}

fn images() -> Images {
    Images::black(3, [1, 2], 1).unwrap()
}

#[test]
fn every_kind_can_be_gathered_joined_and_forgotten() {
    for (task, labels) in all() {
        labels.check(&task, &images()).unwrap();
        assert_eq!(labels.kind(), task.kind);
        // Nobody has answered for the last; half an answer is one.
        assert_eq!([0, 1, 2].map(|i| labels.has(i, 2)), [true, true, false], "{}", task.name);
        let turned = labels.gather(&[2, 1, 0], 2);
        let mut back = turned.gather(&[2], 2);
        back.extend(turned.gather(&[1, 0], 2)).unwrap();
        // NaN differs from itself, so the bits are compared.
        assert_eq!(back.fingerprint(7), labels.fingerprint(7), "{}", task.name);
        assert_ne!(turned.fingerprint(7), labels.fingerprint(7), "{}", task.name);
        let mut none = labels.clone();
        (0..3).for_each(|i| none.forget(i, 2));
        assert!(none.all_missing() && !labels.all_missing());
        assert_eq!(none.fingerprint(1), labels.missing(3, 2).fingerprint(1));
        assert!(none.check(&task, &images()).unwrap_err().to_string().contains("no image has a label"));
        assert!(labels.gather(&[0], 2).check(&task, &images()).is_err());
    }
    let (mut a, b) = (all()[0].1.clone(), all()[2].1.clone());
    assert!(a.extend(b).is_err());
}

#[test]
fn what_does_not_fit_is_refused_with_its_place() {
    let refused = |which: usize, change: fn(&mut Labels)| {
        let (task, mut labels) = all().swap_remove(which);
        change(&mut labels);
        labels.check(&task, &images()).unwrap_err().to_string()
    };
    let message = refused(0, |l| {
        if let Labels::Class(v) = l {
            v[1] = 2
        }
    });
    assert!(message.contains("sample 1: label 2"), "{message}");
    let message = refused(3, |l| {
        if let Labels::Mask(v) = l {
            v[3] = 9
        }
    });
    assert!(message.contains("sample 1: label 9"), "{message}");
    let message = refused(5, |l| {
        if let Labels::Boxes(v) = l {
            v[0].as_mut().unwrap()[1].rect.x1 = 0.0
        }
    });
    assert!(message.contains("sample 0") && message.contains("no area"), "{message}");
    let message = refused(2, |l| {
        if let Labels::Number(v) = l {
            v[0] = f32::INFINITY
        }
    });
    assert!(message.contains("infinite"), "{message}");
    assert!(Task::new("m", TaskKind::Mask, &["only"]).check().is_err());
    assert!(Task::new("n", TaskKind::Number, &["name"]).check().is_err());
}

#[test]
fn moments_are_of_what_is_there() {
    assert_eq!(Labels::Number(vec![1.0, f32::NAN, 3.0]).moments(), (2.0, 1.0));
    assert_eq!(Labels::Number(vec![5.0, 5.0]).moments(), (5.0, 1.0));
    assert_eq!(Labels::Depth(vec![f32::NAN]).moments(), (0.0, 1.0));
}

#[test]
fn classes_are_counted() {
    let counts: Vec<Vec<u64>> = all().iter().map(|(task, labels)| labels.frequencies(task.classes.len())).collect();
    assert_eq!((&counts[0], &counts[3]), (&vec![1, 1], &vec![2, 2]));
    assert_eq!(counts[1], [1, 1, 1, 0], "yes to a and to b, then no to each");
    assert!(counts[2].is_empty() && counts[5].is_empty());
}
