//! A stored network at work: it loads a teacher or a student and classifies image files, or the embedded test digits.
//!
//! `cargo run --release --example infer -- FILE.safetensors [IMAGE…]`

use std::env;
use std::path::PathBuf;

use limbeck::Result;
use limbeck::data::compose::{Pairing, Samples};
use limbeck::data::digits;
use limbeck::gpu::Gpu;
use limbeck::predict::Predictor;

fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let Some(path) = arguments.next() else {
        println!("usage: infer FILE.safetensors [IMAGE…]");
        println!("`cargo run --release --example train_teacher -- teacher.safetensors` makes such a file, and so does");
        println!("`limbeck run examples/digits.toml`: look for seed-0/distilled.safetensors in its folder.");
        return Ok(());
    };
    let gpu = Gpu::open()?;
    let classifier = Predictor::load(&gpu, &path)?;
    let card = classifier.card();
    let score = card.val_score.map_or("–".into(), |score| format!("{:.1} %", 100.0 * score));
    println!("{} ×{}, {score} right on validation", card.arch, card.width);
    if arguments.len() == 0 {
        return on_digits(&gpu, &classifier);
    }
    for image in arguments {
        for answer in classifier.classify_file(&gpu, &image)? {
            println!("{}: {} {}", image.display(), answer.task, answer.answer);
        }
    }
    Ok(())
}

/// The embedded test digits, of the size the network takes: one on 8x8, or two overlapped on a larger canvas.
fn on_digits(gpu: &Gpu, classifier: &Predictor) -> Result<()> {
    let [height, width, _] = classifier.card().image;
    let data = match (height, width) {
        (8, 8) => digits::single("digit", 0)?,
        (h, w) => {
            let samples = Samples { train: 1, val: 1, test: 400 };
            digits::load(&Pairing { canvas: [h, w], samples, seed: 0 }, 0)?
        }
    };
    let (mut right, mut asked) = (0, 0);
    for i in 0..data.test.len() {
        let pixels = data.test.images.get(i);
        if i < 2 {
            draw(pixels, width);
        }
        for answer in classifier.classify(gpu, pixels)? {
            let task = data.tasks.iter().position(|t| t.name == answer.task);
            let truth = task.map_or("?", |t| &data.tasks[t].classes[data.test.labels[t].classes()[i] as usize]);
            if i < 2 {
                println!("{}: {}, in truth {truth}", answer.task, answer.answer);
            }
            right += usize::from(answer.label() == Some(truth));
            asked += 1;
        }
    }
    println!("{right} of {asked} test digits right");
    Ok(())
}

/// An image in characters, brightest fullest.
fn draw(pixels: &[u8], width: usize) {
    for row in pixels.chunks(width) {
        println!("  {}", row.iter().map(|v| ["  ", "░░", "▒▒", "▓▓", "██"][usize::from(*v) / 52]).collect::<String>());
    }
}
