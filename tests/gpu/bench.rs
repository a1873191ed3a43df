//! The benchmark: its probes like every kernel, and `limbeck bench` as a user meets it.

use limbeck::bench::schema::{SCHEMA, Unit, Verdict};
use limbeck::bench::{Report, probe};
use limbeck::gpu::{Gpu, Options, parse};
use std::path::Path;
use std::process::Output;

fn bench(folder: &Path, args: &[&str]) -> Output {
    let mut command = crate::program::limbeck();
    command.current_dir(folder).env("LIMBECK_CACHE_DIR", folder.join("cache"));
    command.env_remove("LIMBECK_CHECKED").env_remove("LIMBECK_POISON").env_remove("LIMBECK_TUNED");
    command.env_remove("LIMBECK_MATRICES");
    command.arg("bench").args(args).output().unwrap()
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn every_permutation_of_a_probe_validates_and_can_be_written() {
    use naga::back::{hlsl, msl, spv};
    for permutation in probe::TABLE.iter().flat_map(|k| (k.permutations)()) {
        let module = parse(permutation.source, &permutation.defines).unwrap_or_else(|e| panic!("{e}"));
        for entry in module.entries() {
            module.interface(&entry).unwrap();
        }
        let (naga, info) = (&module.naga, &module.info);
        spv::write_vec(naga, info, &spv::Options::default(), None).unwrap();
        // Cooperative matrices need MSL 2.3, and HLSL has none.
        let matrices = naga.types.iter().any(|(_, t)| matches!(t.inner, naga::TypeInner::CooperativeMatrix { .. }));
        let lang_version = if matrices { (2, 3) } else { msl::Options::default().lang_version };
        let options = msl::Options { lang_version, ..msl::Options::default() };
        msl::write_string(naga, info, &options, &msl::PipelineOptions::default()).unwrap();
        if matrices {
            continue;
        }
        // Types of 16 bits need shader model 6.2.
        let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_2, ..hlsl::Options::default() };
        let mut text = String::new();
        hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions::default()).write(naga, info, None).unwrap();
    }
}

#[test]
fn probes_compute_what_they_say_on_poisoned_memory() {
    for checked in [false, true] {
        let gpu = Gpu::new(Options { poison: true, checked, matrices: true, ..Options::default() }).unwrap();
        let mut count = 0;
        for kernel in probe::TABLE {
            for case in (kernel.cases)() {
                for check in (case.run)(&gpu).unwrap_or_else(|e| panic!("{} {}: {e}", kernel.name, case.name)) {
                    count += 1;
                    let (error, allowed) = (check.error(), check.tolerance);
                    assert!(
                        check.passes(),
                        "{} {}, {}: {error:.1e} > {allowed:.1e}",
                        kernel.name,
                        case.name,
                        check.what
                    );
                }
            }
        }
        assert!(count > 40, "{count}");
    }
}

#[test]
fn a_timing_is_positive_and_within_the_wall_clock() {
    let gpu = Gpu::new(Options::default()).unwrap();
    let out = limbeck::tensor::Tensor::empty(&gpu, &[1 << 14]).unwrap();
    let chains = probe::fma::Chains { lanes: 4, count: 2, half: false };
    let time = |n: usize| gpu.time(|| (0..n).try_for_each(|_| probe::fma::fma(&gpu, chains, 64, &out))).unwrap();
    time(1);
    let (one, many) = (time(1), time(8));
    assert!(one.seconds > 0.0 && one.seconds <= one.wall * 1.05 + 20e-6, "{one:?}");
    // Eight times the work, on a machine that does other things, too.
    assert!(many.seconds > 2.0 * one.seconds, "{one:?} {many:?}");
    let error = gpu.time(|| Err(limbeck::Error::Invalid("stop".into()))).unwrap_err();
    assert!(error.to_string().contains("stop"));
    assert!(time(1).seconds > 0.0, "the clock still runs after an error");
}

#[test]
fn launch_costs_end_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let output = bench(folder.path(), &["--quick", "--only", "launch", "--json", "launch.json"]);
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    assert!(stdout.contains("ceiling/launch") && !stdout.contains("kernel/"), "{stdout}");
    let path = folder.path().join("launch.json");
    let report = Report::load(&path).unwrap();
    assert_eq!((report.schema, report.settings.only.as_deref()), (SCHEMA, Some("launch")));
    assert!(report.records.len() >= 6 && report.records.iter().all(|r| r.name.starts_with("ceiling/launch/")));
    for record in report.records.iter().filter(|r| r.name != "ceiling/launch/fitted") {
        let seconds = record.seconds.unwrap();
        assert!(record.value.unwrap() > 0.0 && seconds.least <= seconds.median && seconds.count >= 3, "{record:?}");
        assert!(matches!(record.verdict, Verdict::Passed(_)) && record.unit == Unit::Seconds);
    }
    // The form survives its file to the last digit.
    assert_eq!(Report::from_json(&report.to_json().unwrap(), &path).unwrap(), report);

    let (stdout, stderr) = texts(&bench(folder.path(), &["compare", "launch.json", "launch.json"]));
    assert!(stdout.contains("1.00x"), "{stdout}{stderr}");
    let change = |name: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(folder.path().join(name), text.replacen(from, to, 1)).unwrap();
        let output = bench(folder.path(), &["compare", "launch.json", name]);
        assert_eq!(output.status.code(), Some(1));
        texts(&output).1
    };
    let own = if cfg!(debug_assertions) { "debug" } else { "release" };
    let error = change("other.json", &format!("\"profile\": \"{own}\""), "\"profile\": \"another\"");
    assert!(error.contains("build profile"), "{error}");
    let error = change("newer.json", &format!("\"schema\": {SCHEMA}"), "\"schema\": 999");
    assert!(error.contains("newer.json") && error.contains("schema is 999"), "{error}");
}

#[test]
fn kernels_are_rated_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--quick", "--only", "linear/256,softmax", "--json", "k.json", "-q"];
    let output = bench(folder.path(), &args);
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    let report = Report::load(folder.path().join("k.json")).unwrap();
    let product = report.record("kernel/linear/256x256x256").unwrap();
    assert!(product.percent.is_some_and(|p| p > 0.0 && p < 150.0) && product.variant.is_some(), "{product:?}");
    assert!(report.ceiling.fma_f32.is_some() && !report.ceiling.memory.is_empty());
    assert!(report.record("ceiling/submit/empty").is_none(), "only the ceilings that percentages need");
    let output = bench(folder.path(), &["plot", "k.json", "--out", "roofline.svg"]);
    assert_eq!(output.status.code(), Some(0), "{}", texts(&output).1);
    let picture = std::fs::read_to_string(folder.path().join("roofline.svg")).unwrap();
    assert!(picture.starts_with("<svg ") && picture.trim_end().ends_with("</svg>") && picture.contains("linear"));
    assert!(!picture.contains("NaN"));
}

#[test]
fn tuned_variants_are_kept_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let only = "conv2d/resnet20/1x1-32-64";
    let output = bench(folder.path(), &["--quick", "--tune", "--only", only, "--json", "tuned.json"]);
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    assert!(stderr.contains("of 3 shapes have a better variant"), "{stderr}");
    let tables: Vec<_> = std::fs::read_dir(folder.path().join("cache/tuned")).unwrap().flatten().collect();
    assert_eq!(tables.len(), 1);
    let text = std::fs::read_to_string(tables[0].path()).unwrap();
    let chosen = text.lines().count() - 1;
    assert_eq!(Report::load(folder.path().join("tuned.json")).unwrap().settings.tuned, chosen);

    // A table that names another variant for a shape is followed; one that is damaged is not.
    let report = Report::load(folder.path().join("tuned.json")).unwrap();
    let record = report.records.iter().find(|r| r.name.starts_with("kernel/") && r.name.ends_with("/forward")).unwrap();
    let head = text.lines().next().unwrap();
    let batch = record.name.rsplit_once("-b").unwrap().1.split('/').next().unwrap();
    let line = format!("conv2d forward {batch}x16x16x32 64x1x1 s2 p0 d1 g1 = register-4x4\n");
    std::fs::write(tables[0].path(), format!("{head}\n{line}")).unwrap();
    let variant = || {
        let output = bench(
            folder.path(),
            &["--quick", "--only", &format!("{only}-16x16-s2-b{batch}/forward"), "--json", "f.json"],
        );
        assert_eq!(output.status.code(), Some(0), "{}", texts(&output).1);
        Report::load(folder.path().join("f.json")).unwrap().record(&record.name).unwrap().variant.clone()
    };
    assert_eq!(variant().as_deref(), Some("register-4x4"));
    std::fs::write(tables[0].path(), format!("{head}\nno table at all")).unwrap();
    assert_ne!(variant().as_deref(), Some("register-4x4"));
}

/// The one test of what a device with matrices does; where the adapter has none, of what is said about that.
#[test]
fn matrices_are_measured_where_the_adapter_has_them_and_noted_where_not() {
    let folder = tempfile::tempdir().unwrap();
    let output = bench(folder.path(), &["--quick", "--only", "fma/matrix,launch/16KiB", "--json", "m.json"]);
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    let report = Report::load(folder.path().join("m.json")).unwrap();
    let open = Gpu::new(Options { matrices: true, ..Options::default() }).unwrap();
    let measured: Vec<_> = report.records.iter().filter(|r| r.name.starts_with("ceiling/fma/matrix/")).collect();
    match open.profile().matrix {
        Some(matrix) => {
            assert!(measured.len() > 2 && measured.iter().all(|r| r.value.is_some_and(|v| v > 0.0)), "{measured:?}");
            assert!(measured[0].name.contains(&format!("/mat{}x", matrix.edge)) && report.ceiling.fma_matrix.is_some());
        }
        None => {
            assert!(measured.is_empty() && report.ceiling.fma_matrix.is_none());
            assert!(report.notes.iter().any(|n| n.starts_with("cooperative matrices: ")), "{:?}", report.notes);
        }
    }
    assert!(!report.settings.matrices, "all else was measured without");
}
