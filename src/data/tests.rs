use super::compose::{Pairing, Samples};
use super::*;

type Change = fn(&mut Dataset);

fn tiny() -> Dataset {
    let part = |pixels: Vec<u8>, labels: Vec<u32>| Split {
        images: Images { count: labels.len(), pixels, height: 1, width: 2, channels: 1 },
        labels: vec![Labels::Class(labels)],
        files: Vec::new(),
        originals: None,
    };
    Dataset {
        name: "tiny".into(),
        tasks: vec![Task::class("t", vec!["a".into(), "b".into()])],
        train: part(vec![0, 255, 51, 102], vec![0, 1]),
        val: part(vec![255, 255], vec![1]),
        test: part(vec![9, 9], vec![0]),
        skipped: vec![],
    }
}

#[test]
fn statistics_come_from_train_alone() {
    let mut data = tiny();
    let (mean, std) = data.channel_stats();
    // 0, 1, 0.2, 0.4: mean 0.4, variance (0.16 + 0.36 + 0.04 + 0) / 4 = 0.14.
    approx::assert_relative_eq!(mean[0], 0.4, max_relative = 1e-6);
    approx::assert_relative_eq!(std[0], 0.14f32.sqrt(), max_relative = 1e-6);
    data.val.images.pixels.fill(0);
    data.test.images.pixels.fill(0);
    assert_eq!(data.channel_stats(), (mean, std));
}

#[test]
fn channels_have_their_own_statistics_and_constants_are_harmless() {
    let mut data = tiny();
    data.train.images = Images { pixels: vec![10, 0, 255, 10, 255, 255], count: 2, height: 1, width: 1, channels: 3 };
    let (mean, std) = data.channel_stats();
    approx::assert_relative_eq!(mean.as_slice(), [10.0 / 255.0, 0.5, 1.0].as_slice(), max_relative = 1e-6);
    assert_eq!(std, [1.0, 0.5, 1.0]);
}

#[test]
fn the_fingerprint_sees_every_part() {
    let base = tiny().fingerprint();
    assert_eq!(base, tiny().fingerprint());
    let changes: [Change; 6] = [
        |d| d.train.images.pixels[3] ^= 1,
        |d| d.val.labels[0] = Labels::Class(vec![0]),
        |d| d.test.images.pixels[0] ^= 128,
        |d| d.tasks[0].classes[1] = "c".into(),
        |d| d.tasks[0].classes = vec!["ab".into(), "".into()],
        |d| d.train.images = Images { height: 2, width: 1, ..d.train.images.clone() },
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut data = tiny();
        change(&mut data);
        assert_ne!(data.fingerprint(), base, "change {i} went unnoticed");
    }
}

#[test]
fn inconsistent_sets_are_refused() {
    assert!(tiny().check().is_ok());
    let changes: [(Change, &str); 7] = [
        (|d| d.tasks.clear(), "no task"),
        (|d| d.tasks[0].classes.truncate(1), "at least two"),
        (|d| d.val = d.val.gather(&[]), "val split is empty"),
        (|d| d.test.labels[0] = Labels::Class(vec![2]), "test: sample 0: label 2"),
        (|d| d.train.labels[0] = Labels::Class(vec![0]), "1 labels for 2 images"),
        (|d| d.train.images.pixels.truncate(3), "buffers"),
        (|d| d.val.images = Images { height: 2, width: 1, ..d.val.images.clone() }, "height"),
    ];
    for (change, part) in changes {
        let mut data = tiny();
        change(&mut data);
        let message = data.check().unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn limits_keep_the_proportions_and_name_their_choice_by_seed() {
    let data = || digits::single("digit", 0).unwrap();
    let limits = Limits { train: Some(100), val: Some(50), test: None };
    let some = data().limited(&limits, 1).unwrap();
    assert_eq!((some.train.len(), some.val.len(), some.test.len()), (100, 50, data().test.len()));
    for class in 0..10 {
        let n = some.train.labels[0].classes().iter().filter(|&&l| l == class).count();
        assert!((9..=11).contains(&n), "{n} of class {class}");
    }
    assert_eq!(some, data().limited(&limits, 1).unwrap());
    assert_ne!(some.fingerprint(), data().limited(&limits, 2).unwrap().fingerprint());
    assert!(data().limited(&Limits { train: Some(0), ..limits }, 1).is_err());
}

#[test]
fn too_many_images_are_an_error_not_an_abort() {
    assert!(Images::black(usize::MAX, [2, 2], 3).is_err());
    assert!(Images::black(1 << 31, [1 << 20, 1 << 10], 3).is_err());
}

#[test]
fn labels_can_be_taken_away() {
    let data = || {
        digits::load(&Pairing { canvas: [12, 12], samples: Samples { train: 100, val: 10, test: 10 }, seed: 1 }, 0)
            .unwrap()
    };
    let there = |d: &Dataset, task: usize| d.train.labels[task].classes().iter().filter(|l| **l != MISSING).count();
    let some = data().keep_labels(&[("first", 0.3)], false, 1).unwrap();
    assert_eq!((there(&some, 0), there(&some, 1)), (30, 100));
    assert_eq!((&some.val, &some.test), (&data().val, &data().test));
    let apart = data().keep_labels(&[("first", 0.5), ("second", 0.5)], true, 1).unwrap();
    assert_eq!((there(&apart, 0), there(&apart, 1)), (50, 50));
    let both = (0..100).filter(|i| apart.train.labels.iter().all(|l| l.classes()[*i] != MISSING)).count();
    assert_eq!(both, 0);
    // What is kept is as it was.
    let whole = data();
    for (kept, all) in apart.train.labels[1].classes().iter().zip(whole.train.labels[1].classes()) {
        assert!(*kept == MISSING || kept == all);
    }
    assert!(data().keep_labels(&[("third", 0.5)], false, 1).is_err());
    assert!(data().keep_labels(&[("first", 0.6), ("second", 0.6)], true, 1).is_err());
    assert!(data().keep_labels(&[("first", 0.0)], false, 1).is_err(), "no label is left");
}

#[test]
fn data_sets_of_one_task_each_go_together() {
    let one = |name: &str| digits::single(name, 0).unwrap();
    let (n, union) = (one("a").train.len(), one("a").union(one("b")).unwrap());
    assert_eq!((union.train.len(), union.tasks.len()), (2 * n, 2));
    assert!(
        union.train.labels[0].classes()[n..].iter().all(|l| *l == MISSING)
            && &union.train.labels[0].classes()[..n] == one("a").train.labels[0].classes()
    );
    assert!(
        union.train.labels[1].classes()[..n].iter().all(|l| *l == MISSING)
            && &union.train.labels[1].classes()[n..] == one("b").train.labels[0].classes()
    );
    assert_eq!(union.train.images.get(n), one("b").train.images.get(0));
    assert!(one("a").union(one("a")).is_err());
}
