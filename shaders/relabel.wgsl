// Labels of pixels, moved as `augment` moves the pixels themselves:
//   out[n, y, x] = label[n, y + dy, x' + dx],  x' = W − 1 − x where flip ≠ 0, else x;  `missing` outside the image.
//   BYTES = 1: classes, a byte each, four to a word; 255 marks a pixel without one and becomes u32::MAX
//   BYTES = 0: numbers, a word each, moved as they are
//
// One invocation per pixel. labels [N, H, W]; draws [N, 4] = dx, dy (i32), flip, noise seed (DRAWS = 0: nothing moves).
// Memory: reads and writes one word for each pixel.

#import shared/index

struct Params { pixels: u32, h: u32, w: u32, missing: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;
#if DRAWS
@group(0) @binding(3) var<storage, read> draws: array<vec4<u32>>;
#endif

fn label(i: u32) -> u32 {
#if BYTES
    let byte = (labels[i / 4u] >> (8u * (i % 4u))) & 255u;
    return select(byte, p.missing, byte == 255u);
#else
    return labels[i];
#endif
}

@compute @workgroup_size(64)
fn relabel(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.pixels {
        return;
    }
#if DRAWS
    let line = i / p.w;
    let n = line / p.h;
    let draw = draws[n];
    let column = i - line * p.w;
    let x = i32(select(column, p.w - 1u - column, draw.z != 0u)) + bitcast<i32>(draw.x);
    let y = i32(line - n * p.h) + bitcast<i32>(draw.y);
    let seen = x >= 0 && x < i32(p.w) && y >= 0 && y < i32(p.h);
    let source = select(0u, (n * p.h + u32(y)) * p.w + u32(x), seen);
    out[i] = select(p.missing, label(source), seen);
#else
    out[i] = label(i);
#endif
}
