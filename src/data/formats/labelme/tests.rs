use super::*;

fn shape(label: &str, kind: &str, points: &str, more: &str) -> String {
    format!(r#"{{"label": "{label}", "shape_type": "{kind}", "points": {points}, "flags": {{}}{more}}}"#)
}

fn file(image: &str, shapes: &[String]) -> String {
    let shapes = shapes.join(", ");
    format!(
        r#"{{"version": "5.5.0", "flags": {{}}, "shapes": [{shapes}], "imagePath": "{image}", "imageData": null,
            "imageHeight": 10, "imageWidth": 20}}"#
    )
}

/// A folder with the images a.png, b.png and other/c.png of 20x10 and these files.
fn folder(files: &[(&str, String)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("other")).unwrap();
    for name in ["a.png", "b.png", "other/c.png"] {
        ::image::RgbImage::new(20, 10).save(folder.path().join(name)).unwrap();
    }
    files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
    folder
}

fn load(shapes: &[String], classes: Option<&[String]>, on_error: OnError) -> Result<Annotations> {
    let folder = folder(&[("a.json", file("a.png", shapes))]);
    read(folder.path(), &ImageFinder::new(folder.path()), classes, on_error)
}

#[test]
fn rectangles_polygons_and_groups() {
    let found = load(
        &[
            shape("dog", "rectangle", "[[8, 7], [4, 3]]", r#", "group_id": null"#),
            shape("cat", "polygon", "[[2, 2], [6, 2], [6, 30]]", r#", "group_id": 1"#),
            shape("dog", "polygon", "[[0, 0], [2, 0], [2, 2]]", r#", "group_id": 1"#),
            shape("cat", "rectangle", "[[10, 1], [12, 1], [12, 4], [10, 4]]", r#", "group_id": 1"#),
            r#"{"label": "cat", "points": [[1, 1], [3, 1], [3, 3]]}"#.into(),
        ],
        None,
        OnError::Fail,
    )
    .unwrap();
    assert_eq!(found.classes, ["cat", "dog"]);
    let objects = found.images[0].objects.as_ref().unwrap();
    let boxes: Vec<(u32, Rect)> = objects.iter().map(|(o, _)| (o.class, o.rect)).collect();
    assert_eq!(
        boxes,
        [
            (1, Rect::from_size(4.0, 3.0, 4.0, 4.0)),
            (0, Rect::from_size(2.0, 1.0, 10.0, 9.0)),
            (1, Rect::from_size(0.0, 0.0, 2.0, 2.0)),
            (0, Rect::from_size(1.0, 1.0, 2.0, 2.0)),
        ]
    );
    assert_eq!(objects[0].1, None, "of a rectangle no pixels are known");
    let Some(ObjectMask::Polygons(parts)) = &objects[1].1 else { panic!("{:?}", objects[1].1) };
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [3, 4]);
    assert_eq!((found.images[0].size, found.skipped.len()), ([10, 20], 0));
    // Classes that are given number the objects, also where none of one is there.
    let own = ["dog", "cow", "cat"].map(String::from);
    let found = load(&[shape("cat", "rectangle", "[[8, 7], [4, 3]]", "")], Some(&own), OnError::Fail).unwrap();
    assert_eq!((found.classes.len(), found.images[0].objects.as_ref().unwrap()[0].0.class), (3, 2));
    assert_eq!(load(&[], None, OnError::Fail).unwrap().images[0].objects, Some(vec![]));
}

#[test]
fn the_image_is_named_or_lies_beside() {
    let one = || vec![shape("dog", "rectangle", "[[8, 7], [4, 3]]", "")];
    let files = [
        ("x.json", file("other\\\\c.png", &one())),
        ("b.json", file("somewhere/else.png", &one())),
        ("a.json", file("a.png", &one()).replace(r#""imageHeight": 10, "imageWidth": 20"#, r#""imageHeight": null"#)),
    ];
    let folder = folder(&files);
    let read = |images: &Path| read(folder.path(), &ImageFinder::new(images), None, OnError::Fail);
    let found = read(folder.path()).unwrap();
    let names: Vec<_> = found.images.iter().map(|i| i.path.strip_prefix(folder.path()).unwrap()).collect();
    assert_eq!(names, [Path::new("a.png"), Path::new("b.png"), Path::new("other/c.png")]);
    // In a folder of their own, or in one below.
    std::fs::rename(folder.path().join("b.png"), folder.path().join("other/b.png")).unwrap();
    for images in [folder.path().join("other"), folder.path().to_path_buf()] {
        assert!(read(&images).unwrap().images[1].path.ends_with("other/b.png"));
    }
    std::fs::rename(folder.path().join("other/b.png"), folder.path().join("other/else.jpg")).unwrap();
    let error = read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("b.json") && error.contains("\"somewhere/else.png\" is not there"), "{error}");
    // Of another ending, where the name says.
    assert!(read(&folder.path().join("other")).unwrap().images[1].path.ends_with("other/else.jpg"));
}

#[test]
fn one_image_has_one_name() {
    let one = shape("dog", "rectangle", "[[8, 7], [4, 3]]", "");
    let folder =
        folder(&[("a.json", file("other/../a.png", &[])), ("b.json", file("./b.png", std::slice::from_ref(&one)))]);
    let found = read(folder.path(), &ImageFinder::new(folder.path()), None, OnError::Fail).unwrap();
    let paths: Vec<&Path> = found.images.iter().map(|i| i.path.as_path()).collect();
    assert_eq!(paths, [folder.path().join("a.png"), folder.path().join("b.png")]);
    std::fs::write(folder.path().join("c.json"), file("other/../b.png", &[one])).unwrap();
    let error = read(folder.path(), &ImageFinder::new(folder.path()), None, OnError::Fail).unwrap_err().to_string();
    assert!(error.contains("c.json") && error.contains("already"), "{error}");
}

#[test]
fn what_is_wrong_is_named_or_skipped() {
    let own = ["dog".to_string()];
    let good = shape("dog", "rectangle", "[[8, 7], [4, 3]]", "");
    for (broken, reason) in [
        (shape("cow", "rectangle", "[[8, 7], [4, 3]]", ""), "\"cow\" is none of the classes"),
        (shape("dog", "circle", "[[8, 7], [4, 3]]", ""), "only rectangles and polygons"),
        (shape("dog", "polygon", "[[8, 7], [4, 3]]", ""), "has 2 corners"),
        (shape("dog", "rectangle", "[[8, 7], [8, 3]]", ""), "has no area"),
        (shape("dog", "rectangle", "[[80, 70], [90, 90]]", ""), "outside its image of 10x20"),
        (shape("dog", "polygon", "[[8, 7], [4, 3], [1]]", ""), "invalid length"),
        (r#"{"points": []}"#.into(), "missing field `label`"),
    ] {
        let shapes = [good.clone(), broken];
        let error = load(&shapes, Some(&own), OnError::Fail).unwrap_err().to_string();
        assert!(error.contains("a.json") && error.contains("shape 2") && error.contains(reason), "{error}");
        let found = load(&shapes, Some(&own), OnError::Skip).unwrap();
        assert_eq!(found.images[0].objects.as_ref().unwrap().len(), 1);
        assert!(found.skipped.len() == 1 && found.skipped[0].reason.contains(reason), "{:?}", found.skipped);
    }
    // A region to be ignored is no class, and no error.
    let found = load(&[good.clone(), shape(IGNORE, "polygon", "[[8, 7], [4, 3], [1, 1]]", "")], None, OnError::Fail);
    let found = found.unwrap();
    assert_eq!((found.classes, found.skipped.len()), (own.to_vec(), 1));
    for (text, place, reason) in [
        ("{\"images\": []}".to_string(), "line 1", "no annotation of labelme"),
        ("{".to_string(), "line 1", "no annotation of labelme"),
        (file("a.png", &[]).replace("\"imageHeight\": 10", "\"imageHeight\": 11"), "imagePath", "of an image of 11x20"),
    ] {
        let folder = folder(&[("a.json", text), ("b.json", file("b.png", std::slice::from_ref(&good)))]);
        let error = read(folder.path(), &ImageFinder::new(folder.path()), None, OnError::Fail).unwrap_err().to_string();
        assert!(error.contains("a.json") && error.contains(place) && error.contains(reason), "{error}");
        let found = read(folder.path(), &ImageFinder::new(folder.path()), None, OnError::Skip).unwrap();
        assert!(found.images.len() == 1 && found.skipped.len() == 1, "{:?}", found.skipped);
    }
    let twice = folder(&[("a.json", file("a.png", &[])), ("c.json", file("a.png", &[]))]);
    let error = read(twice.path(), &ImageFinder::new(twice.path()), None, OnError::Fail).unwrap_err().to_string();
    assert!(error.contains("c.json") && error.contains("already"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = read(empty.path(), &ImageFinder::new(empty.path()), None, OnError::Skip).unwrap_err().to_string();
    assert!(error.contains("holds no .json file"), "{error}");
}
