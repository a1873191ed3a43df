// Bytes to normalised floats, shifted, mirrored and noisy:
//   out[n, y, x, c] = (pixel / 255 + noise · N(0, 1) − mean[c]) / std[c],
//   pixel = image[n, y + dy, x' + dx, c] (0 outside the image), x' = W − 1 − x where flip ≠ 0, else x.
//
// One invocation per pixel. bytes [N, H, W, C], four to a word; draws [N, 4] = dx, dy (i32), flip, noise seed
// (DRAWS = 0: none of it; NOISE = 0: no noise). The noise of value i of a sample is a Box-Muller transform of two hashes
// of (seed, i), so it depends on nothing else. Memory: reads one word and writes one float for each value.

#import shared/index

struct Params {
    pixels: u32, h: u32, w: u32, c: u32, noise: f32,
    mean0: f32, mean1: f32, mean2: f32, mean3: f32,
    scale0: f32, scale1: f32, scale2: f32, scale3: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> bytes: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
#if DRAWS
@group(0) @binding(3) var<storage, read> draws: array<vec4<u32>>;
#endif

#if NOISE
// PCG-RXS-M-XS 32 (Jarzynski and Olano 2020).
fn pcg(v: u32) -> u32 {
    let state = v * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

fn normal(seed: u32, i: u32) -> f32 {
    let k = pcg(seed ^ pcg(i));
    let u = f32((pcg(k) >> 8u) + 1u) * 5.9604645e-8;
    let v = f32(pcg(k ^ 0x9e3779b9u) >> 8u) * 5.9604645e-8;
    // A coarse logarithm of nearly 1 may come out above 0; cosines are good between −π and π only.
    return -sqrt(max(-2.0 * log(u), 0.0)) * cos(6.2831855 * (v - 0.5));
}
#endif

@compute @workgroup_size(64)
fn augment(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.pixels {
        return;
    }
    // First value of the source pixel; whether it lies inside the image.
    var source = i * p.c;
    var seen = true;
#if DRAWS
    let line = i / p.w;
    let n = line / p.h;
    let draw = draws[n];
    let column = i - line * p.w;
    let x = i32(select(column, p.w - 1u - column, draw.z != 0u)) + bitcast<i32>(draw.x);
    let y = i32(line - n * p.h) + bitcast<i32>(draw.y);
    seen = x >= 0 && x < i32(p.w) && y >= 0 && y < i32(p.h);
    source = select(0u, ((n * p.h + u32(y)) * p.w + u32(x)) * p.c, seen);
#if NOISE
    let first = (i - n * p.h * p.w) * p.c;
#endif
#endif
    let mean = vec4<f32>(p.mean0, p.mean1, p.mean2, p.mean3);
    let scale = vec4<f32>(p.scale0, p.scale1, p.scale2, p.scale3);
    for (var c = 0u; c < p.c; c++) {
        let at = source + c;
        let byte = (bytes[at / 4u] >> (8u * (at % 4u))) & 255u;
        var value = select(0.0, f32(byte) / 255.0, seen);
#if NOISE
        value += p.noise * normal(draw.w, first + c);
#endif
        out[i * p.c + c] = (value - mean[c]) * scale[c];
    }
}
