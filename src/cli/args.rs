//! The program's arguments and their help.

use clap::{Args as Arguments, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  limbeck run examples/digits.toml            train teachers, distil them, show what was gained
  limbeck ablate examples/ablation_digits.toml  compare many ways of balancing and distilling
  limbeck eval runs/digits --split test       measure the distilled student again
  limbeck predict runs/digits digit.png       what it says of an image
  limbeck keys train                          what a run's file may say
  limbeck devices                             the GPUs that could be used
  limbeck bench --quick                       how fast the GPU is, and how much of that the kernels reach

Environment:
  WGPU_BACKEND        vulkan, metal or dx12: look for adapters only there
  WGPU_ADAPTER_NAME   part of an adapter's name: use that one
  LIMBECK_CACHE_DIR   where tuned variants are kept
  LIMBECK_TUNED       0: do not use them
  LIMBECK_MATRICES    1: multiply in f16 on cooperative matrices, where the GPU has them, in forward convolutions
  NO_COLOR            set to anything: no colours";

/// Knowledge distillation on any GPU: several single-task teachers become one small multi-task student.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train teachers, baselines, a joint and a distilled student, as a TOML file says
    #[command(after_help = "\
Examples:
  limbeck run examples/digits.toml
  limbeck run examples/digits.toml --set train.epochs=5 --set 'seeds=[0]' --out runs/short
  limbeck run examples/digits.toml --only joint,distilled

The folder holds config.toml (complete), metrics.jsonl (a line per epoch), summary.json,
summary.md, curves.svg, confusion.svg, and the networks as .safetensors.
After Ctrl-C or a crash the same command goes on where the run stopped.")]
    Run(RunSome),
    /// Compare many configurations in one table, as a TOML file says
    #[command(after_help = "\
Examples:
  limbeck ablate examples/ablation_digits.toml
  limbeck ablate examples/ablation_digits.toml --set 'seeds=[0]' --out runs/quick

The folder holds ablation.json, .md, .csv and .svg, and every stage that was trained: rows share
teachers and baselines. After Ctrl-C or a crash the same command goes on where it stopped; rows
that are added to the file later are trained alone.")]
    Ablate(Run),
    /// Measure a run's network on a split of its data
    #[command(after_help = "\
Examples:
  limbeck eval runs/digits
  limbeck eval runs/digits --split val --model teacher/first --json
  limbeck eval runs/photos --save test.csv

--save writes every image with its labels and the network's answers: FILE.csv has a row for each image, FILE.json has
everything, FILE.coco.json the boxes for pycocotools, with their truth in FILE.coco.gt.json. Images are called as lists
in [data.members] take them, which may be these files.")]
    Eval(Eval),
    /// Put a run's student to use on images: a class and its probability, boxes, a mask, a number, as each task asks
    #[command(after_help = "\
Examples:
  limbeck predict runs/digits digit.png
  limbeck predict runs/digits *.png --json
  limbeck predict runs/cells photos --masks found --draw drawn
  limbeck predict runs/cells @photos.txt --threshold 0.5 --json

Every image is answered in turn, and its answer printed at once; --json prints one array with a line for each image.
One that cannot be read is named, and the others are answered; the program then ends with 1.")]
    Predict(Predict),
    /// Look after the teachers' answers that a run keeps on disk
    Cache {
        /// What to do with them.
        #[command(subcommand)]
        command: CacheCommand,
    },
    /// Explain every key of a run's file: what it may be, its default, what it means
    #[command(
        after_help = "Examples:\n  limbeck keys train\n  limbeck keys distill.kd\n  limbeck keys --format markdown"
    )]
    Keys(Keys),
    /// List the adapters that can be used, the one that would be chosen first
    #[command(after_help = "Example:\n  WGPU_BACKEND=vulkan limbeck devices")]
    Devices,
    /// Measure what the GPU can do and what the kernels and training steps reach of it
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "\
Examples:
  limbeck bench --quick
  limbeck bench --json mine.json
  limbeck bench --quick --only conv2d/resnet20,train
  limbeck bench compare before.json after.json
  limbeck bench plot mine.json --out roofline.svg

Every result is checked before it is timed; a wrong one has no score, and the program ends with 1.
Run it with nothing else running, in a release build."
    )]
    Bench(Bench),
}

/// `limbeck run`.
#[derive(Debug, Arguments)]
pub struct RunSome {
    /// The run.
    #[command(flatten)]
    pub run: Run,
    /// Train only these stages and what they need (a distilled student its teachers); a later run without it finds them, trains the
    /// rest, and makes the files of results
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KINDS")]
    pub only: Vec<Only>,
}

/// Kinds of stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Only {
    /// The teachers
    Teachers,
    /// A network of the student's size for each task
    Single,
    /// The student of all tasks without teachers
    Joint,
    /// The student with its teachers
    Distilled,
}

/// What `limbeck run` and `limbeck ablate` share.
#[derive(Debug, Arguments)]
pub struct Run {
    /// The TOML file
    pub file: PathBuf,
    /// The folder of the results [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace a value of the file; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Show no progress, only the outcome
    #[arg(long, short)]
    pub quiet: bool,
}

/// `limbeck eval`.
#[derive(Debug, Arguments)]
pub struct Eval {
    /// The run's folder
    pub dir: PathBuf,
    /// The images to measure on
    #[arg(long, value_enum, default_value_t = Split::Test)]
    pub split: Split,
    /// distilled, joint, single/TASK or teacher/TASK
    #[arg(long, default_value = "distilled")]
    pub model: String,
    /// Only the network of this seed [default: those of all seeds]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Write every image with labels and answers to FILE.csv, FILE.json or FILE.coco.json
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Also print each class by itself, and of boxes the scores by size; JSON has them in any case
    #[arg(long)]
    pub classes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `limbeck predict`.
#[derive(Debug, Arguments)]
pub struct Predict {
    /// The run's folder
    pub dir: PathBuf,
    /// PNG or JPEG images, folders with all images below them, patterns such as 'photos/**/*.jpg', and @FILE for --list FILE; each
    /// image is resized to what the network takes
    #[arg(required_unless_present = "list", value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// A text file with an image, folder or pattern on each line, relative to the file's folder; empty lines and lines that begin with #
    /// are left out
    #[arg(long, value_name = "FILE")]
    pub list: Vec<PathBuf>,
    /// distilled, joint, single/TASK or teacher/TASK, of the run's first seed
    #[arg(long, default_value = "distilled")]
    pub model: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Draw the answers on each image: masks, boxes with names, depth; a folder for a PNG file of each image, or of one image a file
    /// FILE.png
    #[arg(long, value_name = "DIR")]
    pub draw: Option<PathBuf>,
    /// Write each mask as DIR/TASK/IMAGE.png, whose grey values number the classes, and each depth as DIR/TASK/IMAGE.npy: labels of the
    /// kind that a run can learn from
    #[arg(long, value_name = "DIR")]
    pub masks: Option<PathBuf>,
    /// The lowest score of an object that is told or drawn, 0 to 1 [default: 0.05 in JSON, as in evaluation; 0.4 drawn; 0.5 in words]
    #[arg(long, value_name = "X", value_parser = share)]
    pub threshold: Option<f64>,
    /// Of two boxes of a class that overlap by more than this (intersection over union, 0 to 1) only the surer one is told [default: 0.6]
    #[arg(long, value_name = "X", value_parser = share)]
    pub nms: Option<f64>,
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| (0.0..=1.0).contains(value));
    value.ok_or_else(|| "it must be a number from 0 to 1".into())
}

/// `limbeck keys`.
#[derive(Debug, Arguments)]
pub struct Keys {
    /// Only this table and those in it, such as train or data [default: all]
    pub table: Option<String>,
    /// How they are printed
    #[arg(long, value_enum, default_value_t = KeysFormat::Text)]
    pub format: KeysFormat,
}

/// How keys are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeysFormat {
    /// Three lines a key
    Text,
    /// A table for each table of the file
    Markdown,
}

/// What is done with caches.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Show a random part of the pictures to the teachers again, and compare
    #[command(
        after_help = "Example:\n  limbeck cache verify runs/digits --part 0.1\n\nEnds with 1 where an answer differs."
    )]
    Verify {
        /// The run's folder
        dir: PathBuf,
        /// The part of the answers that is computed again
        #[arg(long, default_value_t = 0.05)]
        part: f64,
    },
}

/// `limbeck bench`.
#[derive(Debug, Arguments)]
pub struct Bench {
    /// Fewer sizes and repeats: under 90 seconds on a software adapter
    #[arg(long)]
    pub quick: bool,
    /// Measure only what has one of these parts, separated by commas, in its name
    #[arg(long, value_name = "PATTERN")]
    pub only: Option<String>,
    /// First measure up to four variants of each convolution and keep the best for this adapter
    #[arg(long)]
    pub tune: bool,
    /// Write the results as JSON, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Show no progress, only the outcome
    #[arg(long, short)]
    pub quiet: bool,
    /// What else to do with results.
    #[command(subcommand)]
    pub command: Option<BenchCommand>,
}

/// What is done with stored results.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// How many times as fast each result is as the first
    Compare {
        /// Results of `limbeck bench --json`
        #[arg(required = true, num_args = 2.., value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Draw the kernels under the machine's own roofline
    Plot {
        /// A result of `limbeck bench --json`
        file: PathBuf,
        /// The picture to write
        #[arg(long, value_name = "SVG", default_value = "roofline.svg")]
        out: PathBuf,
    },
}

/// A split of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Split {
    /// Held out to the end
    Test,
    /// Held out to choose the best epoch
    Val,
    /// What was learnt from
    Train,
}

impl Split {
    /// As the library calls it.
    pub fn name(self) -> &'static str {
        match self {
            Split::Test => "test",
            Split::Val => "val",
            Split::Train => "train",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn arguments_are_read() {
        let args =
            Args::try_parse_from(["limbeck", "run", "a.toml", "--set", "a=1", "--out", "o", "--set", "b=-2", "-q"])
                .unwrap();
        let Command::Run(run) = args.command else { panic!("another command") };
        let run = run.run;
        assert_eq!((run.sets, run.out, run.quiet), (vec!["a=1".into(), "b=-2".into()], Some("o".into()), true));
        let args = Args::try_parse_from(["limbeck", "eval", "d", "--split", "val"]).unwrap();
        let Command::Eval(eval) = args.command else { panic!("another command") };
        assert_eq!((eval.split.name(), eval.model.as_str(), eval.json), ("val", "distilled", false));
        let args = Args::try_parse_from(["limbeck", "predict", "d", "--list", "a.txt", "--threshold", "0.5"]).unwrap();
        let Command::Predict(predict) = args.command else { panic!("another command") };
        assert_eq!((predict.images.len(), predict.list, predict.threshold), (0, vec!["a.txt".into()], Some(0.5)));
        let args = Args::try_parse_from(["limbeck", "bench", "compare", "a.json", "b.json"]).unwrap();
        let Command::Bench(bench) = args.command else { panic!("another command") };
        let Some(BenchCommand::Compare { files }) = bench.command else { panic!("another command") };
        assert_eq!(files.len(), 2);
    }

    #[test]
    fn wrong_usage_ends_with_two() {
        for wrong in [
            &["limbeck", "run"][..],
            &["limbeck", "predict", "d"],
            &["limbeck", "predict", "d", "a.png", "--threshold", "1.5"],
            &["limbeck", "predict", "d", "a.png", "--nms", "much"],
            &["limbeck", "predict", "d", "a.png", "--nms", "NaN"],
            &["limbeck", "eval", "d", "--split", "x"],
            &["limbeck", "bench", "compare", "a.json"],
            &["limbeck", "bench", "--quick", "plot", "a.json"],
            &["limbeck", "x"],
        ] {
            assert_eq!(Args::try_parse_from(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
        assert_eq!(Args::try_parse_from(["limbeck", "--help"]).unwrap_err().kind(), ErrorKind::DisplayHelp);
    }
}
