//! From the file's tables to the typed configuration, one function a table.

use super::*;
use crate::nn::arch;
use crate::settings::{Choice, Section, as_number, nearest};
use toml::Value;

impl Choice for Optimizer {
    const WORDS: &'static [(&'static str, Self)] = &[("sgd", Self::Sgd), ("adam", Self::Adam), ("adamw", Self::AdamW)];
}
impl Choice for Schedule {
    const WORDS: &'static [(&'static str, Self)] =
        &[("cosine", Self::Cosine), ("step", Self::Step), ("constant", Self::Constant)];
}
impl Choice for Stem {
    const WORDS: &'static [(&'static str, Self)] = &[("small", Self::Small), ("imagenet", Self::ImageNet)];
}
impl Choice for Init {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("he_normal", Self::HeNormal),
        ("he_uniform", Self::HeUniform),
        ("xavier_normal", Self::XavierNormal),
        ("xavier_uniform", Self::XavierUniform),
    ];
}
pub(super) fn config(s: &Section, path: &Path) -> Result<Config> {
    let train = train(&s.table("train")?, &TrainConfig::default())?;
    let student = student(&s.table("student")?, &train)?;
    let distill = s.table("distill")?;
    let joint = JointConfig { train: self::train(&s.table("joint")?.table("train")?, &student.train)? };
    let distill_train = self::train(&distill.table("train")?, &joint.train)?;
    let data = data::section(&s.table("data")?)?;
    let teacher = teaching::teacher(&s.table("teacher")?, &train)?;
    let mut config = Config {
        name: name(s, path)?,
        seeds: seeds(s)?,
        data,
        augment: augment(&s.table("augment")?)?,
        distill: distillation::section(&distill, distill_train, teacher.kind)?,
        teacher,
        balance: balancing::section(&s.table("balance")?)?,
        cache: teaching::cache(&s.table("cache")?)?,
        train,
        student,
        joint,
        tasks: BTreeMap::new(),
        notes: Vec::new(),
    };
    let weights = s.table("tasks")?;
    known_tasks(&weights, &config)?;
    known_tasks(&s.table("data")?.table("labelled")?, &config)?;
    known_tasks(&s.table("teacher")?.table("paths")?, &config)?;
    known_tasks(&s.table("teacher")?.table("weights")?, &config)?;
    let kinds = config.task_kinds();
    let one = |(name, kind): (&str, TaskKind)| Ok((name.to_string(), tasks::task(&weights, name, kind)?));
    config.tasks = config.task_names().into_iter().zip(kinds).map(one).collect::<Result<_>>()?;
    Ok(config)
}

/// Refuses keys that name no task of the data.
fn known_tasks(s: &Section, config: &Config) -> Result<()> {
    let tasks = config.task_names();
    let stranger = s.keys().find(|k| !tasks.contains(k));
    stranger.map_or(Ok(()), |key| Err(s.error(key, unknown_task(key, &tasks))))
}

pub(super) fn unknown_task(name: &str, tasks: &[&str]) -> String {
    let hint = nearest(name, tasks).map(|t| format!("; did you mean `{t}`?")).unwrap_or_default();
    format!("the data has no task `{name}`; its tasks are {}{hint}", tasks.join(", "))
}

fn name(s: &Section, path: &Path) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let what = "a name of letters, digits, `-`, `_` and `.`";
    match s.text("name", what)? {
        Some(name) if name.chars().all(plain) && !name.starts_with('.') => Ok(name),
        Some(name) => Err(
            s.error("name", format!("expected {what}, not beginning with a point, found {name:?}; it names a folder"))
        ),
        None => {
            let stem = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let name: String = stem.chars().map(|c| if plain(c) { c } else { '-' }).collect();
            Ok(if name.is_empty() || name.starts_with('.') { "run".into() } else { name })
        }
    }
}

fn seeds(s: &Section) -> Result<Vec<u64>> {
    let what = "a list of different whole numbers of at least 0, such as [0, 1, 2]";
    let seeds =
        s.list("seeds", what, |v| v.as_integer().and_then(|i| u64::try_from(i).ok()))?.unwrap_or_else(|| vec![0, 1, 2]);
    if seeds.is_empty() {
        return Err(s.error("seeds", format!("expected {what}, found an empty list")));
    }
    for (i, seed) in seeds.iter().enumerate() {
        if seeds[..i].contains(seed) {
            return Err(s.element_error(
                "seeds",
                i,
                format!("{seed} is listed twice; every seed is one run, remove the second"),
            ));
        }
    }
    Ok(seeds)
}

fn augment(s: &Section) -> Result<AugmentConfig> {
    Ok(AugmentConfig {
        shift: s.integer("shift", 1, 0, 1024)?,
        flip: s.flag("flip", false)?,
        noise: s.number("noise", 0.0, "a standard deviation from 0 to 1", |x| (0.0..=1.0).contains(&x))?,
        crop: range(s, "crop", "two shares of the image's area from 0.01 to 1, such as [0.25, 1.0]", 1.0)?,
        scale: range(s, "scale", "two factors from 0.01 to 100, such as [0.8, 1.25]", 100.0)?,
        rotate: s.number("rotate", 0.0, "an angle from 0 to 180 degrees", |x| (0.0..=180.0).contains(&x))?,
        mosaic: s.number("mosaic", 0.0, "a probability from 0 to 1", |x| (0.0..=1.0).contains(&x))?,
    })
}

/// `[low, high]`, from 0.01 to `most`, or nothing.
fn range(s: &Section, key: &str, what: &str, most: f64) -> Result<Option<[f64; 2]>> {
    let list = s.list(key, what, |v| as_number(v).filter(|x| (0.01..=most).contains(x)))?;
    match list.as_deref() {
        None => Ok(None),
        Some([low, high]) if low <= high => Ok(Some([*low, *high])),
        Some([low, high]) => Err(s.error(key, format!("{low} is more than {high}; the smaller one comes first"))),
        Some(other) => Err(s.error(key, format!("expected {what}, found {}", other.len()))),
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            epochs: 10,
            batch: 64,
            optimizer: Optimizer::Sgd,
            lr: 0.05,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 5e-4,
            betas: [0.9, 0.999],
            schedule: Schedule::Cosine,
            warmup_epochs: 1.0,
            milestones: vec![0.6, 0.8],
            gamma: 0.1,
            clip_norm: None,
            label_smoothing: 0.0,
        }
    }
}

/// A stage's settings: what is written, and `base` for the rest.
pub(super) fn train(s: &Section, base: &TrainConfig) -> Result<TrainConfig> {
    // Also in single precision, in which it is used.
    let below_one = |x: f64| x >= 0.0 && (x as f32) < 1.0;
    let inside = |v: &Value| as_number(v).filter(|x| *x > 0.0 && *x < 1.0);
    let betas = s.list("betas", "two numbers of at least 0 and below 1, such as [0.9, 0.999]", |v| {
        as_number(v).filter(|x| below_one(*x))
    })?;
    let betas = match betas.as_deref() {
        None => base.betas,
        Some([first, second]) => [*first, *second],
        Some(other) => {
            return Err(s.error("betas", format!("expected two numbers, such as [0.9, 0.999], found {}", other.len())));
        }
    };
    let clip_norm = match s.has("clip_norm") {
        true => Some(s.number("clip_norm", 5.0, "a number above 0", |x| x > 0.0)?),
        false => base.clip_norm,
    };
    Ok(TrainConfig {
        epochs: s.integer("epochs", base.epochs, 1, 1_000_000)?,
        batch: s.integer("batch", base.batch, 2, 65_536)?,
        optimizer: s.choice("optimizer", base.optimizer)?,
        lr: s.number("lr", base.lr, "a number above 0", |x| x > 0.0)?,
        momentum: s.number("momentum", base.momentum, "a number of at least 0 and below 1", below_one)?,
        nesterov: s.flag("nesterov", base.nesterov)?,
        weight_decay: s.number("weight_decay", base.weight_decay, "a number of at least 0", |x| x >= 0.0)?,
        betas,
        schedule: s.choice("schedule", base.schedule)?,
        warmup_epochs: s
            .number("warmup_epochs", base.warmup_epochs, "a number of epochs of at least 0", |x| x >= 0.0)?,
        milestones: s
            .list("milestones", "increasing fractions between 0 and 1, such as [0.6, 0.8]", inside)?
            .unwrap_or_else(|| base.milestones.clone()),
        gamma: s.number("gamma", base.gamma, "a number above 0 and at most 1", |x| x > 0.0 && x <= 1.0)?,
        clip_norm,
        label_smoothing: s.number(
            "label_smoothing",
            base.label_smoothing,
            "a number of at least 0 and below 1",
            below_one,
        )?,
    })
}

pub(super) fn net(s: &Section, arch: &str, width: f64) -> Result<NetConfig> {
    let arch = s.text("arch", "an architecture")?.unwrap_or_else(|| arch.to_string());
    let Some(spec) = arch::parse(&arch) else {
        let hint = match nearest(&arch, arch::COMMON) {
            Some(meant) => format!("did you mean {meant:?}? Expected"),
            None => "expected".into(),
        };
        return Err(s.error("arch", format!("{arch:?} is no architecture; {hint} {}", arch::EXPECTED)));
    };
    let stem = match spec.family {
        arch::Family::ImageNet { .. } => Some(s.choice("stem", Stem::Small)?),
        arch::Family::Cifar { .. } if s.has("stem") => {
            let message = format!(
                "{arch} has one stem, only resnet18, resnet34, resnet50, resnet101 and resnet152 let you choose; remove the key or \
                 change arch"
            );
            return Err(s.error("stem", message));
        }
        arch::Family::Cifar { .. } => None,
    };
    let hidden = |v: &Value| v.as_integer().and_then(|i| usize::try_from(i).ok()).filter(|i| (1..=65_536).contains(i));
    let net = NetConfig {
        arch,
        width: s.number("width", width, "a multiplier above 0 and at most 16", |x| x > 0.0 && x <= 16.0)?,
        stem,
        dilate: s.integer("dilate", 0, 0, usize::MAX)?,
        head: s
            .list("head", "a list of hidden sizes from 1 to 65536, such as [64], or [] for one layer", hidden)?
            .unwrap_or_default(),
        decoder: s.integer("decoder", network::DECODER, 1, 1024)?,
        init: s.choice("init", Init::HeNormal)?,
    };
    net.trunk()?.check().map_err(|e| s.error("dilate", e.to_string()))?;
    Ok(net)
}

fn student(s: &Section, base: &TrainConfig) -> Result<StudentConfig> {
    Ok(StudentConfig { net: net(s, "resnet8", 0.5)?, train: train(&s.table("train")?, base)? })
}
