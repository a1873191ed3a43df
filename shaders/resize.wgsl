// A map in another size, each output taking the nearest input, as PyTorch's `interpolate(mode="nearest")`: output (i, j) is input
// (⌊i·H/OH⌋, ⌊j·W/OW⌋).
//   nearest       one invocation: one output
//   nearest_grad  one invocation: one input, which gathers from the outputs that took it: rows ⌈r·OH/H⌉ to ⌈(r+1)·OH/H⌉ (exclusive)
//
// x, dx [n, h, w, c]; y, dy [n, oh, ow, c]. Memory: each value is read once.

#import shared/index
#import shared/map

struct Params { n: u32, h: u32, w: u32, c: u32, oh: u32, ow: u32, accumulate: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn nearest(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.n * p.oh * p.ow * p.c {
        return;
    }
    let at = map_place(id, p.oh, p.ow, p.c);
    y[id] = x[map_index(vec4<u32>(at.x, at.y * p.h / p.oh, at.z * p.w / p.ow, at.w), p.h, p.w, p.c)];
}

@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

// The first output that takes input i or one after it.
fn first(i: u32, size: u32, out: u32) -> u32 {
    return (i * out + size - 1u) / size;
}

@compute @workgroup_size(64)
fn nearest_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.n * p.h * p.w * p.c {
        return;
    }
    let at = map_place(id, p.h, p.w, p.c);
    var sum = 0.0;
    if p.accumulate != 0u {
        sum = dx[id];
    }
    for (var i = first(at.y, p.h, p.oh); i < first(at.y + 1u, p.h, p.oh); i++) {
        for (var j = first(at.z, p.w, p.ow); j < first(at.z + 1u, p.w, p.ow); j++) {
            sum += dy[map_index(vec4<u32>(at.x, i, j, at.w), p.oh, p.ow, p.c)];
        }
    }
    dx[id] = sum;
}
