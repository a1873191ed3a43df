//! Settings that mean nothing, alone or together, and arguments of the program.

use super::{Given, Refusal, Run, Texts, unchanged};
use crate::{coco, labelme, masks, members, table, voc, yolo};
use std::path::Path;

pub fn rows() -> Vec<Refusal> {
    [sources(), teaching(), program()].into_iter().flatten().collect()
}

type Make = fn(&Path) -> String;

fn sources() -> Vec<Refusal> {
    let row = |name, make: Make, sets: Texts, says: Texts| {
        (name, Given::Settings(Run(make, unchanged, sets)), "Config", says)
    };
    vec![
        row(
            "coco: a file's name misspelt",
            coco::set,
            &["data.train=instance.json"],
            &["data.train", "did you mean `instances.json`"],
        ),
        row(
            "coco: nothing left to train on",
            coco::set,
            &["data.test_fraction=0.95"],
            &["data.test_fraction", "leaves none to learn from"],
        ),
        (
            "coco: another number of weights than of names",
            Given::Start(Run(coco::set, unchanged, &["tasks.mask.class_weights=[1, 2]"])),
            "Invalid",
            &["2 numbers for 3 names: background, square, column"],
        ),
        row("voc: nothing left to train on", voc::set, &["data.test_fraction=0.8"], &["data.test_fraction"]),
        (
            "voc: lists of all sets but the training set",
            Given::Settings(Run(voc::set, voc::lists, &["data.sets={ val = \"val.txt\" }"])),
            "Config",
            &["data.sets.train"],
        ),
        row(
            "yolo: masks that no task asks for",
            yolo::set,
            &["data.tasks=[\"boxes\"]"],
            &["data.masks", "no task uses masks"],
        ),
        row(
            "yolo: depth maps that no task asks for",
            yolo::set,
            &["data.tasks=[\"boxes\", \"mask\"]", "data.depth={ folder = \"labels\" }"],
            &["data.depth", "add \"depth\" to data.tasks"],
        ),
        row(
            "yolo: depth without its files",
            yolo::set,
            &["data.tasks=[\"mask\", \"depth\"]"],
            &["data.tasks", "add [data.depth] with the folder"],
        ),
        row(
            "yolo: depth in a unit that is none",
            yolo::set,
            &["data.tasks=[\"mask\", \"depth\"]", "data.depth={ folder = \"labels\", unit = \"cm\" }"],
            &["data.depth.unit", "\"mm\", \"m\", or the metres", "found \"cm\""],
        ),
        row(
            "yolo: depth in a folder that is not there",
            yolo::set,
            &["data.tasks=[\"mask\", \"depth\"]", "data.depth={ folder = \"label\" }"],
            &["data.depth.folder", "did you mean `labels`"],
        ),
        row(
            "yolo: a folder's name misspelt",
            yolo::set,
            &["data.masks.folder=mask"],
            &["data.masks.folder", "did you mean `masks`"],
        ),
        row(
            "yolo: a class without a number",
            yolo::set,
            &["data.names={ square = \"4\" }"],
            &["data.names.square", "expected the number of a class", "found \"square\""],
        ),
        row(
            "yolo: an ignored class that is not among the names",
            yolo::set,
            &["data.masks={ folder = \"masks\", names = [\"a\", \"b\"], ignored = [\"c\"] }"],
            &["data.masks.ignored", "\"c\" is none of the names: a, b"],
        ),
        (
            "yolo: an ignored class that is not among the names of the file",
            Given::Data(Run(
                yolo::set,
                unchanged,
                &["data.masks={ folder = \"masks\", names = \"masks.yaml\", ignored = [\"sky\"] }"],
            )),
            "Invalid",
            &["data.masks.ignored: \"sky\" is none of the names: none, ground, square"],
        ),
        row(
            "table: mirrored, though labels may say left and right",
            table::set,
            &["augment.flip=true"],
            &["mirroring may change the label of kind, attributes, size"],
        ),
        row("table: no columns", table::set, &["data.columns={}"], &["data.columns"]),
        row(
            "table: a kind of column misspelt",
            table::set,
            &["data.columns={ kind = \"classes\" }"],
            &["did you mean \"class\""],
        ),
        row(
            "table: a column with the name of all attributes",
            table::set,
            &["data.columns={ attributes = \"number\" }"],
            &["cannot be named"],
        ),
        row("table: the file's name misspelt", table::set, &["data.file=tabel.csv"], &["did you mean `table.csv`"]),
        row("table: a key of other sources", table::set, &["data.labels=x"], &["has no meaning for source = \"csv\""]),
        row(
            "masks: a folder's name misspelt",
            masks::set,
            &["data.masks=mask"],
            &["data.masks", "did you mean `masks`"],
        ),
        row(
            "masks: other labels than masks",
            masks::set,
            &["data.tasks=[\"boxes\"]"],
            &["data.tasks", "different tasks among \"mask\", \"depth\""],
        ),
        row(
            "masks: without masks",
            masks::set,
            &["data.tasks=[\"depth\"]", "data.depth={ folder = \"masks\" }"],
            &["data.tasks", "add \"mask\""],
        ),
        row(
            "masks: a table, as other sources have it",
            masks::set,
            &["data.masks={ folder = \"masks\" }"],
            &["data.masks", "found a table", "data.names and data.ignored"],
        ),
        row(
            "masks: folders of splits beside those of all images",
            masks::set,
            &["data.train={ images = \"images\", masks = \"masks\" }"],
            &["data.images", "name the folders of each split"],
        ),
        row(
            "masks: folders of validation alone",
            masks::set,
            &["data.val={ images = \"images\", masks = \"masks\" }"],
            &["data.train", "is missing"],
        ),
        row(
            "masks: a list that is not there",
            masks::set,
            &["data.sets={ train = \"train.txt\" }"],
            &["data.sets.train", "there is no file"],
        ),
        row(
            "members: of images without files",
            defaults,
            &["data.members={ test = \"test.txt\" }"],
            &["data.members", "has no meaning for source = \"digits\"", "\"folder\"", "\"csv\""],
        ),
        row("members: no list", table::set, &["data.members={}"], &["data.members", "names no list"]),
        row(
            "members: a split misspelt",
            table::set,
            &["data.members={ tests = \"test.txt\" }"],
            &["data.members.tests", "did you mean `test`"],
        ),
        (
            "members: a list that is not there",
            Given::Settings(Run(
                masks::set,
                |root| members::lists(root, ["0", "1", "2"]),
                &["data.members={ test = \"tset.txt\" }"],
            )),
            "Config",
            &["data.members.test", "there is no file", "did you mean `test.txt`"],
        ),
        (
            "members: beside lists of sets",
            Given::Settings(Run(
                voc::set,
                voc::lists,
                &["data.sets={ train = \"train.txt\" }", "data.members={ val = \"val.txt\" }"],
            )),
            "Config",
            &["data.members", "data.sets lists the images", "remove one"],
        ),
        row(
            "labelme: a folder that is not there",
            labelme::set,
            &["data.annotations=run"],
            &["data.annotations", "there is no folder"],
        ),
        row(
            "labelme: a key of another source",
            labelme::set,
            &["data.sets=x"],
            &["has no meaning for source = \"labelme\"", "\"voc\""],
        ),
    ]
}

/// Everything as it is by default.
fn defaults(_: &Path) -> String {
    String::new()
}

fn scenes(tasks: &str) -> String {
    format!(
        "[data]\nsource = \"scenes\"\nsize = [20, 24]\nobjects = 2\ntasks = {tasks}\n\
         samples = {{ train = 24, val = 4, test = 4 }}\n[train]\nepochs = 1\nbatch = 8\n\
         [teacher]\narch = \"resnet8\"\nwidth = 0.5\ndecoder = 8\n[student]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n"
    )
}

fn teaching() -> Vec<Refusal> {
    let row = |name, make: Make, sets: Texts, says: Texts| {
        (name, Given::Settings(Run(make, unchanged, sets)), "Config", says)
    };
    let start =
        |name, make: Make, sets: Texts, says: Texts| (name, Given::Start(Run(make, unchanged, sets)), "Config", says);
    vec![
        row(
            "mutual teachers, balanced",
            defaults,
            &["teacher.kind=mutual", "balance.method=mgda"],
            &["balance.method", "cannot be balanced"],
        ),
        row(
            "mutual teachers, scaled before the first step",
            defaults,
            &["teacher.kind=mutual", "distill.kd.normalise=true"],
            &["normalize", "first step"],
        ),
        row(
            "mutual teachers, ready-made",
            defaults,
            &["teacher.kind=mutual", "teacher.paths.first=a.safetensors"],
            &["teacher.paths", "ready-made"],
        ),
        row(
            "mutual teachers, asked for other layers than the student",
            defaults,
            &["teacher.kind=mutual", "distill.fitnet={ layers = [\"layer3\"], teacher_layers = [\"layer2\"] }"],
            &["distill.fitnet.teacher_layers", "same layers"],
        ),
        row(
            "scaled to labels that count nothing",
            defaults,
            &["distill.task_weight=0", "distill.sp.normalize=true"],
            &["distill.sp.normalize", "task_weight"],
        ),
        row(
            "more labels apart than there are images",
            defaults,
            &["data.labelled={first=0.6, second=0.6}", "data.disjoint=true"],
            &["data.disjoint", "two labels"],
        ),
        row(
            "a pair of layers listed twice",
            |_| scenes("[\"class\"]"),
            &["distill.fitnet={ layers = [\"layer3\", \"layer3\"], teacher_layers = [\"layer3\", \"layer3\"] }"],
            &["distill.fitnet.layers", "is listed twice"],
        ),
        start(
            "a level that the teacher's pyramid has not",
            |_| scenes("[\"mask\"]"),
            &["student.arch=resnet18", "distill={ methods = [\"pkd\"], pkd = { layers = [\"level4\"] } }"],
            &["distill.pkd.layers", "a teacher of mask has", "level1 to level3"],
        ),
        start(
            "a layer that the teacher has not",
            |_| scenes("[\"mask\"]"),
            &["distill={ methods = [\"pkd\"], pkd = { layers = [\"level3\"], teacher_layers = [\"layer5\"] } }"],
            &["distill.pkd.teacher_layers", "not layer5"],
        ),
        start(
            "layers unnamed, of a teacher with more stages",
            |_| "[student]\narch = \"resnet8\"\nwidth = 0.25\n".into(),
            &["teacher.arch=resnet18", "teacher.width=0.125", "distill.methods=[\"at\"]"],
            &["distill.at.layers", "3 stages"],
        ),
    ]
}

#[cfg(not(feature = "cli"))]
fn program() -> Vec<Refusal> {
    Vec::new()
}

#[cfg(feature = "cli")]
fn program() -> Vec<Refusal> {
    let row = |name, arguments: Texts, kind, says: Texts| (name, Given::Arguments(arguments), kind, says);
    vec![
        row("program: run without a file", &["run"], "exit 2", &["FILE"]),
        row("program: a command misspelt", &["rum", "x.toml"], "exit 2", &["rum"]),
        row("program: a file that is not there", &["run", "none.toml"], "exit 1", &["error: cannot read none.toml: "]),
        row(
            "program: a benchmark of nothing",
            &["bench", "--quick", "--only", "nothing-is-called-so"],
            "exit 1",
            &["nothing-is-called-so"],
        ),
    ]
}
