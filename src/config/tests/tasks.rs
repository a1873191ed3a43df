//! `[tasks]`: weights, losses and their settings.

use super::*;

#[test]
fn drawn_scenes_and_their_tasks() {
    let text = "[data]\nsource = \"scenes\"\nsize = [32, 48]\ntasks = [\"boxes\", \"count\", \"depth\"]\n\
                [augment]\nflip = true\n[student]\ndecoder = 8\n\
                [tasks]\nboxes = 2\ncount = { weight = 0.5, loss = \"huber\", delta = 2 }\n";
    let config = parse(text).unwrap();
    assert_eq!(config.task_names(), ["boxes", "count", "depth"]);
    assert_eq!(config.task_kinds(), [TaskKind::Boxes, TaskKind::Number, TaskKind::Depth]);
    assert_eq!((config.student.net.decoder, config.teacher.net.decoder), (8, 32));
    let count = TaskConfig {
        weight: 0.5,
        loss: Some("huber".into()),
        settings: BTreeMap::from([("delta".to_string(), 2.0)]),
        ..TaskConfig::default()
    };
    assert_eq!((&config.tasks["count"], config.tasks["boxes"].weight), (&count, 2.0));
    assert_eq!(config.tasks["depth"].loss.as_deref(), Some("l2"));
    assert_eq!(parse(&config.to_toml()).unwrap(), config);
}

#[test]
fn masks_may_be_judged_by_their_overlap() {
    let of = |settings: &str| {
        let text =
            format!("[data]\nsource = \"scenes\"\ntasks = [\"mask\", \"class\"]\n[tasks]\nmask = {{ {settings} }}\n");
        let config = parse(&text).unwrap();
        assert_eq!(parse(&config.to_toml()).unwrap(), config);
        config.tasks["mask"].clone()
    };
    let chosen = |task: &TaskConfig| (task.loss.clone().unwrap(), task.settings.get("gamma").copied());
    assert_eq!(chosen(&of("loss = \"dice\"")), ("dice".into(), None));
    let both = of("loss = \"cross_entropy+dice\", class_weights = [1, 2, 1, 1, 0]");
    assert_eq!(chosen(&both), ("cross_entropy+dice".into(), None));
    assert_eq!(both.class_weights, Some(ClassWeights::List(vec![1.0, 2.0, 1.0, 1.0, 0.0])));
    let both = of("loss = \"focal+dice\", gamma = 1.5");
    assert_eq!(chosen(&both), ("focal+dice".into(), Some(1.5)));
    assert_eq!(chosen(&of("loss = \"dice+focal\"")), ("dice+focal".into(), Some(2.0)));
    let poly = of("loss = \"poly1+dice\", epsilon = -0.5");
    assert_eq!((chosen(&poly), poly.settings["epsilon"]), (("poly1+dice".into(), None), -0.5));
    // Smoothed labels are cross entropy's alone.
    let text = "[data]\nsource = \"scenes\"\ntasks = [\"mask\"]\n[tasks]\nmask = { loss = \"cross_entropy+dice\" }\n\
                [train]\nlabel_smoothing = 0.1\n";
    assert!(parse(text).is_ok());
}

#[test]
fn classes_may_count_differently() {
    let text = "[data]\nsource = \"scenes\"\ntasks = [\"class\", \"mask\", \"count\"]\n[tasks]\ncount = 2\n\
                mask = { loss = \"focal\", class_weights = \"balanced\" }\n[tasks.class]\nclass_weights = [1, 0.5, 2]\n";
    let config = parse(text).unwrap();
    let mask = &config.tasks["mask"];
    assert_eq!((mask.loss.as_deref(), mask.settings["gamma"]), (Some("focal"), 2.0));
    assert_eq!(mask.class_weights, Some(ClassWeights::Rule(Balanced::Balanced)));
    let class = &config.tasks["class"];
    assert_eq!((class.loss.as_deref(), class.settings.len()), (Some("cross_entropy"), 0));
    assert_eq!(class.class_weights, Some(ClassWeights::List(vec![1.0, 0.5, 2.0])));
    assert_eq!(parse(&config.to_toml()).unwrap(), config);
}
