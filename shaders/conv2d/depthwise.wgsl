// Depthwise convolution: every channel has its own taps and meets no other (groups = CI = CO = C).
//
//   depthwise        y[n, oh, ow, c]    = relu( Σ_{kh, kw} x[n, oh·s − p + kh·d, ow·s − p + kw·d, c] · w[c, kh, kw] + bias[c] + residual )
//   depthwise_input  dx[n, ih, iw, c] (+)= Σ_{kh, kw} dy[n, (ih + p − kh·d) / s, (iw + p − kw·d) / s, c] · w[c, kh, kw]
//   depthwise_weight dw[c, kh, kw]      = Σ_{n, oh, ow} dy[n, oh, ow, c] · x[n, oh·s − p + kh·d, ow·s − p + kw·d, c], in parts
//
// An invocation owns VEC channels (4 where C % 4 == 0) and PIXELS pixels side by side in a row, or, for the weight, one
// tap and `chunk` of the rows (n, oh); neighbouring lanes own neighbouring channels. For the input gradient the pixels of
// an invocation are those of one remainder (ih, iw) by s, its z: they share the taps whose quotients are whole, every
// `gap`-th one, and each of those moves the place in dy by `reach`.
// Nothing is shared between channels, so there is nothing for workgroup memory to hold: taps are reused over the pixels
// in registers, overlapping windows by the cache.
// Memory: VEC taps and PIXELS vectors loaded for VEC · PIXELS multiply-adds; two vectors a multiply-add for the weight.

#import shared/index
#import shared/relu

#define PIXELS 4

struct Params {
    h: u32, w: u32, oh: u32, ow: u32, kh: u32, kw: u32, stride: u32, padding: u32, dilation: u32,
    // Vectors of channels; runs of PIXELS in a row; rows in all; rows a part.
    vectors: u32, runs: u32, rows: u32, chunk: u32, accumulate: u32, gap: u32, reach: u32,
}

#if VEC == 4
alias V = vec4<f32>;
fn relu_of(v: V) -> V { return relu4(v); }
#else
alias V = f32;
fn relu_of(v: V) -> V { return relu1(v); }
#endif

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<V>;
#if BIAS
@group(0) @binding(4) var<storage, read> bias: array<V>;
#endif
#if RESIDUAL
@group(0) @binding(5) var<storage, read> residual: array<V>;
#endif

// Tap `tap` of vector `v` of channels.
fn taps_of(v: u32, tap: u32) -> V {
    let size = p.kh * p.kw;
#if VEC == 4
    let at = v * 4u * size + tap;
    return vec4<f32>(w[at], w[at + size], w[at + 2u * size], w[at + 3u * size]);
#else
    return w[v * size + tap];
#endif
}

@compute @workgroup_size(64)
fn depthwise(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    let v = id % p.vectors;
    let run = id / p.vectors;
    let row = run / p.runs;
    if row >= p.rows {
        return;
    }
    let left = (run % p.runs) * ${PIXELS}u;
    let top = i32((row % p.oh) * p.stride) - i32(p.padding);
    let image = (row / p.oh) * p.h;
#for i in 0..PIXELS
    let v${i} = i32((left + ${i}u) * p.stride) - i32(p.padding);
    var s${i} = V(0.0);
#endfor
    for (var kh = 0u; kh < p.kh; kh++) {
        let ih = u32(top + i32(kh * p.dilation));
        if ih >= p.h {
            continue;
        }
        let line = (image + ih) * p.w;
        for (var kw = 0u; kw < p.kw; kw++) {
            let t = taps_of(v, kh * p.kw + kw);
#for i in 0..PIXELS
            let iw${i} = u32(v${i} + i32(kw * p.dilation));
            let in${i} = iw${i} < p.w;
            let f${i} = x[(line + select(0u, iw${i}, in${i})) * p.vectors + v];
            s${i} = fma(select(V(0.0), f${i}, in${i}), t, s${i});
#endfor
        }
    }
#for i in 0..PIXELS
    if left + ${i}u < p.ow {
        let to = (row * p.ow + left + ${i}u) * p.vectors + v;
        var r = s${i};
#if BIAS
        r += bias[v];
#endif
#if RESIDUAL
        r += residual[to];
#endif
#if RELU
        r = relu_of(r);
#endif
        y[to] = r;
    }
#endfor
}

@group(0) @binding(1) var<storage, read> dy: array<V>;
@group(0) @binding(3) var<storage, read_write> dx: array<V>;

// The first tap along one axis that inputs of `remainder` by s meet, or `size` if there is none.
fn first_tap(remainder: u32, size: u32) -> u32 {
    for (var k = 0u; k < min(p.gap, size); k++) {
        // Adding a multiple of s keeps the remainder and avoids negative numbers.
        if (remainder + p.padding + (size * p.stride - k) * p.dilation) % p.stride == 0u {
            return k;
        }
    }
    return size;
}

// The place in dy that input `remainder` meets by tap `k`.
fn place(remainder: u32, size: u32, k: u32) -> i32 {
    return i32((remainder + p.padding + (size * p.stride - k) * p.dilation) / p.stride) - i32(size * p.dilation);
}

@compute @workgroup_size(64)
fn depthwise_input(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    let v = id % p.vectors;
    let run = id / p.vectors;
    let row = run / p.runs;
    let high = (p.h + p.stride - 1u) / p.stride;
    let ph = wid.z / p.stride;
    let pw = wid.z % p.stride;
    let ih = (row % high) * p.stride + ph;
    // p.rows = n · high: the remainder with the most rows.
    if row >= p.rows || ih >= p.h {
        return;
    }
    let left = (run % p.runs) * ${PIXELS}u;
    let image = (row / high) * p.oh;
    let kh0 = first_tap(ph, p.kh);
    let kw0 = first_tap(pw, p.kw);
    var oh = i32(row % high) + place(ph, p.kh, min(kh0, p.kh - 1u));
    let start = i32(left) + place(pw, p.kw, min(kw0, p.kw - 1u));
#for i in 0..PIXELS
    var s${i} = V(0.0);
#endfor
    for (var kh = kh0; kh < p.kh; kh += p.gap) {
        if u32(oh) < p.oh {
            let line = (image + u32(oh)) * p.ow;
            var ow = start;
            for (var kw = kw0; kw < p.kw; kw += p.gap) {
                let t = taps_of(v, kh * p.kw + kw);
#for i in 0..PIXELS
                let ow${i} = u32(ow + ${i});
                let in${i} = ow${i} < p.ow;
                let f${i} = dy[(line + select(0u, ow${i}, in${i})) * p.vectors + v];
                s${i} = fma(select(V(0.0), f${i}, in${i}), t, s${i});
#endfor
                ow -= i32(p.reach);
            }
        }
        oh -= i32(p.reach);
    }
#for i in 0..PIXELS
    let iw${i} = (left + ${i}u) * p.stride + pw;
    if iw${i} < p.w {
        let to = (((row / high) * p.h + ih) * p.w + iw${i}) * p.vectors + v;
        var r = s${i};
        if p.accumulate != 0u {
            r += dx[to];
        }
        dx[to] = r;
    }
#endfor
}

@group(0) @binding(2) var<storage, read> gradient: array<V>;
@group(0) @binding(3) var<storage, read_write> part: array<f32>;

@compute @workgroup_size(64)
fn depthwise_weight(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    let size = p.kh * p.kw;
    let v = id % p.vectors;
    let tap = id / p.vectors;
    if tap >= size {
        return;
    }
    let dh = i32((tap / p.kw) * p.dilation) - i32(p.padding);
    let dw = i32((tap % p.kw) * p.dilation) - i32(p.padding);
    var sum = V(0.0);
    let last = min((wid.z + 1u) * p.chunk, p.rows);
    for (var row = wid.z * p.chunk; row < last; row++) {
        let ih = u32(i32((row % p.oh) * p.stride) + dh);
        if ih >= p.h {
            continue;
        }
        let line = ((row / p.oh) * p.h + ih) * p.w;
        var iw = dw;
        for (var ow = 0u; ow < p.ow; ow++) {
            let seen = u32(iw) < p.w;
            let f = x[(line + select(0u, u32(iw), seen)) * p.vectors + v];
            sum = fma(select(V(0.0), f, seen), gradient[(row * p.ow + ow) * p.vectors + v], sum);
            iw += i32(p.stride);
        }
    }
    let to = (wid.z * p.vectors + v) * ${VEC}u * size + tap;
#if VEC == 4
#for q in 0..4
    part[to + ${q}u * size] = sum[${q}];
#endfor
#else
    part[to] = sum;
#endif
}
