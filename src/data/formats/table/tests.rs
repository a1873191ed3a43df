use super::*;
use std::path::Path;

fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("table.csv"), text).unwrap();
    std::fs::create_dir(folder.path().join("images")).unwrap();
    for i in 0..24u8 {
        let path = folder.path().join("images").join(format!("{i}.png"));
        ::image::RgbImage::from_pixel(6, 4, ::image::Rgb([10 * i; 3])).save(path).unwrap();
    }
    folder
}

fn options(folder: &Path) -> Options {
    let columns = [("kind", Column::Class), ("new", Column::Attribute), ("weight", Column::Number)];
    Options {
        file: folder.join("table.csv"),
        images: folder.join("images"),
        image: "image".into(),
        columns: columns.map(|(name, kind)| (name.to_string(), kind)).into(),
        unknown: vec!["?".into()],
        yes: Vec::new(),
        no: Vec::new(),
        group: Some("owner".into()),
        size: [6, 6],
        channels: 1,
        max_pixels: 1 << 20,
        val_fraction: 0.25,
        test_fraction: 0.25,
        split_seed: 3,
        on_error: OnError::Fail,
    }
}

/// Rows of 22 images that are there, two of each owner, and one that is not.
fn table(more: &str) -> String {
    let row = |i: usize| {
        let image = if i.is_multiple_of(2) { format!("{i}.png") } else { i.to_string() };
        let kind = if i == 5 { "?" } else { ["shoe", "hat"][i % 2] };
        let weight = if i == 6 { String::new() } else { format!("{i}.5") };
        format!("{image},{kind},{},{weight},owner {}\n", ["True", "no"][i / 2 % 2], i / 2)
    };
    let rows: String = (0..22).map(row).collect();
    format!("image,kind,new,weight,owner\n{rows}99,shoe,no,1,owner 1\n{more}")
}

#[test]
fn columns_become_tasks_and_owners_stay_together() {
    let folder = folder(&table(""));
    let data = load("table", &options(folder.path())).unwrap();
    let kinds: Vec<(&str, TaskKind)> = data.tasks.iter().map(|t| (t.name.as_str(), t.kind)).collect();
    assert_eq!(kinds, [("kind", TaskKind::Class), ("attributes", TaskKind::Attributes), ("weight", TaskKind::Number)]);
    assert_eq!(
        (&data.tasks[0].classes, &data.tasks[1].classes),
        (&vec!["hat".into(), "shoe".into()], &vec!["new".into()])
    );
    let mut owners = Vec::new();
    let mut all = 0;
    for (name, part) in data.splits() {
        let [Labels::Class(kind), Labels::Attributes { answers, .. }, Labels::Number(weight)] = part.labels.as_slice()
        else {
            panic!("{name}: {:?}", part.labels)
        };
        let mut own = BTreeSet::new();
        for i in 0..part.len() {
            // The image's grey says which row it was; the canvas is 6x6, the image in its rows 1 to 4.
            let number = usize::from(part.images.get(i)[2 * 6]) / 10;
            own.insert(number / 2);
            assert_eq!(kind[i], if number == 5 { MISSING } else { 1 - number as u32 % 2 });
            assert_eq!(answers[i], [1.0, 0.0][number / 2 % 2]);
            assert!(if number == 6 { weight[i].is_nan() } else { weight[i] == number as f32 + 0.5 });
        }
        assert_eq!(part.len(), 2 * own.len(), "{name}: an owner is in two splits");
        assert!((3..=6).contains(&own.len()) || name == "train");
        all += part.len();
        owners.extend(own);
    }
    owners.sort_unstable();
    assert_eq!((all, owners), (22, (0..11).collect()));
    // One row without an image, two images without a row.
    let told: Vec<String> = data.skipped.iter().map(|s| s.to_string()).collect();
    assert!(told[0].contains("line 24") && told[0].contains("\"99\"") && told.len() == 3, "{told:?}");
    // Without groups every image is in one split.
    let data = load("table", &Options { group: None, ..options(folder.path()) }).unwrap();
    assert_eq!(data.splits().iter().map(|(_, s)| s.len()).sum::<usize>(), 22);
}

#[test]
fn what_is_wrong_is_named_or_skipped() {
    for (row, reason) in [
        ("22,shoe,perhaps,1,a", "\"perhaps\" is neither yes nor no"),
        ("22,shoe,no,heavy,a", "\"heavy\" is no number"),
        ("22,shoe,no", "malformed"),
        ("2,shoe,no,1,a", "\"2\" is listed twice"),
        ("3.png,shoe,no,1,a", "\"3.png\" is listed twice"),
    ] {
        let folder = folder(&table(&format!("{row}\n")));
        let error = load("table", &options(folder.path())).unwrap_err().to_string();
        assert!(error.contains("table.csv") && error.contains("line 25") && error.contains(reason), "{error}");
        let data = load("table", &Options { on_error: OnError::Skip, ..options(folder.path()) }).unwrap();
        assert!(data.skipped.iter().any(|s| s.reason.contains(reason)), "{:?}", data.skipped);
        // What is wrong with its row is said once: the image is not called one without a row as well.
        let alone = data.skipped.iter().filter(|s| s.reason == "not named in table.csv").count();
        assert_eq!(alone, if reason == "malformed" || row.starts_with("2,") || row.starts_with("3.") { 2 } else { 1 });
    }
    let folder = folder(&table(""));
    let error = load("table", &Options { image: "picture".into(), ..options(folder.path()) }).unwrap_err().to_string();
    assert!(error.contains("no column \"picture\"") && error.contains("image, kind, new"), "{error}");
    std::fs::write(folder.path().join("images/3.png"), "no image").unwrap();
    assert!(load("table", &options(folder.path())).unwrap_err().to_string().contains("3.png"));
    let data = load("table", &Options { on_error: OnError::Skip, ..options(folder.path()) }).unwrap();
    assert!(data.skipped.iter().any(|s| s.path.ends_with("3.png")));
}
