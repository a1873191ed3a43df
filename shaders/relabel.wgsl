// Labels of pixels, moved as `augment` moves the pixels themselves: out[n, y, x] is the label of the pixel that holds the point which
// warps[n] finds for the middle of (x, y); `missing` where it finds none.
//   BYTES = 1: classes, a byte each, four to a word; 255 marks a pixel without one and becomes u32::MAX
//   BYTES = 0: numbers, a word each, moved as they are
//
// One invocation per pixel. labels [N, H, W]; warps [N] (MOVED = 0: nothing moves). Memory: reads and writes one word for each pixel.

#import shared/index
#if MOVED
#import shared/warp
#endif

struct Params { pixels: u32, h: u32, w: u32, missing: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;
#if MOVED
@group(0) @binding(3) var<storage, read> warps: array<Warp>;
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
#if MOVED
    let line = i / p.w;
    let n = line / p.h;
    let x = f32(i - line * p.w) + 0.5;
    let y = f32(line - n * p.h) + 0.5;
    let here = found(warps[n], x, y, vec2<f32>(f32(p.w), f32(p.h)));
    let whole = vec2<u32>(select(vec2<f32>(0.0), here.at, here.seen));
    let source = (select(0u, here.row, here.seen) * p.h + whole.y) * p.w + whole.x;
    out[i] = select(p.missing, label(source), here.seen);
#else
    out[i] = label(i);
#endif
}
