//! Depth maps from files, from a run's settings to what is measured.

use crate::support::*;
use image::{ImageBuffer, Luma};
use limbeck::config::Config;
use limbeck::data::Labels;
use limbeck::experiment;
use limbeck::predict::{self, Predictor, TaskOutput};
use std::fs;
use std::path::Path;
use tempfile::tempdir;

/// A file of NumPy's format 1.0 that holds an array of `f32`.
fn npy(values: &[f32], [h, w]: [usize; 2]) -> Vec<u8> {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({h}, {w}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &data].concat()
}

/// Metres at each pixel of image `i`, the brighter the farther; the first column is not known.
fn depth(i: usize) -> Vec<f32> {
    (0..16 * 20).map(|p| if p % 20 == 0 { 0.0 } else { 1.0 + (p % 20) as f32 / 10.0 + i as f32 / 4.0 }).collect()
}

/// Twelve images of 16x20 with a square each in labelme's form. Image 0 has no map, odd ones have arrays, the others PNG in millimetres.
fn set(root: &Path) -> Config {
    fs::create_dir(root.join("depth")).unwrap();
    for i in 0..12usize {
        let image = image::RgbImage::from_fn(20, 16, |x, _| image::Rgb([(x * 10) as u8 + 20 * i as u8 / 3; 3]));
        image.save(root.join(format!("{i}.png"))).unwrap();
        let text = format!(
            r#"{{"shapes": [{{"label": "square", "shape_type": "rectangle", "points": [[2, 3], [8, 9]]}}],
                "imagePath": "{i}.png", "imageData": null, "imageHeight": 16, "imageWidth": 20}}"#
        );
        fs::write(root.join(format!("{i}.json")), text).unwrap();
        let metres = depth(i);
        match (i, i % 2) {
            (0, _) => {}
            (_, 1) => fs::write(root.join(format!("depth/{i}.npy")), npy(&metres, [16, 20])).unwrap(),
            _ => {
                let steps = metres.iter().map(|m| (1000.0 * m).round() as u16).collect();
                let map: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_raw(20, 16, steps).unwrap();
                map.save(root.join(format!("depth/{i}.png"))).unwrap();
            }
        }
    }
    let text = format!(
        "name = \"depth\"\nseeds = [0]\n[data]\nsource = \"labelme\"\nroot = {root:?}\nannotations = \".\"\nsize = [24, 24]\n\
         val_fraction = 0.25\ntest_fraction = 0.25\ntasks = [\"depth\", \"count\"]\ndepth = {{ folder = \"depth\" }}\n\
         [train]\nepochs = 2\nbatch = 4\nlr = 0.02\n[teacher]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n\
         [student]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n"
    );
    let config = Config::parse(&text, Path::new("depth.toml"), &[]).unwrap();
    assert_eq!(Config::parse(&config.to_toml(), Path::new("depth.toml"), &[]).unwrap(), config);
    config
}

/// The number in the name of an image.
fn number(path: &Path) -> usize {
    path.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

#[test]
fn maps_lie_on_the_canvas_and_are_measured_in_the_image() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = set(folder.path());
    let data = experiment::load_data(&config).unwrap();
    assert!(data.skipped.iter().any(|s| s.path.ends_with("0.png") && s.reason.contains("no depth map")));
    for (_, split) in data.splits() {
        let Labels::Depth(all) = &split.labels[0] else { panic!() };
        for (canvas, path) in all.chunks(24 * 24).zip(&split.files) {
            // As wide as the canvas, two rows above it; 20 columns on 24.
            let at = |y: usize, x: usize| canvas[y * 24 + x];
            let i = number(path);
            assert!(at(0, 12).is_nan() && at(12, 0).is_nan(), "beside the image, and where nothing is known");
            match i {
                0 => assert!(canvas.iter().all(|v| v.is_nan())),
                _ => assert!((at(12, 23) - (2.9 + i as f32 / 4.0)).abs() < 1e-3, "{i}: {}", at(12, 23)),
            }
        }
    }

    let out = folder.path().join("run");
    let summary = finish(&config, &out, &gpu).unwrap();
    let network = Predictor::of_run(&gpu, &out, "distilled").unwrap();
    let measured = predict::evaluate(&out, "distilled", "test", &gpu).unwrap();
    let (mut squares, mut count) = (0.0, 0);
    for file in measured[0].files.iter().filter(|file| number(file) != 0) {
        let answers = network.classify_file(&gpu, file).unwrap();
        let TaskOutput::Depth { size: [16, 20], values } = &answers[0].answer else { panic!("{answers:?}") };
        for (z, y) in values.iter().zip(depth(number(file))).filter(|(_, y)| *y > 0.0) {
            squares += f64::from(z - y).powi(2);
            count += 1;
        }
    }
    let rmse = (squares / f64::from(count)).sqrt();
    let told = summary.models["distilled"].metrics["depth"].get("rmse").unwrap().mean;
    // PNG files hold whole millimetres.
    assert!((told - rmse).abs() < 1e-3, "{told} {rmse}");
    assert_eq!(*measured[0].tasks[0].1.scores.get("rmse").unwrap(), told);
}

#[test]
fn a_map_of_another_size_is_refused_or_left_out() {
    let folder = tempdir().unwrap();
    let config = set(folder.path());
    fs::write(folder.path().join("depth/3.npy"), npy(&[1.0; 12], [3, 4])).unwrap();
    let error = experiment::load_data(&config).unwrap_err().to_string();
    assert!(error.contains("3.npy") && error.contains("is 3x4, its image 16x20"), "{error}");
    let skip = ["data.on_error=skip".to_string()];
    let data = Config::parse(&config.to_toml(), Path::new("depth.toml"), &skip).unwrap();
    let data = experiment::load_data(&data).unwrap();
    assert!(data.skipped.iter().any(|s| s.path.ends_with("3.png") && s.reason.contains("3x4")), "{:?}", data.skipped);
}
