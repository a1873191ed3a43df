// Small steps on the way from features to the relations between the samples of a batch.
//   centre     y[i, j] (+)= x[i, j] − mean[j]; x, y [rows, columns], mean [columns]; its gradient is the same of the gradient
//   symmetric  y[i, j] = x[i, j] + x[j, i]; x, y [rows, rows]
// One invocation: one value.

#import shared/index

struct Params { rows: u32, columns: u32, accumulate: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> mean: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn centre(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.rows * p.columns {
        return;
    }
    var v = x[i] - mean[i % p.columns];
    if p.accumulate != 0u {
        v += y[i];
    }
    y[i] = v;
}

@compute @workgroup_size(64)
fn symmetric(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.rows * p.columns {
        return;
    }
    y[i] = x[i] + x[i % p.columns * p.columns + i / p.columns];
}
