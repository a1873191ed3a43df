//! What is tried of `batch_norm`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let flags = (0..64).map(|bits| [0, 1, 2, 3, 4, 5].map(|bit| i64::from(bits >> bit & 1 == 1)));
    // Pairs of floats are for vectors, the mask for a ReLU.
    let used =
        flags.filter(|[wide, relu, _, _, mask, int64]| (*wide == 1 || *int64 == 0) && (*relu == 1 || *mask == 0));
    used.map(|[wide, relu, residual, grad, mask, int64]| Permutation {
        source: SOURCE,
        defines: defines! {
            VEC = 1 + 3 * wide, ROWS = ROWS, RELU = relu, RESIDUAL = residual, RESIDUAL_GRAD = grad, MASK = mask, INT64 = int64,
        },
    })
    .chain(finish::permutations())
    .collect()
}

/// Odd rows and channels, a mean far from zero, and one row; with and without residual and ReLU.
pub fn cases() -> Vec<Case> {
    let shapes = [(256, 16), (42, 5), (8, 64), (75, 100), (1, 3), (4, 4), (5000, 3), (9216, 8), (33, 65)];
    let all = shapes.into_iter().flat_map(|(m, c)| [(false, false), (false, true), (true, true)].map(|f| (m, c, f)));
    let case = |(m, c, (residual, relu)): (usize, usize, (bool, bool))| {
        Case::new(format!("[{m}, {c}] residual {residual} relu {relu}"), move |gpu| run(gpu, m, c, residual, relu))
    };
    all.map(case).chain(finish::cases()).collect()
}

fn run(gpu: &Gpu, m: usize, c: usize, residual: bool, relu: bool) -> Result<Vec<Check>> {
    // Channel means around 3 show cancellation, should there be any.
    let x: Vec<f32> = values(1, m * c).iter().enumerate().map(|(i, v)| v + 3.0 * ((i % c) % 3) as f32).collect();
    let (r, dy) = (values(2, m * c), values(3, m * c));
    let (gamma, beta, mean) = (values(4, c), values(5, c), values(6, c));
    let var: Vec<f32> = values(7, c).iter().map(|v| v * v + 0.1).collect();
    let (x64, r64, dy64) = (f64s(&x), f64s(&r), f64s(&dy));
    let (gamma64, beta64) = (f64s(&gamma), f64s(&beta));
    let eps = f64::from(1e-5_f32);
    let (x, dy) = (Tensor::from_f32(gpu, &x, &[m, c])?, Tensor::from_f32(gpu, &dy, &[m, c])?);
    let r = residual.then(|| Tensor::from_f32(gpu, &r, &[m, c])).transpose()?;
    let r64 = residual.then_some(&r64[..]);
    let norm = Norm {
        gamma: Tensor::from_f32(gpu, &gamma, &[c])?,
        beta: Tensor::from_f32(gpu, &beta, &[c])?,
        running: Tensor::from_f32(gpu, &[&mean[..], &var].concat(), &[2, c])?,
        eps: 1e-5,
        momentum: 0.1,
    };
    let mut checks = Vec::new();
    for training in [false, true] {
        let name = |what: &str| format!("{what}, training {training}");
        let stats = if training { batch_stats(gpu, &x, &norm, None)? } else { running_stats(gpu, &norm)? };
        let (mean64, var64) = if training { reference::batch_norm::stats(&x64, c) } else { (f64s(&mean), f64s(&var)) };
        let y64 = reference::batch_norm::forward(&x64, c, &mean64, &var64, &gamma64, &beta64, eps, r64, relu);
        let y = normalize(gpu, &x, &stats, &norm, r.as_ref(), relu)?;
        checks.push(Check::sum(name("y"), y.to_f32(gpu)?, y64, m));
        if training {
            let (mut running_mean, mut running_var) = (f64s(&mean), f64s(&var));
            reference::batch_norm::update_running(
                &mut running_mean,
                &mut running_var,
                &mean64,
                &var64,
                m,
                f64::from(0.1_f32),
            );
            let want = [running_mean, running_var].concat();
            checks.push(Check::sum("running", norm.running.to_f32(gpu)?, want, m));
        }
        // A batch of one has no variance: its gradient is rounding noise times 1/√ε. (With two, x̂ is ±1 whatever x is,
        // and dx is noise as well, so no shape above has two rows.)
        if training && m == 1 {
            continue;
        }
        // The mask comes from the GPU's own output: a value within rounding of zero may fall on either side.
        let mask = f64s(&y.to_f32(gpu)?);
        let want =
            reference::batch_norm::backward(&dy64, &mask, &x64, c, &mean64, &var64, &gamma64, eps, relu, training);
        for accumulate in [false, true] {
            let full = || destination(gpu, &[m, c], accumulate);
            let ((dx, dx0), (dr, dr0)) = (full()?, full()?);
            let ((dgamma, dgamma0), (dbeta, dbeta0)) =
                (destination(gpu, &[c], accumulate)?, destination(gpu, &[c], accumulate)?);
            let out = NormTargets { dx: Some(&dx), dgamma: &dgamma, dbeta: &dbeta, dresidual: residual.then_some(&dr) };
            backward(gpu, (&dy, &x, &y), &stats, &norm, (residual, relu), training, out)?;
            let mut push = |what: &str, target: &GradTarget, there: &[f64], gradient: &[f64]| {
                let what = name(&format!("{what}, accumulate {accumulate}"));
                target.tensor.to_f32(gpu).map(|got| checks.push(Check::sum(what, got, added(there, 1.0, gradient), m)))
            };
            push("dx", &dx, &dx0, &want.dx)?;
            push("dgamma", &dgamma, &dgamma0, &want.dgamma)?;
            push("dbeta", &dbeta, &dbeta0, &want.dbeta)?;
            if residual {
                push("dresidual", &dr, &dr0, &want.dresidual)?;
            }
        }
    }
    // The running values have moved by now; the fold must use what they are.
    let running = f64s(&norm.running.to_f32(gpu)?);
    let w = values(8, c * 9);
    let (w64, b64) =
        reference::batch_norm::fold(&f64s(&w), c, None, &running[..c], &running[c..], &gamma64, &beta64, eps);
    let (folded, bias) = fold(gpu, &Tensor::from_f32(gpu, &w, &[c, 3, 3, 1])?, &norm)?;
    checks.push(Check::sum("folded weight", folded.to_f32(gpu)?, w64, 1));
    checks.push(Check::sum("folded bias", bias.to_f32(gpu)?, b64, 4));
    Ok(checks)
}
