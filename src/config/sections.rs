//! From the file's tables to the typed configuration, one function a table.

use super::*;
use crate::settings::Section;

pub(super) fn config(s: &Section, path: &Path) -> Result<Config> {
    let train = TrainConfig::read(&s.table("train")?, &TrainConfig::default())?;
    let student = student(&s.table("student")?, &train)?;
    let distill = s.table("distill")?;
    let joint = JointConfig { train: TrainConfig::read(&s.table("joint")?.table("train")?, &student.train)? };
    let distill_train = TrainConfig::read(&distill.table("train")?, &joint.train)?;
    let data = data::section(&s.table("data")?)?;
    let teacher = teaching::teacher(&s.table("teacher")?, &train)?;
    let mut config = Config {
        name: name(s, path)?,
        seeds: seeds(s)?,
        data,
        augment: AugmentConfig::read(&s.table("augment")?, &AugmentConfig::default())?,
        distill: distillation::section(&distill, distill_train, teacher.kind)?,
        teacher,
        balance: balancing::section(&s.table("balance")?)?,
        cache: CacheConfig::read(&s.table("cache")?, &CacheConfig::default())?,
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
    stranger.map_or(Ok(()), |key| Err(s.error(key, tasks::unknown_task(key, &tasks))))
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

fn student(s: &Section, base: &TrainConfig) -> Result<StudentConfig> {
    Ok(StudentConfig { net: network::read(s, "resnet8", 0.5)?, train: TrainConfig::read(&s.table("train")?, base)? })
}
