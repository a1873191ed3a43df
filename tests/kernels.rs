//! Every kernel against its twin, checked and unchecked, outputs poisoned; and every shader through every writer.

use limbeck::gpu::{Gpu, Options, parse};
use limbeck::kernels::TABLE;

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

/// SPIR-V, MSL and HLSL. Cooperative matrices need MSL 2.3, and HLSL has none.
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
    let (mut text, options) = (String::new(), hlsl::Options::default());
    hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions::default()).write(module, info, None).unwrap();
}

fn run_all(checked: bool) {
    let gpu = Gpu::new(Options { poison: true, checked, matrices: true, ..Options::default() }).unwrap();
    let (mut checks, mut failures) = (0, Vec::new());
    for kernel in TABLE {
        for case in (kernel.cases)() {
            for check in (case.run)(&gpu).unwrap_or_else(|e| panic!("{} {}: {e}", kernel.name, case.name)) {
                checks += 1;
                if !check.passes() {
                    let (what, error, tolerance) = (&check.what, check.error(), check.tolerance);
                    failures.push(format!("{} {}, {what}: {error:.2e} > {tolerance:.2e}", kernel.name, case.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {checks} checks fail:\n{}", failures.len(), failures.join("\n"));
    assert!(checks > 0, "no check ran");
    eprintln!("{checks} checks");
}

#[test]
fn values_and_gradients_unchecked() {
    run_all(false);
}

#[test]
fn values_and_gradients_checked() {
    run_all(true);
}
