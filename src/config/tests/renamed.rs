//! Keys that had another name.

use super::*;

/// What a run's file of the release before says is understood, with a note that names the new key.
#[test]
fn keys_with_old_names_are_read_and_told() {
    let old = "[data]\nsource = \"csv\"\nfile = \"a.csv\"\nimages = \"i\"\nsize = [32, 32]\ncolumns = { kind = \"attribute\" }\n\
               [distill.kd]\nnormalise = true\n[tasks.attributes]\npositive_weights = \"balanced\"\n";
    let config = parse(old).unwrap();
    let new = parse(&old.replace("normalise", "normalize").replace("positive_weights", "pos_weight")).unwrap();
    assert!(config.distill.tables["kd"].normalize && config.tasks["attributes"].pos_weight.is_some());
    assert_eq!((config.to_toml(), new.notes.len()), (new.to_toml(), 0));
    assert_eq!(
        config.notes,
        [
            "run.toml:8: distill.kd.normalise is called `normalize` now; a later release will not know the old name",
            "run.toml:10: tasks.attributes.positive_weights is called `pos_weight` now; a later release will not know the old name",
        ]
    );
    let set = with("", &["distill.kd.normalise=true"]).unwrap();
    assert!(set.notes[0].starts_with("--set distill.kd.normalise=true: "), "{:?}", set.notes);
    // Both names at once contradict each other.
    expect("[distill.kd]\nnormalise = true\nnormalize = false\n", "run.toml:2: distill.kd.normalise: ", "unknown key");
    // Of a stored run, whose file says all of them, one line is enough; and the command line counts.
    let stored = "[distill.kd]\nnormalise = true\n[distill.dkd]\nnormalise = false\n";
    let config = with(stored, &["distill.kd.normalize=false"]).unwrap();
    assert!(!config.distill.tables["kd"].normalize);
    assert!(config.notes.len() == 1 && config.notes[0].contains("(and 1 more)"), "{:?}", config.notes);
    expect("[distill.kd]\nnormalise = 3\n", "run.toml:2: distill.kd.normalize: ", "true or false");
}
