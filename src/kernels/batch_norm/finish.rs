//! The second passes: what the chunks of rows have left becomes the statistics, or the gradients of scale and shift and the
//! coefficients of the input's.

#[cfg(feature = "selftest")]
mod checks;

#[cfg(feature = "selftest")]
pub(super) use checks::{cases, permutations};

use super::{Norm, Partials};
use crate::gpu::{AdapterClass, Gpu, Launch, Source};
use crate::kernels::PART;
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines};

const SOURCE: Source =
    Source { name: "batch_norm/finish", text: include_str!("../../../shaders/batch_norm/finish.wgsl") };

/// Invocations that may share the chunks of a channel.
const STRANDS: [usize; 3] = [1, 16, 128];

/// Channels of a workgroup whose invocations share chunks: 256 / strands.
const WIDTH: usize = 256;

/// The strands for `chunks` chunks: up to eight are soon walked through by one invocation. More are shared on GPUs, where a
/// lonely invocation waits for each load: first so that neighbours still read neighbouring channels, many so that a lane has few.
/// Software adapters, whose barriers cost more than arithmetic, have one strand while that may walk so far.
pub(super) fn strands(chunks: usize, class: AdapterClass) -> usize {
    match chunks {
        0..=PART if class == AdapterClass::Software => STRANDS[0],
        0..=8 => STRANDS[0],
        9..=256 => STRANDS[1],
        _ => STRANDS[2],
    }
}

fn dispatch(launch: Launch, channels: usize, strands: usize) -> Result<()> {
    if strands == 1 { launch.threads(channels) } else { launch.groups(channels.div_ceil(WIDTH / strands)) }
}

/// `[2, c]`: the mean and `1/√(σ²+ε)` of `rows` rows; updates the running values.
pub(super) fn stats(gpu: &Gpu, partials: &Partials, rows: usize, norm: &Norm, strands: usize) -> Result<Tensor> {
    let c = norm.gamma.len();
    let stats = Tensor::empty(gpu, &[2, c])?;
    let launch = gpu
        .launch(SOURCE, "finish_stats", &defines! { STRANDS = strands })?
        .bind("parts", &partials.part)
        .bind("stats", &stats)
        .bind("running", &norm.running)
        .u32("rows", rows)
        .u32("channels", c)
        .u32("chunk", partials.rows)
        .u32("chunks", rows.div_ceil(partials.rows))
        .f32("eps", norm.eps)
        .f32("momentum", norm.momentum)
        .turns(rows.div_ceil(partials.rows).div_ceil(strands));
    dispatch(launch, c, strands)?;
    Ok(stats)
}

/// `[5, c]`: the coefficients of the input's gradient, from the chunks' sums `part` `[chunks, 2, c]` over `rows` rows. Writes
/// the gradients of scale and shift.
pub(super) fn grads(
    gpu: &Gpu,
    (part, rows): (&Tensor, usize),
    stats: &Tensor,
    norm: &Norm,
    training: bool,
    (dgamma, dbeta): (&GradTarget, &GradTarget),
    strands: usize,
) -> Result<Tensor> {
    let c = norm.gamma.len();
    let coefficients = Tensor::empty(gpu, &[5, c])?;
    let launch = gpu
        .launch(SOURCE, "finish_grads", &defines! { STRANDS = strands })?
        .bind("parts", part)
        .bind("stats_in", stats)
        .bind("gamma_in", &norm.gamma)
        .bind("beta_in", &norm.beta)
        .bind("coefficients", &coefficients)
        .bind("dgamma", &dgamma.tensor)
        .bind("dbeta", &dbeta.tensor)
        .u32("rows", rows)
        .u32("channels", c)
        .u32("chunks", part.len() / (2 * c))
        .u32("training", usize::from(training))
        .u32("accumulate_gamma", dgamma.flag())
        .u32("accumulate_beta", dbeta.flag())
        .turns(part.len() / (2 * c * strands));
    dispatch(launch, c, strands)?;
    Ok(coefficients)
}

#[cfg(all(test, feature = "selftest"))]
mod tests {
    use super::*;
    use crate::gpu::parse;

    #[test]
    fn strands_grow_with_the_chunks_but_not_on_software_adapters() {
        for class in
            [AdapterClass::DiscreteMatrix, AdapterClass::Discrete, AdapterClass::Apple, AdapterClass::Integrated]
        {
            assert_eq!([1, 8, 9, 256, 257, 1 << 20].map(|n| strands(n, class)), [1, 1, 16, 16, 128, 128]);
        }
        assert_eq!([1, 100, PART, PART + 1, 1 << 20].map(|n| strands(n, AdapterClass::Software)), [1, 1, 1, 128, 128]);
    }

    #[test]
    fn every_form_keeps_to_the_limits_that_all_adapters_have() {
        for permutation in permutations() {
            let parsed = parse(permutation.source, &permutation.defines).unwrap();
            for entry in ["finish_stats", "finish_grads"] {
                let interface = parsed.interface(entry).unwrap();
                let invocations: u32 = interface.workgroup_size.iter().product();
                assert!((64..=256).contains(&invocations));
                assert!(interface.workgroup_bytes <= 16 << 10);
            }
        }
    }
}
