//! What a run's file cannot say.

use super::*;

#[test]
fn broken_toml() {
    expect("name = \"x\"\n[train\nepochs = 1\n", "run.toml:2: syntax: ", "must be TOML");
    expect("[train]\nlr = 0.1\n\nlr = 0.2\n", "run.toml:4: syntax: ", "duplicate key");
    expect("[train]\nlr = \n", "run.toml:2: syntax: ", "");
}

#[test]
fn unknown_keys() {
    expect("[train]\n\n# note\nlearning_rate = 0.1\n", "run.toml:4: train.learning_rate: ", "did you mean `lr`?");
    expect("[train]\nwarmup-epochs = 1\n", "run.toml:2: ", "did you mean `warmup_epochs`?");
    expect("[train]\ntemperature = 1\n", "run.toml:2: train.temperature: ", "`temperature` belongs in [distill.kd]");
    expect("[train]\nseeds = [1]\n", "run.toml:2: ", "belongs in the top of the file");
    expect(
        "[data]\nsource = \"idx\"\ntrain_images = \"a\"\n",
        "run.toml:3: ",
        "[data.first], [data.second] or [data.files]",
    );
    expect("[student]\npaths = {}\n", "run.toml:2: student.paths: ", "[teacher]");
    expect("[augment]\ncolour = 1\n", "run.toml:2: augment.colour: ", "the keys here are shift, flip, noise, crop");
    expect("[teachr]\n", "run.toml:1: teachr: ", "did you mean `teacher`?");
    expect("[teacher]\ntrain = { epochs = 1, epocs = 2 }\n", "run.toml:2: teacher.train.epocs: ", "`epochs`");
    expect("[data.samples]\ntrian = 1\n", "run.toml:2: data.samples.trian: ", "`train`");
    // The first in the file is the one that is told, whatever the alphabet says.
    expect("[train]\nzeta = 1\nalfa = 1\n", "run.toml:2: train.zeta: ", "unknown key");
}

#[test]
fn wrong_types() {
    expect("[train]\nepochs = \"ten\"\n", "run.toml:2: train.epochs: ", "found the string \"ten\"");
    expect(
        "[train]\nepochs = 2.5\n",
        "run.toml:2: train.epochs: ",
        "expected a whole number from 1 to 1000000, found 2.5",
    );
    expect("[train]\nlr = true\n", "run.toml:2: train.lr: ", "found true");
    expect("[train]\nnesterov = 1\n", "run.toml:2: train.nesterov: ", "expected true or false, found 1");
    expect("name = 3\n", "run.toml:1: name: ", "found 3");
    expect("train = 3\n", "run.toml:1: train: ", "expected a table, found 3; write `[train]`");
    expect("seeds = 1\n", "run.toml:1: seeds: ", "found 1");
    expect("seeds = [0,\n 1,\n \"2\"]\n", "run.toml:3: seeds: ", "found the string \"2\" as element 3");
    expect("[train]\nbetas = [0.9]\n", "run.toml:2: train.betas: ", "two numbers");
    expect("[train]\noptimizer = \"adamx\"\n", "run.toml:2: train.optimizer: ", "did you mean \"adam\"?");
    expect(
        "[train]\nschedule = \"linear\"\n",
        "run.toml:2: ",
        "expected \"cosine\", \"step\" or \"constant\", found the string \"linear\"",
    );
    expect("[data]\nsource = \"digit\"\n", "run.toml:2: data.source: ", "did you mean \"digits\"?");
    expect("[data]\ncanvas = [12]\n", "run.toml:2: data.canvas: ", "found 1 elements");
    expect("[teacher]\nhead = 64\n", "run.toml:2: teacher.head: ", "a list of hidden sizes");
    expect("[tasks]\nfirst = \"high\"\n", "run.toml:2: tasks.first: ", "a weight from 0 to 1e9");
}

#[test]
fn values_out_of_range() {
    // One image has no variance to normalize by.
    expect("[train]\nbatch = 1\n", "run.toml:2: train.batch: ", "from 2 to 65536, found 1");
    expect("[train]\nepochs = -1\n", "run.toml:2: train.epochs: ", "found -1");
    expect("[train]\nlr = 0.0\n", "run.toml:2: train.lr: ", "a number above 0, found 0.0; without the key it is 0.05");
    expect("[train]\nlr = nan\n", "run.toml:2: train.lr: ", "found NaN");
    expect("[train]\nlr = inf\n", "run.toml:2: train.lr: ", "found inf");
    expect("[train]\nmomentum = 1.0\n", "run.toml:2: train.momentum: ", "below 1");
    expect("[train]\nbetas = [0.9, 1.0]\n", "run.toml:2: train.betas: ", "found 1.0 as element 2");
    // In single precision it is 1.
    expect("[train]\nbetas = [0.9, 0.99999999]\n", "run.toml:2: train.betas: ", "as element 2");
    expect("[distill.vid]\nvariance = 1e-6\n", "run.toml:2: distill.vid.variance: ", "from 0.0001");
    expect("[train]\nweight_decay = -1e-4\n", "run.toml:2: train.weight_decay: ", "at least 0");
    expect("[train]\nlabel_smoothing = 1\n", "run.toml:2: train.label_smoothing: ", "below 1");
    expect("[train]\nclip_norm = 0\n", "run.toml:2: train.clip_norm: ", "above 0");
    expect("[train]\ngamma = 1.5\n", "run.toml:2: train.gamma: ", "at most 1");
    expect("[train]\nmilestones = [0.6, 1.2]\n", "run.toml:2: train.milestones: ", "found 1.2 as element 2");
    expect("[distill.kd]\ntemperature = 0\n", "run.toml:2: distill.kd.temperature: ", "from 0.0001 to 10000, found 0");
    // Values of which single precision makes 0 or infinity, or a loss of one of the two.
    for value in ["1e-46", "1e-30", "1e39"] {
        expect(
            &format!("[distill.kd]\ntemperature = {value}\n"),
            "run.toml:2: distill.kd.temperature: ",
            "10000, found",
        );
    }
    expect("[distill.kd]\nweight = 1e39\n", "run.toml:2: distill.kd.weight: ", "a weight from 0 to 1e9, found 1e39");
    expect("[distill.kd]\nweight = 1e-46\n", "run.toml:2: distill.kd.weight: ", "from 0 to 1e9, found 1e-46");
    expect("[tasks]\nfirst = 1e39\n", "run.toml:2: tasks.first: ", "a weight from 0 to 1e9");
    expect("[train]\nlr = 1e-46\n", "run.toml:2: train.lr: ", "1e-46 is beyond single precision");
    expect("[train]\nclip_norm = 1e39\n", "run.toml:2: train.clip_norm: ", "1e39 is beyond single precision");
    expect("[train]\nbetas = [0.9, 1e-46]\n", "run.toml:2: train.betas: ", "found 1e-46");
    expect("[distill.kd]\nweight = -0.1\n", "run.toml:2: distill.kd.weight: ", "from 0 to 1e9");
    expect("[distill.kd]\ntemprature = 2\n", "run.toml:2: distill.kd.temprature: ", "did you mean `temperature`?");
    expect("[distill.kd]\nlayers = [\"layer1\"]\n", "run.toml:2: distill.kd.layers: ", "unknown key");
    expect("[distill]\nmethods = [\"fitnt\"]\n", "run.toml:2: distill.methods: ", "did you mean \"fitnet\"?");
    expect("[distill]\nmethods = []\n", "run.toml:2: distill.methods: ", "an empty list");
    expect("[distill]\nmethods = [\"kd\", \"kd\"]\n", "run.toml:2: distill.methods: ", "is listed twice");
    expect("[distill.fitnet]\nlayers = [\"stage1\"]\n", "run.toml:2: distill.fitnet.layers: ", "found \"stage1\"");
    expect("[distill.fitnet]\nlayers = [\"layer4\"]\n", "run.toml:2: distill.fitnet.layers: ", "layer1 to layer3");
    expect(
        "[distill.fitnet]\nlayers = [\"level0\"]\n",
        "run.toml:2: distill.fitnet.layers: ",
        "decoder or logits, found",
    );
    // A class is read off the pooled features: there is no decoder.
    expect("[distill.fitnet]\nlayers = [\"decoder\"]\n", "run.toml:2: distill.fitnet.layers: ", "of first has layer1");
    let scenes = |tasks: &str, method: &str| format!("[data]\nsource = \"scenes\"\ntasks = {tasks}\n{method}\n");
    let expect_layer = |text: String, what: &str| expect(&text, "run.toml:5: distill.cwd.layers: ", what);
    expect_layer(scenes("[\"boxes\"]", "[distill.cwd]\nlayers = [\"decoder\"]"), "level2 to level3, not decoder");
    expect_layer(scenes("[\"boxes\"]", "[distill.cwd]\nlayers = [\"level1\"]"), "level2 to level3, not level1");
    expect_layer(
        scenes("[\"mask\"]", "[distill.cwd]\nlayers = [\"level4\"]"),
        "level1 to level3, decoder and logits, not level4",
    );
    expect_layer(scenes("[\"boxes\"]", "[distill.cwd]\nlayers = [\"logits\"]"), "not logits");
    let fgfi = scenes("[\"boxes\"]", "[distill.fgfi]\nlayers = [\"pooled\"]");
    expect(&fgfi, "run.toml:5: distill.fgfi.layers: ", "compares pixels");
    expect(&scenes("[\"mask\"]", "[distill]\nmethods = [\"fgfi\"]"), "run.toml:5: distill.methods: ", "kind boxes");
    let both = scenes("[\"mask\", \"boxes\"]", "[distill.cwd]\nlayers = [\"decoder\"]");
    expect_layer(both.clone(), "student of boxes has");
    assert!(Config::parse(&(both + "tasks = [\"mask\"]\n"), Path::new("run.toml"), &[]).is_ok());
    expect(
        "[distill.fitnet]\nlayers = [\"layer1\"]\nteacher_layers = [\"layer1\", \"layer2\"]\n",
        "run.toml:3: distill.fitnet.teacher_layers: ",
        "names 2 layers, but `layers` names 1",
    );
    expect("[distill.kd]\ntasks = [\"third\"]\n", "run.toml:2: distill.kd.tasks: ", "no task `third`");
    expect("[balance]\nmethod = \"cagrd\"\n", "run.toml:2: balance.method: ", "did you mean \"cagrad\"?");
    expect("[balance]\nmethod = \"mgda\"\nc = 1\n", "run.toml:3: balance.c: ", "has no settings");
    expect("[balance]\nmethod = \"dwa\"\ntemperature = 0\n", "run.toml:3: balance.temperature: ", "found 0");
    expect("[teacher]\nkind = \"self\"\ncount = 2\n", "run.toml:3: teacher.count: ", "one teacher");
    let columns = "[data]\nsource = \"csv\"\nfile = \"a.csv\"\nimages = \".\"\nimage = \"file\"\nsize = [32, 32]\n\
                   columns = { view = \"class\", view-2 = \"class\" }\n[teacher]\ncount = 2\n";
    expect(columns, "run.toml:9: teacher.count: ", "\"view-2\"");
    expect("[teacher.weights]\nfirst = [1]\n", "run.toml:2: teacher.weights.first: ", "1 weights for 0");
    expect("[tasks]\nfirst = -1\n", "run.toml:2: tasks.first: ", "from 0 to 1e9");
    expect("seeds = []\n", "run.toml:1: seeds: ", "an empty list");
    expect("seeds = [1,\n2,\n1]\n", "run.toml:3: seeds: ", "1 is listed twice");
    expect("seeds = [-1]\n", "run.toml:1: seeds: ", "found -1");
    expect("name = \"a/b\"\n", "run.toml:1: name: ", "it names a folder");
    expect("name = \"..\"\n", "run.toml:1: name: ", "beginning with a point");
    expect("[augment]\nnoise = 2.0\n", "run.toml:2: augment.noise: ", "from 0 to 1");
    expect("[student]\nwidth = 0\n", "run.toml:2: student.width: ", "above 0");
    expect("[student]\nhead = [64, 0]\n", "run.toml:2: student.head: ", "found 0 as element 2");
    expect("[data]\ncanvas = [4, 12]\n", "run.toml:2: data.canvas: ", "found 4 as element 1");
    expect("[data.samples]\nval = 0\n", "run.toml:2: data.samples.val: ", "found 0");
    expect(
        "[data]\nsource = \"folder\"\nfolder = \"x\"\nsize = [8, 8]\nchannels = 2\n",
        "run.toml:5: data.channels: ",
        "1 (grey) or 3 (RGB)",
    );
    expect(&IDX.replace("idx\"", "idx\"\nval_fraction = 1.0"), "run.toml:4: data.val_fraction: ", "between 0 and 1");
    expect(&IDX.replace("\"digit\"", "\"a b\""), "run.toml:5: data.files.task: ", "letters, digits");
    expect(&(IDX.to_string() + "classes = [\"a\"]\n"), "run.toml:10: data.files.classes: ", "two class names");
}

#[test]
fn missing_keys_point_at_their_table() {
    expect(
        &IDX.replace("train_labels = \"b\"\n", ""),
        "run.toml:4: data.files.train_labels: ",
        "is missing: expected an IDX file",
    );
    expect("\n[data]\nsource = \"folder\"\nsize = [8, 8]\n", "run.toml:2: data.folder: ", "write `folder = \"…\"`");
    expect("[data]\nsource = \"folder\"\nfolder = \"x\"\n", "run.toml:1: data.size: ", "[height, width]");
}

#[test]
fn combinations_that_cannot_work() {
    expect("[augment]\nflip = true\n", "run.toml:2: augment.flip: ", "may change the label of first, second");
    expect(
        "[data]\nflip_invariant = [\"first\"]\n[augment]\nflip = true\n",
        "run.toml:4: augment.flip: ",
        "of second;",
    );
    expect("[data]\nflip_invariant = [\"frist\"]\n", "run.toml:2: data.flip_invariant: ", "did you mean `first`?");
    expect("[tasks]\nthird = 1.0\n", "run.toml:2: tasks.third: ", "no task `third`; its tasks are first, second");
    expect("[teacher.paths]\nthird = \"x\"\n", "run.toml:2: teacher.paths.third: ", "no task `third`");
    expect("[tasks]\nfirst = 0\nsecond = 0\n", "run.toml:1: tasks: ", "every task has the weight 0");
    expect("[distill.kd]\nweight = 0\n", "run.toml:2: distill.kd.weight: ", "nothing to distil");
    expect(
        "[distill]\nkd = { weight = 0 }\nfitnet = { weight = 0 }\n",
        "run.toml:2: distill.kd.weight: ",
        "nothing to distil",
    );
    expect("[augment]\ncrop = [0.5]\n", "run.toml:2: augment.crop: ", "two shares");
    expect("[augment]\ncrop = [0.9, 0.5]\n", "run.toml:2: augment.crop: ", "the smaller one comes first");
    expect("[augment]\nscale = [0.0, 1.0]\n", "run.toml:2: augment.scale: ", "two factors");
    expect("[augment]\nrotate = 200\n", "run.toml:2: augment.rotate: ", "from 0 to 180 degrees");
    expect("[augment]\nmosaic = 0.5\n", "run.toml:2: augment.mosaic: ", "\"first\" of kind class asks about one");
    expect(
        "[augment]\nrotate = 5\n[cache]\nstorage = \"f32\"\n",
        "run.toml:4: cache.storage: ",
        "hardly a picture comes back",
    );
    expect("[data]\ncrop_invariant = [\"frist\"]\n", "run.toml:2: data.crop_invariant: ", "did you mean `first`?");
    expect("[augment]\nshift = 12\n", "run.toml:2: augment.shift: ", "images of 12x12 out of sight");
    expect("[train]\nmilestones = [0.8, 0.6]\n", "run.toml:2: train.milestones: ", "0.8 is followed by 0.6");
    expect("[train]\nschedule = \"step\"\nmilestones = []\n", "run.toml:3: train.milestones: ", "never steps");
    expect("[train]\nepochs = 2\nwarmup_epochs = 3\n", "run.toml:3: train.warmup_epochs: ", "longer than the 2 epochs");
    expect(
        "[train]\nwarmup_epochs = 3\n[distill]\ntrain = { epochs = 2 }\n",
        "run.toml:4: distill.train.warmup_epochs: ",
        "2 epochs",
    );
    expect(
        "[train]\nepochs = 4\n[distill.dkd]\nwarmup_epochs = 20\n",
        "run.toml:4: distill.dkd.warmup_epochs: ",
        "longer than the 4 of training",
    );
    expect("[distill.cwd]\nlayers = [\"pooled\"]\n", "run.toml:2: distill.cwd.layers", "compares pixels");
    expect("[distill.crd]\nbank = 2.5\n", "run.toml:2: distill.crd.bank: ", "a whole number from 1 to");
    expect("[train]\nmomentum = 0\n", "run.toml:2: train.momentum: ", "nesterov = false");
    expect(
        "[data]\nsource = \"folder\"\ncanvas = [8, 8]\n",
        "run.toml:3: data.canvas: ",
        "source = \"folder\"; remove it, or set data.source = \"digits\" or \"pair\"",
    );
    expect("[data]\nfolder = \"pets\"\n", "run.toml:2: data.folder: ", "set data.source = \"folder\"");
    expect(
        "[data]\nsource = \"folder\"\nfolder = \"x\"\nsize = [8, 8]\nval_fraction = 0.5\ntest_fraction = 0.5\n",
        "run.toml:6: data.test_fraction: ",
        "leaves none",
    );
    expect(
        &FULL.replace("task = \"article\"", "task = \"digit\"").replace("\"article\", ", ""),
        "run.toml:14: data.second.task: ",
        "both tasks",
    );
}

#[test]
fn tasks_of_other_kinds() {
    let scenes = |more: &str| format!("[data]\nsource = \"scenes\"\ntasks = [\"mask\", \"count\"]\n{more}");
    let refused = |more: &str, place: &str, part: &str| expect(&scenes(more), place, part);
    refused("objects = 0\n", "run.toml:4: data.objects: ", "from 1 to 100");
    expect("[data]\nsource = \"scenes\"\ntasks = [\"masks\"]\n", "run.toml:3: data.tasks: ", "\"mask\"");
    expect("[data]\nsource = \"scenes\"\ntasks = [\"mask\", \"mask\"]\n", "run.toml:3: data.tasks: ", "twice");
    expect("[data]\nobjects = 3\n", "run.toml:2: data.objects: ", "set data.source = \"scenes\"");
    refused("[tasks.mask]\nloss = \"l1\"\n", "run.toml:5: tasks.mask.loss: ", "of kind mask");
    refused("[tasks.count]\ndelta = 1\n", "run.toml:5: tasks.count.delta: ", "huber");
    refused("[tasks.mask]\ngamma = 2\n", "run.toml:5: tasks.mask.gamma: ", "set that, or leave gamma out");
    refused("[tasks.mask]\nloss = \"focal\"\ngamma = 0.5\n", "run.toml:6: tasks.mask.gamma: ", "from 1 to 10000");
    refused(
        "[tasks.mask]\nloss = \"dice\"\ngamma = 2\n",
        "run.toml:6: tasks.mask.gamma: ",
        "\"focal\", alone or in a sum",
    );
    refused("[tasks.mask]\nloss = \"dice+dice\"\n", "run.toml:5: tasks.mask.loss: ", "listed twice");
    refused("[tasks.mask]\nloss = \"dise\"\n", "run.toml:5: tasks.mask.loss: ", "\"cross_entropy+dice\"");
    refused("[tasks.count]\nloss = \"dice\"\n", "run.toml:5: tasks.count.loss: ", "of kind number");
    let classes = crate::loss::METHODS.iter().filter(|m| m.kinds.contains(&TaskKind::Class));
    let classes: Vec<String> = classes.map(|m| format!("{:?}", m.name)).collect();
    let takes = format!("class, which takes {}", crate::settings::either(&classes));
    expect("[tasks.first]\nloss = \"dice\"\n", "run.toml:2: tasks.first.loss: ", &takes);
    let smoothed = "[tasks.mask]\nloss = \"dice\"\n[train]\nlabel_smoothing = 0.1\n";
    refused(smoothed, "run.toml:4: tasks.mask: ", "label_smoothing");
    refused("[tasks.mask]\nclass_weights = \"rare\"\n", "run.toml:5: tasks.mask.class_weights: ", "balanced");
    refused("[tasks.mask]\nclass_weights = [0, 0]\n", "run.toml:5: tasks.mask.class_weights: ", "above 0");
    refused("[tasks.count]\nclass_weights = [1]\n", "run.toml:5: tasks.count.class_weights: ", "of kind number");
    refused("[tasks.mask]\npositive_weights = [1]\n", "run.toml:5: tasks.mask.pos_weight: ", "ask for attributes");
    let smoothed = "[tasks.mask]\nclass_weights = \"balanced\"\n[train]\nlabel_smoothing = 0.1\n";
    refused(smoothed, "run.toml:4: tasks.mask: ", "label_smoothing");
    refused("[tasks.count]\nweigth = 1\n", "run.toml:5: tasks.count.weigth: ", "`weight`");
    refused("[distill]\nmethods = [\"crd\"]\n", "run.toml:5: distill.methods: ", "crd teaches tasks of kind class");
    refused(
        "[distill]\nmethods = [\"kd\", \"dist\"]\n[distill.dist]\ntasks = [\"count\"]\n",
        "run.toml:7: distill.dist.tasks: ",
        "count is of kind number",
    );
    refused("[cache]\nstorage = \"topk\"\n", "run.toml:5: cache.storage: ", "f16");
}
