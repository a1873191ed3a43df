// Element-wise passes; one invocation: one value.
//
//   axpy       y (+)= alpha · x
//   relu       y = max(0, x), no number where x is none
//   relu_grad  dx (+)= dy · [y > 0]
//   fill       y = value
//   lerp       y += factor · (x − y), the factor being out[0]

#import shared/index
#import shared/relu

struct Params { length: u32, accumulate: u32, alpha: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> out: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

#for e in 0..5
@compute @workgroup_size(64)
#if e == 0
fn axpy(
#elif e == 1
fn relu(
#elif e == 2
fn relu_grad(
#elif e == 3
fn fill(
#else
fn lerp(
#endif
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.length {
        return;
    }
#if e == 0
    var v = p.alpha * x[i];
#elif e == 1
    var v = relu1(x[i]);
#elif e == 2
    var v = select(0.0, x[i], out[i] > 0.0);
#elif e == 3
    var v = p.alpha;
#else
    var v = out[0] * (x[i] - y[i]);
#endif
    if p.accumulate != 0u {
        v += y[i];
    }
    y[i] = v;
}
#endfor
