use super::*;
use std::fs;
use tempfile::TempDir;

/// Files below `data`, and lists beside it.
fn folder(lists: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let images = ["a.png", "b.png", "c.jpg", "d/a.png", "d/e.png", "caf\u{e9}.png", "unknown.png"];
    for name in images.map(|name| format!("data/{name}")).iter().map(String::as_str).chain(["a.png"]) {
        fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        fs::write(folder.path().join(name), "").unwrap();
    }
    lists.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
    folder
}

const ALL: &[&str] = &["a.png", "b.png", "c.jpg", "d/a.png", "d/e.png", "caf\u{e9}.png"];

type Divided = Result<([Option<Vec<String>>; 3], Vec<String>)>;

/// What the data have for each split, as `lists` divide it, and what is told.
fn divide(folder: &TempDir, parts: [Option<&[&str]>; 3], lists: [&str; 3], on_error: OnError) -> Divided {
    let root = folder.path();
    let data = root.join("data");
    let members =
        Members { root: root.to_path_buf(), lists: lists.map(|list| (!list.is_empty()).then(|| root.join(list))) };
    let parts = parts.map(|part| part.map(|names| names.iter().map(|name| data.join(name)).collect::<Vec<_>>()));
    let mut skipped = Vec::new();
    let divided = members.divide(parts, |path: &PathBuf| path, Some(on_error), &mut skipped)?;
    let name = |path: PathBuf| path.strip_prefix(&data).unwrap().to_str().unwrap().replace('\\', "/");
    let told = |one: &Skipped| one.to_string().replace(&format!("{}/", root.display()), "");
    Ok((divided.map(|part| part.map(|part| part.into_iter().map(name).collect())), skipped.iter().map(told).collect()))
}

/// The same, expected to be of these images.
fn expect(found: Divided, expected: [Option<&[&str]>; 3]) -> Vec<String> {
    let (divided, told) = found.unwrap();
    assert_eq!(
        divided.each_ref().map(|part| part.as_ref().map(|p| p.iter().map(String::as_str).collect())),
        expected.map(|p| p.map(<[_]>::to_vec))
    );
    told
}

#[test]
fn names_are_found_however_they_are_written() {
    for name in [
        "data/d/e.png",
        "d/e.png",
        "data\\d\\e.png",
        "e",
        "d/e.jpg",
        "elsewhere/data/d/e.png",
        "./d/e.png",
        "  d/e.png\r",
    ] {
        let folder = folder(&[("t.txt", &format!("# for the test\n\n{name}\n"))]);
        let absolute = folder.path().join("data/d/e.png");
        let told = expect(
            divide(&folder, [Some(ALL), None, None], ["", "", "t.txt"], OnError::Fail),
            [Some(&["a.png", "b.png", "c.jpg", "d/a.png", "caf\u{e9}.png"]), None, Some(&["d/e.png"])],
        );
        assert!(told.is_empty(), "{name}: {told:?}");
        fs::write(folder.path().join("t.txt"), absolute.to_str().unwrap()).unwrap();
        assert!(divide(&folder, [Some(ALL), None, None], ["", "", "t.txt"], OnError::Fail).is_ok());
    }
    // The file at the top of data.root is none of the data's; below the images' folder the name is that of one.
    let folder = folder(&[("t.txt", "a.png\ncafe\u{301}.png\n")]);
    let found = divide(&folder, [Some(ALL), None, None], ["", "t.txt", ""], OnError::Fail);
    let rest: &[&str] = &["b.png", "c.jpg", "d/a.png", "d/e.png"];
    expect(found, [Some(rest), Some(&["a.png", "caf\u{e9}.png"]), None]);
}

#[test]
fn a_list_decides_its_split_wholly_and_what_is_left_is_named() {
    let folder = folder(&[("train.txt", "d/e.png\na.png\n"), ("val.txt", "c\n"), ("own.txt", "b.png\n")]);
    let told = expect(
        divide(&folder, [Some(ALL), None, None], ["train.txt", "val.txt", ""], OnError::Fail),
        // In the order of the data; the test is to be cut.
        [Some(&["a.png", "d/e.png"]), Some(&["c.jpg"]), None],
    );
    let left = ["data/b.png", "data/d/a.png", "data/caf\u{e9}.png"];
    assert_eq!(told, left.map(|name| format!("{name}: not named by the lists of data.members")));
    // What the data have for a split without a list stays there, but for what others name.
    let (train, test): (&[&str], &[&str]) = (&["a.png", "b.png"], &["c.jpg", "d/e.png", "d/a.png"]);
    let told = expect(
        divide(&folder, [Some(train), None, Some(test)], ["train.txt", "", ""], OnError::Fail),
        [Some(&["a.png", "d/e.png"]), None, Some(&["c.jpg", "d/a.png"])],
    );
    assert_eq!(told, ["data/b.png: not named by the lists of data.members"]);
    // An image that the data have for two splits is taken from the one whose list names it.
    let parts: [Option<&[&str]>; 3] = [Some(&["a.png"]), Some(&["b.png", "c.jpg"]), Some(&["b.png", "d/e.png"])];
    let told = expect(
        divide(&folder, parts, ["", "", "own.txt"], OnError::Fail),
        [Some(&["a.png"]), Some(&["c.jpg"]), Some(&["b.png"])],
    );
    assert_eq!(told, ["data/d/e.png: not named by the lists of data.members"]);
    let error = divide(&folder, [Some(&["b.png"]), None, None], ["", "", "own.txt"], OnError::Fail).unwrap_err();
    assert!(error.to_string().contains("name its images in data.members.train"), "{error}");
}

#[test]
fn tables_and_json_name_images_and_their_splits() {
    let table =
        "path,split,seed,kind.label\ndata/a.png,train,0,x\n\"b.png\",val,0,\r\nc.jpg,test,0,\r\ndata/a.png,train,1,x\n";
    let json = r#"{"model": "m", "images": [{"path": "a.png", "split": "train", "tasks": {"n": NaN}},
        {"split": "val", "path": "b.png"}, {"path": "c.jpg", "split": "test"}]}"#;
    for (name, text) in [("all.csv", table), ("all.JSON", json)] {
        let folder = folder(&[(name, text)]);
        let told = expect(
            divide(&folder, [Some(&ALL[..3]), None, None], [name; 3], OnError::Fail),
            [Some(&["a.png"]), Some(&["b.png"]), Some(&["c.jpg"])],
        );
        assert!(told.is_empty(), "{told:?}");
    }
}

#[test]
fn what_cannot_be_followed_is_told_with_its_place() {
    let undivided: [Option<&[&str]>; 3] = [Some(ALL), None, None];
    let lists = [
        ("a.txt", "a.png\n"),
        ("strange.txt", "# one\nb.png\ncc.jpg\n"),
        ("unknown.txt", "data/unknown.png\n"),
        ("twice.txt", "b.png\nd/e.png\ndata/b.png\n"),
        ("empty.txt", "# nothing\n\n"),
        ("none.txt", "x.png\ny.png\n"),
        ("images.csv", "image\na.png\n"),
        ("hole.csv", "path,split\na.png,val\n,val\n"),
        ("test.csv", "path,split\na.png,test\n"),
        ("bad.json", "{\n\"images\": 3}"),
        ("hole.json", r#"{"images": [{"path": null, "split": "test"}]}"#),
    ];
    let folder = folder(&lists);
    for (lists, words) in [
        (["", "a.txt", "a.txt"], &["a.txt, line 1", "\"a.png\" is in the list of val too", "a.txt, line 1)"][..]),
        (["strange.txt", "", ""], &["strange.txt, line 3", "\"cc.jpg\"", "the nearest is \"c.jpg\"", "on_error"]),
        (["", "unknown.txt", ""], &["unknown.txt, line 1", "none of the data's images"]),
        (["", "", "empty.txt"], &["empty.txt", "names no image"]),
        (["", "images.csv", ""], &["images.csv, line 1", "no column \"path\"", "image"]),
        (["", "hole.csv", ""], &["hole.csv, line 3", "has no path"]),
        (["", "test.csv", ""], &["test.csv", "no image whose split is \"val\"", "data.members.test"]),
        (["", "bad.json", ""], &["bad.json, line 2", "`images`"]),
        (["", "", "hole.json"], &["hole.json, images[0]", "has no path"]),
        (["", "", "missing.txt"], &["missing.txt"]),
    ] {
        let told = divide(&folder, undivided, lists, OnError::Fail).unwrap_err().to_string();
        words.iter().for_each(|words| assert!(told.contains(words), "{told}"));
    }
    // What is not there may be skipped; but not all of it, nor what is learnt and tested.
    let told = expect(
        divide(&folder, undivided, ["", "strange.txt", ""], OnError::Skip),
        [Some(&["a.png", "c.jpg", "d/a.png", "d/e.png", "caf\u{e9}.png"]), Some(&["b.png"]), None],
    );
    assert!(
        told.len() == 1 && told[0].starts_with("strange.txt, line 3: image \"cc.jpg\": there is no image"),
        "{told:?}"
    );
    let told = divide(&folder, undivided, ["", "none.txt", ""], OnError::Skip).unwrap_err().to_string();
    assert!(told.contains("none.txt: names no image of the data; line 1: image \"x.png\""), "{told}");
    assert!(divide(&folder, undivided, ["", "a.txt", "a.txt"], OnError::Skip).is_err());
    let told = expect(
        divide(&folder, undivided, ["", "twice.txt", ""], OnError::Fail),
        [Some(&["a.png", "c.jpg", "d/a.png", "caf\u{e9}.png"]), Some(&["b.png", "d/e.png"]), None],
    );
    assert_eq!(told, ["twice.txt, line 3: names an image again that line 1 names; it counts once"]);
}
