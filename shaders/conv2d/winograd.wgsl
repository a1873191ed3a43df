// Winograd's minimal filtering (Lavin & Gray 2016, arXiv 1509.09308) for 3x3 convolutions at stride 1: F(M x M, 3 x 3), M = 2
// or 4. With tiles of A = M + 2 rows and columns, and per tile and channel,
//
//   y = Rᵀ [ (G w Gᵀ) ⊙ (Bᵀ x B) ] R          dw = Gᵀ [ Σ_tiles (R dy Rᵀ) ⊙ (Bᵀ x B) ] G
//
// where R is the paper's A. The sums over channels (or tiles) are A² matrix products, which the other variants compute on
// what these kernels write; [A², ·, ·] has frequency f = A · row + column first. F(4x4) interpolates at 0, ±3/4, ±3/2 and
// infinity rather than at the paper's 0, ±1, ±2: the numbers stay smaller, and the error of a sum over 64 channels is 8e-7
// of it rather than 1.6e-6 (4e-7 without Winograd). Barabasz et al. 2020, arXiv 1803.10986, show why the points matter.
//
// weights   one invocation: an output channel x 4 input channels → u[f, co, ci]; FLIP turns the taps round (input gradient)
// inputs    a tile x 4 channels → v[f, tile, c] from the tile's A x A pixels; zeros outside the image
// outputs   a tile x 4 channels: m[f, tile, c] → M x M pixels of y, with the convolution's epilogue
//           STATS = 1 (whole tiles alone): also the tile's mean and sum of squared deviations, for the batch norm after it
// gradients a tile x 4 channels: M x M pixels of dy → v[f, tile, c]
// taps      an output channel x 4 input channels: Σ_z part[z, f, co, ci] → the 9 taps of dw
// Memory: A² loads and A² stores of vec4 a tile for inputs, A² and M² for outputs and gradients; everything in registers.

#import shared/index
#import shared/quad
#import shared/relu

#define M 4
#define A M + 2
#define FLIP 0
#define BIAS 0
#define RESIDUAL 0
#define RELU 0
#define STATS 0

alias V = vec4<f32>;

// Rows of Bᵀ, of R, of G, and of their transposes as far as they are needed.
#if M == 4
fn b0(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return 1.265625 * a - 2.8125 * c + e; }
fn b1(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return (e - 2.25 * c) + (0.75 * d - 1.6875 * b); }
fn b2(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return (e - 2.25 * c) - (0.75 * d - 1.6875 * b); }
fn b3(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return (e - 0.5625 * c) + (1.5 * d - 0.84375 * b); }
fn b4(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return (e - 0.5625 * c) - (1.5 * d - 0.84375 * b); }
fn b5(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return 1.265625 * b - 2.8125 * d + f; }

fn r0(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return a + (b + c) + (d + e); }
fn r1(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return 0.75 * (b - c) + 1.5 * (d - e); }
fn r2(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return 0.5625 * (b + c) + 2.25 * (d + e); }
fn r3(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return 0.421875 * (b - c) + 3.375 * (d - e) + f; }

fn s0(a: V, b: V, c: V, d: V) -> V { return a; }
fn s1(a: V, b: V, c: V, d: V) -> V { return (a + 0.5625 * c) + (0.75 * b + 0.421875 * d); }
fn s2(a: V, b: V, c: V, d: V) -> V { return (a + 0.5625 * c) - (0.75 * b + 0.421875 * d); }
fn s3(a: V, b: V, c: V, d: V) -> V { return (a + 2.25 * c) + (1.5 * b + 3.375 * d); }
fn s4(a: V, b: V, c: V, d: V) -> V { return (a + 2.25 * c) - (1.5 * b + 3.375 * d); }
fn s5(a: V, b: V, c: V, d: V) -> V { return d; }

fn g0(a: V, b: V, c: V) -> V { return a * (64.0 / 81.0); }
fn g1(a: V, b: V, c: V) -> V { return (a + 0.75 * b + 0.5625 * c) * (-128.0 / 243.0); }
fn g2(a: V, b: V, c: V) -> V { return (a - 0.75 * b + 0.5625 * c) * (-128.0 / 243.0); }
fn g3(a: V, b: V, c: V) -> V { return (a + 1.5 * b + 2.25 * c) * (32.0 / 243.0); }
fn g4(a: V, b: V, c: V) -> V { return (a - 1.5 * b + 2.25 * c) * (32.0 / 243.0); }
fn g5(a: V, b: V, c: V) -> V { return c; }

fn t0(a: V, b: V, c: V, d: V, e: V, f: V) -> V {
    return a * (64.0 / 81.0) - (b + c) * (128.0 / 243.0) + (d + e) * (32.0 / 243.0);
}
fn t1(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return (c - b) * (96.0 / 243.0) + (d - e) * (48.0 / 243.0); }
fn t2(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return ((d + e) - (b + c)) * (72.0 / 243.0) + f; }
#else
fn b0(a: V, b: V, c: V, d: V) -> V { return a - c; }
fn b1(a: V, b: V, c: V, d: V) -> V { return b + c; }
fn b2(a: V, b: V, c: V, d: V) -> V { return c - b; }
fn b3(a: V, b: V, c: V, d: V) -> V { return b - d; }

fn r0(a: V, b: V, c: V, d: V) -> V { return a + (b + c); }
fn r1(a: V, b: V, c: V, d: V) -> V { return (b - c) - d; }

fn s0(a: V, b: V) -> V { return a; }
fn s1(a: V, b: V) -> V { return a + b; }
fn s2(a: V, b: V) -> V { return a - b; }
fn s3(a: V, b: V) -> V { return -b; }

fn g0(a: V, b: V, c: V) -> V { return a; }
fn g1(a: V, b: V, c: V) -> V { return 0.5 * (a + b + c); }
fn g2(a: V, b: V, c: V) -> V { return 0.5 * (a - b + c); }
fn g3(a: V, b: V, c: V) -> V { return c; }

fn t0(a: V, b: V, c: V, d: V) -> V { return a + 0.5 * (b + c); }
fn t1(a: V, b: V, c: V, d: V) -> V { return 0.5 * (b - c); }
fn t2(a: V, b: V, c: V, d: V) -> V { return 0.5 * (b + c) + d; }
#endif

struct Filter { co: u32, ci: u32 }

@group(0) @binding(0) var<uniform> f: Filter;
@group(0) @binding(1) var<storage, read> w: array<Quad>;
@group(0) @binding(2) var<storage, read_write> u: array<Quad>;

@compute @workgroup_size(64)
fn weights(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let ci = f.ci / 4u;
    let i = folded_index(wid, groups, lane, 64u);
    if i >= f.co * ci {
        return;
    }
    let at = i / ci * 9u * ci + i % ci;
#for k in 0..9
#if FLIP
    let w${k / 3}_${k % 3} = unquad(w[at + ${8 - k}u * ci]);
#else
    let w${k / 3}_${k % 3} = unquad(w[at + ${k}u * ci]);
#endif
#endfor
#for r in 0..A
#for k in 0..3
    let h${r}_${k} = g${r}(w0_${k}, w1_${k}, w2_${k});
#endfor
#for c in 0..A
    u[${r * A + c}u * f.co * ci + i] = quad(g${c}(h${r}_0, h${r}_1, h${r}_2));
#endfor
#endfor
}

struct Tiles { n: u32, h: u32, w: u32, channels: u32, rows: u32, columns: u32, padding: u32, accumulate: u32 }

@group(0) @binding(0) var<uniform> p: Tiles;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read_write> v: array<Quad>;

@compute @workgroup_size(64)
fn inputs(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channels = p.channels / 4u;
    let i = folded_index(wid, groups, lane, 64u);
    let size = p.n * p.rows * p.columns * channels;
    if i >= size {
        return;
    }
    let tile = i / channels;
    let top = i32(tile / p.columns % p.rows * ${M}u) - i32(p.padding);
    let left = i32(tile % p.columns * ${M}u) - i32(p.padding);
    let image = tile / (p.columns * p.rows) * p.h;
    let c = i % channels;
#for k in 0..A
    let in${k} = left + ${k} >= 0 && left + ${k} < i32(p.w);
    let at${k} = u32(max(left + ${k}, 0)) * channels + c;
#endfor
#for r in 0..A
    let ok${r} = top + ${r} >= 0 && top + ${r} < i32(p.h);
    let row${r} = (image + u32(max(top + ${r}, 0))) * p.w * channels;
#for k in 0..A
    let x${r}_${k} = select(V(0.0), unquad(x[select(0u, row${r} + at${k}, ok${r} && in${k})]), ok${r} && in${k});
#endfor
#endfor
#for r in 0..A
#for k in 0..A
#if M == 4
    let h${r}_${k} = b${r}(x0_${k}, x1_${k}, x2_${k}, x3_${k}, x4_${k}, x5_${k});
#else
    let h${r}_${k} = b${r}(x0_${k}, x1_${k}, x2_${k}, x3_${k});
#endif
#endfor
#for k in 0..A
#if M == 4
    v[${r * A + k}u * size + i] = quad(b${k}(h${r}_0, h${r}_1, h${r}_2, h${r}_3, h${r}_4, h${r}_5));
#else
    v[${r * A + k}u * size + i] = quad(b${k}(h${r}_0, h${r}_1, h${r}_2, h${r}_3));
#endif
#endfor
#endfor
}

@compute @workgroup_size(64)
fn gradients(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channels = p.channels / 4u;
    let i = folded_index(wid, groups, lane, 64u);
    let size = p.n * p.rows * p.columns * channels;
    if i >= size {
        return;
    }
    let tile = i / channels;
    let top = tile / p.columns % p.rows * ${M}u;
    let left = tile % p.columns * ${M}u;
    let base = ((tile / (p.columns * p.rows) * p.h + top) * p.w + left) * channels + i % channels;
#for r in 0..M
#for k in 0..M
    let in${r}_${k} = top + ${r}u < p.h && left + ${k}u < p.w;
    let x${r}_${k} = select(V(0.0), unquad(x[select(0u, base + (${r}u * p.w + ${k}u) * channels, in${r}_${k})]), in${r}_${k});
#endfor
#endfor
#for r in 0..A
#for k in 0..M
#if M == 4
    let h${r}_${k} = s${r}(x0_${k}, x1_${k}, x2_${k}, x3_${k});
#else
    let h${r}_${k} = s${r}(x0_${k}, x1_${k});
#endif
#endfor
#for k in 0..A
#if M == 4
    v[${r * A + k}u * size + i] = quad(s${k}(h${r}_0, h${r}_1, h${r}_2, h${r}_3));
#else
    v[${r * A + k}u * size + i] = quad(s${k}(h${r}_0, h${r}_1));
#endif
#endfor
#endfor
}

@group(0) @binding(1) var<storage, read> m: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<Quad>;
#if BIAS
@group(0) @binding(3) var<storage, read> bias: array<Quad>;
#endif
#if RESIDUAL
@group(0) @binding(4) var<storage, read> residual: array<Quad>;
#endif
#if STATS
@group(0) @binding(5) var<storage, read_write> sums: array<Quad>;
#endif

@compute @workgroup_size(64)
fn outputs(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channels = p.channels / 4u;
    let i = folded_index(wid, groups, lane, 64u);
    let size = p.n * p.rows * p.columns * channels;
    if i >= size {
        return;
    }
    let tile = i / channels;
    let top = tile / p.columns % p.rows * ${M}u;
    let left = tile % p.columns * ${M}u;
    let base = ((tile / (p.columns * p.rows) * p.h + top) * p.w + left) * channels + i % channels;
    // Goes by the tile too, see lanes_forward.
    let accumulate = p.accumulate != 0u && top < p.h;
#for r in 0..A
#for k in 0..A
    let m${r}_${k} = unquad(m[${r * A + k}u * size + i]);
#endfor
#if M == 4
#for k in 0..M
    let h${r}_${k} = r${k}(m${r}_0, m${r}_1, m${r}_2, m${r}_3, m${r}_4, m${r}_5);
#endfor
#else
#for k in 0..M
    let h${r}_${k} = r${k}(m${r}_0, m${r}_1, m${r}_2, m${r}_3);
#endfor
#endif
#endfor
#if BIAS
    let add = unquad(bias[i % channels]);
#else
    let add = V(0.0);
#endif
#for r in 0..M
#for k in 0..M
#if M == 4
    let y${r}_${k} = r${r}(h0_${k}, h1_${k}, h2_${k}, h3_${k}, h4_${k}, h5_${k}) + add;
#else
    let y${r}_${k} = r${r}(h0_${k}, h1_${k}, h2_${k}, h3_${k}) + add;
#endif
    if top + ${r}u < p.h && left + ${k}u < p.w {
        let at = base + (${r}u * p.w + ${k}u) * channels;
        var s = y${r}_${k};
#if RESIDUAL
        s += unquad(residual[at]);
#endif
#if RELU
        s = relu4(s);
#endif
        if accumulate {
            s += unquad(y[at]);
        }
        y[at] = quad(s);
    }
#endfor
#endfor
#if STATS
    var sum = V(0.0);
#for k in 0..M * M
    sum += y${k / M}_${k % M};
#endfor
    let mean = sum / ${M * M}.0;
    var squares = V(0.0);
#for k in 0..M * M
    let d${k} = y${k / M}_${k % M} - mean;
    squares = fma(d${k}, d${k}, squares);
#endfor
    sums[tile * 2u * channels + i % channels] = quad(mean);
    sums[(tile * 2u + 1u) * channels + i % channels] = quad(squares);
#endif
}

struct Parts { co: u32, ci: u32, parts: u32, accumulate: u32 }

@group(0) @binding(0) var<uniform> q: Parts;
@group(0) @binding(1) var<storage, read> part: array<Quad>;
@group(0) @binding(2) var<storage, read_write> dw: array<Quad>;

@compute @workgroup_size(64)
fn taps(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let ci = q.ci / 4u;
    let i = folded_index(wid, groups, lane, 64u);
    let size = q.co * ci;
    if i >= size {
        return;
    }
    let accumulate = q.accumulate != 0u && i / ci < q.co;
#for k in 0..A * A
    var d${k / A}_${k % A} = V(0.0);
#endfor
    for (var z = 0u; z < q.parts; z++) {
        let at = z * ${A * A}u * size + i;
#for k in 0..A * A
        d${k / A}_${k % A} += unquad(part[at + ${k}u * size]);
#endfor
    }
#for r in 0..3
#for k in 0..A
#if M == 4
    let h${r}_${k} = t${r}(d0_${k}, d1_${k}, d2_${k}, d3_${k}, d4_${k}, d5_${k});
#else
    let h${r}_${k} = t${r}(d0_${k}, d1_${k}, d2_${k}, d3_${k});
#endif
#endfor
#for k in 0..3
#if M == 4
    var w${r}_${k} = t${k}(h${r}_0, h${r}_1, h${r}_2, h${r}_3, h${r}_4, h${r}_5);
#else
    var w${r}_${k} = t${k}(h${r}_0, h${r}_1, h${r}_2, h${r}_3);
#endif
    let to${r}_${k} = (i / ci * 9u + ${3 * r + k}u) * ci + i % ci;
    if accumulate {
        w${r}_${k} += unquad(dw[to${r}_${k}]);
    }
    dw[to${r}_${k}] = quad(w${r}_${k});
#endfor
#endfor
}
