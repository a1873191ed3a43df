// Softmax with temperature over rows:  p = exp((z − max z) / T) / Σ exp((z − max z) / T);  LOG = 1: its logarithm.
// Gradients:  dz = p (dp − Σ p·dp) / T;  LOG = 1: dz = (dlogp − exp(logp) Σ dlogp) / T.
//
// All arrays [rows, columns]. A row is one invocation's (WIDE = 0) or one workgroup's (WIDE = 1).
// Memory: forward reads z three times and writes once; the gradient reads both inputs twice and writes once.

#import shared/rows
#define LOG 0

struct Params { rows: u32, columns: u32, accumulate: u32, temperature: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> out: array<f32>;
@group(0) @binding(4) var<storage, read> dout: array<f32>;
@group(0) @binding(5) var<storage, read_write> dz: array<f32>;

@compute @workgroup_size(64)
fn softmax(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    let scale = 1.0 / p.temperature;
    var top = LOWEST;
    for (var j = row.first; j < p.columns; j += STEP) {
        top = max(top, z[at + j]);
    }
    top = row_max(top, lane);
    var sum = 0.0;
    for (var j = row.first; j < p.columns; j += STEP) {
        sum += exp((z[at + j] - top) * scale);
    }
    sum = row_sum(sum, lane);
    if row.live {
#if LOG
        let shift = log(sum);
#else
        let inverse = 1.0 / sum;
#endif
        for (var j = row.first; j < p.columns; j += STEP) {
            let v = (z[at + j] - top) * scale;
#if LOG
            y[at + j] = v - shift;
#else
            y[at + j] = exp(v) * inverse;
#endif
        }
    }
}

@compute @workgroup_size(64)
fn softmax_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    let scale = 1.0 / p.temperature;
    var sum = 0.0;
    for (var j = row.first; j < p.columns; j += STEP) {
#if LOG
        sum += dout[at + j];
#else
        sum += out[at + j] * dout[at + j];
#endif
    }
    sum = row_sum(sum, lane);
    if row.live {
        for (var j = row.first; j < p.columns; j += STEP) {
#if LOG
            var g = (dout[at + j] - exp(out[at + j]) * sum) * scale;
#else
            var g = out[at + j] * (dout[at + j] - sum) * scale;
#endif
            if p.accumulate != 0u {
                g += dz[at + j];
            }
            dz[at + j] = g;
        }
    }
}
