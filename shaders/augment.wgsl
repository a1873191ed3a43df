// Bytes to normalised floats, shifted, mirrored and noisy:
//   out[n, y, x, c] = (pixel / 255 + noise · N(0, 1) − mean[c]) / std[c],
//   pixel = mirrored[n, y + dy, x + dx, c] (0 outside the image), mirrored[y, x] = image[y, W − 1 − x] where flip = 1.
//
// One invocation per value. pixels: bytes [N, H, W, C], four to a word; draws [N, 4] = dx, dy (i32), flip, noise seed
// (DRAWS = 0: none of it). The noise of value i of sample n is a Box-Muller transform of two hashes of (seed, i), so it
// depends on nothing else. Memory: reads one word and writes one float a value.

#import shared/index

struct Params {
    total: u32, h: u32, w: u32, c: u32, noise: f32,
    mean0: f32, mean1: f32, mean2: f32, mean3: f32,
    scale0: f32, scale1: f32, scale2: f32, scale3: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> pixels: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
#if DRAWS
@group(0) @binding(3) var<storage, read> draws: array<vec4<u32>>;

// PCG-RXS-M-XS 32 (Jarzynski and Olano 2020).
fn pcg(v: u32) -> u32 {
    let state = v * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

fn normal(seed: u32, i: u32) -> f32 {
    let a = pcg(seed ^ pcg(i));
    let b = pcg(a);
    let u = (f32(a >> 8u) + 1.0) * 5.9604645e-8;
    let v = f32(b >> 8u) * 5.9604645e-8;
    return sqrt(-2.0 * log(u)) * cos(6.2831855 * v);
}
#endif

@compute @workgroup_size(64)
fn augment(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.total {
        return;
    }
    let channel = i % p.c;
    var value = 0.0;
#if DRAWS
    let size = p.h * p.w * p.c;
    let n = i / size;
    let draw = draws[n];
    let column = (i / p.c) % p.w;
    let x = i32(column) + bitcast<i32>(draw.x);
    let y = i32((i / (p.c * p.w)) % p.h) + bitcast<i32>(draw.y);
    if x >= 0 && x < i32(p.w) && y >= 0 && y < i32(p.h) {
        let from_column = select(u32(x), p.w - 1u - u32(x), draw.z != 0u);
        let at = n * size + (u32(y) * p.w + from_column) * p.c + channel;
        value = f32((pixels[at / 4u] >> (8u * (at % 4u))) & 255u) / 255.0;
    }
    if p.noise > 0.0 {
        value += p.noise * normal(draw.w, i - n * size);
    }
#else
    value = f32((pixels[i / 4u] >> (8u * (i % 4u))) & 255u) / 255.0;
#endif
    let mean = vec4<f32>(p.mean0, p.mean1, p.mean2, p.mean3);
    let scale = vec4<f32>(p.scale0, p.scale1, p.scale2, p.scale3);
    out[i] = (value - mean[channel]) * scale[channel];
}
