//! Launches at the edges: long loops, and shaders that differ in their text alone.

use crate::support::*;
use limbeck::gpu::{AdapterClass, Source};
use limbeck::tensor::Tensor;
use limbeck::{Error, defines};

/// Software adapters would leave out the rest of the pixels without a word.
#[test]
fn loops_that_a_software_adapter_would_not_finish_are_refused() {
    let gpu = gpu();
    let mean = |size: usize| {
        let x = Tensor::from_f32(&gpu, &vec![2.0; size * size], &[1, size, size, 1])?;
        limbeck::kernels::pool::global_avg(&gpu, &x)?.to_f32(&gpu)
    };
    assert_eq!(mean(255).unwrap(), [2.0]);
    match (mean(256), gpu.profile().class) {
        (Err(error), AdapterClass::Software) => {
            assert!(matches!(error, Error::Limit { needed: 65_536, limit: 65_535, .. }), "{error:?}");
            let message = error.to_string();
            assert!(["pool/global_avg", "turns", "GPU"].iter().all(|w| message.contains(w)), "{message}");
        }
        (result, class) => assert_eq!(result.unwrap(), [2.0], "{class:?}"),
    }
}

#[test]
fn shaders_of_one_name_are_told_apart() {
    let gpu = gpu();
    let y = Tensor::empty(&gpu, &[1]).unwrap();
    let texts = [
        "@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn fill() { y[0] = 1.0; }",
        "@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn fill() { y[0] = 2.0; }",
    ];
    for (text, want) in texts.into_iter().zip([1.0, 2.0]) {
        let source = Source { name: "elementwise", text };
        gpu.launch(source, "fill", &defines! {}).unwrap().bind("y", &y).groups(1).unwrap();
        assert_eq!(y.to_f32(&gpu).unwrap(), [want]);
    }
}
