//! What the change of size is timed on: a step of a pyramid, and the answers about a mask.

use super::{bilinear, bilinear_grad, nearest, nearest_grad};
use crate::Result;
use crate::gpu::{AdapterClass, Gpu};
use crate::kernels::case::{Check, Prepared, Size, Workload, f64s, values};
use crate::reference;
use crate::tensor::{GradTarget, Tensor};

/// Maps of 64 channels to twice their size, and of 21 classes to four times, bilinear and (the first) nearest, with their gradients:
/// of 8 images, 2 on software adapters.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let n = if gpu.profile().class == AdapterClass::Software { 2 } else { 8 };
    let (pyramid, mask) = ([n, 32, 32, 64], [n, 32, 32, 21]);
    let all = [(true, pyramid, [64, 64]), (false, pyramid, [64, 64]), (true, mask, [128, 128])];
    let workload = |((between, size, out), grad): ((bool, [usize; 4], [usize; 2]), bool)| {
        let [n, h, w, c] = size;
        let (inputs, outputs) = ((n * h * w * c) as u64, (n * out[0] * out[1] * c) as u64);
        let (mode, pass) = (if between { "bilinear" } else { "nearest" }, if grad { "backward" } else { "forward" });
        // Three interpolations an output; back, a product and a sum for each of the four it came from, or one sum.
        let flops = match (between, grad) {
            (true, false) => 9 * outputs,
            (true, true) => 8 * outputs,
            (false, false) => 0,
            (false, true) => outputs,
        };
        Workload {
            name: format!("{mode}/{n}x{h}x{w}x{c}-to-{}x{}/{pass}", out[0], out[1]),
            variant: None,
            flops,
            bytes: 4 * (inputs + outputs),
            prepare: Box::new(
                move |gpu| if grad { back(gpu, between, size, out) } else { there(gpu, between, size, out) },
            ),
        }
    };
    all.iter().flat_map(|one| [false, true].map(|grad| (*one, grad))).map(workload).collect()
}

fn there(gpu: &Gpu, between: bool, size: [usize; 4], out: [usize; 2]) -> Result<Prepared> {
    let values = values(1, size.iter().product());
    let x = Tensor::from_f32(gpu, &values, &size)?;
    let (resize, again) = (if between { bilinear } else { nearest }, x.clone());
    Ok(Prepared {
        run: Box::new(move |gpu| resize(gpu, &x, out).map(|_| ())),
        check: Box::new(move |gpu| {
            let want = if between { reference::resize::bilinear } else { reference::resize::nearest };
            Ok(vec![Check::sum("y", resize(gpu, &again, out)?.to_f32(gpu)?, want(&f64s(&values), size, out), 4)])
        }),
    })
}

fn back(gpu: &Gpu, between: bool, size: [usize; 4], out: [usize; 2]) -> Result<Prepared> {
    let shape = [size[0], out[0], out[1], size[3]];
    let values = values(2, shape.iter().product());
    let (dy, dx) = (Tensor::from_f32(gpu, &values, &shape)?, GradTarget::fresh(Tensor::empty(gpu, &size)?));
    let grad = if between { bilinear_grad } else { nearest_grad };
    let again = (dy.clone(), dx.clone());
    Ok(Prepared {
        run: Box::new(move |gpu| grad(gpu, &dy, &dx)),
        check: Box::new(move |gpu| {
            let (dy, dx) = &again;
            grad(gpu, dy, dx)?;
            let want = if between { reference::resize::bilinear_grad } else { reference::resize::nearest_grad };
            Ok(vec![Check::sum("dx", dx.tensor.to_f32(gpu)?, want(&f64s(&values), size, out), 36)])
        }),
    })
}
