//! Every kernel against its reference, checked and unchecked, outputs poisoned; some again on a device with fewer features; and every
//! shader through every writer.

use limbeck::gpu::{AdapterClass, Feature, Gpu, Options, parse};
use limbeck::kernels::case::{Case, Check};
use limbeck::kernels::{Kernel, TABLE};

#[test]
fn every_permutation_validates() {
    let mut count = 0;
    for kernel in TABLE {
        for permutation in (kernel.permutations)() {
            let module = parse(permutation.source, &permutation.defines).unwrap_or_else(|e| panic!("{e}"));
            for entry in module.entries() {
                module.interface(&entry).unwrap();
                count += 1;
            }
            write(&module.naga, &module.info);
        }
    }
    assert!(count > 0);
}

/// SPIR-V, MSL and HLSL. Cooperative matrices need MSL 2.3, and HLSL has none. HLSL for the model with subgroups and 64-bit integers; that
/// Microsoft's compiler takes it is tried by `./x dxc`, for this writer checks no model.
fn write(module: &naga::Module, info: &naga::valid::ModuleInfo) {
    use naga::back::{hlsl, msl, spv};
    let matrices = module.types.iter().any(|(_, t)| matches!(t.inner, naga::TypeInner::CooperativeMatrix { .. }));
    spv::write_vec(module, info, &spv::Options::default(), None).unwrap();
    let lang_version = if matrices { (2, 3) } else { msl::Options::default().lang_version };
    let options = msl::Options { lang_version, ..msl::Options::default() };
    msl::write_string(module, info, &options, &msl::PipelineOptions::default()).unwrap();
    if matrices {
        return;
    }
    let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, ..hlsl::Options::default() };
    let mut text = String::new();
    hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions::default()).write(module, info, None).unwrap();
}

/// Runs `cases`; what each of them checked.
fn run<'a>(gpu: &Gpu, cases: impl IntoIterator<Item = (&'a str, Case)>) -> Vec<Check> {
    let (mut checks, mut failures) = (Vec::new(), Vec::new());
    for (kernel, case) in cases {
        for check in (case.run)(gpu).unwrap_or_else(|e| panic!("{kernel} {}: {e}", case.name)) {
            if !check.passes() {
                let (what, error, tolerance) = (&check.what, check.error(), check.tolerance);
                failures.push(format!("{kernel} {}, {what}: {error:.2e} > {tolerance:.2e}", case.name));
            }
            checks.push(check);
        }
    }
    assert!(failures.is_empty(), "{} of {} checks fail:\n{}", failures.len(), checks.len(), failures.join("\n"));
    assert!(!checks.is_empty(), "no check ran");
    eprintln!("{} checks", checks.len());
    checks
}

fn run_all(checked: bool) {
    let gpu = Gpu::new(Options { poison: true, checked, matrices: true, ..Options::default() }).unwrap();
    run(&gpu, chosen().flat_map(|kernel| (kernel.cases)().into_iter().map(|case| (kernel.name, case))));
}

/// Every kernel, or those named in `LIMBECK_KERNELS`, with commas between.
fn chosen() -> impl Iterator<Item = &'static Kernel> {
    let only = std::env::var("LIMBECK_KERNELS").ok();
    let wanted = move |k: &&Kernel| only.as_ref().is_none_or(|only| only.split(',').any(|name| name == k.name));
    TABLE.iter().filter(wanted)
}

/// The cases of the kernel called `name` at these places in its list.
fn some(name: &'static str, places: &[usize]) -> Vec<(&'static str, Case)> {
    let kernel = TABLE.iter().find(|kernel| kernel.name == name).unwrap();
    let all = (kernel.cases)().into_iter().enumerate();
    all.filter(|(i, _)| places.contains(i)).map(|(_, case)| (name, case)).collect()
}

/// Asserts that every family computed the passes beside it, so that the few cases reach every shader.
fn assert_reached(checks: &[Check], families: &[(&str, &[&str])]) {
    for (family, passes) in families {
        for pass in *passes {
            let named = |c: &Check| c.what.starts_with(pass) && c.what.contains(family);
            assert!(checks.iter().any(named), "no {pass:?} by {family}");
        }
    }
}

#[test]
fn values_and_gradients_unchecked() {
    run_all(false);
}

#[test]
fn values_and_gradients_checked() {
    run_all(true);
}

#[test]
fn values_and_gradients_without_64_bit_integers() {
    let gpu = Gpu::new(Options { poison: true, without: vec![Feature::Int64], ..Options::default() }).unwrap();
    assert!(!gpu.profile().int64);
    let cases = some("conv2d", &[0, 1, 2, 15, 18]).into_iter().chain(some("batch_norm", &[2, 8, 22]));
    let checks = run(&gpu, cases);
    assert_reached(
        &checks,
        &[("winograd-4x4", &["y", "sums", "dx", "dw"]), ("winograd-2x2", &["y", "sums", "dx", "dw"])],
    );
    // The family of software adapters; others have no subgroups of one size.
    if gpu.profile().class == AdapterClass::Software {
        assert_reached(
            &checks,
            &[("lanes-", &["y", "sums", "dx", "dw"]), ("padded-", &["y", "sums", "dw"]), ("turned-", &["dx"])],
        );
    }
}

/// Winograd's products are then those of GPUs, tiles in workgroup memory.
#[test]
fn values_and_gradients_without_subgroups() {
    let without = vec![Feature::Int64, Feature::Subgroups];
    let gpu = Gpu::new(Options { poison: true, without, ..Options::default() }).unwrap();
    assert_eq!(gpu.profile().subgroups, None);
    let checks = run(&gpu, some("conv2d", &[15]));
    assert_reached(&checks, &[("winograd-4x4", &["y", "dx", "dw"]), ("tiled-", &["y", "sums", "dx", "dw"])]);
    assert!(!checks.iter().any(|c| c.what.contains("lanes-")));
}
