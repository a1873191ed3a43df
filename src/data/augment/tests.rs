//! Draws are in range and repeat; boxes, masks and pixels move together.

use super::*;
use crate::data::{IGNORED, Labels, Object, TaskKind};
use crate::geometry::{Rect, Warp};
use crate::reference;
use proptest::prelude::*;

#[test]
fn every_shift_and_both_flips_occur_equally_often() {
    let augment = Augment { shift: 2, flip: true, noise: 0.1, ..Augment::NONE };
    let (mut dx, mut dy, mut flips) = ([0usize; 5], [0usize; 5], 0usize);
    let n = 10_000;
    for i in 0..n {
        let d = augment.draw(seed::derive_n(3, i));
        dx[(d.dx + 2) as usize] += 1;
        dy[(d.dy + 2) as usize] += 1;
        flips += d.flip as usize;
    }
    // Five standard deviations of a binomial with p = 1/5 (40) and 1/2 (50).
    assert!(dx.iter().chain(&dy).all(|&c| c.abs_diff(2000) < 200), "{dx:?} {dy:?}");
    assert!(flips.abs_diff(5000) < 250, "{flips}");
}

#[test]
fn flip_needs_tasks_that_allow_it() {
    let task = |flip| Task { flip, ..Task::class("digit", vec!["a".into(), "b".into()]) };
    let augment = Augment { flip: true, ..Augment::NONE };
    assert!(augment.check(&[task(true), task(true)]).is_ok());
    let message = augment.check(&[task(true), task(false)]).unwrap_err().to_string();
    assert!(message.contains("digit") && message.contains("flip_invariant"), "{message}");
    assert!(Augment::NONE.check(&[task(false)]).is_ok());
    assert!(Augment { noise: f32::NAN, ..Augment::NONE }.check(&[]).is_err());
}

proptest! {
    #[test]
    fn draws_stay_in_range_and_repeat(seed: u64, shift in 0u32..9, flip: bool, noisy: bool) {
        let augment = Augment { shift, flip, noise: if noisy { 0.5 } else { 0.0 }, ..Augment::NONE };
        let d = augment.draw(seed);
        prop_assert_eq!(d, augment.draw(seed));
        prop_assert!(d.dx.unsigned_abs() <= shift && d.dy.unsigned_abs() <= shift);
        prop_assert!(d.flip <= u32::from(flip));
        prop_assert!(noisy || d.noise_seed == 0);
        // Switching the flip off leaves the rest alone.
        let still = Augment { flip: false, ..augment }.draw(seed);
        prop_assert_eq!((still.dx, still.dy, still.noise_seed, still.flip), (d.dx, d.dy, d.noise_seed, 0));
    }
}

#[test]
fn none_is_the_identity() {
    assert_eq!(Augment::NONE.draw(12345), Draw::default());
    assert_eq!(Draw::default().warp(3, 9, [5, 7]), Warp::still(3));
}

#[test]
fn what_changes_a_label_is_refused() {
    let (number, boxes) = (Task::new("count", TaskKind::Number, &[]), Task::new("boxes", TaskKind::Boxes, &["a"]));
    let refused = |augment: Augment, task: &Task| augment.check(std::slice::from_ref(task)).unwrap_err().to_string();
    let crop = Augment { crop: Some([0.5, 1.0]), ..Augment::NONE };
    assert!(refused(crop, &number).contains("crop_invariant"));
    assert!(crop.check(&[boxes.clone(), Task { crop: true, ..number.clone() }]).is_ok());
    let scale = |low, high| Augment { scale: Some([low, high]), ..Augment::NONE };
    assert!(scale(0.5, 1.0).check(std::slice::from_ref(&number)).is_ok());
    assert!(refused(scale(0.5, 1.5), &number).contains("crop_invariant"));
    assert!(refused(Augment { rotate: 5.0, ..Augment::NONE }, &number).contains("augment.rotate puts a part"));
    let mosaic = Augment { mosaic: 0.5, ..Augment::NONE };
    assert!(mosaic.check(std::slice::from_ref(&boxes)).is_ok());
    assert!(refused(mosaic, &Task::class("kind", vec!["a".into(), "b".into()])).contains("several images"));
    for bad in [scale(0.0, 1.0), scale(2.0, 1.0), scale(f32::NAN, 1.0), Augment { crop: Some([0.5, 1.5]), ..crop }] {
        assert!(refused(bad, &boxes).contains("the smaller first"), "{bad:?}");
    }
    assert!(refused(Augment { rotate: 181.0, ..Augment::NONE }, &boxes).contains("degrees"));
    assert!(refused(Augment { mosaic: f32::NAN, ..Augment::NONE }, &boxes).contains("probability"));
}

#[test]
fn a_window_has_its_share_of_the_area() {
    let augment = Augment { crop: Some([0.2, 0.4]), ..Augment::NONE };
    for seed in 0..500 {
        let [left, top, wide, high] = augment.draw(seed).window;
        assert!(left >= 0.0 && top >= 0.0 && left + wide <= 1.0 + 1e-6 && top + high <= 1.0 + 1e-6);
        assert!((0.199..0.401).contains(&(wide * high)) && (0.74..1.34).contains(&(wide / high)), "{wide} {high}");
    }
}

/// Images of one labelled rectangle each, and their boxes; the classes tell the rows apart.
fn rectangles(rects: &[[usize; 4]], [h, w]: [usize; 2]) -> (Vec<u8>, Labels) {
    let inside = |[x, y, wide, high]: [usize; 4], at: usize| {
        (x..x + wide).contains(&(at % w)) && (y..y + high).contains(&(at / w))
    };
    let image = |(row, rect): (usize, &[usize; 4])| -> Vec<u8> {
        (0..h * w).map(|at| if inside(*rect, at) { row as u8 + 1 } else { 0 }).collect()
    };
    let object = |(row, rect): (usize, &[usize; 4])| {
        let [x, y, wide, high] = rect.map(|v| v as f32);
        Some(vec![Object::new(Rect::from_size(x, y, wide, high), row as u32)])
    };
    let masks = rects.iter().enumerate().flat_map(image).collect();
    (masks, Labels::Boxes(rects.iter().enumerate().map(object).collect()))
}

/// The box around the pixels of `value` in an image of width `w`.
fn seen(mask: &[u8], value: u8, w: usize) -> Option<Rect> {
    let there = mask.iter().enumerate().filter(|(_, v)| **v == value);
    let corners = there.flat_map(|(i, _)| [[i % w, i / w], [i % w + 1, i / w + 1]]);
    Rect::around(corners.map(|[x, y]| [x as f32, y as f32]))
}

fn augments() -> impl Strategy<Value = Augment> {
    let pair =
        |low: f32, high: f32| proptest::option::of((low..high, low..high).prop_map(|(a, b)| [a.min(b), a.max(b)]));
    let rotate = prop_oneof![Just(0.0f32), 1.0f32..60.0];
    let mosaic = prop_oneof![Just(0.0f32), Just(1.0f32)];
    (0u32..6, any::<bool>(), pair(0.2, 1.0), pair(0.4, 2.5), rotate, mosaic).prop_map(
        |(shift, flip, crop, scale, rotate, mosaic)| Augment { shift, flip, noise: 0.0, crop, scale, rotate, mosaic },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn boxes_move_with_their_pixels(augment in augments(), seed: u64, places in proptest::collection::vec((0usize..20, 0usize..30, 3usize..12, 3usize..12), 1..5)) {
        let size @ [h, w] = [33, 42];
        let rects: Vec<[usize; 4]> = places.iter().map(|&(y, x, high, wide)| [x, y, wide, high]).collect();
        let (masks, labels) = rectangles(&rects, size);
        let draws: Vec<Draw> = (0..rects.len()).map(|i| augment.draw(seed::derive_n(seed, i as u64))).collect();
        let warps: Vec<Warp> = draws.iter().enumerate().map(|(i, d)| d.warp(i, draws.len(), size)).collect();
        let moved = reference::relabel::forward(&masks, h, w, &warps, IGNORED);
        let Labels::Boxes(boxes) = labels.augmented(&draws, size) else { unreachable!() };
        for (row, (objects, draw)) in boxes.iter().zip(&draws).enumerate() {
            let objects = objects.as_deref().unwrap_or_default();
            let mask = &moved[row * h * w..(row + 1) * h * w];
            for class in 0..rects.len() as u32 {
                let own: Vec<Rect> = objects.iter().filter(|o| o.class == class).map(|o| o.rect).collect();
                // In a mosaic one image may be seen several times.
                let around = Rect::around(own.iter().flat_map(|r| [[r.x0, r.y0], [r.x1, r.y1]]));
                let Some(pixels) = seen(mask, class as u8 + 1, w) else {
                    // A pixel is seen where its middle is; what is turned may have its corners alone in the image.
                    let thin = own.iter().all(|r| r.width() <= 1.01 || r.height() <= 1.01);
                    prop_assert!(thin || draw.angle != 0.0, "{own:?} {draw:?}");
                    continue;
                };
                let around = around.expect("a box where there are pixels");
                let outside = [around.x0 - pixels.x0, around.y0 - pixels.y0, pixels.x1 - around.x1, pixels.y1 - around.y1];
                prop_assert!(outside.iter().all(|d| *d <= 0.51), "{pixels:?} beyond {around:?}, {draw:?}");
                if draw.angle == 0.0 && own.len() == 1 {
                    prop_assert!(outside.iter().all(|d| *d >= -0.51), "{pixels:?} within {around:?}, {draw:?}");
                }
                if augment.repeats() {
                    prop_assert_eq!(pixels, around);
                }
            }
        }
    }
}

#[test]
fn areas_grow_with_the_image_and_slivers_are_ignored() {
    let size = [40, 40];
    let object = Object { area: 50.0, ..Object::new(Rect::from_size(10.0, 10.0, 10.0, 10.0), 0) };
    let show = |draw: Draw| match Labels::Boxes(vec![Some(vec![object])]).augmented(&[draw], size) {
        Labels::Boxes(all) => all[0].clone().unwrap(),
        _ => unreachable!(),
    };
    let near = show(Draw { window: [0.25, 0.25, 0.5, 0.5], ..Draw::default() });
    assert_eq!((near[0].rect, near[0].area, near[0].ignored), (Rect::from_size(0.0, 0.0, 20.0, 20.0), 200.0, false));
    let far = show(Draw { zoom: 0.5, ..Draw::default() });
    assert_eq!((far[0].rect, far[0].area), (Rect::from_size(15.0, 15.0, 5.0, 5.0), 12.5));
    let cut = show(Draw { dx: 15, ..Draw::default() });
    assert_eq!((cut[0].area, cut[0].ignored), (25.0, false));
    assert!(
        show(Draw { dx: 19, dy: 11, ..Draw::default() })[0].ignored
            && show(Draw { dx: 20, ..Draw::default() }).is_empty()
    );
}

#[test]
fn a_mosaic_with_an_image_nobody_has_looked_at_is_not_known() {
    let mosaic = Mosaic { centre: [0.5; 2], own: 0, mates: [1, 1, 1] };
    let draws = [Draw { mosaic: Some(mosaic), ..Draw::default() }, Draw::default()];
    let boxes = Labels::Boxes(vec![Some(Vec::new()), None]).augmented(&draws, [8, 8]);
    assert_eq!(boxes, Labels::Boxes(vec![None, None]));
}
