// The norm of all gradients and the factor that clips it, left on the GPU for the optimizer.
//
//   squares   part[group] = Σ g² over the group's share; 256 invocations, a tree in workgroup memory
//   finish    out = [ √Σ part, min(1, max_norm / (norm + 1e-6)) ], neither of them finite where the sum is not; one workgroup
//
// Both sums run in a fixed order. Memory: g is read once.

#import shared/finite

struct Params { length: u32, parts: u32, max_norm: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

var<workgroup> tree: array<f32, 256>;

fn sum_tree(lane: u32, value: f32) {
    tree[lane] = value;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            tree[lane] += tree[lane + half];
        }
        workgroupBarrier();
    }
}

@compute @workgroup_size(256)
fn squares(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = wid.x * 256u + lane; i < p.length; i += p.parts * 256u) {
        sum = fma(g[i], g[i], sum);
    }
    sum_tree(lane, sum);
    if lane == 0u {
        out[wid.x] = tree[0];
    }
}

@compute @workgroup_size(256)
fn finish(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < p.parts; i += 256u) {
        sum += g[i];
    }
    sum_tree(lane, sum);
    if lane == 0u {
        let norm = sqrt(tree[0]);
        out[0] = told(norm, magnitude(tree[0]));
        out[1] = told(min(1.0, p.max_norm / (norm + 1e-6)), magnitude(tree[0]));
    }
}
