// Winograd's minimal filtering (Lavin & Gray 2016, arXiv 1509.09308) for 3x3 convolutions at stride 1: F(M x M, 3 x 3), M = 2
// or 4. With tiles of A = M + 2 rows and columns, and per tile and channel,
//
//   y = Rᵀ [ (G w Gᵀ) ⊙ (Bᵀ x B) ] R          dw = Gᵀ [ Σ_tiles (R dy Rᵀ) ⊙ (Bᵀ x B) ] G
//
// where R is the paper's A. The sums over channels (or tiles) are A² matrix products, which the other variants compute on
// what these kernels write; [A², ·, ·] has frequency f = A · row + column first.
//
// weights   one invocation: an output channel x 4 input channels → u[f, co, ci]; FLIP turns the taps round (input gradient)
// inputs    a tile x 4 channels → v[f, tile, c] from the tile's A x A pixels; zeros outside the image
// outputs   a tile x 4 channels: m[f, tile, c] → M x M pixels of y, with the convolution's epilogue
// gradients a tile x 4 channels: M x M pixels of dy → v[f, tile, c]
// taps      an output channel x 4 input channels: Σ_z part[z, f, co, ci] → the 9 taps of dw
// Memory: A² loads and A² stores of vec4 a tile for inputs, A² and M² for outputs and gradients; everything in registers.

#import shared/index

#define M 4
#define A M + 2
#define FLIP 0
#define BIAS 0
#define RESIDUAL 0
#define RELU 0

alias V = vec4<f32>;

// Rows of Bᵀ, of R, of G, and of their transposes as far as they are needed.
#if M == 4
fn b0(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return 4.0 * a - 5.0 * c + e; }
fn b1(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return (d + e) - 4.0 * (b + c); }
fn b2(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return (e - d) + 4.0 * (b - c); }
fn b3(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return (e - c) + 2.0 * (d - b); }
fn b4(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return (e - c) - 2.0 * (d - b); }
fn b5(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return 4.0 * b - 5.0 * d + f; }

fn r0(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return a + (b + c) + (d + e); }
fn r1(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return (b - c) + 2.0 * (d - e); }
fn r2(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return (b + c) + 4.0 * (d + e); }
fn r3(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return (b - c) + 8.0 * (d - e) + f; }

fn s0(a: V, b: V, c: V, d: V) -> V { return a; }
fn s1(a: V, b: V, c: V, d: V) -> V { return (a + c) + (b + d); }
fn s2(a: V, b: V, c: V, d: V) -> V { return (a + c) - (b + d); }
fn s3(a: V, b: V, c: V, d: V) -> V { return (a + 4.0 * c) + 2.0 * (b + 4.0 * d); }
fn s4(a: V, b: V, c: V, d: V) -> V { return (a + 4.0 * c) - 2.0 * (b + 4.0 * d); }
fn s5(a: V, b: V, c: V, d: V) -> V { return d; }

fn g0(a: V, b: V, c: V) -> V { return 0.25 * a; }
fn g1(a: V, b: V, c: V) -> V { return (a + b + c) / -6.0; }
fn g2(a: V, b: V, c: V) -> V { return (b - a - c) / 6.0; }
fn g3(a: V, b: V, c: V) -> V { return a / 24.0 + b / 12.0 + c / 6.0; }
fn g4(a: V, b: V, c: V) -> V { return a / 24.0 - b / 12.0 + c / 6.0; }
fn g5(a: V, b: V, c: V) -> V { return c; }

fn t0(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return 0.25 * a - (b + c) / 6.0 + (d + e) / 24.0; }
fn t1(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return (c - b) / 6.0 + (d - e) / 12.0; }
fn t2(a: V, b: V, c: V, d: V, e: V, f: V) -> V { return (d + e - b - c) / 6.0 + f; }
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
@group(0) @binding(1) var<storage, read> w: array<V>;
@group(0) @binding(2) var<storage, read_write> u: array<V>;

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
    let w${k / 3}_${k % 3} = w[at + ${8 - k}u * ci];
#else
    let w${k / 3}_${k % 3} = w[at + ${k}u * ci];
#endif
#endfor
#for r in 0..A
#for k in 0..3
    let h${r}_${k} = g${r}(w0_${k}, w1_${k}, w2_${k});
#endfor
#for c in 0..A
    u[${r * A + c}u * f.co * ci + i] = g${c}(h${r}_0, h${r}_1, h${r}_2);
#endfor
#endfor
}

struct Tiles { n: u32, h: u32, w: u32, channels: u32, rows: u32, columns: u32, padding: u32, accumulate: u32 }

@group(0) @binding(0) var<uniform> p: Tiles;
@group(0) @binding(1) var<storage, read> x: array<V>;
@group(0) @binding(2) var<storage, read_write> v: array<V>;

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
    let x${r}_${k} = select(V(0.0), x[select(0u, row${r} + at${k}, ok${r} && in${k})], ok${r} && in${k});
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
    v[${r * A + k}u * size + i] = b${k}(h${r}_0, h${r}_1, h${r}_2, h${r}_3, h${r}_4, h${r}_5);
#else
    v[${r * A + k}u * size + i] = b${k}(h${r}_0, h${r}_1, h${r}_2, h${r}_3);
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
    let x${r}_${k} = select(V(0.0), x[select(0u, base + (${r}u * p.w + ${k}u) * channels, in${r}_${k})], in${r}_${k});
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
    v[${r * A + k}u * size + i] = s${k}(h${r}_0, h${r}_1, h${r}_2, h${r}_3);
#else
    v[${r * A + k}u * size + i] = s${k}(h${r}_0, h${r}_1);
#endif
#endfor
#endfor
}

@group(0) @binding(1) var<storage, read> m: array<V>;
@group(0) @binding(2) var<storage, read_write> y: array<V>;
#if BIAS
@group(0) @binding(3) var<storage, read> bias: array<V>;
#endif
#if RESIDUAL
@group(0) @binding(4) var<storage, read> residual: array<V>;
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
#for r in 0..A
#for k in 0..A
    let m${r}_${k} = m[${r * A + k}u * size + i];
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
    let add = bias[i % channels];
#else
    let add = V(0.0);
#endif
#for r in 0..M
#for k in 0..M
    if top + ${r}u < p.h && left + ${k}u < p.w {
        let at = base + (${r}u * p.w + ${k}u) * channels;
#if M == 4
        var s = r${r}(h0_${k}, h1_${k}, h2_${k}, h3_${k}, h4_${k}, h5_${k}) + add;
#else
        var s = r${r}(h0_${k}, h1_${k}, h2_${k}, h3_${k}) + add;
#endif
#if RESIDUAL
        s += residual[at];
#endif
#if RELU
        s = max(s, V(0.0));
#endif
        if p.accumulate != 0u {
            s += y[at];
        }
        y[at] = s;
    }
#endfor
#endfor
}

struct Parts { co: u32, ci: u32, parts: u32, accumulate: u32 }

@group(0) @binding(0) var<uniform> q: Parts;
@group(0) @binding(1) var<storage, read> part: array<V>;
@group(0) @binding(2) var<storage, read_write> dw: array<V>;

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
#for k in 0..A * A
    var d${k / A}_${k % A} = V(0.0);
#endfor
    for (var z = 0u; z < q.parts; z++) {
        let at = z * ${A * A}u * size + i;
#for k in 0..A * A
        d${k / A}_${k % A} += part[at + ${k}u * size];
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
    if q.accumulate != 0u {
        w${r}_${k} += dw[to${r}_${k}];
    }
    dw[to${r}_${k}] = w${r}_${k};
#endfor
#endfor
}
