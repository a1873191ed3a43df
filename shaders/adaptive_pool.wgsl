// Average pooling to a given size, as PyTorch's adaptive_avg_pool2d: output (i, j) is the mean over rows ⌊i·H/OH⌋ to ⌈(i+1)·H/OH⌉
// (exclusive) and columns likewise, windows that may overlap.
//   adaptive_pool       one invocation: one output
//   adaptive_pool_grad  one invocation: one input, which gathers from the windows it lies in
//
// x, dx [n, h, w, c]; y, dy [n, oh, ow, c]. Memory: x is read about once.

#import shared/index
#import shared/map

struct Params { n: u32, h: u32, w: u32, c: u32, oh: u32, ow: u32, accumulate: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn first(i: u32, size: u32, out: u32) -> u32 {
    return i * size / out;
}

fn last(i: u32, size: u32, out: u32) -> u32 {
    return ((i + 1u) * size + out - 1u) / out;
}

@compute @workgroup_size(64)
fn adaptive_pool(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.n * p.oh * p.ow * p.c {
        return;
    }
    let at = map_place(id, p.oh, p.ow, p.c);
    let top = first(at.y, p.h, p.oh);
    let bottom = last(at.y, p.h, p.oh);
    let left = first(at.z, p.w, p.ow);
    let right = last(at.z, p.w, p.ow);
    var sum = 0.0;
    for (var r = top; r < bottom; r++) {
        for (var s = left; s < right; s++) {
            sum += x[map_index(vec4<u32>(at.x, r, s, at.w), p.h, p.w, p.c)];
        }
    }
    y[id] = sum / f32((bottom - top) * (right - left));
}

@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn adaptive_pool_grad(
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
    // The windows with r in them are those from ⌊r·OH/H⌋ to ⌈(r+1)·OH/H⌉ (exclusive).
    for (var i = first(at.y, p.oh, p.h); i < last(at.y, p.oh, p.h); i++) {
        let height = last(i, p.h, p.oh) - first(i, p.h, p.oh);
        for (var j = first(at.z, p.ow, p.w); j < last(at.z, p.ow, p.w); j++) {
            let width = last(j, p.w, p.ow) - first(j, p.w, p.ow);
            sum += dy[map_index(vec4<u32>(at.x, i, j, at.w), p.oh, p.ow, p.c)] / f32(height * width);
        }
    }
    dx[id] = sum;
}
