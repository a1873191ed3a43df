// Batch normalisation over rows x channels, [M, C] with M = N·H·W, fused with residual addition and ReLU.
//
//   y = relu( γ · (x − μ) / √(σ² + ε) + β + residual )
//
// partial_stats  one invocation: VEC channels × one chunk of rows → its mean and sum of squared deviations
// finish_stats   one invocation: one channel; combines the chunks in order (Chan et al. 1979), writes
//                stats = [μ, 1/√(σ²+ε)], and the running mean and (unbiased) variance
// running_stats  stats from the running values (evaluation)
// normalise      one invocation: VEC channels × ROWS rows
// partial_grads  Σ dz and Σ dz·x̂ of a chunk, dz = dy · [y > 0]
// finish_grads   dβ (+)= Σ dz, dγ (+)= Σ dz·x̂ and the four coefficients of dx
// input_grad     dx (+)= A·dz + B·(x − μ) + K, residual gradient (+)= dz
// fold           weights and bias of a convolution whose batch norm is folded in
//
// Memory: x is read once for the statistics and once to normalise; backward reads dy, y, x twice and writes dx once.

#import shared/index

#define VEC 4
#define ROWS 8
#define RELU 0
#define RESIDUAL 0
#define RESIDUAL_GRAD 0

#if VEC == 4
alias V = vec4<f32>;
#else
alias V = f32;
#endif

struct Params {
    rows: u32, channels: u32, vectors: u32, chunk: u32, chunks: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;
@group(0) @binding(2) var<storage, read_write> part: array<V>;

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
    let origin = x[first * p.vectors + c];
    var sum = V(0.0);
    var squares = V(0.0);
    for (var r = first; r < last; r++) {
        let d = x[r * p.vectors + c] - origin;
        sum += d;
        squares = fma(d, d, squares);
    }
    let n = f32(last - first);
    part[k * 2u * p.vectors + c] = origin + sum / n;
    part[(k * 2u + 1u) * p.vectors + c] = max(squares - sum * sum / n, V(0.0));
}

struct Finish { rows: u32, channels: u32, chunk: u32, chunks: u32, eps: f32, momentum: f32 }

@group(0) @binding(0) var<uniform> f: Finish;
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> stats: array<f32>;
@group(0) @binding(3) var<storage, read_write> running: array<f32>;

@compute @workgroup_size(64)
fn finish_stats(@builtin(global_invocation_id) id: vec3<u32>) {
    let c = id.x;
    if c >= f.channels {
        return;
    }
    var mean = 0.0;
    var m2 = 0.0;
    var n = 0.0;
    for (var k = 0u; k < f.chunks; k++) {
        let nk = f32(min((k + 1u) * f.chunk, f.rows) - k * f.chunk);
        let d = parts[k * 2u * f.channels + c] - mean;
        let total = n + nk;
        mean += d * nk / total;
        m2 += parts[(k * 2u + 1u) * f.channels + c] + d * d * (n * nk / total);
        n = total;
    }
    let variance = max(m2 / n, 0.0);
    stats[c] = mean;
    stats[f.channels + c] = 1.0 / sqrt(variance + f.eps);
    let unbiased = m2 / max(n - 1.0, 1.0);
    running[c] = mix(running[c], mean, f.momentum);
    running[f.channels + c] = mix(running[f.channels + c], unbiased, f.momentum);
}

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
@group(0) @binding(2) var<storage, read> saved: array<V>;
@group(0) @binding(3) var<storage, read> gamma: array<V>;
@group(0) @binding(4) var<storage, read> beta: array<V>;
@group(0) @binding(5) var<storage, read_write> y: array<V>;
#if RESIDUAL
@group(0) @binding(6) var<storage, read> residual: array<V>;
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
    let mean = saved[c];
    let scale = gamma[c] * saved[m.vectors + c];
    let shift = beta[c];
    let last = min((block + 1u) * ${ROWS}u, m.rows);
    for (var r = block * ${ROWS}u; r < last; r++) {
        let i = r * m.vectors + c;
        var v = fma(x[i] - mean, scale, shift);
#if RESIDUAL
        v += residual[i];
#endif
#if RELU
        v = max(v, V(0.0));
#endif
        y[i] = v;
    }
}

@group(0) @binding(3) var<storage, read> dy: array<V>;
#if RELU
@group(0) @binding(4) var<storage, read> out: array<V>;
#endif

fn masked(i: u32) -> V {
#if RELU
    return select(V(0.0), dy[i], out[i] > V(0.0));
#else
    return dy[i];
#endif
}

@group(0) @binding(5) var<storage, read> saved_stats: array<V>;

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
    let mean = saved_stats[c];
    let rstd = saved_stats[p.vectors + c];
    let last = min((k + 1u) * p.chunk, p.rows);
    var sum = V(0.0);
    var dot = V(0.0);
    for (var r = k * p.chunk; r < last; r++) {
        let i = r * p.vectors + c;
        let dz = masked(i);
        sum += dz;
        dot = fma(dz, (x[i] - mean) * rstd, dot);
    }
    part[k * 2u * p.vectors + c] = sum;
    part[(k * 2u + 1u) * p.vectors + c] = dot;
}

struct FinishGrads { rows: u32, channels: u32, chunks: u32, training: u32, accumulate_gamma: u32, accumulate_beta: u32 }

@group(0) @binding(0) var<uniform> g: FinishGrads;
@group(0) @binding(2) var<storage, read> stats_in: array<f32>;
@group(0) @binding(3) var<storage, read> gamma_in: array<f32>;
@group(0) @binding(4) var<storage, read_write> coefficients: array<f32>;
@group(0) @binding(5) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(6) var<storage, read_write> dbeta: array<f32>;

@compute @workgroup_size(64)
fn finish_grads(@builtin(global_invocation_id) id: vec3<u32>) {
    let c = id.x;
    if c >= g.channels {
        return;
    }
    var sum = 0.0;
    var dot = 0.0;
    for (var k = 0u; k < g.chunks; k++) {
        sum += parts[k * 2u * g.channels + c];
        dot += parts[(k * 2u + 1u) * g.channels + c];
    }
    dgamma[c] = dot + select(0.0, dgamma[c], g.accumulate_gamma != 0u);
    dbeta[c] = sum + select(0.0, dbeta[c], g.accumulate_beta != 0u);
    let rstd = stats_in[g.channels + c];
    let a = gamma_in[c] * rstd;
    let n = f32(g.rows);
    let training = f32(g.training);
    coefficients[c] = a;
    coefficients[g.channels + c] = -training * a * rstd * dot / n;
    coefficients[2u * g.channels + c] = -training * a * sum / n;
    coefficients[3u * g.channels + c] = stats_in[c];
}

struct InputGrad { rows: u32, vectors: u32, blocks: u32, accumulate: u32, accumulate_residual: u32 }

@group(0) @binding(0) var<uniform> q: InputGrad;
@group(0) @binding(2) var<storage, read> coefficient: array<V>;
@group(0) @binding(5) var<storage, read_write> dx: array<V>;
#if RESIDUAL_GRAD
@group(0) @binding(6) var<storage, read_write> dresidual: array<V>;
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
    let a = coefficient[c];
    let b = coefficient[q.vectors + c];
    let k = coefficient[2u * q.vectors + c];
    let mean = coefficient[3u * q.vectors + c];
    let last = min((block + 1u) * ${ROWS}u, q.rows);
    for (var r = block * ${ROWS}u; r < last; r++) {
        let i = r * q.vectors + c;
        let dz = masked(i);
        var v = fma(a, dz, fma(b, x[i] - mean, k));
        if q.accumulate != 0u {
            v += dx[i];
        }
        dx[i] = v;
#if RESIDUAL_GRAD
        var s = dz;
        if q.accumulate_residual != 0u {
            s += dresidual[i];
        }
        dresidual[i] = s;
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
