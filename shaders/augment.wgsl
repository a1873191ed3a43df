// Bytes to normalised floats, moved and noisy:
//   out[n, y, x, c] = (pixel / 255 + noise · N(0, 1) − mean[c]) / std[c],
// where the pixel is the one at the point that warps[n] finds for the middle of (x, y), 0 where it finds none. BLEND = 1: bilinear
// between the four pixels around the point, those beyond the image's edge being the ones at the edge; else the one it lies in.
//
// One invocation per pixel. bytes [N, H, W, C], four to a word; warps [N] (MOVED = 0: nothing moves; NOISE = 0: no noise). The noise
// of value i of a sample is a Box-Muller transform of two hashes of (seed, i), so it depends on nothing else. Memory: reads one word,
// with BLEND four, and writes one float for each value.

#import shared/index
#if MOVED
#import shared/warp
#endif

struct Params {
    pixels: u32, h: u32, w: u32, c: u32, noise: f32,
    mean0: f32, mean1: f32, mean2: f32, mean3: f32,
    scale0: f32, scale1: f32, scale2: f32, scale3: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> bytes: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
#if MOVED
@group(0) @binding(3) var<storage, read> warps: array<Warp>;
#endif

fn pixel(at: u32) -> f32 {
    return f32((bytes[at / 4u] >> (8u * (at % 4u))) & 255u);
}

#if NOISE
// PCG-RXS-M-XS 32 (Jarzynski and Olano 2020).
fn pcg(v: u32) -> u32 {
    let state = v * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

// Drivers may be wrong by 5e-4 in cos and by 5e-7 in log about 1, where that is all of it, and are; these two are our own, so that the
// noise is the same everywhere but for its last digits.
//
// log u for 2⁻²⁴ ≤ u ≤ 1, within 4e-7 of itself: u = 2^e m, √½ ≤ m < √2, and log m = 2 artanh((m − 1) / (m + 1)) by its series.
fn log_of(u: f32) -> f32 {
    let above = bitcast<u32>(u) - 0x3f3504f3u;
    let e = f32(bitcast<i32>(above) >> 23u);
    let m = bitcast<f32>((above & 0x7fffffu) + 0x3f3504f3u);
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    return 2.0 * s * (1.0 + q * (0.33333334 + q * (0.2 + q * (0.14285715 + q * 0.11111111)))) + e * 0.6931472;
}

// cos 2πv for 0 ≤ v < 1, within 3e-7: sin 2π(|v − ½| − ¼), an argument without rounding, by its series up to a quarter turn.
fn cos_of_turns(v: f32) -> f32 {
    let y = 6.2831855 * (abs(v - 0.5) - 0.25);
    let q = y * y;
    return y * (1.0 - q * (0.16666667 - q * (0.008333334 - q * (1.984127e-4 - q * (2.7557319e-6 - q * (2.505211e-8 - q * 1.6059044e-10))))));
}

fn normal(seed: u32, i: u32) -> f32 {
    let k = pcg(seed ^ pcg(i));
    let u = f32((pcg(k) >> 8u) + 1u) * 5.9604645e-8;
    let v = f32(pcg(k ^ 0x9e3779b9u) >> 8u) * 5.9604645e-8;
    return sqrt(-2.0 * log_of(u)) * cos_of_turns(v);
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
    // First value of the source pixel; whether there is one.
    var source = i * p.c;
    var seen = true;
#if MOVED
    let line = i / p.w;
    let n = line / p.h;
    let x = i - line * p.w;
    let y = line - n * p.h;
    let warp = warps[n];
    let here = found(warp, f32(x) + 0.5, f32(y) + 0.5, vec2<f32>(f32(p.w), f32(p.h)));
    seen = here.seen;
    let row = select(0u, here.row, seen) * p.h;
    let at = select(vec2<f32>(0.5), here.at, seen);
#if BLEND
    let low = floor(at - 0.5);
    let f = at - 0.5 - low;
    let most = vec2<i32>(i32(p.w) - 1, i32(p.h) - 1);
    let a = vec2<u32>(clamp(vec2<i32>(low), vec2<i32>(0), most));
    let b = vec2<u32>(clamp(vec2<i32>(low) + 1, vec2<i32>(0), most));
    let above = (row + a.y) * p.w;
    let under = (row + b.y) * p.w;
#else
    let whole = vec2<u32>(at);
    source = ((row + whole.y) * p.w + whole.x) * p.c;
#endif
#endif
    let mean = vec4<f32>(p.mean0, p.mean1, p.mean2, p.mean3);
    let scale = vec4<f32>(p.scale0, p.scale1, p.scale2, p.scale3);
#if NOISE
    let first = (y * p.w + x) * p.c;
#endif
    for (var c = 0u; c < p.c; c++) {
#if BLEND
        let upper = mix(pixel((above + a.x) * p.c + c), pixel((above + b.x) * p.c + c), f.x);
        let lower = mix(pixel((under + a.x) * p.c + c), pixel((under + b.x) * p.c + c), f.x);
        let byte = mix(upper, lower, f.y);
#else
        let byte = pixel(source + c);
#endif
        var value = select(0.0, byte / 255.0, seen);
#if NOISE
        value += p.noise * normal(warp.noise.x, first + c);
#endif
        out[i * p.c + c] = (value - mean[c]) * scale[c];
    }
}
