//! `limbeck predict`: a network's answers about images, in words, as JSON, drawn, and as files of masks.

mod answers;
mod outputs;

use super::args::Predict;
use super::compile_watch::{CompileWatch, Place};
use super::complain;
pub use answers::output_json;
use answers::{Answers, in_words, json_of};
use limbeck::checkpoint::ModelCard;
use limbeck::data::TaskKind;
use limbeck::predict::{ImageList, PredictOptions, Predictor};
use limbeck::{Error, Result};
use outputs::{Drawn, Outputs, folder_for};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Answers one image after the other; one that cannot be read, or whose files cannot be written, is named and does not keep the others
/// from being answered.
pub fn dispatch(args: &Predict) -> Result<ExitCode> {
    // What is wrong with the arguments is told before a device is opened.
    let images = images(args)?;
    let count = images.files().len();
    let drawn = args.draw.as_deref().map(|path| Drawn::to(path, count)).transpose()?;
    let masks = args.masks.as_deref().map(|path| folder_for("--masks", path)).transpose()?;
    let mut options = PredictOptions::default();
    if let Some(least) = args.threshold {
        options = options.threshold(least as f32)?;
    }
    if let Some(overlap) = args.nms {
        options = options.nms(overlap)?;
    }
    let watch = CompileWatch::new(Place::Lines)?;
    let gpu = watch.open()?;
    let network = Predictor::of_run(&gpu, &args.dir, &args.model)?.with_options(options);
    check_tasks(args, network.card())?;
    let outputs = Outputs::new(images.files(), drawn, masks, network.card(), args.threshold)?;

    let mut answers = Answers::new(args.json);
    let (mut unread, mut unwritten) = (0, 0);
    for (number, (image, answer)) in network.classify_files(&gpu, images.files()).enumerate() {
        let tasks = match answer {
            Ok(tasks) => tasks,
            Err(error) if concerns_all(&error) => {
                answers.end()?;
                return Err(error);
            }
            Err(error) => {
                complain(&told(&image, &error));
                unread += 1;
                continue;
            }
        };
        let (files, errors) = outputs.write(number, &image, &tasks);
        errors.iter().for_each(|error| complain(&told(&image, error)));
        unwritten += usize::from(!errors.is_empty());
        let answer = if args.json {
            json_of(&image, &tasks, &files)?.to_string()
        } else {
            in_words(&image, &tasks, args.threshold.map(|least| least as f32))
        };
        // Without a reader there is nothing left to do but files.
        if !answers.tell(&answer)? && !outputs.any() {
            break;
        }
    }
    answers.end()?;
    for (failed, what) in [(unread, "could not be read"), (unwritten, "have files that could not be written")] {
        if failed > 0 {
            complain(&format!("error: {failed} of {count} {what}"));
        }
    }
    Ok(if unread + unwritten == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The images that are asked for; what was drawn before is none of them.
fn images(args: &Predict) -> Result<ImageList> {
    let outputs = [&args.draw, &args.masks].into_iter().flatten().map(PathBuf::as_path);
    let mut images = ImageList::excluding(outputs);
    for path in &args.images {
        match path.to_str().and_then(|text| text.strip_prefix('@')) {
            Some(list) if !path.exists() => images.add_list(Path::new(list))?,
            _ => images.add(path)?,
        }
    }
    args.list.iter().try_for_each(|list| images.add_list(list))?;
    Ok(images)
}

/// Refuses what the network has no task for.
fn check_tasks(args: &Predict, card: &ModelCard) -> Result<()> {
    let has = |kinds: &[TaskKind]| card.tasks.iter().any(|task| kinds.contains(&task.kind));
    let lacks = |what: &str, kind: &str| {
        let names: Vec<&str> = card.tasks.iter().map(|task| task.name.as_str()).collect();
        Err(Error::Invalid(format!("{what} is for tasks of {kind}; {} has: {}", args.model, names.join(", "))))
    };
    if args.masks.is_some() && !has(&[TaskKind::Mask, TaskKind::Depth]) {
        return lacks("--masks", "pixels");
    }
    match (args.threshold.is_some(), args.nms.is_some()) {
        (true, _) if !has(&[TaskKind::Boxes]) => lacks("--threshold", "boxes"),
        (_, true) if !has(&[TaskKind::Boxes]) => lacks("--nms", "boxes"),
        _ => Ok(()),
    }
}

/// Whether an error is the device's: it would come again at each image.
fn concerns_all(error: &Error) -> bool {
    use Error::{Device, DeviceLost, NoAdapter, OutOfMemory, Shader, Validation};
    matches!(
        error,
        Device { .. } | DeviceLost { .. } | NoAdapter { .. } | OutOfMemory { .. } | Shader { .. } | Validation(_)
    )
}

/// An error in words that name a file.
fn told(image: &Path, error: &Error) -> String {
    match error {
        Error::Io { .. } | Error::Data { .. } => format!("error: {error}"),
        _ => format!("error: {}: {error}", image.display()),
    }
}
