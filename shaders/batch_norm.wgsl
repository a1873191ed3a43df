// Batch normalisation over rows x channels, [M, C] with M = N·H·W, fused with residual addition and ReLU.
//
//   y = relu( γ · (x − μ) / √(σ² + ε) + β + residual )
//
// partial_stats  one invocation: VEC channels × one chunk of rows → its mean and sum of squared deviations
//                batch_norm/finish combines the chunks: stats = [μ, 1/√(σ²+ε)], and the running values
// running_stats  stats from the running values (evaluation)
// normalise      one invocation: VEC channels × ROWS rows
// partial_grads  Σ dz and Σ dz·x̂ of a chunk, dz = dy · [y > 0]
//                batch_norm/finish combines them: dβ, dγ, the four coefficients of dx, and β for the mask
// input_grad     dx (+)= A·dz + B·(x − μ) + K, residual gradient (+)= dz
// fold           weights and bias of a convolution whose batch norm is folded in
//
// Memory: x is read once for the statistics, unless the convolution before has left its partial sums, and once to normalise;
// backward reads dy and x twice and writes dx once. y is read for its ReLU mask only where a residual was added: without
// one the mask follows from x by the very operations that made y (MASK = 1).

#import shared/index
#import shared/quad
#import shared/relu

#define VEC 4
#define ROWS 8
#define RELU 0
#define RESIDUAL 0
#define RESIDUAL_GRAD 0
#define MASK 0

// V: what is computed with; L: how it lies in memory.
#if VEC == 4
alias V = vec4<f32>;
alias L = Quad;

fn load(l: L) -> V {
    return unquad(l);
}

fn store(v: V) -> L {
    return quad(v);
}

fn relu_of(v: V) -> V {
    return relu4(v);
}
#else
alias V = f32;
alias L = f32;

fn load(l: L) -> V {
    return l;
}

fn store(v: V) -> L {
    return v;
}

fn relu_of(v: V) -> V {
    return relu1(v);
}
#endif

struct Params {
    rows: u32, channels: u32, vectors: u32, chunk: u32, chunks: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<L>;
@group(0) @binding(2) var<storage, read_write> part: array<L>;

@compute @workgroup_size(64)
fn partial_stats(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    let c = id % p.vectors;
    let k = id / p.vectors;
    if k >= p.chunks {
        return;
    }
    let first = k * p.chunk;
    let last = min(first + p.chunk, p.rows);
    // Deviations from the chunk's first row: one pass, no cancellation.
    let origin = load(x[first * p.vectors + c]);
    var sum = V(0.0);
    var squares = V(0.0);
    for (var r = first; r < last; r++) {
        let d = load(x[r * p.vectors + c]) - origin;
        sum += d;
        squares = fma(d, d, squares);
    }
    let n = f32(last - first);
    part[k * 2u * p.vectors + c] = store(origin + sum / n);
    part[(k * 2u + 1u) * p.vectors + c] = store(max(squares - sum * sum / n, V(0.0)));
}

struct Running { channels: u32, eps: f32 }

@group(0) @binding(0) var<uniform> f: Running;
@group(0) @binding(2) var<storage, read_write> stats: array<f32>;
@group(0) @binding(1) var<storage, read> known: array<f32>;

@compute @workgroup_size(64)
fn running_stats(@builtin(global_invocation_id) id: vec3<u32>) {
    let c = id.x;
    if c >= f.channels {
        return;
    }
    stats[c] = known[c];
    stats[f.channels + c] = 1.0 / sqrt(max(known[f.channels + c], 0.0) + f.eps);
}

struct Rows { rows: u32, vectors: u32, blocks: u32 }

@group(0) @binding(0) var<uniform> m: Rows;
@group(0) @binding(2) var<storage, read> saved: array<L>;
@group(0) @binding(3) var<storage, read> gamma: array<L>;
@group(0) @binding(4) var<storage, read> beta: array<L>;
@group(0) @binding(5) var<storage, read_write> y: array<L>;
#if RESIDUAL
@group(0) @binding(6) var<storage, read> residual: array<L>;
#endif

@compute @workgroup_size(64)
fn normalise(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    let c = id % m.vectors;
    let block = id / m.vectors;
    if block >= m.blocks {
        return;
    }
    let mean = load(saved[c]);
    let scale = load(gamma[c]) * load(saved[m.vectors + c]);
    let shift = load(beta[c]);
    let last = min((block + 1u) * ${ROWS}u, m.rows);
    for (var r = block * ${ROWS}u; r < last; r++) {
        let i = r * m.vectors + c;
        var v = fma(load(x[i]) - mean, scale, shift);
#if RESIDUAL
        v += load(residual[i]);
#endif
#if RELU
        v = relu_of(v);
#endif
        y[i] = store(v);
    }
}

@group(0) @binding(3) var<storage, read> dy: array<L>;
#if RELU && !MASK
@group(0) @binding(4) var<storage, read> out: array<L>;
#endif

// dz of value i, whose x lies `above` the mean.
fn masked(i: u32, above: V, scale: V, shift: V) -> V {
#if MASK
    return select(V(0.0), load(dy[i]), fma(above, scale, shift) > V(0.0));
#elif RELU
    return select(V(0.0), load(dy[i]), load(out[i]) > V(0.0));
#else
    return load(dy[i]);
#endif
}

@group(0) @binding(5) var<storage, read> saved_stats: array<L>;
#if MASK
@group(0) @binding(6) var<storage, read> mask_gamma: array<L>;
@group(0) @binding(7) var<storage, read> mask_beta: array<L>;
#endif

@compute @workgroup_size(64)
fn partial_grads(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    let c = id % p.vectors;
    let k = id / p.vectors;
    if k >= p.chunks {
        return;
    }
    let mean = load(saved_stats[c]);
    let rstd = load(saved_stats[p.vectors + c]);
#if MASK
    let scale = load(mask_gamma[c]) * rstd;
    let shift = load(mask_beta[c]);
#else
    let scale = V(0.0);
    let shift = V(0.0);
#endif
    let last = min((k + 1u) * p.chunk, p.rows);
    var sum = V(0.0);
    var dot = V(0.0);
    for (var r = k * p.chunk; r < last; r++) {
        let i = r * p.vectors + c;
        let above = load(x[i]) - mean;
        let dz = masked(i, above, scale, shift);
        sum += dz;
        dot = fma(dz, above * rstd, dot);
    }
    part[k * 2u * p.vectors + c] = store(sum);
    part[(k * 2u + 1u) * p.vectors + c] = store(dot);
}

struct InputGrad { rows: u32, vectors: u32, blocks: u32, accumulate: u32, accumulate_residual: u32 }

@group(0) @binding(0) var<uniform> q: InputGrad;
@group(0) @binding(2) var<storage, read> coefficient: array<L>;
@group(0) @binding(5) var<storage, read_write> dx: array<L>;
#if RESIDUAL_GRAD
@group(0) @binding(6) var<storage, read_write> dresidual: array<L>;
#endif

@compute @workgroup_size(64)
fn input_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    let c = id % q.vectors;
    let block = id / q.vectors;
    if block >= q.blocks {
        return;
    }
    let a = load(coefficient[c]);
    let b = load(coefficient[q.vectors + c]);
    let k = load(coefficient[2u * q.vectors + c]);
    let mean = load(coefficient[3u * q.vectors + c]);
    let shift = load(coefficient[4u * q.vectors + c]);
    let last = min((block + 1u) * ${ROWS}u, q.rows);
    for (var r = block * ${ROWS}u; r < last; r++) {
        let i = r * q.vectors + c;
        let above = load(x[i]) - mean;
        let dz = masked(i, above, a, shift);
        var v = fma(a, dz, fma(b, above, k));
        if q.accumulate != 0u {
            v += load(dx[i]);
        }
        dx[i] = store(v);
#if RESIDUAL_GRAD
        var s = dz;
        if q.accumulate_residual != 0u {
            s += load(dresidual[i]);
        }
        dresidual[i] = store(s);
#endif
    }
}

struct Fold { outputs: u32, row: u32, eps: f32 }

@group(0) @binding(0) var<uniform> h: Fold;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> moments: array<f32>;
@group(0) @binding(5) var<storage, read_write> folded: array<f32>;
@group(0) @binding(6) var<storage, read_write> bias: array<f32>;
@group(0) @binding(3) var<storage, read> fold_gamma: array<f32>;
@group(0) @binding(4) var<storage, read> fold_beta: array<f32>;

@compute @workgroup_size(64)
fn fold(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= h.outputs * h.row {
        return;
    }
    let c = i / h.row;
    let scale = fold_gamma[c] / sqrt(max(moments[h.outputs + c], 0.0) + h.eps);
    folded[i] = weight[i] * scale;
    if i % h.row == 0u {
        bias[c] = fold_beta[c] - moments[c] * scale;
    }
}
