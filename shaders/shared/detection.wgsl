// What the losses of a detector share: their buffers, and a logistic function that keeps its digits at both ends.
//
// z [rows, classes + 5]: logits of the classes, logarithms of the distances to the left, upper, right and lower edge in strides, the logit
// of centre-ness. targets [rows, 6] and norm [2] as in fcos.wgsl. row_loss [rows] receives weight · a place's share, dz (GRAD = 1)
// weight · the gradient, zero in the columns that a loss does not see. One invocation a place, which reads z and targets once.

#import shared/index
#import shared/finite

@group(0) @binding(1) var<storage, read> targets: array<f32>;
@group(0) @binding(3) var<storage, read> z: array<f32>;
@group(0) @binding(4) var<storage, read> norm: array<f32>;
@group(0) @binding(5) var<storage, read_write> row_loss: array<f32>;
#if GRAD
@group(0) @binding(6) var<storage, read_write> dz: array<f32>;

fn put(i: u32, g: f32, accumulate: u32) {
    if accumulate != 0u {
        dz[i] += g;
    } else {
        dz[i] = g;
    }
}
#else
fn put(i: u32, g: f32, accumulate: u32) {}
#endif

// log(1 + exp(v)) without overflow, and without losing a small exp(v).
fn softplus(v: f32) -> f32 {
    let e = exp(-abs(v));
    let series = e * (1.0 - e * (0.5 - e * (0.33333334 - e * (0.25 - e * 0.2))));
    return max(v, 0.0) + select(log(1.0 + e), series, e < 0.05);
}
