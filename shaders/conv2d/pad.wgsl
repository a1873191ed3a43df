// Channels padded with zeros to whole vec4s, so that the convolutions that load vec4s serve images of one or three channels.
//
//   pad    padded[row, c'] = x[row, c'] for c' < C, else 0; one invocation: one row
//   trim   y[row, c] (+)= padded[row, c]; one invocation: one value
//
// Memory: pad loads C floats and stores ceil(C / 4) vec4s a row, trim loads and stores one float.

#import shared/index

struct Params { rows: u32, channels: u32, accumulate: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> padded: array<vec4<f32>>;

@compute @workgroup_size(64)
fn pad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = folded_index(wid, groups, lane, 64u);
    if row >= p.rows {
        return;
    }
    let vectors = (p.channels + 3u) / 4u;
    for (var q = 0u; q < vectors; q++) {
        var v = vec4<f32>(0.0);
        let left = p.channels - 4u * q;
        let at = row * p.channels + 4u * q;
        v.x = x[at];
#for k in 1..4
        if ${k}u < left {
            v[${k}] = x[at + ${k}u];
        }
#endfor
        padded[row * vectors + q] = v;
    }
}

@group(0) @binding(1) var<storage, read> wide: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn trim(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.rows * p.channels {
        return;
    }
    var v = wide[i / p.channels * ((p.channels + 3u) / 4u * 4u) + i % p.channels];
    if p.accumulate != 0u {
        v += y[i];
    }
    y[i] = v;
}
