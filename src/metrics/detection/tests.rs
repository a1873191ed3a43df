use super::*;
use proptest::prelude::*;

fn square(x: u16, y: u16, side: u16) -> Rect {
    Rect::from_size(f32::from(x), f32::from(y), f32::from(side), f32::from(side))
}

fn seen(rect: Rect, class: usize, score: f32) -> Detection {
    Detection { rect, class, score }
}

fn one(truths: Vec<Truth>, detections: Vec<Detection>) -> DetectionTally {
    let mut tally = DetectionTally::new(2);
    tally.add(truths, detections).unwrap();
    tally
}

#[test]
fn everything_found_is_one_and_nothing_found_is_zero() {
    let truths = vec![Truth::new(square(0, 0, 10), 0), Truth::new(square(20, 20, 50), 1)];
    let found = truths.iter().map(|t| seen(t.rect, t.class, 0.5)).collect();
    let scores = one(truths.clone(), found).coco();
    assert_eq!((scores.ap, scores.ap50, scores.ar100), (Some(1.0), Some(1.0), Some(1.0)));
    assert_eq!((scores.ap_small, scores.ap_medium, scores.ap_large), (Some(1.0), Some(1.0), None));
    let scores = one(truths, vec![]).coco();
    assert_eq!((scores.ap, scores.ar1), (Some(0.0), Some(0.0)));
    assert_eq!(one(vec![], vec![seen(square(0, 0, 9), 0, 1.0)]).coco(), CocoScores::default());
    assert_eq!(DetectionTally::new(3).coco(), CocoScores::default());
}

#[test]
fn voc_and_coco_differ_where_the_best_is_taken() {
    // Both detections overlap the first object most; COCO lets the second one turn to the other object.
    let truths = vec![Truth::new(square(0, 0, 10), 0), Truth::new(square(3, 0, 10), 0)];
    let found = vec![seen(square(0, 0, 10), 0, 0.9), seen(square(1, 0, 10), 0, 0.8)];
    let tally = one(truths, found);
    assert_eq!(tally.coco().ap50, Some(1.0));
    let voc = tally.voc(0.5, Interpolation::Area)[0].unwrap();
    assert!((voc - 0.5).abs() < 1e-12, "{voc}");
}

#[test]
fn crowds_take_any_number_and_difficult_objects_one_each() {
    let crowd = Truth { ignored: true, ..Truth::new(square(0, 0, 40), 0) };
    let truths = vec![crowd, Truth::new(square(60, 60, 10), 0)];
    let inside = |x, score| seen(square(x, 5, 10), 0, score);
    let found = vec![inside(0, 0.9), inside(11, 0.8), seen(square(60, 60, 10), 0, 0.7)];
    assert_eq!(one(truths.clone(), found.clone()).coco().ap, Some(1.0));
    // To VOC a box within a large one overlaps it too little.
    let voc = one(truths, found).voc_map(0.5, Interpolation::Area).unwrap();
    assert!((voc - 1.0 / 3.0).abs() < 1e-12, "{voc}");
}

#[test]
fn what_is_no_number_or_no_class_is_refused() {
    let mut tally = DetectionTally::new(2);
    let bad = [seen(square(0, 0, 4), 2, 0.5), seen(square(0, 0, 4), 0, f32::NAN)];
    for detection in bad {
        assert!(tally.add(vec![], vec![detection]).is_err());
    }
    assert!(tally.add(vec![Truth { area: f64::INFINITY, ..Truth::new(square(0, 0, 4), 0) }], vec![]).is_err());
    assert!(tally.is_empty());
}

prop_compose! {
    fn scenes()(images in prop::collection::vec((
        prop::collection::vec((0u16..60, 0u16..60, 1u16..60, 0usize..2, prop::bool::weighted(0.2)), 0..6),
        prop::collection::vec((0u16..60, 0u16..60, 1u16..60, 0usize..2, 0u8..20), 0..9),
    ), 1..5)) -> DetectionTally {
        let mut tally = DetectionTally::new(2);
        for (truths, detections) in images {
            let truth = |(x, y, s, c, ignored)| Truth { ignored, ..Truth::new(square(x, y, s), c) };
            let detection = |(x, y, s, c, score)| seen(square(x, y, s), c, f32::from(score));
            tally.add(truths.into_iter().map(truth).collect(), detections.into_iter().map(detection).collect()).unwrap();
        }
        tally
    }
}

proptest! {
    #[test]
    fn scores_are_shares_and_ordered(tally in scenes()) {
        let s = tally.coco();
        let all = [s.ap, s.ap50, s.ap75, s.ap_small, s.ap_medium, s.ap_large, s.ar1, s.ar10, s.ar100, s.ar_small, s.ar_medium, s.ar_large];
        prop_assert!(all.iter().flatten().all(|v| (0.0..=1.0 + 1e-12).contains(v)));
        if let (Some(ap), Some(ap50), Some(ar1), Some(ar100)) = (s.ap, s.ap50, s.ar1, s.ar100) {
            prop_assert!(ap <= ap50 + 1e-12 && ar1 <= ar100 + 1e-12);
        }
    }

    #[test]
    fn only_the_order_of_scores_counts(tally in scenes()) {
        let mut other = DetectionTally::new(2);
        for (truths, detections) in &tally.images {
            let moved = detections.iter().map(|d| Detection { score: (d.score / 7.0).exp(), ..*d }).collect();
            other.add(truths.clone(), moved).unwrap();
        }
        prop_assert_eq!(tally.coco(), other.coco());
        prop_assert_eq!(tally.voc(0.5, Interpolation::Area), other.voc(0.5, Interpolation::Area));
    }

    #[test]
    fn an_object_found_surely_does_no_harm(tally in scenes()) {
        let mut better = tally.clone();
        let rect = square(100, 100, 20);
        better.add(vec![Truth::new(rect, 0)], vec![seen(rect, 0, 1e6)]).unwrap();
        let ap50 = |tally: &DetectionTally| tally.coco_and_classes().1[0].map(|class| class.ap50);
        let before = ap50(&tally).unwrap_or(0.0);
        prop_assert!(ap50(&better).unwrap() >= before - 1e-12);
    }
}
