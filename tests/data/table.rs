//! A table with a row for each image.

use limbeck::config::Config;
use limbeck::experiment;
use limbeck::gpu::Gpu;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tempfile::tempdir;

/// A class, an attribute and a number of each of 24 images, and the settings of a run on them.
pub fn set(root: &Path) -> String {
    let mut table = "image,kind,bright,size,owner\n".to_string();
    for i in 0..24u32 {
        let (red, side) = (i % 2 == 0, 4 + i % 5);
        let pixel = |x, y| if x < side && y < side { [if red { 250 } else { 10 }, 90, 10] } else { [60; 3] };
        let name = format!("{i}.png");
        image::RgbImage::from_fn(20, 16, |x, y| image::Rgb(pixel(x, y))).save(root.join(&name)).unwrap();
        table += &format!("{name},{},{red},{side},{}\n", if red { "red" } else { "green" }, i / 2);
    }
    std::fs::write(root.join("table.csv"), table).unwrap();
    format!(
        "name = \"table\"\nseeds = [0]\n[data]\nsource = \"csv\"\nroot = {:?}\nfile = \"table.csv\"\nimages = \".\"\ngroup = \"owner\"\n\
         size = [16, 16]\nval_fraction = 0.25\ntest_fraction = 0.25\n\
         columns = {{ kind = \"class\", bright = \"attribute\", size = \"number\" }}\n\
         [tasks]\nattributes = {{ pos_weight = \"balanced\" }}\n[train]\nepochs = 2\nbatch = 4\n\
         [teacher]\narch = \"resnet8\"\nwidth = 0.25\n[student]\narch = \"resnet8\"\nwidth = 0.25\n",
        root
    )
}

#[test]
fn a_run_learns_from_a_table() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("table.toml");
    std::fs::write(&file, set(folder.path())).unwrap();
    let config = Config::load(&file, &[]).unwrap();
    assert_eq!(Config::parse(&config.to_toml(), &file, &[]).unwrap(), config);
    let out = folder.path().join("run");
    let summary = experiment::run(&config, &out, &Gpu::open().unwrap(), &AtomicBool::new(false), &mut |_| {}).unwrap();
    let tasks: Vec<&str> = summary.models["joint"].metrics.keys().map(String::as_str).collect();
    assert_eq!(tasks, ["attributes", "kind", "size"]);
}
