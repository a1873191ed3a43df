use super::*;

fn scenes(count: usize) -> Scenes {
    Scenes {
        size: [40, 48],
        samples: Samples { train: count, val: 3, test: 3 },
        objects: 5,
        questions: SceneTask::ALL.map(|(_, q)| q).to_vec(),
        seed: 3,
    }
}

#[test]
fn all_answers_agree_with_each_other() {
    let data = load(&scenes(60)).unwrap();
    let [
        Labels::Class(class),
        Labels::Attributes { count, answers },
        Labels::Boxes(boxes),
        Labels::Mask(mask),
        Labels::Number(number),
        Labels::Depth(depth),
    ] = data.train.labels.as_slice()
    else {
        panic!("{:?}", data.tasks)
    };
    let pixels = 40 * 48;
    let mut seen = [0; SHAPES.len()];
    for i in 0..60 {
        let objects = boxes[i].as_ref().unwrap();
        assert_eq!(objects.len() as f32, number[i]);
        assert!((1..=5).contains(&objects.len()));
        let mask = &mask[i * pixels..(i + 1) * pixels];
        // Every pixel that is not ground lies in the box of an object of its class, and the areas add up.
        for (p, c) in mask.iter().enumerate().filter(|(_, c)| **c > 0) {
            let (x, y) = ((p % 48) as f32 + 0.5, (p / 48) as f32 + 0.5);
            let holds = |r: &Rect| (r.x0..r.x1).contains(&x) && (r.y0..r.y1).contains(&y);
            assert!(objects.iter().any(|o| o.class + 1 == u32::from(*c) && holds(&o.rect)));
        }
        for shape in 0..SHAPES.len() as u32 {
            let area: f32 = objects.iter().filter(|o| o.class == shape).map(|o| o.area).sum();
            assert_eq!(area, mask.iter().filter(|c| u32::from(**c) == shape + 1).count() as f32);
        }
        let largest = objects.iter().map(|o| o.area).fold(0.0, f32::max);
        assert!(objects.iter().any(|o| o.class == class[i] && o.area == largest));
        let colours = answers[i * count..(i + 1) * count].iter().sum::<f32>();
        assert!(colours >= 1.0 && colours <= number[i]);
        seen[class[i] as usize] += 1;
        assert!(depth[i * pixels..(i + 1) * pixels].iter().all(|d| (0.0..=1.0).contains(d)));
    }
    assert!(seen.iter().all(|n| *n > 3), "{seen:?}");
}

#[test]
fn a_scene_hangs_on_its_split_and_number_alone() {
    let (few, many) = (load(&scenes(4)).unwrap(), load(&scenes(9)).unwrap());
    assert_eq!(few.train, many.train.gather(&[0, 1, 2, 3]));
    assert_eq!((&few.val, &few.test), (&many.val, &many.test));
    assert_ne!(few.val.images, few.test.images);
    let other = load(&Scenes { seed: 4, ..scenes(4) }).unwrap();
    assert_ne!(other.fingerprint(), few.fingerprint());
}

/// The same pixels and answers on every machine.
#[test]
fn scenes_do_not_change() {
    assert_eq!(load(&scenes(8)).unwrap().fingerprint(), 0x43b2_a802_7818_a7d5);
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let refused = |s: Scenes| load(&s).unwrap_err().to_string();
    assert!(refused(Scenes { size: [8, 64], ..scenes(1) }).contains("16"));
    assert!(refused(Scenes { objects: 0, ..scenes(1) }).contains("objects"));
    assert!(refused(Scenes { questions: vec![SceneTask::Mask, SceneTask::Mask], ..scenes(1) }).contains("twice"));
    assert!(refused(Scenes { questions: vec![], ..scenes(1) }).contains("no task"));
}

#[test]
fn there_is_an_object_in_the_smallest_pictures_too() {
    let data = load(&Scenes { size: [16, 16], objects: 1, ..scenes(400) }).unwrap();
    let Labels::Number(number) = &data.train.labels[4] else { panic!("{:?}", data.tasks) };
    assert!(number.iter().all(|n| *n == 1.0) && data.train.labels[0].classes().len() == 400);
}
