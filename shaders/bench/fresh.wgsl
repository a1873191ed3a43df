// A kernel that no driver has seen: NONCE is another number each time, so that neither this crate's cache of pipelines
// nor the driver's own knows it.
//
//   out[i] = x[i] · w + NONCE, the sum over a row of 16 of x and of 16 rows of weights: about the code of a small kernel
//
// One invocation: one row of 16 values in, one value out. Memory: 68 bytes an invocation.

#define NONCE 0

#import shared/index

struct Params { length: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn fresh(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.length {
        return;
    }
    var sum = vec4<f32>(0.0);
#for k in 0..4
    let x${k} = x[4u * i + ${k}u];
#endfor
    for (var row = 0u; row < 16u; row++) {
        let w = f32(row + 1u);
#for k in 0..4
        sum = fma(x${k}, vec4<f32>(w), sum);
#endfor
    }
    out[i] = (sum.x + sum.y) + (sum.z + sum.w) + f32(${NONCE}u);
}
